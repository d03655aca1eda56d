"""The same bits in any order of the terms, with any number of threads, and as they were made once."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.watch import Watch
from tests.portable_inputs import same_bits

GOLDEN = {
    "matmul": "b5865fbb94bcc72376fa47b855389ee4802596fd974f1e31ba3ea2bec87d1234",
    "sum": "a7d40145eb765f37aecc6e642d2c0c3afde529fc0fdfa8bab3d30220f4ee9a63",
    "mean": "e49f373ec314a838d77c68f46d399fe4e6dae11c042b1bcd710629c7d41d201b",
    "normalise": "3c9948695344678cbe4f2cc183efeafa19ff686352b79f2a9a6aad9a63ddce4b",
    "normalise_grad": "b1d90da4576e0ff82cecc849462d86aa8b6e06283cd777bafb6bb15b9001842a",
    "add_rows": "c6a2054cd266bc88ad668356f58ca1e38ebc22bcc61d1a958f86e3e1d76ceac4",
}
"""sha2-256 of results, little-endian float32; those of tests/exact_reference.py, not of the kernels."""


def _numbers(*shape: int) -> Tensor:
    """Numbers of many scales, by whole numbers alone: no generator's stream, no function."""
    words = (np.arange(int(np.prod(shape)), dtype=np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
    words ^= words >> np.uint64(29)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(32)
    mantissas = (words & np.uint64(0xFFFFFF)).astype(np.int64) - 2**23
    scales = 2.0 ** -((words >> np.uint64(40)) & np.uint64(15)).astype(np.float64)
    return torch.from_numpy((mantissas * scales).astype(np.float32).reshape(shape))


def _case(name: str) -> tuple[list[Tensor], dict[str, Any]]:
    index = torch.arange(700) * 37 % 50
    return {
        "matmul": ([_numbers(100, 777), _numbers(777, 49)], {}),
        "sum": ([_numbers(100, 49, 7)], {"dims": (0, 2), "keepdims": 0}),
        "mean": ([_numbers(100, 49, 7)], {"dims": (0, 2), "keepdims": 0}),
        "normalise": ([_numbers(100, 6, 7, 7)], {"dims": (0, 2, 3), "eps": 1e-5}),
        "normalise_grad": ([_numbers(30, 49), _numbers(30, 49), _numbers(30, 1).abs()], {"dims": (1,), "eps": 1e-5}),
        "add_rows": ([_numbers(700, 9), index], {"rows": 50}),
    }[name]


def _digest(name: str) -> str:
    inputs, attributes = _case(name)
    before = [x.clone() for x in inputs]
    found = PORTABLE[name](Watch(), *inputs, **attributes)
    assert all(map(torch.equal, inputs, before))
    results = found if isinstance(found, tuple) else (found,)
    return hashlib.sha256(b"".join((x + 0.0).numpy().astype("<f4").tobytes() for x in results)).hexdigest()


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_digests(name: str) -> None:
    assert _digest(name) == GOLDEN[name]


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.usefixtures("two_threads")
def test_two_threads_give_the_same(name: str) -> None:
    assert torch.get_num_threads() == 2
    assert _digest(name) == GOLDEN[name]


def test_the_order_of_the_terms_changes_nothing() -> None:
    order = torch.arange(777) * 160 % 777
    assert sorted(order.tolist()) == list(range(777))
    a, b = _numbers(20, 777), _numbers(777, 30)
    matmul, total, add_rows = PORTABLE["matmul"], PORTABLE["sum"], PORTABLE["add_rows"]
    assert same_bits(_only(matmul(Watch(), a[:, order], b[order])), _only(matmul(Watch(), a, b)))
    ours, theirs = (_only(total(Watch(), x, dims=(1,), keepdims=0)) for x in (a[:, order], a))
    assert same_bits(ours, theirs)
    index = torch.arange(777) % 13
    ours = _only(add_rows(Watch(), b[order], index[order], rows=13))
    assert same_bits(ours, _only(add_rows(Watch(), b, index, rows=13)))


def test_room_that_is_used_again_holds_no_result() -> None:
    watch, matmul = Watch(), PORTABLE["matmul"]
    a, b = _numbers(9, 40), _numbers(40, 9)
    first = _only(matmul(watch, a, b))
    kept = first.clone()
    square = _only(matmul(watch, first, first))
    assert torch.equal(first, kept)
    assert same_bits(square, _only(matmul(Watch(), kept, kept)))
    assert same_bits(_only(matmul(watch, a, b)), kept)


def test_plain_float32_sums_do_depend_on_the_order() -> None:
    """What this arithmetic is for: the same inputs, added by torch."""
    a = _numbers(20, 777)
    order = torch.arange(777) * 160 % 777
    assert not same_bits(a[:, order].sum(1), a.sum(1))


def test_the_sign_of_a_zero_changes_nothing() -> None:
    """Zeros of the other sign among the inputs: equal results, but for the signs of zeros."""
    a, b = _numbers(5, 40), _numbers(40, 6)
    a[a.abs() < 2.0**14] = 0.0
    other = torch.where(a == 0, -a, a)
    assert torch.signbit(other).sum() > torch.signbit(a).sum()
    for name, more, attributes in (
        ("matmul", [b], {}),
        ("sum", [], {"dims": (1,), "keepdims": 1}),
        ("relu", [], {}),
        ("maximum", [torch.zeros(5, 1)], {}),
        ("minimum", [-torch.zeros(5, 1)], {}),
    ):
        found = [_only(PORTABLE[name](Watch(), x, *more, **attributes)) for x in (a, other)]
        assert same_bits(*found)


def _only(found: Tensor | tuple[Tensor, ...]) -> Tensor:
    assert isinstance(found, Tensor)
    return found
