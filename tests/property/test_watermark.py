"""Properties of marks over shapes, dtypes, scales and seeds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.watermark.bound import check_embedding, check_opened_embedding
from clicooper.watermark.carriers import MarkParams, ascending, carrier_of, layout_of, weights_of, with_weights
from clicooper.watermark.detect import read_mark
from clicooper.watermark.embed import embed_both

SMALL = MarkParams(bits=64, strength=1.0)
SEEDS = st.binary(min_size=32, max_size=32)


@st.composite
def segments(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    scale = draw(st.sampled_from([0.02, 1.0, 30.0]))
    shapes = {
        "0.weight": (draw(st.integers(150, 200)), draw(st.integers(171, 220))),
        "0.bias": (draw(st.integers(1, 9)),),
        "3.weight": (draw(st.integers(8, 16)), draw(st.integers(16, 20)), 3, 3),
    }
    return {name: (scale * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}


@given(seed=SEEDS, weights=st.integers(64, 3000), bits=st.integers(1, 64))
def test_blocks_are_disjoint_positions_with_unit_signs(seed, weights, bits):
    carrier = carrier_of(seed, weights, bits)
    assert carrier.blocks.shape == (bits, weights // bits)
    assert np.unique(carrier.blocks).size == carrier.blocks.size
    assert carrier.blocks.min() >= 0
    assert carrier.blocks.max() < weights
    assert set(np.unique(carrier.signs)) | set(np.unique(carrier.bits)) <= {-1, 1}


@given(words=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3).map(lambda word: word << 62), min_size=1))
def test_positions_are_ordered_by_their_words_and_ties_by_position(words):
    array = np.array(words, dtype=np.uint64)
    assert ascending(array).tolist() == np.argsort(array, kind="stable").tolist()


@given(state=segments())
@settings(max_examples=25, deadline=None)
def test_weights_and_state_are_inverse(state):
    layout = layout_of(state)
    back = with_weights(state, layout, weights_of(state, layout))
    assert all(back[name].tobytes() == array.tobytes() for name, array in state.items())


@given(state=segments(), progress=SEEDS, ownership=SEEDS)
@settings(max_examples=25, deadline=None)
def test_every_honest_embedding_is_read_and_confirmed(state, progress, ownership):
    if progress == ownership:
        ownership = progress[::-1] if progress[::-1] != progress else bytes(31) + b"\x01"
    out = embed_both(state, progress, ownership, SMALL)
    assert all(read_mark(out, seed, SMALL).matched == 64 for seed in (progress, ownership))
    assert check_opened_embedding(state, out, progress, ownership, SMALL).ok


@given(state=segments(), at=st.floats(0, 1, exclude_max=True), factor=st.sampled_from([0.5, 0.97, 1.03, 2.0]))
@settings(max_examples=25, deadline=None)
def test_any_one_changed_weight_is_found(state, at, factor):
    progress, ownership = b"\x01" * 32, b"\x02" * 32
    layout = layout_of(state)
    out = embed_both(state, progress, ownership, SMALL)
    vector = weights_of(out, layout)
    order = np.argsort(np.abs(vector))
    # The smaller half could move by less than one unit of the largest weight's rounding.
    chosen = order[vector.size // 2 + int(at * (vector.size // 2))]
    vector[chosen] *= factor
    assert not check_embedding(state, with_weights(state, layout, vector), progress, SMALL).ok
