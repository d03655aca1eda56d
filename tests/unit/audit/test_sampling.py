"""Which intervals are drawn: by the protocol's formula, without repeats, and as hard to escape as it says."""

from __future__ import annotations

import pytest
from eth_abi import encode as abi_encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from clicooper.audit.replay.sampling import escape_probability, sample_intervals
from clicooper.types import Digest

seeds = st.binary(min_size=32, max_size=32).map(Digest)


@given(seed=seeds, seat=st.integers(0, 31), intervals=st.integers(1, 40), samples=st.integers(1, 50))
def test_draws_are_distinct_ascending_and_in_range(seed: Digest, seat: int, intervals: int, samples: int) -> None:
    drawn = sample_intervals(seed, seat, intervals, samples)
    assert list(drawn) == sorted(set(drawn))
    assert len(drawn) == min(samples, intervals)
    assert set(drawn) <= set(range(intervals))
    assert drawn == sample_intervals(seed, seat, intervals, samples)


@given(seed=seeds, seat=st.integers(0, 31), intervals=st.integers(1, 40))
def test_more_samples_only_add(seed: Digest, seat: int, intervals: int) -> None:
    for samples in range(1, intervals):
        fewer, more = (set(sample_intervals(seed, seat, intervals, n)) for n in (samples, samples + 1))
        assert fewer < more


def test_first_draw_is_the_protocols_formula() -> None:
    seed = Digest(b"\x05" * 32)
    for seat in range(4):
        word = keccak(abi_encode(["bytes32", "uint256", "uint256"], [seed, seat, 0]))
        assert sample_intervals(seed, seat, 1000, 1) == (int.from_bytes(word, "big") % 1000,)


def test_draws_reach_every_interval_about_equally() -> None:
    """2,000 fixed draws over 10 intervals: each count within 5 standard deviations of 200."""
    draws = [sample_intervals(Digest(n.to_bytes(32, "big")), 0, 10, 1)[0] for n in range(2000)]
    deviation = (2000 * 0.1 * 0.9) ** 0.5
    assert all(abs(draws.count(interval) - 200) <= 5 * deviation for interval in range(10))


@pytest.mark.parametrize(("share", "samples", "chance"), [(0.0, 5, 1.0), (1.0, 1, 0.0), (0.5, 3, 0.125)])
def test_escape_probability(share: float, samples: int, chance: float) -> None:
    assert escape_probability(share, samples) == chance
