"""An audit: follow the record, then judge every claim that its artifacts make.

``audit_record`` is what anyone runs over a whole history; ``check_commitments`` and ``check_round`` are the parts
that an owner runs before it pays for a round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from clicooper.audit import checks
from clicooper.audit.evidence import Evidence
from clicooper.audit.grants import AuditKeys
from clicooper.audit.payment import check_payment
from clicooper.audit.progress import check_progress
from clicooper.audit.replay import judge, replay_intervals
from clicooper.audit.state import History, follow_record
from clicooper.audit.verdict import AuditReport, Check, CheckResult, Replayed
from clicooper.chain.record import JobRecord
from clicooper.errors import RecordError
from clicooper.storage.base import Store
from clicooper.types import Verdict

__all__ = ["audit_record", "check_commitments", "check_round"]

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) as the audit goes on."""


def _silent(what: str, done: int, total: int) -> None:
    """The progress of an audit that nobody watches."""


def audit_record(
    record: JobRecord,
    store: Store,
    keys: AuditKeys,
    *,
    progress: Progress = _silent,
    clock: Callable[[], float] = time.perf_counter,
) -> AuditReport:
    """Judges every claim of a job's history, replaying all of its training.

    Args:
        store: where the artifacts are; every block in it is hashed.
        keys: what the auditor was granted; claims under other keys come out inconclusive.
    """
    started = clock()
    replayed = Replayed(0, 0, 0.0)
    rows: list[CheckResult] = list(checks.check_store(store))
    commitments = 0
    try:
        history = follow_record(record)
    except RecordError as e:
        rows.append(CheckResult.of_error(Check.RECORD, "record", e))
    else:
        commitments = len(history.commitments)
        found, replayed = _audit_history(history, Evidence(history, store, keys), progress)
        rows += found
    return AuditReport(record.source, record.blocks, commitments, tuple(rows), replayed, clock() - started)


def _audit_history(history: History, evidence: Evidence, progress: Progress) -> tuple[list[CheckResult], Replayed]:
    """All rows after the record's own, in the order of the history."""
    accepted = f"{history.accepted_rounds} of {history.params.rounds} rounds accepted"
    events = f"{len(history.commitments)} commitments, {accepted}, head 0x{history.head.hex()}"
    rows = [CheckResult(Check.RECORD, Verdict.PASS, "state machine", events)]
    rows += checks.guarded(Check.RECORD, "key records", partial(checks.check_seats, evidence))
    rows += checks.guarded(Check.RELEASE, "activation release", partial(checks.check_release, evidence))
    intervals = steps = total_steps = 0
    for round_ in range(len(history.rounds)):
        progress(f"round {round_}", round_, len(history.rounds))
        rows += check_commitments(evidence, round_)
        found, replayed = check_round(evidence, round_)
        rows += found
        intervals, steps = intervals + replayed.intervals, steps + replayed.steps
        total_steps += _committed_steps(evidence, round_)
    rows += check_payment(history)
    return rows, Replayed(intervals, steps, steps / total_steps if total_steps else 0.0)


def _committed_steps(evidence: Evidence, round_: int) -> int:
    return evidence.spec_steps() if evidence.history.rounds[round_].commitments else 0


def check_commitments(evidence: Evidence, round_: int) -> Iterator[CheckResult]:
    """Everything about a round's commitments that needs no replay, seat by seat."""
    for commitment in evidence.history.rounds[round_].commitments:
        seat = commitment.seat
        subject = f"0x{commitment.manifest_digest.hex()}"
        for check, run in (
            (Check.MANIFEST, checks.check_manifest),
            (Check.LINKS, checks.check_links),
            (Check.ARTIFACTS, checks.check_artifacts),
            (Check.BOUNDARY, checks.check_boundary),
            (Check.MARK, checks.check_mark),
            (Check.EMBED, checks.check_embed),
        ):
            yield from checks.guarded(check, subject, partial(run, evidence, commitment), round_, seat)


def check_round(
    evidence: Evidence, round_: int, intervals: Sequence[int] | None = None
) -> tuple[tuple[CheckResult, ...], Replayed]:
    """Coverage, labels, replay and progress of a round.

    Args:
        intervals: which to replay; None replays all.
    """
    rows = checks.guarded(
        Check.LABELS, f"labels of round {round_}", partial(checks.check_labels, evidence, round_), round_
    )
    if len(evidence.history.rounds[round_].commitments) < evidence.history.params.seats:
        unfinished = CheckResult(
            Check.REPLAY, Verdict.INCONCLUSIVE, f"round {round_}", "not every seat has committed yet", round_
        )
        return (*rows, unfinished), Replayed(0, 0, 0.0)
    rows += checks.guarded(Check.COVERAGE, "batches", partial(checks.check_coverage, evidence, round_), round_, 0)
    result = None

    def replay() -> Iterator[CheckResult]:
        nonlocal result
        total = evidence.manifest(round_, 0).transcript.intervals
        result = replay_intervals(evidence, round_, range(total) if intervals is None else intervals)
        yield from judge(evidence, result)

    rows += checks.guarded(Check.REPLAY, f"round {round_}", replay, round_)
    if result is None:
        return rows, Replayed(0, 0, 0.0)
    rows += checks.guarded(Check.PROGRESS, "metrics", partial(check_progress, evidence, result), round_)
    share = result.steps / evidence.spec.training.steps
    return rows, Replayed(result.intervals, result.steps, share)
