"""Single entries again in whole numbers: equal to the kernels and to fractions, and no wrong entry passes."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clicooper.learning.portable import grid
from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.recheck import ENTRIES, exact_dot, exact_total, float32_of, recheck
from clicooper.learning.portable.watch import Watch
from tests import exact_reference
from tests.portable_inputs import arrays

CASES: list[tuple[str, list[tuple[int, ...]], dict[str, Any]]] = [
    ("matmul", [(6, 50), (50, 4)], {}),
    ("matmul", [(2, 1, 3, 9), (5, 9, 2)], {}),
    ("sum", [(3, 4, 5)], {"dims": (0, 2), "keepdims": 0}),
    ("sum", [(3, 4, 5)], {"dims": (1,), "keepdims": 1}),
    ("mean", [(3, 4, 5)], {"dims": (1, 2), "keepdims": 0}),
    ("add_rows", [(20, 3)], {"rows": 4}),
]


def _draws(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the test wants the same entries again


def _case(
    name: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any]
) -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = np.random.default_rng(8)
    inputs = [torch.from_numpy(generator.normal(size=shape).astype(np.float32)) for shape in shapes]
    if name == "add_rows":
        inputs.append(torch.from_numpy(generator.integers(0, attributes["rows"], len(inputs[0]))))
    output = PORTABLE[name](Watch(), *inputs, **attributes)
    assert isinstance(output, torch.Tensor)
    return inputs, output


@pytest.mark.parametrize(("name", "shapes", "attributes"), CASES)
def test_what_the_kernels_give_is_found_again(
    name: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any]
) -> None:
    inputs, output = _case(name, shapes, attributes)
    assert recheck(name, inputs, attributes, output, entries=40, rng=_draws(1))
    assert recheck(name, inputs, attributes, output)


@pytest.mark.parametrize(("name", "shapes", "attributes"), CASES)
def test_one_unit_in_the_last_place_is_noticed(
    name: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any]
) -> None:
    inputs, output = _case(name, shapes, attributes)
    wrong = torch.nextafter(output, torch.full((), 1e9))
    assert not recheck(name, inputs, attributes, wrong, entries=1, rng=_draws(1))


def test_blocks_are_added_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "MAX_TERMS", 6)
    for name, shapes, attributes in CASES:
        inputs, output = _case(name, shapes, attributes)
        assert recheck(name, inputs, attributes, output, entries=20, rng=_draws(2))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6).flatmap(lambda n: st.tuples(arrays((n,)), arrays((n,)))))
def test_totals_and_products_are_those_of_fractions(pair: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
    left, right = pair
    assert exact_dot(left, right) == exact_reference.dot(left.tolist(), right.tolist())
    assert exact_total(left) == exact_reference.total(left.tolist())


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**60), 2**60), st.integers(-330, 90))
def test_rounding_to_float32(multiple: int, exponent: int) -> None:
    exact = exact_reference.Fraction(multiple) * exact_reference.Fraction(2) ** exponent
    assert float32_of(multiple, exponent) == exact_reference.to_float32(exact)


@pytest.mark.parametrize("exponent", [-400, 0, 200])
def test_nothing_of_any_unit_is_zero(exponent: int) -> None:
    assert float32_of(0, exponent) == 0


def test_numbers_that_are_not_finite_are_left_to_the_watch() -> None:
    a = torch.tensor([[1.0, float("inf")]])
    assert recheck("matmul", [a, a.t()], {}, torch.zeros(1, 1))


def test_every_recheck_is_of_an_operation() -> None:
    assert set(ENTRIES) <= set(PORTABLE)
