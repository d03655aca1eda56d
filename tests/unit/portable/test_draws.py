"""Random numbers of our own: each is the quantile of its word, and all together they are what they should be."""

import hashlib
import math

import mpmath
import numpy as np
import torch
from scipy import stats

from clicooper.learning.portable.draws import _quantile, normal, permutation

mpmath.mp.dps = 40

GOLDEN_NORMAL = "c5d02c7a41e7d5aa9e1a6ae16f21c6521ee2df3ffc4a9e27b8db82ee6d4a85a6"
GOLDEN_PERMUTATION = "026e368d15169e882837243a9e225cb349f1a204113f8dcfa376ec918f6eb669"


def exact(distance: float) -> float:
    """The quantile at a distance from the median."""
    return float(mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(distance)))


def test_a_draw_is_the_quantile_of_its_word() -> None:
    words = np.random.PCG64(3).random_raw(400)
    found = normal(np.random.PCG64(3), (20, 20)).ravel()
    for word, draw in zip(words.tolist(), found.tolist(), strict=True):
        right = exact(((word >> 11) + 0.5) / 2**53 - 0.5)
        assert abs(draw - right) <= 0.5001 * float(np.spacing(np.float32(abs(right))))


def test_both_tails_are_exact_to_the_last_word() -> None:
    tails = [0.5 - 2.0**-bits for bits in range(2, 54)]
    distances = [sign * tail for tail in tails for sign in (1, -1)]
    found = _quantile(torch.tensor(distances, dtype=torch.float64)).tolist()
    for distance, quantile in zip(distances, found, strict=True):
        assert math.isclose(quantile, exact(distance), rel_tol=1e-14)


def test_draws_are_normal() -> None:
    # The chance that a right generator fails is 1 in 1,000 for each of the three.
    found = normal(np.random.PCG64(20261201), (200_000,)).astype(np.float64)
    assert stats.kstest(found, "norm").pvalue > 0.001
    assert abs(found.mean()) < 3.3 / math.sqrt(found.size)
    assert abs(found.var() - 1) < 3.3 * math.sqrt(2 / found.size)


def test_a_permutation_has_every_number_once_and_every_order_as_often() -> None:
    assert sorted(permutation(np.random.PCG64(1), 1000).tolist()) == list(range(1000))
    orders = [tuple(permutation(np.random.PCG64(seed), 3).tolist()) for seed in range(6000)]
    counts = [orders.count(order) for order in sorted(set(orders))]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.001


def test_golden_draws() -> None:
    drawn = normal(np.random.PCG64(np.random.SeedSequence([1, 2, 3])), (1000,)).astype("<f4").tobytes()
    order = permutation(np.random.PCG64(np.random.SeedSequence([1, 2, 3])), 1000).astype("<i8").tobytes()
    assert hashlib.sha256(drawn).hexdigest() == GOLDEN_NORMAL
    assert hashlib.sha256(order).hexdigest() == GOLDEN_PERMUTATION


def test_no_draws_are_an_empty_array() -> None:
    assert normal(np.random.PCG64(1), (0, 3)).shape == (0, 3)
    assert permutation(np.random.PCG64(1), 0).shape == (0,)
