"""Grids: their bits, the two ways to them, and that the bound on their bits is sharp."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clicooper.learning.portable import grid
from clicooper.learning.portable.watch import Watch
from tests import exact_reference
from tests.portable_inputs import MOST, arrays, same_bits

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6))


def _rounded(x: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """By the two ways: the narrow one where there is one, and the wide one."""
    peaks = grid.largest(x, (1,))
    return grid.to_grid(x, peaks, bits, Watch()), grid.to_grid64(x, peaks, bits, Watch())


@pytest.mark.parametrize("terms", [1, 2, 3, 512, 513, 1024, 1025, 4096, 1 << 20, (1 << 20) + 1, 1 << 21])
def test_bits(terms: int) -> None:
    assert grid.factor_bits(terms) == exact_reference.factor_bits(terms)
    assert grid.sum_bits(terms) == exact_reference.sum_bits(terms)
    assert 2 * grid.factor_bits(terms) + exact_reference.ceil_log2(terms) <= 53
    assert grid.sum_bits(terms) + exact_reference.ceil_log2(terms) <= 53


@settings(max_examples=200, deadline=None)
@given(SHAPES.flatmap(arrays), st.sampled_from([1, 16, 20, 22, 32, 48]))
def test_entries_become_the_nearest_multiples(x: NDArray[np.float32], bits: int) -> None:
    narrow, wide = _rounded(torch.from_numpy(x.copy()), bits)
    expected = [[float(v) for v in exact_reference.on_grid(row.tolist(), bits)] for row in x]
    assert wide.tolist() == expected
    assert narrow.to(torch.float64).tolist() == expected
    assert (
        grid.to_wide_grid(torch.from_numpy(x.copy()), grid.largest(torch.from_numpy(x), (1,)), bits, Watch()).tolist()
        == expected
    )


@pytest.mark.parametrize("bits", [16, 20, 22])
def test_the_narrow_way_is_taken_up_to_the_largest_exponent_that_it_holds(bits: int) -> None:
    at = torch.tensor([[2.0 ** (103 + bits)]])
    below = torch.nextafter(at, torch.zeros(()))
    assert _rounded(below, bits)[0].dtype == torch.float32
    assert _rounded(at, bits)[0].dtype == torch.float64
    for x in (below, at, torch.nextafter(2 * at, at), torch.full((1, 1), MOST)):
        narrow, wide = _rounded(x, bits)
        assert torch.equal(narrow.to(torch.float64), wide)


def test_halves_go_to_the_even_multiple() -> None:
    x = torch.tensor([[1.0, 2.5 * 2.0**-3, 3.5 * 2.0**-3, -2.5 * 2.0**-3]])
    for rounded in _rounded(x, 4):
        assert rounded.tolist() == [[1.0, 0.25, 0.5, -0.25]]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32))
    peaks = grid.largest(x, (1,))
    whole = grid.to_wide_grid(x, peaks, 22, Watch())
    monkeypatch.setattr(grid, "_CHUNK", 5)
    assert len(list(grid.chunks(x, peaks))) == 7
    assert torch.equal(grid.to_wide_grid(x, peaks, 22, Watch()), whole)


def _dot_in_order(a: torch.Tensor, b: torch.Tensor, bits: int) -> float:
    """A dot product of factors on grids, added in float64 one after the other."""
    left, right = _rounded(a[None], bits)[1], _rounded(b[None], bits)[1]
    return float(np.cumsum((left * right).numpy())[-1])


def test_the_bound_on_the_bits_of_factors_is_sharp() -> None:
    """1,024 p - 1,023 p - (p - 1) = 1: in any order with b bits, not in every order with one more."""
    terms = 2048
    allowed = grid.factor_bits(terms)
    for bits in (allowed, allowed + 1):
        n = 2**bits - 3
        a = torch.tensor([n] * 2047 + [n - 1], dtype=torch.float32)
        b = torch.tensor([n] * 1024 + [-n] * 1023 + [-(n + 1)], dtype=torch.float32)
        # Every + followed by its -: no partial sum grows.
        mixed = torch.tensor([place for pair in range(1023) for place in (pair, 1024 + pair)] + [1023, 2047])
        found = {_dot_in_order(a, b, bits), _dot_in_order(a[mixed], b[mixed], bits)}
        assert (found == {1.0}) == (bits == allowed)


def test_the_bound_on_the_bits_of_terms_is_sharp() -> None:
    """A sum just above the middle of two float32: with one bit more, float64 loses what lies above."""
    terms = 2048
    allowed = grid.sum_bits(terms)
    for bits in (allowed, allowed + 1):
        unit = Fraction(2) ** -bits
        step = Fraction(2) ** (32 - bits)
        values = [Fraction(1, 2) + step] * 2046 + [Fraction(1, 2) + step + step / 8, unit]
        x = torch.tensor([[float(v) for v in values]], dtype=torch.float32)
        assert [Fraction(v) for v in x[0].tolist()] == values
        gridded = _rounded(x, bits)[1]
        assert [Fraction(v) for v in gridded[0].tolist()] == values
        found = np.float32(np.cumsum(gridded.numpy())[-1])
        assert (float(found) == exact_reference.to_float32(sum(values, Fraction(0)))) == (bits == allowed)


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_numbers_that_are_not_finite_are_seen(odd: float) -> None:
    for bits in (22, 48):
        watch = Watch()
        x = torch.tensor([[1.0, 2.0], [odd, 0.0], [3.0, 4.0]])
        grid.to_grid(x, grid.largest(x, (1,)), bits, watch)
        assert not watch.is_finite()
        assert watch.is_finite()


def test_an_odd_number_is_remembered_until_it_is_read() -> None:
    watch = Watch()
    for value in (1.0, math.nan, 2.0, math.inf, 0.0):
        watch.see(torch.tensor([value]))
    assert not watch.is_finite()
    watch.see(torch.zeros(0))
    watch.see_divisor(torch.tensor([2.0, -0.5]))
    assert watch.is_finite()
    watch.see_divisor(torch.tensor([1.0, -0.0]))
    assert not watch.is_finite()


@given(st.integers(0, 3))
def test_largest_of_nothing_is_zero(rows: int) -> None:
    assert same_bits(grid.largest(torch.zeros(rows, 0), (1,)), torch.zeros(rows, 1))
