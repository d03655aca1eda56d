"""What the replayed intervals of a round add up to: a row for every seat.

Within a runtime class every tensor digest must be equal, and the first difference in causal order names the
seat that deviated. In another class digests cannot be compared: the states at interval ends must then agree
within the spec's tolerance, and so must the sum of their residuals, since rounding does not add up.

Findings are taken in the order of their intervals, whoever computed them when: equal findings give equal rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.replay.executors import HERE, Executor, Tell, unheard
from clicooper.audit.replay.intervals import MAX_CROSS_CLASS_STEPS, IntervalResult
from clicooper.audit.replay.journal import Journal
from clicooper.audit.verdict import Check, CheckResult
from clicooper.types import Verdict

__all__ = ["MAX_CROSS_CLASS_STEPS", "RoundReplay", "judge", "replay_intervals"]

MIN_SUMMED_RESIDUALS = 17


@dataclass
class RoundReplay:
    """What the replay of a round's intervals showed.

    Attributes:
        failed: by seat, the row that convicts it.
        unattributed: rows that convict somebody, where nothing tells the seats apart.
        unknown: by seat, why an interval of it could not be judged.
        losses: training loss of every step, by interval in which all seats agreed with the replay.
        residuals: between classes, by seat, the sum of its relative residuals.
        intervals, steps: how much was replayed.
        continued: intervals that went on from a replayed state, since the committed one is not published.
    """

    round: int
    failed: dict[int, CheckResult] = field(default_factory=dict)
    unattributed: list[CheckResult] = field(default_factory=list)
    unknown: dict[int, str] = field(default_factory=dict)
    losses: dict[int, tuple[float, ...]] = field(default_factory=dict)
    residuals: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    intervals: int = 0
    steps: int = 0
    continued: int = 0

    def rows(self, seats: int, total: int, how: str) -> tuple[CheckResult, ...]:
        """One row a seat, then what could not be pinned on one."""
        passed = f"{self.intervals} of {total} intervals replayed, {how}"
        if self.continued:
            passed += f"; {self.continued} of them from the replayed end of the interval before, which is the committed"
            passed += " state that nobody published"
        return (*(self._row(seat, passed) for seat in range(seats)), *self.unattributed)

    def _row(self, seat: int, passed: str) -> CheckResult:
        if seat in self.failed:
            return self.failed[seat]
        verdict = Verdict.INCONCLUSIVE if seat in self.unknown else Verdict.PASS
        return CheckResult(Check.REPLAY, verdict, f"seat {seat}", self.unknown.get(seat, passed), self.round, seat)

    def blame(self, culprits: Sequence[int], row: CheckResult, seats: Sequence[int], why: str) -> None:
        """Convicts one seat, or a pair without saying which of them; the other seats cannot be judged."""
        if len(culprits) == 1:
            self.failed.setdefault(culprits[0], row)
        else:
            self.unattributed.append(row)
        for seat in seats:
            if [*culprits] != [seat]:
                self.unknown.setdefault(seat, why)


def judge(artifacts: Artifacts, result: RoundReplay) -> tuple[CheckResult, ...]:
    """The rows of a replayed round."""
    how = "bitwise equal" if artifacts.same_class else f"within relative L2 {artifacts.spec.replay.tolerance:g}"
    return result.rows(artifacts.history.params.seats, artifacts.intervals, how)


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
        journal: findings of an audit that was interrupted, and where new ones are kept.
        tell: called with the number of findings so far.
    """
    result = RoundReplay(round_)
    seats, tolerance = range(artifacts.history.params.seats), artifacts.spec.replay.tolerance
    for done, finding in enumerate(executor.findings(artifacts, round_, sorted(intervals), journal), start=1):
        _take(result, finding, seats, tolerance)
        tell(done)
    _limit_sum(result, tolerance)
    return result


def _take(result: RoundReplay, finding: IntervalResult, seats: Sequence[int], tolerance: float) -> None:
    """Adds one finding; the order is that of the intervals."""
    if finding.misfit is not None:
        _convict_misfit(result, finding, finding.misfit, seats)
        return
    if finding.unknown:
        for seat in seats:
            result.unknown.setdefault(seat, f"interval {finding.interval}: {finding.unknown}")
        return
    if finding.apart is None:
        agrees = _agrees_bitwise(result, finding, seats)
    else:
        agrees = _agrees_closely(result, finding, finding.apart, seats, tolerance)
    if agrees:
        # Where any seat differs, the others' honest losses differ from the replay's too.
        result.losses[finding.interval] = finding.losses
    result.intervals += 1
    result.steps += finding.steps
    result.continued += bool(finding.continued)


def _convict_misfit(result: RoundReplay, finding: IntervalResult, seat: int, seats: Sequence[int]) -> None:
    """Convicts a seat by a state that it committed and nobody can train on; interval 0's is of an earlier round."""
    why = f"interval {finding.interval}: {finding.unknown}"
    row = CheckResult(Check.REPLAY, Verdict.FAIL, f"interval {finding.interval}", finding.unknown, result.round, seat)
    if finding.interval:
        result.blame((seat,), row, seats, why)
    else:
        result.unknown.update({other: why for other in seats if other not in result.unknown})


def _agrees_bitwise(result: RoundReplay, finding: IntervalResult, seats: Sequence[int]) -> bool:
    difference = finding.difference
    if difference is None:
        return True
    who = " and ".join(map(str, difference.seats))
    alone = len(difference.seats) == 1
    row = CheckResult(
        Check.REPLAY,
        Verdict.FAIL,
        f"step {difference.step}" if alone else f"seats {who}",
        f"the {difference.field} committed for step {difference.step} is not what state, data and labels give",
        result.round,
        difference.seat if alone else None,
        "0x" + difference.expected.hex(),
        "0x" + difference.actual.hex(),
    )
    why = f"interval {finding.interval} cannot be judged past step {difference.step}, where seat {who} differs"
    result.blame(difference.seats, row, seats, why)
    return False


def _agrees_closely(
    result: RoundReplay, finding: IntervalResult, distance: float, seats: Sequence[int], tolerance: float
) -> bool:
    """Compares the states at an interval's end; a lie of one seat moves all of them, so no seat is named."""
    for seat, residual in enumerate(finding.residuals):
        result.residuals[seat] = residual + result.residuals[seat] if seat in result.residuals else residual
    if distance <= tolerance:
        return True
    _exceeds(result, len(seats), f"interval {finding.interval}", tolerance, distance)
    return False


def _limit_sum(result: RoundReplay, tolerance: float) -> None:
    """Limits the sum of residuals: rounding grows as the square root of their number, steering as the number."""
    if result.intervals < MIN_SUMMED_RESIDUALS:
        return
    limit = 4 * math.sqrt(result.intervals) * tolerance
    for residual in result.residuals.values():
        total = float(np.linalg.norm(residual))
        if not total <= limit:
            _exceeds(result, len(result.residuals), f"sum over {result.intervals} intervals", limit, total)


def _exceeds(result: RoundReplay, seats: int, subject: str, limit: float, distance: float) -> None:
    detail = "a committed state differs from the replayed one by more than rounding"
    row = CheckResult(
        Check.REPLAY, Verdict.FAIL, subject, detail, result.round, None, f"<= {limit:.1e}", f"{distance:.1e}"
    )
    result.unattributed.append(row)
    for seat in range(seats):
        result.unknown.setdefault(seat, f"{subject} differs, and another runtime class cannot tell whose fault it is")
