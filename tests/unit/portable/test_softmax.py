"""Softmax, its logarithm and their gradients: the stated formulas, whatever the order of the numbers."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clicooper.learning.portable.softmax import log_softmax, log_softmax_grad, softmax, softmax_grad
from clicooper.learning.portable.watch import Watch

mpmath.mp.dps = 40

ROWS = arrays(np.float32, (3, 7), elements=st.floats(-200, 200, width=32))


@given(ROWS)
def test_both_are_close_to_the_exact_ones(x: np.ndarray) -> None:
    given_ = torch.from_numpy(x)
    shares, logs = softmax(Watch(), given_, dim=1), log_softmax(Watch(), given_, dim=1)
    for row, share, log in zip(x.tolist(), shares.tolist(), logs.tolist(), strict=True):
        total = sum(mpmath.exp(mpmath.mpf(v)) for v in row)
        for v, p, log_p in zip(row, share, log, strict=True):
            right = mpmath.exp(mpmath.mpf(v)) / total
            # An exponential is a multiple of 2**-40.
            assert abs(p - right) <= 2.0**-40 + float(right) * 2.0**-23
            assert abs(log_p - mpmath.log(right)) <= 1e-9 + abs(log_p) * 2.0**-23


@given(ROWS, st.permutations(range(7)))
def test_the_order_of_the_numbers_changes_no_bit(x: np.ndarray, order: list[int]) -> None:
    for kernel in (softmax, log_softmax):
        plain = kernel(Watch(), torch.from_numpy(x), dim=1).numpy()
        moved = kernel(Watch(), torch.from_numpy(np.ascontiguousarray(x[:, order])), dim=1).numpy()
        assert plain[:, order].tobytes() == moved.tobytes()


@given(ROWS, ROWS)
def test_the_gradients_are_their_formulas(g: np.ndarray, x: np.ndarray) -> None:
    gradient, y = torch.from_numpy(g), softmax(Watch(), torch.from_numpy(x), dim=1)
    found = softmax_grad(Watch(), gradient, y, dim=1)
    p, gs = y.double(), gradient.double()
    expected = p * (gs - (gs * p).sum(1, keepdim=True))
    assert torch.allclose(found.double(), expected, rtol=1e-4, atol=1e-3)
    logs = log_softmax(Watch(), torch.from_numpy(x), dim=1)
    found = log_softmax_grad(Watch(), gradient, logs, dim=1)
    expected = gs - logs.double().exp() * gs.sum(1, keepdim=True)
    assert torch.allclose(found.double(), expected, rtol=1e-4, atol=1e-3)


def test_equal_numbers_have_equal_shares_on_any_axis() -> None:
    for shape, dim in (((4, 5), 0), ((2, 8, 3), 1), ((1, 1), 1)):
        found = softmax(Watch(), torch.full(shape, 3.5), dim=dim)
        assert (found == np.float32(Fraction(1, shape[dim]))).all()


def test_an_axis_of_more_than_8192_numbers_has_a_coarser_grid() -> None:
    found = softmax(Watch(), torch.zeros(1, 1 << 15), dim=1)
    assert (found == 2.0**-15).all()


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_a_number_that_is_not_finite_is_seen(number: float) -> None:
    watch = Watch()
    log_softmax(watch, torch.tensor([[0.0, number]]), dim=1)
    assert not watch.is_finite()
