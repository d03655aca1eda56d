"""The free operations give what IEEE 754 says, those that move entries move them, and none changes an input."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clicooper.learning.portable.free import FREE
from clicooper.learning.portable.watch import Watch
from tests.portable_inputs import same_bits

SIZE = 40_003
"""Long enough for the vector loops and what is left behind them."""


def _bits(seed: int, size: int = SIZE) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Finite numbers of all exponents."""
    generator = np.random.default_rng(seed)
    words = generator.integers(0, 0x7F000000, size, dtype=np.uint32) | (generator.integers(0, 2, size) << 31).astype(
        np.uint32
    )
    return words.view(np.float32)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("add", np.add),
        ("sub", np.subtract),
        ("mul", np.multiply),
        ("div", np.divide),
        ("maximum", np.maximum),
        ("minimum", np.minimum),
    ],
)
def test_operations_on_two_round_once(name: str, function: Any) -> None:
    a, b = _bits(1), _bits(2)
    with np.errstate(all="ignore"):
        expected = function(a, b)
    found = FREE[name](Watch(), torch.from_numpy(a), torch.from_numpy(b))
    assert isinstance(found, Tensor)
    assert same_bits(found, expected)


def test_division_of_small_by_small_and_by_a_broadcast_divisor() -> None:
    """All quotients of odd and even numbers, where a multiplication by the reciprocal is off for a third."""
    a = torch.arange(1, 2001, dtype=torch.float32)
    divisor = torch.full((), 3.0)
    found = FREE["div"](Watch(), a, divisor)
    assert isinstance(found, Tensor)
    assert same_bits(found, a.numpy() / np.float32(3))
    reciprocal = a.numpy() * (np.float32(1) / np.float32(3))
    assert (reciprocal != found.numpy()).mean() > 0.2


def test_a_division_by_zero_is_seen() -> None:
    for zero in (0.0, -0.0):
        watch = Watch()
        FREE["div"](watch, torch.ones(3), torch.tensor([1.0, zero, 2.0]))
        assert not watch.is_finite()
    FREE["div"](watch, torch.zeros(3), torch.ones(1))
    assert watch.is_finite()


X = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) - 9
INDEX = torch.tensor([2, 0, 1])
CASES: list[tuple[str, list[Tensor], dict[str, Any], Tensor]] = [
    ("neg", [X], {}, -X),
    ("abs", [X], {}, X.abs()),
    ("relu", [X], {}, X.clamp_min(0)),
    ("relu_grad", [X, X - 3], {}, X * (X > 3)),
    ("where", [X > 2, X, X + 1], {}, torch.where(X > 2, X, X + 1)),
    ("reshape", [X], {"shape": (4, 6)}, X.view(4, 6)),
    ("permute", [X], {"dims": (2, 0, 1)}, X.movedim(2, 0)),
    ("expand", [X[:, :1]], {"shape": (5, 2, 3, 4)}, X[:, :1].repeat(5, 1, 3, 1)),
    ("slice", [X], {"dim": 2, "start": 1, "stop": 4, "step": 2}, X[:, :, 1:4:2]),
    ("concatenate", [X, X[:, :2]], {"dim": 1}, torch.cat([X, X[:, :2]], 1)),
    ("full", [], {"shape": (2, 1), "value": 0.1}, torch.tensor([[0.1], [0.1]])),
    ("pick", [X[0], INDEX], {}, torch.tensor([-7.0, -5.0, 0.0])),
    ("take_rows", [X[1], INDEX[None]], {}, X[1][[2, 0, 1]][None]),
    ("flip", [X], {"dims": (0, 2)}, torch.flip(X, (0, 2))),
]


@pytest.mark.parametrize(("name", "inputs", "attributes", "expected"), CASES, ids=[case[0] for case in CASES])
def test_results(name: str, inputs: list[Tensor], attributes: dict[str, Any], expected: Tensor) -> None:
    before = [x.clone() for x in inputs]
    found = FREE[name](Watch(), *inputs, **attributes)
    assert isinstance(found, Tensor)
    assert found.dtype == torch.float32
    assert same_bits(found, expected)
    assert all(map(torch.equal, inputs, before))


@pytest.mark.parametrize(("name", "expected"), [("greater", X > 2), ("greater_equal", X >= 2), ("equal", X == 2)])
def test_comparisons(name: str, expected: Tensor) -> None:
    found = FREE[name](Watch(), X, torch.full((), 2.0))
    assert isinstance(found, Tensor)
    assert torch.equal(found, expected)


def test_unslice_and_unpick_put_back_what_was_taken() -> None:
    cut = {"dim": 1, "start": 0, "stop": 3, "step": 2}
    placed = FREE["unslice"](Watch(), X[:, ::2], **cut, size=3)
    assert isinstance(placed, Tensor)
    assert torch.equal(placed, X * torch.tensor([1.0, 0.0, 1.0])[:, None])
    spread = FREE["unpick"](Watch(), torch.tensor([5.0, 6.0, 7.0]), INDEX, size=4)
    assert isinstance(spread, Tensor)
    assert spread.tolist() == [[0, 0, 5, 0], [6, 0, 0, 0], [0, 7, 0, 0]]


def test_labels_are_cut_as_numbers_are() -> None:
    found = FREE["slice_labels"](Watch(), INDEX, dim=0, start=1, stop=3, step=1)
    assert isinstance(found, Tensor)
    assert found.tolist() == [0, 1]
