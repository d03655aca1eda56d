"""Doing the work again: intervals of a round, jointly over all seats, from their committed states.

Within a runtime class every tensor digest must be equal, and the first difference in causal order names the
seat that deviated. In another class digests cannot be compared: the states at interval ends must then agree
within the spec's tolerance, and so must the sum of their residuals, since rounding does not add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from clicooper.audit.evidence import Evidence
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.manifest import StateLinks
from clicooper.errors import CliCooperError, SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.replay import (
    IntervalReplay,
    StateMisfit,
    compare_states,
    first_difference,
    replay_interval,
    summed_residual,
)
from clicooper.types import Verdict

__all__ = ["RoundReplay", "judge", "replay_intervals"]

MAX_CROSS_CLASS_STEPS = 20
"""Rounding differences between runtime classes stay below the tolerance for at most this many steps."""

MIN_SUMMED_RESIDUALS = 17


@dataclass
class RoundReplay:
    """What the replay of a round's intervals showed.

    Attributes:
        failed: by seat, the row that convicts it.
        unattributed: rows that convict somebody, where nothing tells the seats apart.
        unknown: by seat, why an interval of it could not be judged.
        losses: training loss of every step, by interval in which all seats agreed with the replay.
        intervals, steps: how much was replayed.
    """

    round: int
    failed: dict[int, CheckResult] = field(default_factory=dict)
    unattributed: list[CheckResult] = field(default_factory=list)
    unknown: dict[int, str] = field(default_factory=dict)
    losses: dict[int, tuple[float, ...]] = field(default_factory=dict)
    pairs: dict[int, list[tuple[State, State]]] = field(default_factory=dict)
    intervals: int = 0
    steps: int = 0

    def rows(self, seats: int, total: int, how: str) -> tuple[CheckResult, ...]:
        """One row a seat, then what could not be pinned on one."""
        passed = f"{self.intervals} of {total} intervals replayed, {how}"
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


def judge(evidence: Evidence, result: RoundReplay) -> tuple[CheckResult, ...]:
    """The rows of a replayed round."""
    how = "bitwise equal" if _same_class(evidence) else f"within relative L2 {evidence.spec.replay.tolerance:g}"
    return result.rows(evidence.history.params.seats, evidence.intervals, how)


def replay_intervals(evidence: Evidence, round_: int, intervals: Sequence[int]) -> RoundReplay:
    """Replays intervals; an interval whose artifacts are absent or damaged leaves its seats unjudged."""
    result = RoundReplay(round_)
    for interval in intervals:
        try:
            _replay_one(evidence, interval, result)
        except StateMisfit as e:
            _convict_misfit(evidence, interval, e, result)
        except CliCooperError as e:
            for seat in range(evidence.history.params.seats):
                result.unknown.setdefault(seat, f"interval {interval}: {e.message}")
    _limit_sum(evidence, result)
    return result


def _convict_misfit(evidence: Evidence, interval: int, misfit: StateMisfit, result: RoundReplay) -> None:
    """Convicts a seat by a state that it committed and nobody can train on; interval 0's is of an earlier round."""
    why = f"interval {interval}: {misfit.message}"
    seats = range(evidence.history.params.seats)
    row = CheckResult(Check.REPLAY, Verdict.FAIL, f"interval {interval}", misfit.message, result.round, misfit.seat)
    if interval:
        result.blame((misfit.seat,), row, seats, why)
    else:
        result.unknown.update({seat: why for seat in seats if seat not in result.unknown})


def _same_class(evidence: Evidence) -> bool:
    return evidence.spec.runtime_class == evidence.runtime


def _replay_one(evidence: Evidence, interval: int, result: RoundReplay) -> None:
    spec, seats, round_ = evidence.spec, range(evidence.history.params.seats), result.round
    if not _same_class(evidence) and spec.replay.interval > MAX_CROSS_CLASS_STEPS:
        raise SpecError(
            f"intervals of {spec.replay.interval} steps cannot be compared between runtime classes",
            hint=f"audit on {spec.runtime_class}",
        )
    replay = replay_interval(
        spec,
        round_,
        interval,
        [evidence.state(evidence.start_state(round_, seat, interval)) for seat in seats],
        evidence.activations,
        evidence.pseudo_labels_until(round_),
    )
    compare = _compare_digests if _same_class(evidence) else _compare_end_states
    if compare(evidence, interval, replay, result):
        # Where any seat differs, the others' honest losses differ from the replay's too.
        result.losses[interval] = replay.losses
    result.intervals += 1
    result.steps += replay.steps_count


def _compare_digests(evidence: Evidence, interval: int, replay: IntervalReplay, result: RoundReplay) -> bool:
    seats = range(evidence.history.params.seats)
    difference = first_difference([evidence.transcript(result.round, seat) for seat in seats], replay)
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
    why = f"interval {interval} cannot be judged past step {difference.step}, where seat {who} differs"
    result.blame(difference.seats, row, seats, why)
    return False


def _compare_end_states(evidence: Evidence, interval: int, replay: IntervalReplay, result: RoundReplay) -> bool:
    """Compares the states at an interval's end; a lie of one seat moves all of them, so no seat is named.

    The optimizer's too: honest weights beside an invented momentum would be carried away by the next honest step.
    """
    distances: list[float] = []
    for seat, (weights, moments) in enumerate(replay.end_states):
        committed, committed_moments = evidence.state(_end_state(evidence, result.round, seat, interval))
        distances += [_apart(weights, committed), _apart(moments, committed_moments or {})]
        if math.isfinite(distances[-2]):
            result.pairs.setdefault(seat, []).append((weights, committed))
    tolerance = evidence.spec.replay.tolerance
    if max(distances) <= tolerance:
        return True
    _exceeds(result, len(replay.end_states), f"interval {interval}", tolerance, max(distances))
    return False


def _apart(replayed: State, committed: State) -> float:
    """Relative distance; infinite between states of other tensors, such as those of an optimizer that never stepped."""
    try:
        return compare_states(replayed, committed)
    except SpecError:
        return math.inf


def _limit_sum(evidence: Evidence, result: RoundReplay) -> None:
    """Limits the sum of residuals: rounding grows as the square root of their number, steering as the number."""
    for pairs in result.pairs.values():
        if len(pairs) >= MIN_SUMMED_RESIDUALS:
            limit = 4 * math.sqrt(len(pairs)) * evidence.spec.replay.tolerance
            total = summed_residual(pairs)
            if total > limit:
                _exceeds(result, len(result.pairs), f"sum over {len(pairs)} intervals", limit, total)


def _exceeds(result: RoundReplay, seats: int, subject: str, limit: float, distance: float) -> None:
    detail = "a committed state differs from the replayed one by more than rounding"
    row = CheckResult(
        Check.REPLAY, Verdict.FAIL, subject, detail, result.round, None, f"<= {limit:.1e}", f"{distance:.1e}"
    )
    result.unattributed.append(row)
    for seat in range(seats):
        result.unknown.setdefault(seat, f"{subject} differs, and another runtime class cannot tell whose fault it is")


def _end_state(evidence: Evidence, round_: int, seat: int, interval: int) -> StateLinks:
    manifest = evidence.manifest(round_, seat)
    states = manifest.transcript.states
    if interval < len(states):
        return states[interval]
    return StateLinks(weights=manifest.trained, optimizer=manifest.optimizer)
