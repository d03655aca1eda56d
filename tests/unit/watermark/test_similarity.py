"""Descent from a checkpoint: far apart for descendants, strangers and models that only share a public start."""

import numpy as np
import pytest

from clicooper.types import Verdict
from clicooper.watermark.carriers import MarkParams, carrier_of, layout_of
from clicooper.watermark.embed import embed
from clicooper.watermark.similarity import Similarity, compare_suspect

PARAMS = MarkParams(64)
SEED = b"\x07" * 32
SHAPES = {"a.weight": (200, 256), "b.weight": (160, 200)}
MOVED = 0.05
"""How far a round of training moves the weights, relative to them: as little as in the smallest jobs."""


def weights(seed, scale=0.05):
    rng = np.random.default_rng(seed)
    return {name: (scale * rng.standard_normal(shape)).astype(np.float32) for name, shape in SHAPES.items()}


def plus(state, update, factor=1.0):
    return {name: array + np.float32(factor) * update[name] for name, array in state.items()}


START = weights(1)
TRAINED = plus(START, weights(2, 0.05 * MOVED))
INDEPENDENT = [weights(seed) for seed in (11, 12)]


def compared(suspect):
    return compare_suspect(suspect, TRAINED, START, INDEPENDENT, carrier_of(SEED, layout_of(TRAINED).weights, 64))


MARKED = dict(embed(TRAINED, SEED, PARAMS))


def pruned(state, share):
    return {
        name: np.where(np.abs(array) < np.quantile(np.abs(array), share), 0, array) for name, array in state.items()
    }


DESCENDANTS = {
    "as committed": MARKED,
    "trained on": plus(MARKED, weights(3, 0.05 * 4 * MOVED)),
    "pruned": pruned(MARKED, 0.5),
    "pruned harder": pruned(MARKED, 0.7),
    "shrunk": {name: 0.01 * array for name, array in MARKED.items()},
    "noise": plus(MARKED, weights(4, 0.025)),
}


@pytest.mark.parametrize("what", DESCENDANTS)
def test_descendant_is_recognised(what):
    similarity = compared(DESCENDANTS[what])
    assert similarity.verdict is Verdict.PASS, similarity.in_words()
    assert 0.8 < similarity.share < 1.2


STRANGERS = {
    "another start": weights(5),
    "the public start itself": START,
    "another training from the same start": plus(START, weights(6, 0.05 * MOVED)),
    "much other training from the same start": plus(START, weights(7, 0.05 * 4 * MOVED)),
    "a third of the training": plus(START, weights(2, 0.05 * MOVED), 1 / 3),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_stranger_is_refused_even_with_the_mark_embedded(what):
    similarity = compared(dict(embed(STRANGERS[what], SEED, PARAMS)))
    assert similarity.verdict is Verdict.FAIL, similarity.in_words()


def test_blend_of_a_checkpoint_into_another_model_does_not_pass():
    for share in (0.2, 0.5, 0.9):
        blended = {name: array + share * MARKED[name] for name, array in weights(8).items()}
        assert compared(blended).verdict is not Verdict.PASS


def test_two_unrelated_checkpoints_cannot_both_account_for_a_suspect():
    other = plus(weights(9), weights(10, 0.05 * MOVED))
    half = {name: array + MARKED[name] for name, array in other.items()}
    assert compared(half).cosine == pytest.approx(np.sqrt(0.5), abs=0.01)
    nearer = {name: array + np.float32(1.05) * MARKED[name] for name, array in other.items()}
    assert compare_suspect(nearer, other, weights(9), INDEPENDENT).verdict is not Verdict.PASS
    assert compared(nearer).verdict is Verdict.PASS


def test_a_suspect_without_weights_says_nothing():
    similarity = compared({"a.weight": np.zeros((200, 256), np.float32)})
    assert (similarity.cosine, similarity.share) == (0.0, 0.0)
    assert similarity.verdict is Verdict.FAIL


def test_verdict_needs_likeness_and_training():
    assert Similarity(0.9, (0.2,), 1.0, 50.0).verdict is Verdict.PASS
    assert Similarity(0.5, (0.2,), 1.0, 50.0).verdict is Verdict.INCONCLUSIVE
    assert Similarity(0.25, (0.2,), 1.0, 50.0).verdict is Verdict.FAIL
    assert Similarity(0.9, (0.2,), 0.3, 2.0).verdict is Verdict.INCONCLUSIVE
    assert Similarity(0.9, (0.2,), 0.2, 50.0).verdict is Verdict.FAIL
