"""Every exact reduction against fractions, on inputs that are hard for sums."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clicooper.learning.portable import grid
from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.watch import Watch
from tests import exact_reference
from tests.portable_inputs import arrays, cancelling, same_bits

SIZES = st.integers(1, 4)
DIMS = st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])


def _tensor(x: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(x.copy())


@st.composite
def _factors(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    n, terms, m = draw(SIZES), draw(SIZES), draw(SIZES)
    a, b = draw(arrays((n, terms))), draw(arrays((terms, m)))
    return (cancelling(a, 1), np.concatenate([b, b, b[:1]])) if draw(st.booleans()) else (a, b)


@settings(max_examples=150, deadline=None)
@given(_factors())
def test_matmul(factors: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
    a, b = factors
    assert same_bits(PORTABLE["matmul"](Watch(), _tensor(a), _tensor(b)), exact_reference.matmul(a, b))


@pytest.mark.parametrize("terms", [511, 512, 513, 2048, 2049])
def test_matmul_with_terms_at_the_bound(terms: int) -> None:
    """Where bits are lost with the next term; with entries as large as their grid has them."""
    signs = np.where(np.arange(terms) % 3 == 0, -1, 1).astype(np.float32)
    a = np.stack([np.full(terms, 1 - 2.0**-24), signs * (1 - 2.0**-23), np.linspace(-1, 1, terms)]).astype(np.float32)
    b = np.ascontiguousarray(a[::-1, ::-1].T)
    assert same_bits(PORTABLE["matmul"](Watch(), _tensor(a), _tensor(b)), exact_reference.matmul(a, b))


def test_rows_of_other_scales_lose_nothing() -> None:
    """A row of 1e-30 among rows of 1e30: each has a grid of its own."""
    generator = np.random.default_rng(3)
    a = generator.normal(size=(4, 9)).astype(np.float32) * np.float32([[1e-30], [1], [1e30], [1e-6]])
    b = generator.normal(size=(9, 3)).astype(np.float32) * np.float32([[1e-7, 1, 1e7]])
    found = PORTABLE["matmul"](Watch(), _tensor(a), _tensor(b))
    assert same_bits(found, exact_reference.matmul(a, b))
    wide = a.astype(np.float64) @ b.astype(np.float64)
    size = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    assert np.all(np.abs(found.numpy() - wide) <= 2.0**-17 * size)


@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3, 4, 5), (5, 3)), ((4, 5), (2, 5, 3)), ((2, 1, 4, 5), (1, 3, 5, 2)), ((3, 1, 5), (3, 5, 1))],
)
def test_matmul_of_batches(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    generator = np.random.default_rng(4)
    a, b = (generator.normal(size=shape).astype(np.float32) for shape in (left, right))
    found = PORTABLE["matmul"](Watch(), _tensor(a), _tensor(b))
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    wide_a, wide_b = np.broadcast_to(a, (*batch, *left[-2:])), np.broadcast_to(b, (*batch, *right[-2:]))
    assert found.shape == (*batch, left[-2], right[-1])
    for place in np.ndindex(batch):
        assert same_bits(found[place], exact_reference.matmul(wide_a[place], wide_b[place]))


def test_transposed_and_strided_factors() -> None:
    generator = np.random.default_rng(5)
    a, b = (_tensor(generator.normal(size=(6, 8)).astype(np.float32)) for _ in range(2))
    expected = exact_reference.matmul(a.numpy()[::2, 1:].copy(), b.numpy()[::2, 1:].T.copy())
    assert same_bits(PORTABLE["matmul"](Watch(), a[::2, 1:], b[::2, 1:].t()), expected)


@settings(max_examples=150, deadline=None)
@given(st.tuples(SIZES, SIZES, SIZES).flatmap(arrays), DIMS, st.booleans())
def test_sum_and_mean(x: NDArray[np.float32], dims: tuple[int, ...], keepdims: bool) -> None:
    for name, reference in (("sum", exact_reference.sum_over), ("mean", exact_reference.mean)):
        expected = reference(x, dims)
        assume(np.isfinite(expected).all())
        found = PORTABLE[name](Watch(), _tensor(x), dims=dims, keepdims=int(keepdims))
        assert same_bits(found, expected if keepdims else expected.squeeze(dims))


@settings(max_examples=100, deadline=None)
@given(st.tuples(SIZES, SIZES).flatmap(arrays), st.sampled_from([0, 1]))
def test_sum_of_what_cancels(x: NDArray[np.float32], axis: int) -> None:
    values = cancelling(x, axis)
    found = PORTABLE["sum"](Watch(), _tensor(values), dims=(axis,), keepdims=1)
    assert same_bits(found, exact_reference.sum_over(values, (axis,)))


@settings(max_examples=25, deadline=None)
@given(st.tuples(SIZES, SIZES, SIZES).flatmap(lambda shape: arrays(shape, wide=False)), DIMS)
def test_normalise(x: NDArray[np.float32], dims: tuple[int, ...]) -> None:
    expected = exact_reference.normalise(x, dims, 1e-5)
    found = PORTABLE["normalise"](Watch(), _tensor(x), dims=dims, eps=1e-5)
    assert all(same_bits(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
    gradient = np.ascontiguousarray(x[::-1, ::-1])
    ours = PORTABLE["normalise_grad"](Watch(), _tensor(gradient), found[0], found[2], dims=dims, eps=1e-5)
    xhat, _, variance = expected
    assert same_bits(ours, exact_reference.normalise_grad(gradient, xhat, variance, dims, 1e-5))


@settings(max_examples=100, deadline=None)
@given(st.tuples(SIZES, SIZES).flatmap(arrays), st.data())
def test_add_rows(g: NDArray[np.float32], data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 4))
    index = np.array(data.draw(st.lists(st.integers(0, rows - 1), min_size=len(g), max_size=len(g))), dtype=np.int64)
    found = PORTABLE["add_rows"](Watch(), _tensor(g), torch.from_numpy(index), rows=rows)
    assert same_bits(found, exact_reference.add_rows(g, index, rows))


def test_add_rows_of_a_batch_of_indices() -> None:
    generator = np.random.default_rng(6)
    g, index = generator.normal(size=(3, 4, 2)).astype(np.float32), generator.integers(0, 5, (3, 4))
    found = PORTABLE["add_rows"](Watch(), _tensor(g), torch.from_numpy(index), rows=5)
    assert same_bits(found, exact_reference.add_rows(g.reshape(12, 2), index.reshape(12), 5))


@settings(max_examples=150, deadline=None)
@given(arrays((3, 11), wide=False), arrays((11, 2), wide=False))
def test_long_sums_are_cut_into_blocks(a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "MAX_TERMS", 4)
        product = PORTABLE["matmul"](Watch(), _tensor(a), _tensor(b))
        total = PORTABLE["sum"](Watch(), _tensor(a), dims=(0, 1), keepdims=1)
        index = np.array([0, 1, 0, 2, 2, 2, 1, 0, 0, 0, 1])
        scattered = PORTABLE["add_rows"](Watch(), _tensor(b), torch.from_numpy(index), rows=3)
    assert same_bits(product, exact_reference.matmul(a, b, 4))
    assert same_bits(total, exact_reference.sum_over(a, (0, 1), 4))
    assert same_bits(scattered, exact_reference.add_rows(b, index, 3, 4))


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "shape"),
    [
        ("matmul", [(3, 0), (0, 2)], {}, (3, 2)),
        ("matmul", [(0, 3), (3, 2)], {}, (0, 2)),
        ("matmul", [(2, 3, 0), (0, 4)], {}, (2, 3, 4)),
        ("sum", [(3, 0)], {"dims": (1,), "keepdims": 0}, (3,)),
        ("sum", [(3, 0)], {"dims": (0,), "keepdims": 1}, (1, 0)),
    ],
)
def test_empty_sums_are_zero(
    name: str, inputs: Sequence[tuple[int, ...]], attributes: dict[str, object], shape: tuple[int, ...]
) -> None:
    found = PORTABLE[name](Watch(), *(torch.ones(size) for size in inputs), **attributes)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float32
    assert same_bits(found, torch.zeros(shape))


def test_no_rows_to_add_give_zeros() -> None:
    found = PORTABLE["add_rows"](Watch(), torch.ones(0, 3), torch.zeros(0, dtype=torch.int64), rows=2)
    assert same_bits(found, torch.zeros(2, 3))


def test_a_sum_past_the_largest_float32_is_infinite() -> None:
    x = torch.full((4,), 3e38)
    assert PORTABLE["sum"](Watch(), x, dims=(0,), keepdims=0) == float("inf")
    assert PORTABLE["matmul"](Watch(), x[None], -x[:, None]) == -float("inf")


def test_subnormal_results_are_kept() -> None:
    x = torch.tensor([[2.0**-75, 2.0**-80]])
    assert PORTABLE["matmul"](Watch(), x, torch.tensor([[2.0**-74], [0.0]])).item() == 2.0**-149
    assert PORTABLE["matmul"](Watch(), x, torch.tensor([[2.0**-75], [0.0]])).item() == 0.0
