"""The ``replay`` check: training again from committed states gives the committed numbers; a row for every seat.

Within a runtime class every tensor digest must be equal, and the first difference in causal order names the
seat that deviated. In another class digests cannot be compared: the states at interval ends must then agree
within the spec's tolerance, and so must the sum of their residuals, since rounding does not add up. What does not
agree there convicts nobody: it is left to a machine of the job's class.

Results are taken in the order of their intervals: equal results give equal rows, on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.replay.executors import HERE, Executor, Tell, unheard
from clicooper.audit.replay.intervals import IntervalResult
from clicooper.audit.replay.journal import Journal
from clicooper.audit.verdict import Check, CheckResult
from clicooper.errors import Cause
from clicooper.learning.replay import NOT_FINITE, Difference
from clicooper.types import Verdict

__all__ = ["RoundReplay", "judge", "replay_intervals"]

MIN_SUMMED_RESIDUALS = 17


@dataclass(frozen=True)
class _Unknown:
    """Why an interval of a seat could not be judged; no cause where that is another commitment."""

    text: str
    cause: Cause | None = None
    remedy: str = ""


@dataclass
class RoundReplay:
    """What the replay of a round's intervals showed.

    Attributes:
        seats: how many the job has.
        tolerance: between classes, of relative distances.
        failed: by seat, the row that convicts it.
        failed_together: rows about several seats, where nothing tells them apart.
        unknown: by seat, why an interval of it could not be judged; as a row without place.
        losses: training loss of every step, by interval in which all seats agreed with the replay.
        residuals: between classes, by seat, the sum of its relative residuals.
        intervals, steps: how much was replayed.
        continued: intervals that went on from a replayed state, since the committed one is not published.
    """

    round: int
    seats: int
    tolerance: float
    failed: dict[int, CheckResult] = field(default_factory=dict)
    failed_together: list[CheckResult] = field(default_factory=list)
    unknown: dict[int, _Unknown] = field(default_factory=dict)
    losses: dict[int, tuple[float, ...]] = field(default_factory=dict)
    residuals: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    intervals: int = 0
    steps: int = 0
    continued: int = 0

    def add(self, result: IntervalResult) -> None:
        """Adds the result of one interval; the order is that of the intervals."""
        where = f"interval {result.interval}"
        if result.unknown:
            self._add_unknown(result, _Unknown(f"{where}: {result.unknown}", result.cause, result.remedy))
            return
        for seat, residual in enumerate(result.residuals):
            self.residuals[seat] = residual + self.residuals[seat] if seat in self.residuals else residual
        if result.difference is not None:
            self._add_difference(result.interval, result.difference)
        elif result.apart is not None and not result.apart <= self.tolerance:
            self._exceed(where, self.tolerance, result.apart, result.interval)
        else:
            # Where any seat differs, the others' honest losses differ from the replay's too.
            self.losses[result.interval] = result.losses
        self.intervals += 1
        self.steps += result.steps
        self.continued += bool(result.continued)

    def limit_sum(self) -> None:
        """Limits the sum of residuals: rounding grows as the square root of their number, steering as the number."""
        if self.intervals < MIN_SUMMED_RESIDUALS:
            return
        limit = 4 * math.sqrt(self.intervals) * self.tolerance
        for residual in self.residuals.values():
            total = float(np.linalg.norm(residual))
            if not total <= limit:
                self._exceed(f"sum over {self.intervals} intervals", limit, total)

    def row_of(self, seat: int, passed: str) -> CheckResult:
        """The row of one seat.

        Args:
            passed: what the row says where every interval agreed.
        """
        if seat in self.failed:
            return self.failed[seat]
        row = CheckResult(Check.REPLAY, Verdict.PASS, f"seat {seat}", passed, self.round, seat)
        why = self.unknown.get(seat)
        if why is None:
            return row
        return replace(row, verdict=Verdict.INCONCLUSIVE, detail=why.text, cause=why.cause, remedy=why.remedy)

    def _add_unknown(self, result: IntervalResult, why: _Unknown) -> None:
        """An interval that could not be replayed; a committed start that is no state of its seat's convicts the seat.

        What was taken over from an earlier round is judged there, and what is the owner's by its own check.
        """
        seat = result.contradicted if result.contradicted in range(self.seats) else None
        if seat is not None:
            where, sides = f"interval {result.interval}", (result.expected, result.actual)
            row = CheckResult(Check.REPLAY, Verdict.FAIL, where, result.unknown, self.round, seat, *sides)
            self.failed.setdefault(seat, replace(row, interval=result.interval))
        self._leave_unjudged(seat, why)

    def _add_difference(self, interval: int, difference: Difference) -> None:
        """Convicts one seat, or a pair without saying which of them; the other seats cannot be judged."""
        who = " and ".join(map(str, difference.seats))
        expected = "0x" + difference.expected.hex()
        if difference.expected == NOT_FINITE:
            expected = "nothing: training from the committed states diverges here"
        alone = difference.seat if len(difference.seats) == 1 else None
        row = CheckResult(
            Check.REPLAY,
            Verdict.FAIL,
            f"seats {who}" if alone is None else f"step {difference.step}",
            f"the {difference.field} committed for step {difference.step} is not what state, data and labels give",
            self.round,
            alone,
            expected,
            "0x" + difference.actual.hex(),
            step=difference.step,
            interval=interval,
            field=difference.field,
            seats=difference.seats if alone is None else (),
        )
        if alone is None:
            self.failed_together.append(row)
        else:
            self.failed.setdefault(alone, row)
        why = f"interval {interval} cannot be judged past step {difference.step}, where seat {who} differs"
        self._leave_unjudged(alone, _Unknown(why))

    def _exceed(self, subject: str, limit: float, distance: float, interval: int | None = None) -> None:
        """States that are too far apart: this class cannot tell a lie from its own rounding, nor whose it is."""
        detail = "a committed state differs from the replayed one by more than the tolerance between runtime classes"
        sides = f"<= {limit:.1e}", f"{distance:.1e}"
        row = CheckResult(Check.REPLAY, Verdict.INCONCLUSIVE, subject, detail, self.round, None, *sides)
        remedy = "audit on a machine of the job's runtime class, which can name a seat"
        self.failed_together.append(replace(row, interval=interval, cause=Cause.MACHINE, remedy=remedy))
        self._leave_unjudged(None, _Unknown(f"{subject}: {detail}", Cause.MACHINE, remedy))

    def _leave_unjudged(self, convicted: int | None, why: _Unknown) -> None:
        for seat in range(self.seats):
            if seat != convicted:
                self.unknown.setdefault(seat, why)


def judge(artifacts: Artifacts, replay: RoundReplay) -> tuple[CheckResult, ...]:
    """The rows of a replayed round: one a seat, then what could not be pinned on one."""
    how = "bitwise equal" if artifacts.same_class else f"within relative L2 {replay.tolerance:g}"
    passed = f"{replay.intervals} of {artifacts.intervals} intervals replayed, {how}"
    if replay.continued:
        passed += f"; {replay.continued} of them from the replayed end of the interval before, which is the committed"
        passed += " state that nobody published"
    return (*(replay.row_of(seat, passed) for seat in range(replay.seats)), *replay.failed_together)


def replay_intervals(
    artifacts: Artifacts,
    round_: int,
    intervals: Sequence[int],
    executor: Executor = HERE,
    journal: Journal | None = None,
    tell: Tell = unheard,
) -> RoundReplay:
    """Replays intervals; an interval whose artifacts are absent or damaged leaves its seats unjudged.

    Args:
        executor: who computes.
        journal: results of an audit that was interrupted, and where new ones are kept.
        tell: called with the number of results so far.
    """
    replay = RoundReplay(round_, artifacts.history.params.seats, artifacts.spec.replay.tolerance)
    for done, result in enumerate(executor.replay(artifacts, round_, sorted(intervals), journal), start=1):
        replay.add(result)
        tell(done)
    replay.limit_sum()
    return replay
