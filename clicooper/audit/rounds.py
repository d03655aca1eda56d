"""The checks of one round, in their order: what an audit runs for each, and an owner before it pays.

Job: which checks, and which of them need the round to be complete. Non-jobs: what each demands (``checks``), and the
whole history (``auditor``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks import claims as checks
from clicooper.audit.checks.progress import check_progress
from clicooper.audit.replay.executors import HERE, Executor, Tell, unheard
from clicooper.audit.replay.journal import Journal
from clicooper.audit.replay.round_replay import RoundReplay, judge, replay_intervals
from clicooper.audit.verdict import Check, CheckResult, Replayed
from clicooper.errors import CliCooperError, WorkersLost
from clicooper.types import Verdict

__all__ = ["check_commitments", "check_round", "examine_round"]


def check_commitments(
    artifacts: Artifacts, round_: int, intervals: Sequence[int] | None = None
) -> Iterator[CheckResult]:
    """Everything about a round's commitments that needs no replay, seat by seat.

    Args:
        intervals: whose states are opened; None opens all.
    """
    for commitment in artifacts.history.rounds[round_].commitments:
        seat = commitment.seat
        subject = f"0x{commitment.manifest_digest.hex()}"
        for check, run in (
            (Check.MANIFEST, checks.check_manifest),
            (Check.LINKS, checks.check_links),
            (Check.ARTIFACTS, partial(checks.check_artifacts, intervals=intervals)),
            (Check.BOUNDARY, checks.check_boundary),
            (Check.MARK, checks.check_mark),
            (Check.EMBED, checks.check_embed),
        ):
            yield from checks.guarded(check, subject, partial(run, artifacts, commitment), round_, seat)


def check_round(
    artifacts: Artifacts, round_: int, intervals: Sequence[int] | None = None
) -> tuple[tuple[CheckResult, ...], Replayed]:
    """Coverage, labels, replay and progress of a round, replayed in this process.

    Args:
        intervals: which to replay; None replays all.
    """
    rows, replay = examine_round(artifacts, round_, intervals)
    if replay is None:
        return rows, Replayed(0, 0, 0.0)
    total = artifacts.spec_steps()
    return rows, Replayed(replay.intervals, replay.steps, replay.steps / total if total else 0.0)


def examine_round(
    artifacts: Artifacts,
    round_: int,
    intervals: Sequence[int] | None,
    executor: Executor = HERE,
    journal: Journal | None = None,
    tell: Tell = unheard,
) -> tuple[tuple[CheckResult, ...], RoundReplay | None]:
    """``check_round`` by any executor, with what the replay showed; None where there was none.

    Raises:
        WorkersLost: those who were to replay are gone.
    """
    rows = checks.guarded(
        Check.LABELS, f"labels of round {round_}", partial(checks.check_labels, artifacts, round_), round_
    )
    committed = len(artifacts.history.rounds[round_].commitments)
    if committed < artifacts.history.params.seats:
        # Where nobody committed anything, nothing is claimed that a replay could confirm.
        why = f"{committed} of {artifacts.history.params.seats} seats have committed: the work cannot be done again"
        unfinished = CheckResult(Check.REPLAY, Verdict.INCONCLUSIVE, f"round {round_}", why, round_)
        return (*rows, *([unfinished] if committed else [])), None
    covered = partial(checks.check_coverage, artifacts, round_, intervals)
    rows += checks.guarded(Check.COVERAGE, "batches", covered, round_, 0)
    if intervals is not None and not intervals:
        return rows, None
    result = None

    def replay() -> Iterator[CheckResult]:
        nonlocal result
        chosen = range(artifacts.intervals) if intervals is None else intervals
        result = replay_intervals(artifacts, round_, chosen, executor, journal, tell)
        yield from judge(artifacts, result)

    try:
        rows += tuple(replay())
    except WorkersLost:
        raise
    except CliCooperError as e:
        rows += (CheckResult.of_error(Check.REPLAY, f"round {round_}", e, round_=round_),)
    if result is None:
        return rows, None
    return (
        *rows,
        *checks.guarded(Check.PROGRESS, "metrics", partial(check_progress, artifacts, result), round_),
    ), result
