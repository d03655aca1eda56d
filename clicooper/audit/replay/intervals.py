"""Intervals of a round as pieces of work: prepared from artifacts, computed anywhere, returned as small results.

Job: what intervals show. Non-jobs: which intervals are replayed (``sampling``), where (``executors``), and what the
results of a round add up to (``checks.replay``).

A piece of work is a stretch of intervals in a row. As long as replay confirms the digest of the state at an interval's
end, that state *is* the committed one, and the next interval goes on from it: nothing is opened, and nothing need have
been published. Where an interval differs, the next one starts from what its seats published.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.committed_states import open_start
from clicooper.audit.verdict import explain
from clicooper.commitments.manifest import JobSpec
from clicooper.errors import Cause, CliCooperError, Contradiction, SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.replay import (
    Difference,
    IntervalInputs,
    compare_states,
    difference_in_rows,
    relative_residual,
    replay_steps,
)
from clicooper.learning.transcript import StepDigests, interval_bounds
from clicooper.types import Digest

__all__ = ["IntervalResult", "Stretch", "compute", "plan_runs", "prepare", "replay_run"]

MAX_CROSS_CLASS_STEPS = 20
"""Rounding differences between runtime classes stay below the tolerance for at most this many steps."""

PIECES = 16
"""Into at least so many pieces the intervals of a round are divided, if there are as many, to keep workers busy."""

MOST_STEPS = 200
"""A piece of work has no more steps, but for an interval that has: what is lost with it must be soon done again."""

States = tuple[State, State | None]


@dataclass(frozen=True, eq=False)
class IntervalResult:
    """What the replay of one interval showed; small, whatever the model's size, but for residuals between classes.

    Attributes:
        steps: how many were replayed; 0 where it could not be.
        losses: training loss of each, in nats.
        difference: within a runtime class, the first difference from what was committed.
        residuals: between classes, by seat, the relative residual of the weights at its end.
        apart: between classes, the largest relative distance of any weights or optimizer state at its end.
        unknown: why it could not be replayed.
        contradicted: the seat that is convicted by the same, if it committed what was unusable in this round.
        expected, actual: what it should have committed, and what it did.
        cause, remedy: of ``unknown``, what it is put down to and what to do; no cause where a commitment is.
        continued: its start state is not in the store; it went on from the confirmed end of the interval before.
    """

    interval: int
    steps: int = 0
    losses: tuple[float, ...] = ()
    difference: Difference | None = None
    residuals: tuple[NDArray[np.float64], ...] = ()
    apart: float | None = None
    unknown: str = ""
    contradicted: int | None = None
    expected: str = ""
    actual: str = ""
    cause: Cause | None = None
    remedy: str = ""
    continued: bool = False

    def to_json(self) -> dict[str, Any]:
        """The result of an interval that was replayed within its class; ``IntervalResult.from_json`` reads it."""
        found = self.difference
        difference = found and asdict(found) | {"expected": found.expected.hex(), "actual": found.actual.hex()}
        kept = {"interval": self.interval, "steps": self.steps, "losses": list(self.losses)}
        return kept | {"difference": difference, "continued": self.continued}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> IntervalResult:
        """Raises KeyError, TypeError or ValueError for what ``to_json`` did not write."""
        found, losses = value["difference"], tuple(map(float, value["losses"]))
        difference = None
        if found is not None:
            expected, actual = (Digest(bytes.fromhex(found[side])) for side in ("expected", "actual"))
            place = found["check"], int(found["step"]), int(found["seat"]), str(found["field"])
            difference = Difference(*place, expected, actual)
        kept = int(value["interval"]), int(value["steps"]), losses, difference
        return cls(*kept, continued=bool(value["continued"]))


@dataclass(frozen=True, eq=False)
class Stretch:
    """Everything that the replay of intervals in a row needs, so that it can be computed where no artifact is.

    Attributes:
        bounds: of each interval, its first step and the step after its last.
        starts: by seat, the state at the start of the first.
        claimed: by seat, the transcript's rows of all steps.
        ends: between runtime classes, by seat, the committed state at the end; empty within one.
        lacking: intervals whose start state is not in the store.
    """

    spec: JobSpec
    intervals: tuple[int, ...]
    bounds: tuple[tuple[int, int], ...]
    inputs: IntervalInputs
    starts: tuple[States, ...]
    claimed: tuple[tuple[StepDigests, ...], ...]
    ends: tuple[States, ...] = ()
    lacking: frozenset[int] = frozenset()


def plan_runs(artifacts: Artifacts, round_: int, intervals: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Groups ascending intervals into pieces of work: some in a row, and always one that has no start with its former.

    How many depends on the round alone, so that it makes no difference who replays. What a store says it has is only a
    hint here: states are asked for when they are needed.
    """
    most = min(artifacts.intervals // PIECES, MOST_STEPS // artifacts.spec.replay.interval)
    run: list[int] = []
    for interval in intervals:
        in_row = bool(run) and run[-1] == interval - 1 and artifacts.same_class
        if run and not (in_row and (len(run) < most or _lacks_start(artifacts, round_, interval))):
            yield tuple(run)
            run = []
        run.append(interval)
    if run:
        yield tuple(run)


def _lacks_start(artifacts: Artifacts, round_: int, interval: int) -> bool:
    try:
        starts = [artifacts.start_state(round_, seat, interval) for seat in range(artifacts.history.params.seats)]
        return not all(artifacts.store.has(file.ciphertext) for start in starts for file in start.files)
    except CliCooperError:
        return False


def replay_run(artifacts: Artifacts, round_: int, run: Sequence[int]) -> Iterator[IntervalResult]:
    """Replays the intervals of one piece of work; those that cannot be replayed say why."""
    rest, at_once = tuple(run), len(run)
    while rest:
        try:
            results = compute(prepare(artifacts, round_, rest[:at_once]))
        except (Exception, SystemExit) as e:  # noqa: BLE001 - a model's code may raise anything, and the other intervals go on
            if at_once > 1:
                # Which of them it was shows when they are replayed one by one.
                at_once = 1
                continue
            results = [_unreplayed(artifacts, rest[0], round_, e)]
        yield from results
        rest, at_once = rest[len(results) :], len(run)


def _unreplayed(artifacts: Artifacts, interval: int, round_: int, error: BaseException) -> IntervalResult:
    """Why an interval could not be replayed, and within the job's class whom that convicts."""
    if isinstance(error, Contradiction):
        convicts = error.round == round_ and artifacts.same_class
        sides = (error.party, error.expected, error.actual) if convicts else (None, "", "")
        return IntervalResult(interval, 0, (), None, (), None, error.message, *sides)
    cause, why, remedy = explain(error)
    return IntervalResult(interval, unknown=why, cause=cause, remedy=remedy)


def prepare(artifacts: Artifacts, round_: int, intervals: Sequence[int]) -> Stretch:
    """Fetches what the replay of intervals in a row needs.

    Raises:
        Contradiction: a committed state is none of its seat's segment; it is not loaded.
        CliCooperError: an artifact is absent, damaged or sealed, or classes of so long intervals cannot be compared.
    """
    spec, seats = artifacts.spec, range(artifacts.history.params.seats)
    if not artifacts.same_class and spec.replay.interval > MAX_CROSS_CLASS_STEPS:
        raise SpecError(
            f"intervals of {spec.replay.interval} steps cannot be compared between runtime classes",
            hint=f"audit on {spec.runtime_class}",
        )
    bounds = tuple(interval_bounds(interval, spec.training.steps, spec.replay.interval) for interval in intervals)
    first, last = bounds[0][0], bounds[-1][1]
    starts = tuple(open_start(artifacts, round_, seat, intervals[0]) for seat in seats)
    # Ends are only compared, and another class convicts nobody.
    ends = [] if artifacts.same_class else [artifacts.manifest(round_, s).state_after(intervals[-1]) for s in seats]
    return Stretch(
        spec,
        tuple(intervals),
        bounds,
        artifacts.inputs(round_, intervals[0], len(intervals)),
        starts,
        tuple(artifacts.transcript(round_, seat).steps[first:last] for seat in seats),
        tuple(map(artifacts.state, ends)),
        frozenset(interval for interval in intervals[1:] if _lacks_start(artifacts, round_, interval)),
    )


def compute(work: Stretch) -> list[IntervalResult]:
    """Trains the intervals again and compares, up to the first that differs; a pure function of the work."""
    replay = replay_steps(work.spec, work.inputs, work.starts)
    if work.ends:
        residuals, apart = _compare_ends(replay.end_states, work.ends)
        return [IntervalResult(work.intervals[0], replay.steps_count, replay.losses, residuals=residuals, apart=apart)]
    results: list[IntervalResult] = []
    for interval, (first, last) in zip(work.intervals, work.bounds, strict=True):
        part = replay.part(first, last)
        taken = slice(first - work.inputs.first_step, last - work.inputs.first_step)
        difference = difference_in_rows([rows[taken] for rows in work.claimed], part)
        continued = interval in work.lacking
        results.append(IntervalResult(interval, last - first, part.losses, difference, continued=continued))
        if difference is not None:
            break
    return results


def _compare_ends(
    replayed: Sequence[States], committed: Sequence[States]
) -> tuple[tuple[NDArray[np.float64], ...], float]:
    """Residuals of the weights by seat, and the largest distance of weights and optimizer states.

    The optimizer's count, too: honest weights beside an invented momentum would be carried away by the next honest
    step. States of other tensors, such as those of an optimizer that never stepped, are infinitely far apart.
    """
    pairs = list(zip(replayed, committed, strict=True))
    try:
        residuals = tuple(relative_residual(weights, claimed) for (weights, _), (claimed, _) in pairs)
        moments = [compare_states(moments or {}, claimed or {}) for (_, moments), (_, claimed) in pairs]
    except SpecError:
        return (), math.inf
    return residuals, max(*(float(np.linalg.norm(residual)) for residual in residuals), *moments)
