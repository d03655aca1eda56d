"""One interval again, jointly over all seats, and the first difference from what was claimed.

Within a runtime class replay is bitwise and a difference names its author; across classes only end states can be
compared, by ``compare_states`` and the sum of their ``relative_residual`` (protocol, section 4). Choosing intervals and
giving verdicts is the job of ``clicooper.audit``.

A replay that diverges ends there, and is a difference like any other: an honest seat stops where it computes a number
that is not finite, so one that committed to more did not compute it from the state and the tensors that are agreed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.canonical import sha256, tensor_digest
from clicooper.commitments.manifest import JobSpec
from clicooper.errors import SpecError
from clicooper.learning.checkpoint import State, cast_state
from clicooper.learning.schedule import batch_rows, round_batches
from clicooper.learning.segments import TrainingDiverged
from clicooper.learning.training import SeatWorker, train_round
from clicooper.learning.transcript import StepDigests, interval_bounds
from clicooper.types import ZERO_DIGEST, Digest

__all__ = [
    "NOT_FINITE",
    "Difference",
    "IntervalInputs",
    "IntervalReplay",
    "ReplayingWorker",
    "compare_states",
    "difference_in_rows",
    "interval_inputs",
    "relative_residual",
    "replay_interval",
    "replay_steps",
]


NOT_FINITE = sha256(b"clicooper: a number that is not finite")
"""Stands for the digest of what a replay could not compute; whatever was committed there differs from it."""


@dataclass(frozen=True, eq=False)
class IntervalInputs:
    """What enters an interval from outside the segments.

    Attributes:
        first_step: its first step in the round.
        batches: float32 (batch, ...) for each of its steps, the input of seat 0.
        labels: int64 (steps, batch), the last seat's pseudo-labels.
    """

    first_step: int
    batches: tuple[NDArray[np.float32], ...]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class IntervalReplay:
    """An interval as the replay computed it.

    Attributes:
        first_step: its first step.
        steps: by seat, the digests of each of its steps; after ``NOT_FINITE``, the scheduled batches alone.
        end_states: by seat, weights and optimizer state after it; no numbers where it diverged.
        losses: training loss of each of its steps, in nats; of those before it diverged.
    """

    first_step: int
    steps: tuple[tuple[StepDigests, ...], ...]
    end_states: tuple[tuple[State, State], ...]
    losses: tuple[float, ...]

    @property
    def steps_count(self) -> int:
        """Number of steps replayed."""
        return len(self.steps[0])

    def part(self, first: int, last: int) -> IntervalReplay:
        """The steps in ``range(first, last)`` of the round, one of several intervals; end states stay the last's."""
        taken = slice(first - self.first_step, last - self.first_step)
        return IntervalReplay(first, tuple(rows[taken] for rows in self.steps), self.end_states, self.losses[taken])


@dataclass(frozen=True)
class Difference:
    """The first digest, in causal order, that the replay does not confirm.

    Attributes:
        check: ``replay``: the seat computed something else from agreed inputs; ``boundary``: it recorded another value
            than its neighbour sent; ``coverage``: seat 0 trained on another batch than the schedule's.
        field: the field of ``StepDigests``.
    """

    check: Literal["replay", "boundary", "coverage"]
    step: int
    seat: int
    field: str
    expected: Digest
    actual: Digest

    @property
    def seats(self) -> tuple[int, ...]:
        """Who may have lied: the seat alone, or at a boundary both neighbours, since either may have altered it."""
        if self.check != "boundary":
            return (self.seat,)
        return (self.seat - 1, self.seat) if self.field == "input" else (self.seat, self.seat + 1)


class ReplayingWorker(SeatWorker):
    """A seat that trains some steps again: it takes the digests of states, and has no use for the states.

    Args:
        steps: how many, so that cost and memory are theirs, however long the whole round is.
        states: weights and optimizer state before them, within the seat's ``state_domain``.

    Raises:
        SpecError: states that do not fit the segment.
    """

    def __init__(self, spec: JobSpec, steps: int, seat: int, states: tuple[State, State | None]) -> None:
        training = spec.training.model_copy(update={"steps": steps})
        super().__init__(spec.model, training, spec.replay, seat, *states)

    def keep_state(self, weights: State, optimizer: State) -> None:
        """Nothing: memory must not grow with the steps."""


def interval_inputs(
    spec: JobSpec,
    round_: int,
    index: int,
    activations: NDArray[Any],
    pseudo_labels: NDArray[np.int64],
    rows: NDArray[np.int64] | None = None,
    count: int = 1,
) -> IntervalInputs:
    """What ``count`` intervals from ``index`` on train on: the batches and labels of their steps.

    Args:
        activations: float (records, ...), the release.
        pseudo_labels: int64 (n,), labels of the release's rows 0 to n - 1, all that the round may use.
        rows: ``batch_rows`` of the whole round, from whoever replays many of its intervals; worked out where absent.

    Raises:
        SpecError: no such interval.
    """
    first = interval_bounds(index, spec.training.steps, spec.replay.interval)[0]
    last = interval_bounds(index + count - 1, spec.training.steps, spec.replay.interval)[1]
    if rows is None:
        rows = batch_rows(spec.seeds, round_, pseudo_labels.size, spec.training)
    batches = round_batches(activations, rows, spec.seeds, round_, spec.training, first=first, last=last)
    return IntervalInputs(first, tuple(batch for _, batch in batches), pseudo_labels[rows[first:last]])


def replay_steps(
    spec: JobSpec,
    inputs: IntervalInputs,
    start_states: Sequence[tuple[State, State | None]],
    *,
    dtype: type[np.floating[Any]] | None = None,
    threads: int = 1,
) -> IntervalReplay:
    """Trains an interval, or several in a row, again from its inputs and the states at its start.

    Arguments and errors are those of ``replay_interval``.
    """
    seats = len(spec.model.cuts) + 1
    if len(start_states) != seats:
        raise SpecError(f"{len(start_states)} states for {seats} seats", hint="pass one for every seat")
    count = len(inputs.batches)
    workers = [ReplayingWorker(spec, count, seat, _cast(states, dtype)) for seat, states in enumerate(start_states)]
    workers[-1].receive_labels(inputs.labels)
    try:
        train_round(workers, enumerate(inputs.batches), threads=threads)
    except TrainingDiverged as e:
        return _break_off(inputs, workers, e)
    ends = tuple((worker.segment.state(), worker.segment.optimizer_state()) for worker in workers)
    return IntervalReplay(
        inputs.first_step, tuple(worker.recorder.steps for worker in workers), ends, workers[-1].losses
    )


def _break_off(
    inputs: IntervalInputs, workers: Sequence[ReplayingWorker], diverged: TrainingDiverged
) -> IntervalReplay:
    """What was computed up to the first number that is not finite, in causal order."""
    at = workers[diverged.seat].step
    rows = []
    for seat, worker in enumerate(workers):
        if len(worker.recorder.steps) == at:
            worker.recorder.close_step()
        own = list(worker.recorder.steps)
        if seat == diverged.seat:
            own[at] = replace(own[at], **{diverged.field: NOT_FINITE})
        nothing = StepDigests(*(ZERO_DIGEST,) * 5)
        rest = inputs.batches[at + 1 :]
        own += [replace(nothing, input=ZERO_DIGEST if seat else tensor_digest(batch)) for batch in rest]
        rows.append(tuple(own))
    ends = tuple((_blank(worker.segment.state()), _blank(worker.segment.optimizer_state())) for worker in workers)
    return IntervalReplay(inputs.first_step, tuple(rows), ends, workers[-1].losses)


def _blank(state: State) -> State:
    return {name: np.full_like(a, np.nan) if a.dtype.kind == "f" else a for name, a in state.items()}


def replay_interval(
    spec: JobSpec,
    round_: int,
    index: int,
    start_states: Sequence[tuple[State, State | None]],
    activations: NDArray[Any],
    pseudo_labels: NDArray[np.int64],
    *,
    dtype: type[np.floating[Any]] | None = None,
    threads: int = 1,
) -> IntervalReplay:
    """Trains interval ``index`` of a round again from the states at its start.

    Args:
        start_states: by seat, weights and optimizer state (None: afresh) before the interval.
        activations: float (records, ...), the release.
        pseudo_labels: int64 (n,), labels of the release's rows 0 to n - 1, all that the round may use.
        dtype: float64 for a dispute across runtime classes; by default the states' own.

    Raises:
        SpecError: a state that does not fit its segment, or no such interval.
    """
    inputs = interval_inputs(spec, round_, index, activations, pseudo_labels)
    return replay_steps(spec, inputs, start_states, dtype=dtype, threads=threads)


def _cast(states: tuple[State, State | None], dtype: type[np.floating[Any]] | None) -> tuple[State, State | None]:
    weights, optimizer = states
    return states if dtype is None else (cast_state(weights, dtype), cast_state(optimizer or {}, dtype))


def difference_in_rows(claimed: Sequence[Sequence[StepDigests]], replayed: IntervalReplay) -> Difference | None:
    """The first difference in causal order, whose seat is its author, or None.

    In each step: input and output from seat 0 to the last, gradients received and sent back to seat 0, then states.
    Everything before it agrees, so the named seat had what the replay had.

    Args:
        claimed: by seat, the rows of the interval's steps.

    Raises:
        SpecError: rows that do not cover the interval, or not every seat.
    """
    if len(claimed) != len(replayed.steps):
        raise SpecError(f"{len(claimed)} transcripts for {len(replayed.steps)} seats", hint="pass one for every seat")
    if any(len(rows) != replayed.steps_count for rows in claimed):
        raise SpecError("a transcript ends before the interval does", hint="compare its step count with the spec's")
    for offset in range(replayed.steps_count):
        for seat, field in _causal_order(len(claimed)):
            expected = getattr(replayed.steps[seat][offset], field)
            actual = getattr(claimed[seat][offset], field)
            if expected != actual or expected == NOT_FINITE:
                step = replayed.first_step + offset
                return Difference(_check_of(seat, field), step, seat, field, expected, actual)
    return None


def _causal_order(seats: int) -> Iterator[tuple[int, str]]:
    yield from ((seat, field) for seat in range(seats) for field in ("input", "output"))
    yield from ((seat, field) for seat in reversed(range(seats)) for field in ("grad_received", "grad_sent"))
    yield from ((seat, "state") for seat in range(seats))


def _check_of(seat: int, field: str) -> Literal["replay", "boundary", "coverage"]:
    if field == "input" and seat == 0:
        return "coverage"
    return "boundary" if field in ("input", "grad_received") else "replay"


def compare_states(actual: State, expected: State) -> float:
    """Relative L2 distance ``||actual - expected|| / ||expected||`` over all floating arrays, in float64.

    Returns:
        0 or more; infinity where ``expected`` is all zero and ``actual`` is not, or numbers are not finite.

    Raises:
        SpecError: states with other names or shapes.
    """
    residual, norm = _residual(actual, expected)
    distance = float(np.linalg.norm(residual))
    if norm == 0 or not math.isfinite(distance) or not math.isfinite(norm):
        return 0.0 if distance == norm == 0 else math.inf
    return distance / norm


def relative_residual(actual: State, expected: State) -> NDArray[np.float64]:
    """``(actual - expected) / ||expected||`` over all floating arrays as one vector, to be added up over intervals.

    Its norm is ``compare_states``: infinite numbers stand for what differs where ``expected`` is all zero, and for what
    is not finite.

    Raises:
        SpecError: states with other names or shapes.
    """
    residual, norm = _residual(actual, expected)
    relative = residual / norm if norm and math.isfinite(norm) else np.where(residual == 0, 0.0, np.inf)
    return np.where(np.isfinite(relative), relative, np.inf)


def _residual(actual: State, expected: State) -> tuple[NDArray[np.float64], float]:
    if {n: a.shape for n, a in actual.items()} != {n: a.shape for n, a in expected.items()}:
        raise SpecError("states of different models cannot be compared", hint="names and shapes must be equal")
    names = sorted(name for name, array in expected.items() if array.dtype.kind == "f")
    flat = [
        np.concatenate([np.zeros(0), *(s[n].astype(np.float64).ravel() for n in names)]) for s in (actual, expected)
    ]
    with np.errstate(invalid="ignore", over="ignore"):
        return flat[0] - flat[1], float(np.linalg.norm(flat[1]))
