"""Carriers and embedding: the specified expansion, capacity, least norm, determinism, nothing else changed."""

import hashlib
import math

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from clicooper.errors import MarkCapacityError, SpecError
from clicooper.watermark.carriers import (
    Layout,
    MarkParams,
    carrier_of,
    check_capacity,
    fitting_params,
    layout_of,
    project,
    required_weights,
    root_mean_square,
    weights_of,
    with_weights,
)
from clicooper.watermark.detect import read_mark
from clicooper.watermark.embed import embed, embed_both

PARAMS = MarkParams()
PROGRESS, OWNERSHIP = hashlib.sha256(b"progress").digest(), hashlib.sha256(b"ownership").digest()


def segment(dtype=np.float32, scale=0.05):
    rng = np.random.default_rng(1)
    shapes = {"0.weight": (400, 256), "0.bias": (400,), "2.weight": (64, 8, 8, 8), "norm.weight": (2048,)}
    return {name: (scale * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}


def aes_words(seed, count):
    counters = (counter.to_bytes(16, "big") for counter in range(-(-count // 2)))
    one_block = (Cipher(algorithms.AES(seed), modes.CTR(counter)).encryptor() for counter in counters)
    blocks = b"".join(stream.update(bytes(16)) for stream in one_block)
    return [int.from_bytes(blocks[8 * i : 8 * i + 8], "little") for i in range(count)]


@pytest.mark.parametrize(("weights", "bits"), [(1000, 100), (130, 65), (64, 64), (517, 5)])
def test_carrier_equals_its_specification_in_plain_python(weights, bits):
    length = weights // bits
    head, tail = -(-bits // 64), -(-(bits * length) // 64)
    words = aes_words(PROGRESS, head + weights + tail)
    order = sorted(range(weights), key=lambda position: words[head + position])
    sign = [1 if words[head + weights + q // 64] >> (q % 64) & 1 else -1 for q in range(bits * length)]
    carrier = carrier_of(PROGRESS, weights, bits)
    assert carrier.bits.tolist() == [1 if words[j // 64] >> (j % 64) & 1 else -1 for j in range(bits)]
    assert carrier.blocks.ravel().tolist() == order[: bits * length]
    assert carrier.signs.ravel().tolist() == sign
    assert (carrier.blocks.dtype, carrier.signs.dtype, carrier.bits.dtype) == (np.int64, np.int8, np.int8)
    assert carrier.blocks.shape == carrier.signs.shape == (bits, length)


@pytest.mark.parametrize(("seed", "weights", "bits"), [(b"short", 100, 10), ("a" * 32, 100, 10), (PROGRESS, 9, 10)])
def test_carrier_refuses_bad_seeds_and_too_few_weights(seed, weights, bits):
    with pytest.raises(SpecError):
        carrier_of(seed, weights, bits)


@pytest.mark.parametrize("arguments", [(63, 2.0), (1025, 2.0), (128, 0.9), (128, 8.1), (128, math.nan)])
def test_params_outside_their_range_are_refused(arguments):
    with pytest.raises(SpecError):
        MarkParams(*arguments)


def test_layout_takes_large_float_matrices_in_sorted_order():
    state = {
        "b.weight": np.zeros((32, 32), np.float16),
        "a.weight": np.zeros((64, 32), np.float64),
        "B.weight": np.zeros((4, 8, 8, 8), np.float32),
        "small.weight": np.zeros((31, 33), np.float32),
        "flat.weight": np.zeros(4096, np.float32),
        "counts.weight": np.zeros((64, 64), np.int64),
        "a.bias": np.zeros((64, 64), np.float32),
    }
    layout = layout_of(state)
    assert layout == Layout(("B.weight", "a.weight", "b.weight"), (2048, 2048, 1024))
    assert layout.weights == 5120


def test_weights_round_trip_and_share_all_other_tensors():
    state = segment()
    layout = layout_of(state)
    vector = weights_of(state, layout)
    back = with_weights(state, layout, vector)
    assert all((back[name] == array).all() and back[name].dtype == array.dtype for name, array in state.items())
    assert back["0.bias"] is state["0.bias"]
    assert back["norm.weight"] is state["norm.weight"]
    with pytest.raises(SpecError):
        with_weights(state, layout, vector[1:])


def test_required_weights_of_the_specification():
    assert required_weights(PARAMS) == 128_000
    assert required_weights(MarkParams(bits=64, strength=1.0)) == 25_600


def test_required_weights_make_room_for_the_marks_of_all_rounds():
    assert required_weights(PARAMS, rounds=25) == 128_000
    assert required_weights(PARAMS, rounds=100) == 512_000
    large = {"0.weight": np.ones((1280, 100), np.float32)}
    assert check_capacity(large, PARAMS, rounds=25).weights == 128_000
    with pytest.raises(MarkCapacityError, match="need 133120"):
        check_capacity(large, PARAMS, rounds=26)


@pytest.mark.parametrize(
    ("weights", "rounds", "bits"),
    [(10**7, 1, 128), (128_000, 25, 128), (127_999, 1, 120), (64_000, 1, 64), (128_000, 50, 64)],
)
def test_longest_mark_that_fits(weights, rounds, bits):
    assert fitting_params(weights, rounds) == MarkParams(bits)
    assert required_weights(fitting_params(weights, rounds), rounds) <= weights


def test_no_mark_fits_a_small_segment():
    with pytest.raises(MarkCapacityError, match="the shortest needs 64000"):
        fitting_params(63_999)


def test_every_mark_of_as_many_rounds_as_fit_is_found_in_the_last_weights():
    """The shortest marks in the smallest segment for 50 rounds; between them nothing but marks changes it."""
    params, rounds = MarkParams(64), 50
    size = required_weights(params, rounds)
    state = {"0.weight": np.random.default_rng(1).standard_normal((size // 100, 100)).astype(np.float32)}
    seeds = [bytes([number]) * 32 for number in range(2 * rounds)]
    for progress, ownership in zip(seeds[::2], seeds[1::2], strict=True):
        state = dict(embed_both(state, progress, ownership, params))
    assert all(read_mark(state, seed, params, tests=2 * rounds).found for seed in seeds)


def test_segment_one_weight_too_small_is_refused_with_size_need_and_hint():
    exact = {"0.weight": np.ones((1280, 100), np.float32)}
    assert check_capacity(exact, PARAMS).weights == 128_000
    short = {"0.weight": np.ones((1, 127_999), np.float32)}
    with pytest.raises(MarkCapacityError, match="127999 carrying weights, its marks need 128000") as caught:
        check_capacity(short, PARAMS)
    assert "re-plan" in caught.value.hint
    with pytest.raises(MarkCapacityError):
        embed(short, PROGRESS, PARAMS)
    with pytest.raises(MarkCapacityError):
        check_capacity({}, PARAMS)


def test_correction_is_the_projection_onto_the_half_space_of_each_block():
    state = segment(np.float64)
    layout = layout_of(state)
    raw = weights_of(state, layout)
    change = weights_of(embed(state, PROGRESS, PARAMS), layout) - raw
    carrier, reach = carrier_of(PROGRESS, raw.size, 128), 2.0 * root_mean_square(raw)
    before = carrier.bits * project(raw, carrier)
    after = carrier.bits * project(raw + change, carrier)
    np.testing.assert_allclose(after, np.maximum(before, reach), rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(change), np.linalg.norm(np.maximum(0.0, reach - before)), rtol=1e-9)
    free = np.setdiff1d(np.arange(raw.size), carrier.blocks)
    assert not change[free].any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_both_marks_match_in_all_bits_in_every_dtype(dtype):
    marked = embed_both(segment(dtype), PROGRESS, OWNERSHIP, PARAMS)
    for seed in (PROGRESS, OWNERSHIP):
        reading = read_mark(marked, seed, PARAMS)
        assert reading.matched == reading.bits == 128
        assert reading.found


def test_both_marks_together_stay_within_a_tenth_of_the_weights_norm():
    state = segment()
    layout = layout_of(state)
    raw = weights_of(state, layout)
    change = weights_of(embed_both(state, PROGRESS, OWNERSHIP, PARAMS), layout) - raw
    assert np.linalg.norm(change) <= 0.11 * np.linalg.norm(raw)


def test_embedding_is_deterministic_and_changes_neither_its_input_nor_other_tensors():
    state = segment()
    before = {name: array.copy() for name, array in state.items()}
    first, second = (embed_both(state, PROGRESS, OWNERSHIP, PARAMS) for _ in range(2))
    for name, array in before.items():
        assert state[name].tobytes() == array.tobytes()
        assert first[name].tobytes() == second[name].tobytes()
        assert (first[name].dtype, first[name].shape) == (array.dtype, array.shape)
    assert [name for name in state if first[name].tobytes() != state[name].tobytes()] == ["0.weight", "2.weight"]


def test_embedding_does_not_depend_on_the_order_of_tensors():
    state = segment()
    turned = dict(reversed(state.items()))
    one, other = embed(state, PROGRESS, PARAMS), embed(turned, PROGRESS, PARAMS)
    assert all(one[name].tobytes() == other[name].tobytes() for name in state)


def test_one_seed_for_both_marks_is_refused():
    with pytest.raises(SpecError):
        embed_both(segment(), PROGRESS, PROGRESS, PARAMS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_diverged_weights_are_refused(value):
    state = segment()
    state["0.weight"][3, 3] = value
    with pytest.raises(SpecError, match="NaN or infinite"):
        embed(state, PROGRESS, PARAMS)


@pytest.mark.parametrize("fill", [0.0, 1e-200, 1e200])
def test_degenerate_weights_are_refused(fill):
    with pytest.raises(SpecError, match="degenerate"):
        embed({"0.weight": np.full((400, 400), fill)}, PROGRESS, PARAMS)


def test_overflow_of_the_dtype_is_refused():
    with pytest.raises(SpecError, match="overflows float16"):
        embed({"0.weight": np.full((400, 400), 65504, np.float16)}, PROGRESS, PARAMS)


def test_dtype_too_coarse_for_the_mark_is_refused():
    with pytest.raises(MarkCapacityError, match="rounding"):
        embed({"0.weight": np.full((400, 400), 2.0**-24, np.float16)}, PROGRESS, PARAMS)
