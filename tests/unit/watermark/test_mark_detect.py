"""Reading marks: exact probabilities, binding to context, honest error rates, no pass for damaged input."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from clicooper.errors import SpecError
from clicooper.watermark.carriers import MarkParams, carrier_of, layout_of
from clicooper.watermark.detect import ACCEPT_LOG2_P, hard_log2_p, read_mark, soft_log2_p
from clicooper.watermark.embed import embed, embed_both
from clicooper.watermark.keys import MarkPurpose, mark_seed

PARAMS = MarkParams()
SMALL = MarkParams(bits=64, strength=1.0)
KEY = bytes(range(32))
CONTEXT = {
    "head": b"\x11" * 32,
    "job": 7,
    "round": 2,
    "seat": 1,
    "trainer": "0x" + "22" * 20,
    "train_root": b"\x33" * 32,
}


def seed_of(**change):
    return mark_seed(KEY, MarkPurpose.PROGRESS, **{**CONTEXT, **change})


def segment(seed=1):
    rng = np.random.default_rng(seed)
    return {"0.weight": (0.05 * rng.standard_normal((400, 330))).astype(np.float32), "0.bias": np.zeros(400)}


def test_hard_probability_is_exact():
    for bits, matched in [(64, 64), (128, 113), (128, 64), (128, 0), (1024, 700)]:
        tail = Fraction(sum(math.comb(bits, k) for k in range(matched, bits + 1)), 2**bits)
        assert hard_log2_p(bits, matched) == pytest.approx(stats.binom.logsf(matched - 1, bits, 0.5) / math.log(2))
        assert hard_log2_p(bits, matched) == pytest.approx(math.log2(tail), abs=1e-9)
    assert hard_log2_p(128, 113) <= ACCEPT_LOG2_P < hard_log2_p(128, 112)


def test_soft_probability_counts_only_the_direction_of_the_mark():
    assert soft_log2_p(-12.0) == soft_log2_p(0.0) == 0.0
    assert soft_log2_p(10.0) == pytest.approx(math.log2(math.exp(-50)))


def test_fresh_mark_is_found_and_each_test_costs_its_factor():
    marked = embed(segment(), seed_of(), PARAMS)
    reading = read_mark(marked, seed_of(), PARAMS)
    assert (reading.bits, reading.matched, reading.found) == (128, 128, True)
    assert reading.z > 20
    assert reading.log2_p == pytest.approx(min(-128.0, soft_log2_p(reading.z)) + 1)
    many = read_mark(marked, seed_of(), PARAMS, tests=1024)
    assert many.log2_p == pytest.approx(reading.log2_p + 10)


def test_probability_never_exceeds_one():
    reading = read_mark(segment(), seed_of(), PARAMS, tests=10**9)
    assert reading.log2_p == 0.0
    assert not reading.found


@pytest.mark.parametrize(
    "change",
    [
        {"head": b"\x12" * 32},
        {"job": 8},
        {"round": 3},
        {"seat": 2},
        {"trainer": "0x" + "23" * 20},
        {"train_root": b"\x34" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_mark_replayed_in_another_context_is_not_found(change):
    marked = embed(segment(), seed_of(), PARAMS)
    reading = read_mark(marked, seed_of(**change), PARAMS)
    assert not reading.found
    assert reading.log2_p > -20


def test_mark_is_not_found_in_an_independent_model():
    assert read_mark(segment(2), seed_of(), PARAMS).log2_p > -20


def test_inverted_mark_is_not_found():
    marked = embed(segment(), seed_of(), PARAMS)
    reading = read_mark({"0.weight": -marked["0.weight"]}, seed_of(), PARAMS)
    assert (reading.matched, reading.log2_p) == (0, 0.0)


@pytest.mark.parametrize("attack", ["half precision", "pruning", "rescaling", "noise"])
def test_mark_survives(attack):
    marked = embed_both(segment(), seed_of(), seed_of(seat=9), PARAMS)
    weights = marked["0.weight"]
    rng = np.random.default_rng(5)
    changed = {
        "half precision": weights.astype(np.float16),
        "pruning": np.where(np.abs(weights) < np.quantile(np.abs(weights), 0.5), 0, weights),
        "rescaling": 1e-3 * weights,
        "noise": weights + 0.5 * weights.std() * rng.standard_normal(weights.shape),
    }[attack]
    assert read_mark({"0.weight": changed}, seed_of(), PARAMS, tests=1000).found


def test_suspect_with_other_tensors_is_read_with_the_committed_layout():
    marked = embed(segment(), seed_of(), PARAMS)
    suspect = {**marked, "0.extra.weight": np.ones((64, 64), np.float32)}
    assert not read_mark(suspect, seed_of(), PARAMS).found
    assert read_mark(suspect, seed_of(), PARAMS, layout=layout_of(marked)).found


@pytest.mark.parametrize(
    "weights",
    [
        np.zeros((400, 400), np.float32),
        np.full((400, 400), np.nan),
        np.full((400, 400), -np.inf),
        np.full((400, 400), 1e300),
        np.ones((357, 358), np.float32),
    ],
    ids=["all zero", "NaN", "infinite", "beyond float64", "too few"],
)
def test_degenerate_suspects_never_pass(weights):
    with pytest.raises(SpecError):
        read_mark({"0.weight": weights}, seed_of(), PARAMS)


def test_weights_only_outside_the_blocks_never_pass():
    suspect = np.zeros((1, 128_001))
    free = np.setdiff1d(np.arange(128_001), carrier_of(seed_of(), 128_001, 128).blocks)
    suspect[0, free] = 1.0
    with pytest.raises(SpecError, match="blocks are zero"):
        read_mark({"0.weight": suspect}, seed_of(), PARAMS)


def test_erased_blocks_do_not_count_as_matched():
    suspect = np.zeros(128_000)
    suspect[carrier_of(seed_of(), suspect.size, 128).blocks[0]] = 1.0
    reading = read_mark({"0.weight": suspect.reshape(400, 320)}, seed_of(), PARAMS)
    assert reading.matched <= 1
    assert not reading.found


def test_suspect_of_another_size_is_refused():
    committed = layout_of(segment())
    with pytest.raises(SpecError, match=r"0\.weight"):
        read_mark({"0.weight": segment()["0.weight"][:399]}, seed_of(), PARAMS, layout=committed)


@pytest.mark.parametrize("tests", [0, -1, 1.5])
def test_uncounted_tests_are_refused(tests):
    with pytest.raises(SpecError):
        read_mark(segment(), seed_of(), PARAMS, tests=tests)


def test_p_values_are_honest_over_2000_random_keys():
    """Fixed heavy-tailed weights with a mean; at level 1e-2 the count stays below its 99.9 % binomial quantile."""
    rng = np.random.default_rng(3)
    fixed = {"0.weight": rng.standard_t(df=2, size=(160, 160)) + 0.3}
    readings = [read_mark(fixed, hashlib.sha256(i.to_bytes(4, "big")).digest(), SMALL) for i in range(2000)]
    limit = stats.binom.ppf(0.999, len(readings), 0.01)
    assert sum(reading.log2_p <= math.log2(0.01) for reading in readings) <= limit
    assert sum(soft_log2_p(reading.z) <= math.log2(0.01) for reading in readings) <= limit
    assert sum(hard_log2_p(64, reading.matched) <= math.log2(0.01) for reading in readings) <= limit
    matched = sum(reading.matched for reading in readings)
    assert stats.binomtest(matched, 64 * len(readings), 0.5).pvalue > 1e-3
