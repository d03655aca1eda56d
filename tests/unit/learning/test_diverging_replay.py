"""A replay never ends in an error over numbers: one that diverges names the seat that committed to more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clicooper.learning.checkpoint import State, state_digest
from clicooper.learning.replay import (
    NOT_FINITE,
    Difference,
    IntervalReplay,
    compare_states,
    difference_in_rows,
    replay_interval,
)
from clicooper.learning.segments import TrainingDiverged
from clicooper.learning.training import SeatWorker, TrainedSegment
from clicooper.learning.transcript import StepDigests, interval_bounds
from tests.learning_jobs import SmallJob, small_job

FACTORS = (1e12, 1e25, 1e38)
FIELDS = ("input", "output", "grad_received", "grad_sent", "state")


def scaled(state: State, factor: float) -> State:
    """Within what float32 can say, so that the file is a state like any other."""
    most = float(np.finfo(np.float32).max)
    return {
        name: np.clip(array.astype(np.float64) * factor, -most, most).astype(array.dtype)
        if array.dtype.kind == "f" and "step/" not in name
        else array
        for name, array in state.items()
    }


def replay(job: SmallJob, trained: list[TrainedSegment], index: int, **changes: Any) -> IntervalReplay:
    starts = [one.interval_states[index - 1] for one in trained] if index else job.starts()
    return replay_interval(job.spec, 0, index, starts, job.activations, job.pseudo_labels, **changes)


def claimed(job: SmallJob, trained: list[TrainedSegment], index: int) -> list[tuple[StepDigests, ...]]:
    first, last = interval_bounds(index, 7, 3)
    return [one.transcript.steps[first:last] for one in trained]


def find(job: SmallJob, trained: list[TrainedSegment], index: int) -> Difference | None:
    return difference_in_rows(claimed(job, trained, index), replay(job, trained, index))


def poisoned(one: TrainedSegment, factor: float, *, weights: bool, moments: bool) -> TrainedSegment:
    """Interval states times a factor, and a transcript that says so."""
    states = [
        (scaled(w, factor) if weights else w, scaled(m, factor) if moments else m) for w, m in one.interval_states
    ]
    steps = list(one.transcript.steps)
    for index, state in enumerate(states):
        at = 3 * index + 2
        steps[at] = replace(steps[at], state=state_digest(*state))
    return replace(one, interval_states=states, transcript=replace(one.transcript, steps=tuple(steps)))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("seat", [0, 1, 2])
@pytest.mark.parametrize("parts", ["weights", "moments", "both"])
def test_scaled_interval_states_convict_their_seat_at_every_draw(
    optimizer: str, factor: float, seat: int, parts: str
) -> None:
    job = small_job(optimizer=optimizer)
    trained = job.train()
    what = {"weights": parts != "moments", "moments": parts != "weights"}
    trained[seat] = poisoned(trained[seat], factor, **what)
    for index in range(3):
        found = find(job, trained, index)
        assert found is not None
        assert (found.check, found.seats) == ("replay", (seat,))


class _Reckless(SeatWorker):
    """Goes on where an honest seat stops."""

    def _require_finite(self, field: str, *arrays: NDArray[Any] | None) -> None:
        pass

    def compute_gradient(self, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        try:
            return super().compute_gradient(grad)
        except TrainingDiverged:
            self._losses.append(0.0)
            return self.segment._input_gradient()


def reckless(job: SmallJob) -> list[TrainedSegment]:
    return job.train(workers=dict.fromkeys(range(3), _Reckless))


@pytest.mark.parametrize("rate", [1e4, 1e12, 1e30])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_seats_that_all_go_on_after_diverging_are_found_where_they_should_have_stopped(
    rate: float, optimizer: str
) -> None:
    job = small_job(learning_rate=rate, optimizer=optimizer)
    with pytest.raises(TrainingDiverged, match="diverged") as stopped:
        job.train()
    trained = reckless(job)
    found = [find(job, trained, index) for index in range(3)]
    assert [one is None for one in found] == sorted((one is None for one in found), reverse=True)
    first = next(one for one in found if one is not None)
    assert (first.check, first.expected) == ("replay", NOT_FINITE)
    assert (first.seat, first.field) == (stopped.value.seat, stopped.value.field)


def test_a_committed_digest_cannot_stand_for_what_is_not_finite() -> None:
    job = small_job(learning_rate=1e30)
    trained = reckless(job)
    index, found = next((i, d) for i in range(3) if (d := find(job, trained, i)) is not None)
    rows = claimed(job, trained, index)
    at = found.step - 3 * index
    rows[found.seat] = tuple(
        replace(row, **{found.field: NOT_FINITE}) if n == at else row for n, row in enumerate(rows[found.seat])
    )
    again = difference_in_rows(rows, replay(job, trained, index))
    assert again is not None
    assert (again.seat, again.step, again.field) == (found.seat, found.step, found.field)


def test_what_was_recorded_before_it_diverges_is_compared_first() -> None:
    job = small_job(learning_rate=1e30)
    trained = reckless(job)
    index, found = next((i, d) for i in range(3) if (d := find(job, trained, i)) is not None)
    rows = claimed(job, trained, index)
    rows[0] = (replace(rows[0][0], output=bytes(31) + b"\x01"), *rows[0][1:])
    first = difference_in_rows(rows, replay(job, trained, index))
    assert first is not None
    assert (first.seat, first.field, first.step) == (0, "output", 3 * index)
    assert (first.step, first.seat) != (found.step, found.seat)


def test_a_replay_that_diverges_keeps_its_length_and_its_batches_and_has_no_end() -> None:
    job = small_job()
    trained = job.train()
    trained[1] = poisoned(trained[1], 1e38, weights=True, moments=True)
    broken = replay(job, trained, 1)
    assert NOT_FINITE in {getattr(row, name) for rows in broken.steps for row in rows for name in FIELDS}
    assert [len(rows) for rows in broken.steps] == [3, 3, 3]
    assert [row.input for row in broken.steps[0]] == [row.input for row in trained[0].transcript.steps[3:6]]
    for weights, _ in broken.end_states:
        assert compare_states(weights, weights) == np.inf


def test_a_dispute_between_classes_diverges_without_an_error() -> None:
    job = small_job(learning_rate=1e3)
    trained = job.train(workers=dict.fromkeys(range(3), _Reckless))
    trained[1] = poisoned(trained[1], 1e38, weights=True, moments=True)
    exact = replay(job, trained, 1, dtype=np.float64)
    assert all(len(rows) == 3 for rows in exact.steps)


@pytest.mark.parametrize("where", ["output", "grad_sent", "state"])
@pytest.mark.parametrize("seat", [0, 1, 2])
def test_an_honest_seat_stops_at_a_number_that_is_not_finite(where: str, seat: int) -> None:
    def spoil(array: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if array is None else np.full_like(array, np.nan)

    class Spoiled(SeatWorker):
        def compute_output(self, x: NDArray[Any]) -> NDArray[Any]:
            honest = super().compute_output(x)
            return np.full_like(honest, np.nan) if where == "output" else honest

        def compute_gradient(self, grad: NDArray[Any] | None) -> NDArray[Any] | None:
            honest = super().compute_gradient(grad)
            return spoil(honest) if where == "grad_sent" else honest

        def apply_step(self) -> None:
            super().apply_step()
            if where == "state":
                next(iter(self.segment._module.parameters())).data.fill_(np.inf)

    workers: Mapping[int, type[SeatWorker]] = {seat: Spoiled}
    if (where, seat) == ("grad_sent", 0):
        assert small_job().train(workers=workers)[0].transcript.steps[0].grad_sent == bytes(32), "it sends nothing back"
        return
    with pytest.raises(TrainingDiverged, match="diverged"):
        small_job(interval=1).train(workers=workers)
