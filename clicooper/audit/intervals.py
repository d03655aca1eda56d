"""One interval's replay as a piece of work: prepared from evidence, computed anywhere, returned as a small finding.

Job: what one interval shows. Non-jobs: which intervals are replayed (``sampling``), where (``workforce``), and what the
findings of a round add up to (``replay``).

Intervals that start from a state which nobody published follow, in one piece of work, the interval before them: its
replayed end state is then known to be the committed one, since its digest is the transcript's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.audit.evidence import Evidence
from clicooper.commitments.manifest import JobSpec, StateLinks
from clicooper.errors import ArtifactMissing, CliCooperError, SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.replay import (
    Difference,
    IntervalInputs,
    IntervalReplay,
    StateMisfit,
    difference_in_rows,
    relative_residual,
    replay_steps,
)
from clicooper.learning.transcript import StepDigests, interval_bounds
from clicooper.types import Digest

__all__ = ["Finding", "IntervalWork", "compute", "plan_runs", "prepare", "replay_run"]

MAX_CROSS_CLASS_STEPS = 20
"""Rounding differences between runtime classes stay below the tolerance for at most this many steps."""

States = tuple[State, State | None]


@dataclass(frozen=True, eq=False)
class Finding:
    """What the replay of one interval showed; small, whatever the model's size, but for residuals between classes.

    Attributes:
        steps: how many were replayed; 0 where it could not be.
        losses: training loss of each, in nats.
        difference: within a runtime class, the first difference from what was committed.
        residuals: between classes, by seat, the relative residual of the state at its end.
        unknown: why it could not be replayed.
        misfit: the seat whose committed state at its start no segment can be in.
        continued: seats whose start state was not there, so that the replayed end state before was taken.
    """

    interval: int
    steps: int = 0
    losses: tuple[float, ...] = ()
    difference: Difference | None = None
    residuals: tuple[NDArray[np.float64], ...] = ()
    unknown: str = ""
    misfit: int | None = None
    continued: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A finding of an interval that was replayed within its class; ``Finding.from_json`` reads it."""
        found = self.difference
        return {
            "interval": self.interval,
            "steps": self.steps,
            "losses": list(self.losses),
            "difference": None
            if found is None
            else [found.check, found.step, found.seat, found.field, found.expected.hex(), found.actual.hex()],
            "continued": list(self.continued),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Finding:
        """Raises KeyError, TypeError or ValueError for what ``to_json`` did not write."""
        found = value["difference"]
        difference = None
        if found is not None:
            check, step, seat, name, expected, actual = found
            digests = Digest(bytes.fromhex(expected)), Digest(bytes.fromhex(actual))
            difference = Difference(check, int(step), int(seat), str(name), *digests)
        return cls(
            int(value["interval"]),
            int(value["steps"]),
            tuple(map(float, value["losses"])),
            difference,
            continued=tuple(map(int, value["continued"])),
        )


@dataclass(frozen=True, eq=False)
class IntervalWork:
    """Everything that one interval's replay needs, so that it can be computed where no artifact can be had.

    Attributes:
        starts: by seat, the state at its start.
        claimed: by seat, the transcript's rows of its steps.
        ends: between runtime classes, by seat, the committed weights at its end; empty within one.
    """

    spec: JobSpec
    interval: int
    inputs: IntervalInputs
    starts: tuple[States, ...]
    claimed: tuple[tuple[StepDigests, ...], ...]
    ends: tuple[State, ...] = ()
    continued: tuple[int, ...] = field(default=())


def plan_runs(evidence: Evidence, round_: int, intervals: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Groups ascending intervals into pieces of work: one each, but where a start state is not in the store.

    Such an interval goes with the one before it. What a store says it has is only a hint here: ``replay_run`` asks
    for every published state before it goes on from a replayed one.
    """
    run: list[int] = []
    for interval in intervals:
        if run and not (run[-1] == interval - 1 and _lacks_start(evidence, round_, interval)):
            yield tuple(run)
            run = []
        run.append(interval)
    if run:
        yield tuple(run)


def _lacks_start(evidence: Evidence, round_: int, interval: int) -> bool:
    try:
        starts = [evidence.start_state(round_, seat, interval) for seat in range(evidence.history.params.seats)]
        files = [one for start in starts for one in (start.weights, start.optimizer) if one is not None]
        return not all(evidence.store.has(one.ciphertext) for one in files)
    except CliCooperError:
        return False


def replay_run(evidence: Evidence, round_: int, run: Sequence[int]) -> Iterator[Finding]:
    """Replays the intervals of one piece of work, each from its committed start or from the end of the one before."""
    before: tuple[States, ...] | None = None
    for interval in run:
        try:
            work = prepare(evidence, round_, interval, before)
            finding, replay = compute(work)
        except CliCooperError as e:
            before = None
            yield Finding(interval, unknown=e.message, misfit=e.seat if isinstance(e, StateMisfit) else None)
            continue
        # Across classes a replayed state is only close to the committed one, and what is close adds up.
        before = replay.end_states if finding.difference is None and not work.ends else None
        yield finding


def prepare(evidence: Evidence, round_: int, interval: int, before: tuple[States, ...] | None = None) -> IntervalWork:
    """Fetches what an interval's replay needs.

    Args:
        before: replayed states at the interval's start, confirmed by the transcripts, for seats that published none.

    Raises:
        CliCooperError: an artifact is absent, damaged or sealed, or classes of so long intervals cannot be compared.
    """
    spec, seats = evidence.spec, range(evidence.history.params.seats)
    if not evidence.same_class and spec.replay.interval > MAX_CROSS_CLASS_STEPS:
        raise SpecError(
            f"intervals of {spec.replay.interval} steps cannot be compared between runtime classes",
            hint=f"audit on {spec.runtime_class}",
        )
    first, last = interval_bounds(interval, spec.training.steps, spec.replay.interval)
    starts, continued = [], []
    for seat in seats:
        try:
            starts.append(evidence.state(evidence.start_state(round_, seat, interval)))
        except ArtifactMissing:
            if before is None:
                raise
            starts.append(before[seat])
            continued.append(seat)
    ends = () if evidence.same_class else tuple(_committed_end(evidence, round_, seat, interval) for seat in seats)
    return IntervalWork(
        spec,
        interval,
        evidence.inputs(round_, interval),
        tuple(starts),
        tuple(evidence.transcript(round_, seat).steps[first:last] for seat in seats),
        ends,
        tuple(continued),
    )


def compute(work: IntervalWork) -> tuple[Finding, IntervalReplay]:
    """Trains the interval again and compares; a pure function of the work."""
    replay = replay_steps(work.spec, work.inputs, work.starts)
    difference: Difference | None = None
    residuals: tuple[NDArray[np.float64], ...] = ()
    if work.ends:
        pairs = zip(replay.end_states, work.ends, strict=True)
        residuals = tuple(relative_residual(weights, committed) for (weights, _), committed in pairs)
    else:
        difference = difference_in_rows(work.claimed, replay)
    finding = Finding(work.interval, replay.steps_count, replay.losses, difference, residuals, continued=work.continued)
    return finding, replay


def _committed_end(evidence: Evidence, round_: int, seat: int, interval: int) -> State:
    manifest = evidence.manifest(round_, seat)
    states = manifest.transcript.states
    own = StateLinks(weights=manifest.trained, optimizer=manifest.optimizer)
    return evidence.state_file((states[interval] if interval < len(states) else own).weights)
