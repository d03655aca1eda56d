"""An audit: follow the record, then judge every claim that its artifacts make.

``audit_record`` is what anyone runs over a whole history, ``audit_files`` the same over files that anybody may have
damaged; ``check_commitments`` and ``check_round`` are the parts that an owner runs before it pays for a round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from multiformats import CID

from clicooper.audit import checks
from clicooper.audit.evidence import Evidence
from clicooper.audit.grants import AuditKeys
from clicooper.audit.payment import check_payment
from clicooper.audit.progress import check_progress
from clicooper.audit.replay import judge, replay_intervals
from clicooper.audit.roots import job_roots
from clicooper.audit.state import History, follow_record
from clicooper.audit.unpublished import unpublished_states, without_unpublished
from clicooper.audit.verdict import AuditReport, Check, CheckResult, Replayed
from clicooper.chain.record import JobRecord, record_from_json
from clicooper.errors import RecordError, StorageError
from clicooper.storage.base import Store
from clicooper.storage.local import LocalStore
from clicooper.types import ACCUSED_OWNER, Verdict

__all__ = ["Progress", "audit_files", "audit_record", "check_commitments", "check_round", "silent"]

STORE_MARKER = "clicooper-store"
"""The file by which a folder says that it is a store."""

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) as the audit goes on."""


def silent(what: str, done: int, total: int) -> None:
    """The progress of an audit that nobody watches."""


def audit_record(
    record: JobRecord,
    store: Store,
    keys: AuditKeys,
    *,
    trusted_models: Collection[str] = frozenset(),
    progress: Progress = silent,
    clock: Callable[[], float] = time.perf_counter,
) -> AuditReport:
    """Judges every claim of a job's history, replaying all of its training.

    Args:
        store: where the artifacts are; every block that the job links is read and hashed.
        keys: what the auditor was granted; claims under other keys come out inconclusive.
        trusted_models: custom models whose code may run here; the claims of any other come out inconclusive.
    """
    started = clock()
    replayed = Replayed(0, 0, 0.0)
    commitments = 0
    try:
        history = follow_record(record)
    except RecordError as e:
        rows = [*_store_rows(store), CheckResult.of_error(Check.RECORD, "record", e)]
    else:
        commitments = len(history.commitments)
        in_store = _store_rows(store, job_roots(history).required)
        rows = [*without_unpublished(in_store, unpublished_states(history, store))]
        found, replayed = _audit_history(history, Evidence(history, store, keys, trusted_models), progress)
        rows += found
    return AuditReport(record.source, record.blocks, commitments, tuple(rows), replayed, clock() - started)


def audit_files(
    record_path: Path,
    store_at: Path | Store,
    keys: AuditKeys,
    *,
    trusted_models: Collection[str] = frozenset(),
    progress: Progress = silent,
    clock: Callable[[], float] = time.perf_counter,
) -> AuditReport:
    """Judges a record and a store as they lie on a disk, or a store elsewhere, whatever has happened to them.

    A damaged record leaves no history to judge, and a damaged store marker no store to read: each is a row of the
    report like any other, and what the other one says is judged all the same.

    Raises:
        StorageError: the record cannot be read, or the store's folder cannot be listed.
    """
    started = clock()
    store = _open_store(store_at) if isinstance(store_at, Path) else store_at
    try:
        record = record_from_json(_read(record_path))
    except RecordError as e:
        rows = (CheckResult.of_error(Check.RECORD, record_path.name, e), *_store_rows(store))
        return AuditReport(record_path.name, (0, 0), 0, rows, Replayed(0, 0, 0.0), clock() - started)
    if not isinstance(store, CheckResult):
        return audit_record(record, store, keys, trusted_models=trusted_models, progress=progress, clock=clock)
    rows, commitments = _judge_events(record)
    return AuditReport(
        record.source, record.blocks, commitments, (store, *rows), Replayed(0, 0, 0.0), clock() - started
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        hint = "check the path and its permissions"
        raise StorageError(f"cannot read the record {path}: {e.strerror}", hint=hint) from e


def _open_store(path: Path) -> LocalStore | CheckResult:
    """The store, or the row that says why the folder cannot be taken for one."""
    try:
        return LocalStore(path)
    except StorageError as e:
        verdict = Verdict.FAIL if (path / STORE_MARKER).exists() else Verdict.INCONCLUSIVE
        return CheckResult(Check.ARTIFACTS, verdict, STORE_MARKER, e.message)


def _store_rows(store: Store | CheckResult, roots: Collection[CID] = ()) -> tuple[CheckResult, ...]:
    if isinstance(store, CheckResult):
        return (store,)
    return checks.guarded(Check.ARTIFACTS, "store", partial(checks.check_store, store, roots))


def _judge_events(record: JobRecord) -> tuple[tuple[CheckResult, ...], int]:
    """What a record shows without any artifact, and how many commitments it holds."""
    try:
        history = follow_record(record)
    except RecordError as e:
        return (CheckResult.of_error(Check.RECORD, "record", e),), 0
    return (_followed(history), *check_payment(history)), len(history.commitments)


def _audit_history(history: History, evidence: Evidence, progress: Progress) -> tuple[list[CheckResult], Replayed]:
    """All rows after the record's own, in the order of the history."""
    rows = [_followed(history)]
    for seat in history.holders:
        rows += checks.guarded(Check.RECORD, seat.trainer, partial(checks.check_seat, seat), seat=seat.seat)
        rows += checks.guarded(
            Check.ARTIFACTS, seat.trainer, partial(checks.check_grant, evidence, seat), seat=seat.seat
        )
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


def _followed(history: History) -> CheckResult:
    accepted = f"{history.accepted_rounds} of {history.params.rounds} rounds accepted"
    parts = [f"{len(history.commitments)} commitments", accepted, *_disputed(history), f"head 0x{history.head.hex()}"]
    return CheckResult(Check.RECORD, Verdict.PASS, "state machine", ", ".join(parts))


def _disputed(history: History) -> Iterator[str]:
    """What a job without disputes has none of: it stays visible, though it does not count any more."""
    if abandoned := sum(len(round_.abandoned) for round_ in history.rounds):
        yield f"{abandoned} commitments of abandoned attempts"
    if history.evicted:
        yield f"{len(history.evicted)} seats vacated"
    for challenge in history.challenges:
        accused = "owner" if challenge.accused == ACCUSED_OWNER else f"seat {challenge.accused}"
        yield f"challenge of {accused} in round {challenge.round}: {challenge.outcome.value}"


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
    committed = len(evidence.history.rounds[round_].commitments)
    if committed < evidence.history.params.seats:
        # Where nobody committed anything, nothing is claimed that a replay could confirm.
        why = f"{committed} of {evidence.history.params.seats} seats have committed: the work cannot be done again"
        unfinished = CheckResult(Check.REPLAY, Verdict.INCONCLUSIVE, f"round {round_}", why, round_)
        return (*rows, *([unfinished] if committed else [])), Replayed(0, 0, 0.0)
    rows += checks.guarded(Check.COVERAGE, "batches", partial(checks.check_coverage, evidence, round_), round_, 0)
    result = None

    def replay() -> Iterator[CheckResult]:
        nonlocal result
        chosen = range(evidence.intervals) if intervals is None else intervals
        result = replay_intervals(evidence, round_, chosen)
        yield from judge(evidence, result)

    rows += checks.guarded(Check.REPLAY, f"round {round_}", replay, round_)
    if result is None:
        return rows, Replayed(0, 0, 0.0)
    rows += checks.guarded(Check.PROGRESS, "metrics", partial(check_progress, evidence, result), round_)
    total = evidence.spec_steps()
    return rows, Replayed(result.intervals, result.steps, result.steps / total if total else 0.0)
