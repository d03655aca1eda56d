"""Stated probabilities are honest: random keys, and models that nobody marked, deceive no more often than they say.

Counts lie in intervals that an honest reading leaves with probability 0.001; all draws are seeded. The long run is
scripts/calibrate_marks.py, with its figures in docs/watermark.md.
"""

import numpy as np
import pytest
from scipy import stats

from clicooper.types import Verdict
from clicooper.watermark.carriers import layout_of, weights_of
from clicooper.watermark.detect import ACCEPT_LOG2_P, read_carrier
from clicooper.watermark.similarity import compare_suspect
from clicooper.watermark.suspect import align_suspect
from tests.null_models import (
    ChanceReadings,
    random_carriers,
    read_by_chance,
    starting_weights,
    train_many,
)

KEYS, BITS, WEIGHTS = 10_000, 64, 1_024
KINDS = ["random", "trained", "aligned"]
LEVELS = [1e-2, 1e-3]
CONFIDENCE = 0.999


@pytest.fixture(scope="module")
def models():
    return list(train_many([starting_weights(seed) for seed in range(41)], seed=1, steps=100))


@pytest.fixture(scope="module")
def readings(models) -> dict[str, ChanceReadings]:
    layout = layout_of(models[0])
    vectors = {
        "random": weights_of(starting_weights(99), layout),
        "trained": weights_of(models[0], layout),
        "aligned": align_suspect(models[1], models[0]).vectors["reordered"],
    }
    return {
        kind: read_by_chance(vectors[kind][-WEIGHTS:], KEYS, BITS, seed=number) for number, kind in enumerate(KINDS)
    }


def interval(expected):
    return stats.binom.interval(CONFIDENCE, KEYS, expected)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_hard_probability_is_met_exactly(kind, level, readings):
    """The statistic is discrete, so what it is held against is the level that it attains."""
    least = int(stats.binom.isf(level, BITS, 0.5)) + 1
    low, high = interval(stats.binom.sf(least - 1, BITS, 0.5))
    assert low <= (readings[kind].matched >= least).sum() <= high


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_soft_statistic_is_normal_by_chance(kind, level, readings):
    low, high = interval(level)
    assert low <= (readings[kind].z >= stats.norm.isf(level)).sum() <= high


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_reported_probability_is_never_too_small(kind, level, readings):
    found = readings[kind]
    assert found.rate(level) * KEYS <= interval(level)[1]
    assert found.rate(level) > 0 or level < 1e-2, "a test that never fires would prove nothing"


def test_no_false_claim_in_independently_trained_models(models):
    carriers = list(random_carriers(18, layout_of(models[0]).weights, BITS, seed=9))
    for model in models[1:]:
        aligned = align_suspect(model, models[0])
        assert aligned.similarity < 0.5
        for vector in aligned.vectors.values():
            assert all(read_carrier(vector, carrier).log2_p > ACCEPT_LOG2_P for carrier in carriers)


def test_independently_trained_models_do_not_descend_from_each_other(models):
    start = starting_weights(0)
    for model in models[1:6]:
        similarity = compare_suspect(model, models[0], start, [starting_weights(100)])
        assert similarity.verdict is Verdict.FAIL, similarity.in_words()


def test_training_from_one_start_tells_tasks_apart_and_not_batches():
    """Where the labels are others, the trainings differ; on the same labels both lead to nearly the same weights."""
    start = starting_weights(0)
    reference, same = train_many([start] * 2, seed=2, steps=100, one_task=True)
    (other,) = train_many([start], seed=5, steps=100)
    shares = [compare_suspect(model, reference, start, []).share for model in (other, same)]
    assert shares[0] < 0.5
    assert shares[1] > 0.8


def test_networks_learn_what_they_are_trained_on(models):
    moved = [np.linalg.norm(models[0][name] - starting_weights(0)[name]) for name in ("layer0.weight", "layer1.weight")]
    assert min(moved) > 1
