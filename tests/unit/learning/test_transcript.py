"""Rows, roots and boundary digests of transcripts."""

from dataclasses import replace

import numpy as np
import pytest

from clicooper.commitments.canonical import sha256, tensor_digest
from clicooper.commitments.merkle import merkle_proof, merkle_verify, transcript_leaf
from clicooper.errors import SpecError
from clicooper.learning.recorder import Recorder
from clicooper.learning.transcript import (
    ROW_BYTES,
    StepDigests,
    Transcript,
    ends_interval,
    interval_bounds,
    interval_count,
)
from clicooper.types import ZERO_DIGEST


def transcript(steps: int = 7, interval: int = 3, **fixed: bytes) -> Transcript:
    rows = [
        StepDigests(
            sha256(b"i%d" % step),
            sha256(b"o%d" % step),
            sha256(b"r%d" % step),
            sha256(b"s%d" % step),
            sha256(b"w%d" % step) if ends_interval(step, steps, interval) else ZERO_DIGEST,
        )
        for step in range(steps)
    ]
    return Transcript(tuple(replace(row, **fixed) for row in rows), interval)


def test_bytes_round_trip() -> None:
    whole = transcript()
    assert len(whole.to_bytes()) == 7 * ROW_BYTES
    assert Transcript.from_bytes(whole.to_bytes(), 3) == whole


def test_leaves_and_root_are_the_contracts() -> None:
    whole = transcript()
    d = whole.steps[4]
    assert whole.leaves[4] == transcript_leaf(4, d.input, d.output, d.grad_received, d.grad_sent, d.state)
    assert merkle_verify(whole.root, whole.leaves[4], merkle_proof(whole.leaves, 4))


def test_states_end_intervals() -> None:
    whole = transcript()
    assert [step for step, d in enumerate(whole.steps) if d.state != ZERO_DIGEST] == [2, 5, 6]
    assert [whole.state_after(index) for index in range(3)] == [sha256(b"w2"), sha256(b"w5"), sha256(b"w6")]
    assert [interval_bounds(index, 7, 3) for index in range(interval_count(7, 3))] == [(0, 3), (3, 6), (6, 7)]
    with pytest.raises(SpecError, match="interval 3"):
        interval_bounds(3, 7, 3)


def test_boundary_runs_over_all_steps_and_is_zero_where_nothing_crossed() -> None:
    boundary = transcript(grad_sent=ZERO_DIGEST).boundary()
    assert boundary.input == sha256(b"".join(sha256(b"i%d" % step) for step in range(7)))
    assert boundary.grad_sent == ZERO_DIGEST
    assert boundary.output != boundary.grad_received != ZERO_DIGEST


@pytest.mark.parametrize("cut", [1, 32, ROW_BYTES - 1])
def test_partial_rows_are_refused(cut: int) -> None:
    with pytest.raises(SpecError, match="whole rows"):
        Transcript.from_bytes(transcript().to_bytes()[:-cut], 3)


def test_moved_missing_and_added_states_are_refused() -> None:
    data = transcript().to_bytes()
    for other in (2, 4, 7):
        with pytest.raises(SpecError, match="state digest"):
            Transcript.from_bytes(data, other)
    with pytest.raises(SpecError, match="state digest"):
        Transcript.from_bytes(data[:-ROW_BYTES] + data[:ROW_BYTES], 3)


def test_empty_transcripts_and_short_digests_are_refused() -> None:
    with pytest.raises(SpecError, match="at least one step"):
        Transcript.from_bytes(b"", 3)
    with pytest.raises(SpecError, match="at least one step"):
        Transcript.from_bytes(transcript().to_bytes(), 0)
    with pytest.raises(SpecError, match="32 bytes"):
        transcript(input=b"short")


def test_recorder_takes_digests_before_the_tensor_changes() -> None:
    recorder = Recorder()
    x = np.ones((2, 3), np.float32)
    expected = tensor_digest(x)
    recorder.note("input", x)
    x[:] = 0
    recorder.note("grad_sent", None)
    recorder.close_step(sha256(b"state"))
    recorder.close_step()
    assert recorder.steps == (
        StepDigests(expected, ZERO_DIGEST, ZERO_DIGEST, ZERO_DIGEST, sha256(b"state")),
        StepDigests(*[ZERO_DIGEST] * 5),
    )
    assert recorder.boundary().input == sha256(expected + ZERO_DIGEST)
