"""Marks in suspects: found after everything that keeps a model's function, and never by chance."""

import hashlib

import numpy as np
import pytest

from clicooper.errors import MarkCapacityError, SpecError
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.embed import embed_both
from clicooper.watermark.keys import MarkPurpose
from clicooper.watermark.suspect import ALIGNMENTS, ClaimedMark, find_marks

PARAMS = MarkParams(bits=64)
SEEDS = {purpose: hashlib.sha256(purpose.value.encode()).digest() for purpose in MarkPurpose}
MARKS = [ClaimedMark(0, 1, purpose, seed) for purpose, seed in SEEDS.items()]
SHAPES = {
    "block0.conv.weight": (64, 32, 3, 3),
    "block0.conv.bias": (64,),
    "block1.linear.weight": (128, 256),
    "block2.linear.weight": (128, 128),
    "block3.linear.weight": (128, 128),
    "block4.linear.weight": (10, 128),
}


def weights(seed=1):
    rng = np.random.default_rng(seed)
    return {name: (0.05 * rng.standard_normal(shape)).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture(scope="module")
def raw():
    return weights()


@pytest.fixture(scope="module")
def marked(raw):
    return dict(embed_both(raw, *SEEDS.values(), PARAMS))


def renamed(state):
    return {f"layer_{i}": array for i, (_, array) in enumerate(sorted(state.items(), reverse=True))}


def reordered(state, seed=3):
    """Hidden units in another order, each layer's inputs following the layer before."""
    rng, result = np.random.default_rng(seed), {name: array.copy() for name, array in state.items()}
    for name, after in (("block1", "block2"), ("block2", "block3"), ("block3", "block4")):
        order = rng.permutation(128)
        result[f"{name}.linear.weight"] = result[f"{name}.linear.weight"][order]
        result[f"{after}.linear.weight"] = result[f"{after}.linear.weight"][:, order]
    order, inputs = rng.permutation(64), rng.permutation(32)
    result["block0.conv.weight"] = result["block0.conv.weight"][order][:, inputs]
    return result


def rescaled(state, seed=4):
    rng, result = np.random.default_rng(seed), {name: array.copy() for name, array in state.items()}
    for name, after in (("block1", "block2"), ("block2", "block3"), ("block3", "block4")):
        scale = np.exp(rng.normal(0, 1.5, 128)).astype(np.float32)
        result[f"{name}.linear.weight"] *= scale[:, None]
        result[f"{after}.linear.weight"] /= scale
    result["block0.conv.weight"] *= np.exp(rng.normal(0, 1, 64)).astype(np.float32)[:, None, None, None]
    return result


def fused(state):
    """A batch normalisation behind the convolution, folded into it; some of its factors are negative."""
    factor = np.random.default_rng(5).normal(0, 1, 64).astype(np.float32)
    return {**state, "block0.conv.weight": state["block0.conv.weight"] * factor[:, None, None, None]}


def pruned(state, share=0.5):
    return {
        name: np.where(np.abs(array) < np.quantile(np.abs(array), share), 0, array) for name, array in state.items()
    }


def as_integers(state):
    """Eight bits a weight on a scale of its output's own, which is left out."""
    return {
        name: np.rint(127 * array / np.abs(array).max(axis=tuple(range(1, array.ndim)), keepdims=True)).astype(np.int8)
        for name, array in state.items()
        if array.ndim > 1
    }


def four_bits(state):
    steps = {name: np.abs(array).max() / 7 for name, array in state.items()}
    return {name: np.rint(array / steps[name]) * steps[name] for name, array in state.items()}


def part_of_a_larger_model(state):
    inner = {f"trunk.stage2.{name}": array for name, array in state.items()}
    return {"stem.weight": np.ones((128, 128), np.float32), **inner, "head.weight": weights(9)["block2.linear.weight"]}


def without_its_last_layer(state):
    return {name: array for name, array in state.items() if "block4" not in name}


CHANGES = {
    "nothing": lambda state: state,
    "float16": lambda state: {name: array.astype(np.float16) for name, array in state.items()},
    "float64": lambda state: {name: array.astype(np.float64) for name, array in state.items()},
    "renamed": renamed,
    "reordered": reordered,
    "rescaled": rescaled,
    "fused": fused,
    "pruned": pruned,
    "int8": as_integers,
    "int4": four_bits,
    "part of a larger model": part_of_a_larger_model,
    "without its last layer": without_its_last_layer,
    "all of it": lambda state: part_of_a_larger_model(renamed(pruned(rescaled(reordered(state))))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_both_marks_are_found_in_a_suspect(change, raw, marked):
    report = find_marks(CHANGES[change](marked), MARKS, {(0, 1): raw}, PARAMS)
    assert [mark.found for mark in report.marks] == [True, True], [mark.log2_p for mark in report.marks]
    assert report.tests == 2 * len(ALIGNMENTS)


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_found_in_an_independent_model(change, raw):
    report = find_marks(CHANGES[change](weights(2)), MARKS, {(0, 1): raw}, PARAMS)
    assert report.found == ()
    assert all(mark.log2_p > -20 for mark in report.marks)
    assert all(mark.similarity < 0.35 for mark in report.marks)


def test_every_test_is_counted(raw, marked):
    once, often = (find_marks(marked, MARKS, {(0, 1): raw}, PARAMS, tests=tests) for tests in (1, 1024))
    assert often.tests == 1024 * once.tests
    assert often.marks[0].log2_p == pytest.approx(once.marks[0].log2_p + 10)


def test_a_suspect_with_nothing_of_the_segment_reads_as_nothing(raw):
    report = find_marks({"embedding": np.ones((7, 5), np.float32)}, MARKS, {(0, 1): raw}, PARAMS)
    assert [(mark.reading, mark.log2_p, mark.tensors) for mark in report.marks] == [(None, 0.0, 0)] * 2


def test_damaged_tensors_are_passed_over(raw, marked):
    broken = {**marked, "block1.linear.weight": np.full((128, 256), np.nan, np.float32)}
    report = find_marks(broken, MARKS, {(0, 1): raw}, PARAMS)
    assert all(mark.reading is not None and mark.tensors == 4 for mark in report.marks)


def test_bad_arguments_are_refused(raw, marked):
    with pytest.raises(SpecError, match="number of tests"):
        find_marks(marked, MARKS, {(0, 1): raw}, PARAMS, tests=0)
    with pytest.raises(SpecError, match="no raw weights of round 0, seat 1"):
        find_marks(marked, MARKS, {(0, 0): raw}, PARAMS)
    with pytest.raises(MarkCapacityError):
        find_marks(marked, MARKS, {(0, 1): {"block4.linear.weight": raw["block4.linear.weight"]}}, PARAMS)


def test_seeds_are_never_shown():
    assert SEEDS[MarkPurpose.OWNERSHIP].hex() not in repr(MARKS) and str(SEEDS[MarkPurpose.OWNERSHIP]) not in repr(
        MARKS
    )
