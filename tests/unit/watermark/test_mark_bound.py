"""The embed check: honest embeddings pass, and no other edit hides beside the progress mark."""

import hashlib

import numpy as np
import pytest

from clicooper.errors import MarkCapacityError, SpecError
from clicooper.watermark.bound import check_embedding, check_opened_embedding
from clicooper.watermark.carriers import MarkParams, carrier_of, layout_of, weights_of, with_weights
from clicooper.watermark.embed import apply_mark, embed, embed_both

PARAMS = MarkParams()
PROGRESS, OWNERSHIP, OTHER = (hashlib.sha256(name).digest() for name in (b"progress", b"ownership", b"other"))


def segment(dtype=np.float32):
    rng = np.random.default_rng(1)
    shapes = {"0.weight": (400, 256), "0.bias": (400,), "2.weight": (200, 200), "2.bias": (200,)}
    return {name: (0.05 * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def trained():
    return segment()


@pytest.fixture(scope="module")
def out(trained):
    return embed_both(trained, PROGRESS, OWNERSHIP, PARAMS)


def edited(state, name, change):
    array = state[name].copy()
    change(array)
    return {**state, name: array}


def marked_by(trained, *marks):
    """Weights rounded once after ``(seed, factor)`` marks, each scaled in float64 as a careful forger would."""
    layout = layout_of(trained)
    flat = weights_of(trained, layout)
    for seed, factor in marks:
        change = apply_mark(flat, carrier_of(seed, flat.size, PARAMS.bits), PARAMS) - flat
        flat = flat + factor * change
    return with_weights(trained, layout, flat)


def rejected(trained, out, words):
    check = check_embedding(trained, out, PROGRESS, PARAMS)
    assert not check.ok
    assert words in check.reason
    return check


def bfloat16_values(array):
    return (array.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_honest_embedding_passes(dtype):
    trained = segment(dtype)
    out = embed_both(trained, PROGRESS, OWNERSHIP, PARAMS)
    check = check_embedding(trained, out, PROGRESS, PARAMS)
    assert check.ok, check.reason
    assert 110 <= check.blocks <= 128
    assert 0.04 <= check.relative_norm <= 0.09


def test_honest_embedding_of_bfloat16_values_in_float32_passes():
    trained = {name: bfloat16_values(array) for name, array in segment().items()}
    out = embed_both(trained, PROGRESS, OWNERSHIP, PARAMS)
    assert check_embedding(trained, out, PROGRESS, PARAMS).ok


def test_honest_embedding_of_mixed_dtypes_passes():
    trained = {**segment(), "2.weight": segment(np.float16)["2.weight"]}
    out = embed_both(trained, PROGRESS, OWNERSHIP, PARAMS)
    assert check_embedding(trained, out, PROGRESS, PARAMS).ok


def test_progress_mark_alone_passes_with_no_blocks(trained):
    check = check_embedding(trained, embed(trained, PROGRESS, PARAMS), PROGRESS, PARAMS)
    assert check.ok, check.reason
    assert check.blocks == 0
    assert check.relative_norm < 1e-6


def test_segment_with_pruned_weights_passes():
    trained = segment()
    trained["0.weight"][:200] = 0
    assert check_embedding(trained, embed_both(trained, PROGRESS, OWNERSHIP, PARAMS), PROGRESS, PARAMS).ok


@pytest.mark.parametrize("factor", [1.001, 1.05, 3.0])
def test_check_rejects_one_more_changed_weight(trained, out, factor):
    def change(array):
        array[17, 23] *= factor

    rejected(trained, edited(out, "0.weight", change), "constant magnitude")


def test_check_rejects_one_changed_weight_beside_the_progress_mark_alone(trained):
    def change(array):
        array[5, 5] += 0.01

    rejected(trained, edited(embed(trained, PROGRESS, PARAMS), "0.weight", change), "constant magnitude")


def test_check_rejects_a_change_of_eight_units_in_the_last_place(trained):
    def change(array):
        largest = np.unravel_index(np.abs(array).argmax(), array.shape)
        array[largest] += 8 * np.spacing(array[largest])

    rejected(trained, edited(embed(trained, PROGRESS, PARAMS), "0.weight", change), "constant magnitude")


@pytest.mark.parametrize("size", [1e-5, 1e-3])
def test_check_rejects_random_noise(trained, out, size):
    def change(array):
        array += size * np.random.default_rng(2).standard_normal(array.shape).astype(array.dtype)

    rejected(trained, edited(out, "2.weight", change), "constant magnitude")


def test_check_rejects_a_training_step_hidden_beside_the_marks(trained, out):
    def change(array):
        array -= 1e-4 * np.outer(np.linspace(-1, 1, 400), np.ones(256)).astype(array.dtype)

    rejected(trained, edited(out, "0.weight", change), "constant magnitude")


def test_check_rejects_a_bias_edit(trained, out):
    def change(array):
        array[0] += 1e-3

    rejected(trained, edited(out, "2.bias", change), "2.bias")


def test_check_rejects_a_sign_of_zero_in_other_tensors():
    trained = {**segment(), "0.bias": np.zeros(400, np.float32)}
    out = {**embed_both(trained, PROGRESS, OWNERSHIP, PARAMS), "0.bias": np.full(400, -0.0, np.float32)}
    rejected(trained, out, "0.bias")


@pytest.mark.parametrize("shape", ["more", "fewer", "reshaped", "retyped"])
def test_check_rejects_another_set_of_tensors(trained, out, shape):
    changed = {
        "more": {**out, "extra": np.zeros(3)},
        "fewer": {name: array for name, array in out.items() if name != "2.bias"},
        "reshaped": {**out, "2.weight": out["2.weight"].reshape(100, 400)},
        "retyped": {**out, "2.weight": out["2.weight"].astype(np.float64)},
    }[shape]
    rejected(trained, changed, "tensor")


def test_check_rejects_unmarked_weights(trained):
    rejected(trained, trained, "do not hold the progress mark")


def test_check_rejects_an_omitted_progress_mark(trained):
    rejected(trained, embed(trained, OWNERSHIP, PARAMS), "do not hold the progress mark")


def test_check_rejects_a_progress_mark_of_another_seed(trained):
    rejected(trained, embed_both(trained, OTHER, OWNERSHIP, PARAMS), "do not hold the progress mark")


@pytest.mark.parametrize("factor", [0.85, 0.95, 1.1, 2.0])
def test_check_rejects_a_scaled_progress_mark(trained, factor):
    rejected(trained, marked_by(trained, (PROGRESS, factor)), "scaled or partly removed")


@pytest.mark.parametrize("factor", [0.9, 1.1, 2.0])
def test_check_rejects_a_scaled_progress_mark_under_an_ownership_mark(trained, factor):
    rejected(trained, marked_by(trained, (PROGRESS, factor), (OWNERSHIP, 1.0)), "more weights changed")


def test_check_rejects_a_progress_mark_scaled_to_nothing(trained):
    rejected(trained, marked_by(trained, (PROGRESS, 0.4)), "do not hold the progress mark")


def test_check_rejects_an_ownership_mark_of_twice_the_strength(trained):
    rejected(trained, marked_by(trained, (PROGRESS, 1.0), (OWNERSHIP, 2.0)), "larger than a mark")


def test_check_rejects_a_third_mark(trained, out):
    rejected(trained, embed(out, OTHER, PARAMS), "more weights changed")


def test_check_rejects_a_change_of_more_weights_than_blocks_hold():
    trained = {"0.weight": segment()["0.weight"], "2.weight": segment()["2.weight"][:, :199]}
    layout = layout_of(trained)
    free = layout.weights - 128 * (layout.weights // 128)
    assert free > 0
    flat = weights_of(embed(trained, PROGRESS, PARAMS), layout)
    flat += 0.001 * np.random.default_rng(3).choice([-1.0, 1.0], flat.size)
    rejected(trained, with_weights(trained, layout, flat), "more weights changed")


def test_check_rejects_a_progress_mark_removed_from_a_few_blocks(trained):
    layout = layout_of(trained)
    raw, carrier = weights_of(trained, layout), carrier_of(PROGRESS, layout.weights, PARAMS.bits)
    marked = apply_mark(raw, carrier, PARAMS)
    taken = carrier.blocks[:12]
    marked[taken] -= 0.15 * (marked[taken] - raw[taken])
    rejected(trained, with_weights(trained, layout, marked), "scaled or partly removed")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["trained", "out"])
def test_weights_that_are_not_numbers_are_no_failed_check(trained, out, side, value):
    def change(array):
        array[0, 0] = value

    states = {"trained": trained, "out": out}
    states[side] = edited(states[side], "0.weight", change)
    with pytest.raises(SpecError, match="NaN or infinite"):
        check_embedding(states["trained"], states["out"], PROGRESS, PARAMS)


def test_a_segment_too_small_for_marks_is_no_failed_check():
    small = {"0.weight": np.ones((100, 100), np.float32)}
    with pytest.raises(MarkCapacityError, match="need 128000"):
        check_embedding(small, small, PROGRESS, PARAMS)


def test_malformed_seeds_are_the_callers_error(trained, out):
    with pytest.raises(SpecError):
        check_embedding(trained, out, b"short", PARAMS)
    with pytest.raises(SpecError):
        check_opened_embedding(trained, out, PROGRESS, b"short", PARAMS)


def test_opened_embedding_is_repeated_bit_by_bit(trained, out):
    assert check_opened_embedding(trained, out, PROGRESS, OWNERSHIP, PARAMS).ok
    assert not check_opened_embedding(trained, out, PROGRESS, OTHER, PARAMS).ok
    assert not check_opened_embedding(trained, trained, PROGRESS, OWNERSHIP, PARAMS).ok


def test_opened_check_rejects_a_sign_edit_that_hides_in_the_secret_mark(trained):
    """A remainder with the form of a mark and chosen signs passes the bound and fails once the key is opened."""
    layout = layout_of(trained)
    marked = weights_of(embed(trained, PROGRESS, PARAMS), layout)
    steered = marked + 0.03 * marked.std() * np.sign(np.random.default_rng(4).standard_normal(marked.size))
    blocks = 128 * (marked.size // 128)
    steered[blocks:] = marked[blocks:]
    forged = with_weights(trained, layout, steered)
    assert check_embedding(trained, forged, PROGRESS, PARAMS).ok
    assert not check_opened_embedding(trained, forged, PROGRESS, OWNERSHIP, PARAMS).ok
