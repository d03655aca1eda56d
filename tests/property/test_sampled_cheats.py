"""A cheat in a share f of the intervals is caught by q samples at the predicted rate.

Samples are drawn without replacement, so of N intervals with k bad ones q samples miss all with the hypergeometric
probability C(N - k, q) / C(N, q), which is at most (1 - f)^q, the figure that the owner is told.

A round is trained once and every interval of it replayed; then many audit seeds draw from the verdicts. Each rate is
held to its prediction by an exact two-sided binomial test at 1e-3 / 12: with fresh seeds a correct sampler would fail
one of the twelve with a probability of at most 1e-3. The seeds are fixed.
"""

from __future__ import annotations

from functools import cache
from math import comb
from pathlib import Path

import pytest
from scipy.stats import binomtest

from clicooper.audit.replay.sampling import escape_probability, sample_intervals
from clicooper.commitments.canonical import sha256
from clicooper.learning.replay import replay_interval
from clicooper.types import Digest
from tests.adversaries.stage import accused_in, refusal_of, zoo_config
from tests.adversaries.work import (
    SkippingFivePercent,
    SkippingOnePercent,
    SkippingTwentyPercent,
    SkippingWorker,
    SkipsTwentyPercent,
)
from tests.learning_jobs import first_difference, small_job
from tests.scenario import rehearsal, seating

INTERVALS, SEEDS, CHEAT = 100, 500, 1
SAMPLES = (1, 5, 20, 60)
SHARES: dict[float, type[SkippingWorker]] = {
    0.01: SkippingOnePercent,
    0.05: SkippingFivePercent,
    0.2: SkippingTwentyPercent,
}
ERROR_RATE = 1e-3 / (len(SAMPLES) * len(SHARES))


def seed(number: int) -> Digest:
    return sha256(b"audit %d" % number)


@cache
def convicting(share: float) -> frozenset[int]:
    """Intervals of a round in which a replay convicts the cheat, each replayed from its committed start."""
    job = small_job(interval=1, steps=INTERVALS)
    trained = job.train(workers={CHEAT: SHARES[share]})
    claimed = [seat.transcript for seat in trained]
    starts = [job.starts(), *zip(*(seat.interval_states for seat in trained), strict=True)]
    found = set()
    for index, start in enumerate(starts):
        replay = replay_interval(job.spec, 0, index, start, job.activations, job.pseudo_labels)
        difference = first_difference(claimed, replay)
        if difference is not None:
            assert (difference.check, difference.seat) == ("replay", CHEAT), "an honest seat is named"
            found.add(index)
    return frozenset(found)


@cache
def draws(samples: int) -> tuple[frozenset[int], ...]:
    return tuple(frozenset(sample_intervals(seed(n), CHEAT, INTERVALS, samples)) for n in range(SEEDS))


def escape(bad: int, samples: int) -> float:
    """Hypergeometric."""
    return comb(INTERVALS - bad, samples) / comb(INTERVALS, samples)


@pytest.mark.parametrize("share", SHARES)
def test_exactly_the_skipped_intervals_convict(share: float) -> None:
    skipped = {step for step in range(INTERVALS) if SHARES[share].skips(step)}
    assert len(skipped) == round(share * INTERVALS)
    assert convicting(share) == skipped


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("samples", SAMPLES)
def test_skipping_is_caught_at_the_predicted_rate(share: float, samples: int) -> None:
    bad = convicting(share)
    caught = sum(bool(drawn & bad) for drawn in draws(samples))
    predicted = 1 - escape(len(bad), samples)
    assert binomtest(caught, SEEDS, predicted).pvalue > ERROR_RATE
    assert 1 - predicted <= escape_probability(share, samples) + 1e-12, "the owner is told no less than the truth"


def test_a_sampler_that_misses_more_would_be_noticed() -> None:
    """The test has power: a sampler that left out a third of the intervals fails it."""
    blind = [frozenset(i for i in drawn if i >= INTERVALS // 3) for drawn in draws(5)]
    bad = frozenset(range(0, INTERVALS, 5))
    caught = sum(bool(drawn & bad) for drawn in blind)
    assert binomtest(caught, SEEDS, 1 - escape(len(bad), 5)).pvalue < ERROR_RATE


def test_draws_of_every_seat_add_up_for_each() -> None:
    """Intervals are replayed jointly, so a cheat meets the draws of all three seats: escape is at most (1 - f)^3q."""
    bad = convicting(0.2)
    caught = sum(
        any(bad & frozenset(sample_intervals(seed(n), seat, INTERVALS, 1)) for seat in range(3)) for n in range(SEEDS)
    )
    assert binomtest(caught, SEEDS, 1 - escape_probability(0.2, 3)).pvalue > 1e-3


@pytest.mark.parametrize("run", range(1, 4))
def test_owner_refuses_exactly_if_its_own_draw_meets_the_cheat(run: int, tmp_path: Path) -> None:
    """The whole job, with one sample a seat: four steps of twenty are left out, each an interval of its own."""
    config = zoo_config(seed=run, steps=20, interval=1, samples=1)
    skipped = {step for step in range(20) if SkippingTwentyPercent.skips(step)}
    with rehearsal(tmp_path / "run", config, seating({CHEAT: SkipsTwentyPercent})) as job:
        committed = job.train_and_commit()
        refused = refusal_of(job, committed)
        drawn = set(job.opened.owner.draw(0))
    assert 1 <= len(drawn) <= 3
    named = {accused_in(row) for row in refused if row.seat is not None and row.verdict.value == "fail"}
    assert named == ({frozenset({CHEAT})} if drawn & skipped else set())
