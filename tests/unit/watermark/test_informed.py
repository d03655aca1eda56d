"""Informed readings and pooled claims: stronger than blind ones, and as honest about chance."""

import hashlib
import math

import numpy as np
import pytest

from clicooper.errors import SpecError
from clicooper.watermark.carriers import MarkParams, carrier_of, layout_of, weights_of
from clicooper.watermark.detect import MarkReading, read_mark, soft_log2_p
from clicooper.watermark.embed import embed, embed_both
from clicooper.watermark.informed import pool_readings, read_informed, read_rest, unexplained

SMALL = MarkParams(bits=64, strength=2.0)


def seed_of(number):
    return hashlib.sha256(f"key {number}".encode()).digest()


def segment(number, scale=0.05):
    rng = np.random.default_rng(number)
    return {
        "0.weight": (scale * rng.standard_normal((300, 160))).astype(np.float32),
        "1.weight": (scale * rng.standard_normal((160, 120))).astype(np.float32),
    }


def moved(state, number, share):
    """The state after a drift of a share of its norm, as training on causes it."""
    rng = np.random.default_rng(number)
    return {
        name: (array + share * np.std(array) * rng.standard_normal(array.shape)).astype(np.float32)
        for name, array in state.items()
    }


def test_reading_beside_the_raw_weights_is_many_times_clearer():
    raw = segment(1)
    suspect = moved(embed_both(raw, seed_of(1), seed_of(2), SMALL), 5, 0.2)
    blind, informed = read_mark(suspect, seed_of(2), SMALL), read_informed(suspect, seed_of(2), SMALL, [raw])
    assert blind.found
    assert informed.z > 3 * blind.z
    assert informed.log2_p < 9 * blind.log2_p


def test_a_mark_that_drift_has_buried_is_found_beside_the_raw_weights():
    raw, initial = segment(1), segment(9)
    faint = {
        name: raw[name] + np.float32(0.4) * (array - raw[name]) for name, array in embed(raw, seed_of(1), SMALL).items()
    }
    assert not read_mark(faint, seed_of(1), SMALL).found
    assert read_informed(faint, seed_of(1), SMALL, [raw, initial]).found


def test_informed_reading_does_not_mind_another_scale_of_each_tensor():
    raw = segment(1)
    marked = embed(raw, seed_of(1), SMALL)
    scaled = {"0.weight": 3 * marked["0.weight"], "1.weight": marked["1.weight"] / 5}
    assert read_informed(scaled, seed_of(1), SMALL, [raw]).found


def test_unmarked_suspects_show_nothing_under_any_key():
    """Of 2,000 keys few pass; the limits below are exceeded with probability below 1e-4."""
    raw = {"0.weight": segment(1)["0.weight"][:64, :96]}
    suspect = moved(raw, 7, 0.3)
    layout = layout_of(raw)
    rest = unexplained(weights_of(suspect, layout), [weights_of(raw, layout)], layout)
    z = np.array([read_rest(rest, carrier_of(seed_of(key), layout.weights, 64)).z for key in range(2000)])
    assert abs(z.mean()) < 5 / math.sqrt(len(z))
    assert abs(z.var() - 1) < 5 * math.sqrt(2 / len(z))
    for level in (1e-1, 1e-2):
        # Hoeffding's threshold is passed with probability at most the level; the count is binomial.
        passed = int((z >= math.sqrt(-2 * math.log(level))).sum())
        assert passed <= level * len(z) + 4 * math.sqrt(level * len(z))


def test_raw_weights_themselves_hold_no_mark_and_break_nothing():
    raw = segment(1)
    reading = read_informed(raw, seed_of(1), SMALL, [raw])
    assert not reading.found
    assert read_rest(np.zeros(67_200), carrier_of(seed_of(1), 67_200, 64)) == MarkReading(64, 0, 0.0, 0.0)


def test_reference_given_twice_counts_once():
    raw = segment(1)
    suspect = moved(embed(raw, seed_of(1), SMALL), 3, 0.1)
    once, twice = (read_informed(suspect, seed_of(1), SMALL, [raw] * times).z for times in (1, 2))
    assert twice == pytest.approx(once)


def test_pooled_claim_adds_up_faint_marks_and_pays_for_its_tests():
    faint = [MarkReading(128, 80, 6.0, -10.0)] * 4
    claim = pool_readings(faint, tests=8)
    assert claim.z == pytest.approx(12.0)
    assert claim.log2_p == pytest.approx(soft_log2_p(12.0) + 3)
    assert claim.found
    assert not pool_readings(faint[:1]).found


def test_marks_of_opposite_sign_cancel_in_a_pool():
    claim = pool_readings([MarkReading(128, 128, 20.0, -250.0), MarkReading(128, 0, -20.0, 0.0)])
    assert (claim.z, claim.log2_p) == (0.0, 0.0)


def test_readings_without_reference_and_pools_without_readings_are_refused():
    with pytest.raises(SpecError, match="raw weights"):
        read_informed(segment(1), seed_of(1), SMALL, [])
    for readings, tests in (([], 1), ([MarkReading(64, 32, 0.0, 0.0)], 0)):
        with pytest.raises(SpecError, match="tests"):
            pool_readings(readings, tests)
