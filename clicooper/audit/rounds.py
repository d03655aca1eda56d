"""The checks of one round, in their order: what an audit runs for each, and an owner before it pays.

Read top to bottom this is the list of checks: first those of each commitment, then those of the round. What each
demands is in ``checks``; ``auditor`` runs them over a whole history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.artifacts import check_artifacts
from clicooper.audit.checks.boundary import check_boundary
from clicooper.audit.checks.coverage import check_coverage
from clicooper.audit.checks.embed import check_embed
from clicooper.audit.checks.frame import guarded
from clicooper.audit.checks.labels import check_labels
from clicooper.audit.checks.links import check_links
from clicooper.audit.checks.manifest import check_manifest
from clicooper.audit.checks.mark import check_mark
from clicooper.audit.checks.progress import check_progress
from clicooper.audit.checks.replay import RoundReplay, judge, replay_intervals
from clicooper.audit.checks.state import check_state
from clicooper.audit.replay.executors import HERE, Executor, Tell, unheard
from clicooper.audit.replay.journal import Journal
from clicooper.audit.verdict import Check, CheckResult, Replayed
from clicooper.errors import WorkersLost
from clicooper.history.history import Commitment
from clicooper.types import Verdict

__all__ = ["CommitmentCheck", "check_commitments", "check_round", "examine_round"]

CommitmentCheck = Callable[[Artifacts, Commitment], Iterable[CheckResult]]


def check_commitments(
    artifacts: Artifacts, round_: int, intervals: Sequence[int] | None = None
) -> Iterator[CheckResult]:
    """Everything about a round's commitments that needs no replay, seat by seat.

    Args:
        intervals: whose states are opened; None opens all.
    """
    checks: dict[Check, CommitmentCheck] = {
        Check.MANIFEST: check_manifest,
        Check.LINKS: check_links,
        Check.ARTIFACTS: partial(check_artifacts, intervals=intervals),
        Check.STATE: partial(check_state, intervals=intervals),
        Check.BOUNDARY: check_boundary,
        Check.MARK: check_mark,
        Check.EMBED: check_embed,
    }
    for commitment in artifacts.history.rounds[round_].commitments:
        subject = f"0x{commitment.manifest_digest.hex()}"
        for check, run in checks.items():
            yield from guarded(check, subject, partial(run, artifacts, commitment), round_, commitment.seat)


def check_round(
    artifacts: Artifacts, round_: int, intervals: Sequence[int] | None = None
) -> tuple[tuple[CheckResult, ...], Replayed]:
    """Coverage, labels, replay and progress of a round, replayed in this process.

    Args:
        intervals: which to replay; None replays all.
    """
    rows, replay = examine_round(artifacts, round_, intervals)
    if replay is None:
        return rows, Replayed()
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
    labels = partial(check_labels, artifacts, round_)
    rows = guarded(Check.LABELS, f"labels of round {round_}", labels, round_)
    committed, seats = len(artifacts.history.rounds[round_].commitments), artifacts.history.params.seats
    if not committed:
        # Nothing is claimed that a replay could confirm.
        return rows, None
    if committed < seats:
        why = f"{committed} of {seats} seats have committed: the work cannot be done again"
        return (*rows, CheckResult(Check.REPLAY, Verdict.INCONCLUSIVE, f"round {round_}", why, round_)), None
    coverage = partial(check_coverage, artifacts, round_, intervals)
    rows += guarded(Check.COVERAGE, "batches", coverage, round_, 0)
    if intervals is not None and not intervals:
        return rows, None
    try:
        chosen = range(artifacts.intervals) if intervals is None else intervals
        replay = replay_intervals(artifacts, round_, chosen, executor, journal, tell)
        judged = judge(artifacts, replay)
        # A loss is not the same number in another class, to as many digits as metrics are held to.
        losses = replay.losses if artifacts.same_class else {}
    except WorkersLost:
        raise
    except (Exception, SystemExit) as e:  # noqa: BLE001 - as in ``guarded``
        return (*rows, CheckResult.of_error(Check.REPLAY, f"round {round_}", e, round_=round_)), None
    progress = partial(check_progress, artifacts, round_, losses)
    return (*rows, *judged, *guarded(Check.PROGRESS, "metrics", progress, round_)), replay
