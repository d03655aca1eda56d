"""Laws of the learning floor over shapes, sizes and seeds."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import SpecError
from clicooper.learning.checkpoint import decode_state, state_bytes, state_digest
from clicooper.learning.models import suggest_cuts
from clicooper.learning.replay import replay_interval
from clicooper.learning.schedule import batch_rows
from clicooper.learning.transcript import ROW_BYTES, Transcript, interval_count
from tests.learning_jobs import SEEDS, diff_states, first_difference, segment_sizes, small_job, training_spec

FINITE = {"allow_nan": False, "allow_infinity": False}
ARRAYS = st.one_of(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4), elements=st.floats(width=32, **FINITE)
    ),
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4), elements=st.floats(**FINITE)),
    hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda n: n != "__metadata__")
STATES = st.dictionaries(NAMES, ARRAYS, max_size=4)


@given(STATES)
def test_state_files_round_trip(state: dict[str, Any]) -> None:
    data = state_bytes(state)
    again = decode_state(data)
    assert diff_states(state, again) == ()
    assert state_bytes(again) == data
    assert state_digest(again) == state_digest(state)


@given(STATES.filter(bool), st.data())
def test_flipped_bit_never_reads_as_the_same_state(state: dict[str, Any], data: st.DataObject) -> None:
    file = bytearray(state_bytes(state))
    position = data.draw(st.integers(0, len(file) * 8 - 1))
    file[position // 8] ^= 1 << position % 8
    try:
        again = decode_state(bytes(file))
    except SpecError:
        return
    assert state_digest(again) != state_digest(state)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        state = decode_state(data)
    except SpecError:
        return
    assert state_bytes(state) == data


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 30), st.integers(0, 2**53))
def test_batches_use_every_record_equally_often(steps: int, batch: int, records: int, seed: int) -> None:
    seeds = SEEDS.model_copy(update={"batches": seed})
    rows = batch_rows(seeds, 0, records, training_spec(steps=steps, batch=batch))
    counts = np.bincount(rows.ravel(), minlength=records)
    assert rows.shape == (steps, batch)
    assert counts.size == records and counts.max() - counts.min() <= 1


@settings(max_examples=30, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    inputs=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    batch=st.integers(1, 6),
    steps=st.integers(1, 6),
    interval=st.integers(1, 7),
    optimizer=st.sampled_from(["sgd", "adamw"]),
    data=st.data(),
)
def test_honest_rounds_of_any_shape_replay_without_difference(
    widths: list[int], inputs: list[int], batch: int, steps: int, interval: int, optimizer: str, data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(widths)), min_size=1, max_size=3))
    model = ModelSpec(kind="mlp", input_shape=tuple(inputs), outputs=3, widths=tuple(widths), cuts=tuple(sorted(cuts)))
    job = small_job(model, interval, records=7, batch=batch, steps=steps, optimizer=optimizer)
    trained = job.train()
    index = data.draw(st.integers(0, interval_count(steps, interval) - 1))
    starts = [seat.interval_states[index - 1] for seat in trained] if index else job.starts()
    replay = replay_interval(job.spec, 0, index, starts, job.activations, job.pseudo_labels)
    assert first_difference([seat.transcript for seat in trained], replay) is None


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_forged_bit_of_a_transcript_is_found_where_it_is(data: st.DataObject) -> None:
    job = small_job(steps=4, interval=4)
    trained = job.train()
    claimed = [seat.transcript for seat in trained]
    seat = data.draw(st.integers(0, 2))
    position = data.draw(st.integers(0, 4 * ROW_BYTES - 1))
    if position % ROW_BYTES >= 128:
        position = 3 * ROW_BYTES + position % ROW_BYTES
    rows = bytearray(claimed[seat].to_bytes())
    rows[position] ^= 1 << data.draw(st.integers(0, 7))
    claimed[seat] = Transcript.from_bytes(bytes(rows), 4)
    replay = replay_interval(job.spec, 0, 0, job.starts(), job.activations, job.pseudo_labels)
    difference = first_difference(claimed, replay)
    assert difference is not None
    fields = ["input", "output", "grad_received", "grad_sent", "state"]
    assert (difference.seat, difference.step) == (seat, position // ROW_BYTES)
    assert difference.field == fields[position % ROW_BYTES // 32]
    assert claimed[seat].root != trained[seat].transcript.root


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 4))
def test_suggested_cuts_are_as_balanced_as_any(widths: list[int], seats: int) -> None:
    spec = ModelSpec(kind="mlp", input_shape=(5,), outputs=3, widths=tuple(widths), cuts=())
    if seats > len(widths) + 1:
        with pytest.raises(SpecError):
            suggest_cuts(spec, seats)
        return
    largest = max(size.parameters for size in segment_sizes(_cut(spec, suggest_cuts(spec, seats, room=0))))
    single = _cut(spec, tuple(range(1, len(widths) + 1)))
    blocks = [size.parameters for size in segment_sizes(single)]
    for cuts in _all_cuts(len(blocks), seats):
        bounds = (0, *cuts, len(blocks))
        assert largest <= max(sum(blocks[a:b]) for a, b in pairwise(bounds))


def _cut(spec: ModelSpec, cuts: tuple[int, ...]) -> ModelSpec:
    return spec.model_copy(update={"cuts": cuts})


def _all_cuts(blocks: int, seats: int) -> list[tuple[int, ...]]:
    if seats == 1:
        return [()]
    return [(*rest, last) for last in range(seats - 1, blocks) for rest in _all_cuts(last, seats - 1)]
