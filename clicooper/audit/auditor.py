"""An audit: follow the record, then judge every claim that its artifacts make.

``audit_record`` is what anyone runs over a whole history, ``audit_files`` the same over files that may be damaged. The
checks of a round are in ``rounds``, where an owner takes them from before it pays. A ``Plan`` says how much is
replayed, and by whom; the verdict on what is replayed does not depend on the latter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from multiformats import CID

from clicooper import __version__
from clicooper.access.grants import AuditKeys
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import guarded
from clicooper.audit.checks.payment import check_payment
from clicooper.audit.checks.record import check_grant, check_history, check_seat, is_open_end
from clicooper.audit.checks.release import check_release
from clicooper.audit.checks.replay import RoundReplay
from clicooper.audit.checks.store import check_store, find_unsampled
from clicooper.audit.checks.terms import check_terms_of_job
from clicooper.audit.replay.executors import HERE, Executor
from clicooper.audit.replay.journal import Journal
from clicooper.audit.replay.sampling import Draw, Sample
from clicooper.audit.replay.unpublished import unpublished_states
from clicooper.audit.rounds import check_commitments, examine_round
from clicooper.audit.verdict import AuditReport, Check, CheckResult, Replayed, Sampled, combine
from clicooper.chain.record import JobRecord, read_record_bytes, record_from_json
from clicooper.errors import RecordError, StorageError
from clicooper.history.dag_roots import find_dag_roots
from clicooper.history.follow import follow_record
from clicooper.history.history import History
from clicooper.history.timeline import make_timeline
from clicooper.storage.base import Store
from clicooper.storage.local import LocalStore
from clicooper.types import ACCUSED_OWNER, Address, Verdict

__all__ = ["FULL", "Plan", "Progress", "audit_files", "audit_record", "parties_of", "silent"]

STORE_MARKER = "clicooper-store"
"""The file by which a folder says that it is a store; what the row about it is about."""

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) as the audit goes on."""


@dataclass(frozen=True)
class Plan:
    """How an audit goes about it.

    Attributes:
        sample: what is drawn; None to replay everything.
        executor: who replays.
        journals: folder in which what was replayed is kept, so that an interrupted audit goes on; None keeps nothing.
        fresh: forget what an interrupted audit left.
    """

    sample: Sample | None = None
    executor: Executor = HERE
    journals: Path | None = None
    fresh: bool = False


FULL = Plan()
"""Everything, in this process, from the beginning."""


def silent(what: str, done: int, total: int) -> None:
    """Ignores the progress of an audit."""


def audit_record(
    record: JobRecord,
    store: Store,
    keys: AuditKeys,
    *,
    trusted_models: Collection[str] = frozenset(),
    plan: Plan = FULL,
    progress: Progress = silent,
) -> AuditReport:
    """Judges every claim of a job's history, replaying all of its training or a sample.

    Args:
        store: where the artifacts are; every block that the job links is read and hashed, in a sampled audit without
            the states outside of the sample.
        keys: what the auditor was granted; claims under other keys come out inconclusive.
        trusted_models: custom models whose code may run here; the claims of any other come out inconclusive.
        plan: how much is replayed, and by whom.

    Raises:
        WorkersLost: those who were to replay are gone; a journal keeps what they had done.
    """
    started = time.perf_counter()
    try:
        history = follow_record(record)
    except RecordError as e:
        rows = (*_check_store(store), CheckResult.of_error(Check.RECORD, "record", e))
        return AuditReport.without_replay(record.source, rows, time.perf_counter() - started, record.blocks)
    artifacts = Artifacts(history, store, keys, trusted_models)
    draws = None if plan.sample is None else _draw_all(artifacts, plan.sample)
    progress("reading the artifacts", 0, 0)
    unread, unpublished = find_unsampled(artifacts, draws), unpublished_states(history, store)
    rows = _check_store(store, find_dag_roots(history).required, unread, unpublished)
    work = _Work(artifacts, draws, plan.executor, _journal(artifacts, plan), progress)
    found = work.audit()
    settled = combine(row for row in found if not is_open_end(row)) is not Verdict.INCONCLUSIVE
    if work.journal is not None and settled:
        work.journal.finish()
    return AuditReport(
        record.source,
        record.blocks,
        len(history.commitments),
        (*rows, *found),
        work.replayed(),
        time.perf_counter() - started,
        sampled=_sampled(artifacts, plan.sample, draws, work.confirmed),
        timeline=make_timeline(record, _heads(record, history), work.losses),
        resumed=work.resumed,
        parties=parties_of(history),
    )


def parties_of(history: History) -> dict[tuple[int | None, int], Address]:
    """Who is who: addresses by round and seat, as ``AuditReport.parties`` has them."""
    found: dict[tuple[int | None, int], Address] = {(None, ACCUSED_OWNER): history.owner}
    found |= {(None, seat.seat): seat.trainer for seat in history.seats}
    return found | {(one.round, one.seat): one.trainer for one in history.commitments}


def _draw_all(artifacts: Artifacts, sample: Sample) -> dict[int, Draw]:
    """The draw of every round; where the spec cannot be read, which every check will say, there is nothing to draw."""
    rounds = range(len(artifacts.history.rounds))
    intervals = artifacts.intervals_or(1)
    return {round_: sample.draw(artifacts.history, round_, intervals) for round_ in rounds}


def _sampled(
    artifacts: Artifacts, sample: Sample | None, draws: Mapping[int, Draw] | None, confirmed: Mapping[int, int]
) -> Sampled | None:
    """What was drawn of the rounds in which every seat has committed."""
    if sample is None or draws is None:
        return None
    seats, rounds = artifacts.history.params.seats, artifacts.history.rounds
    complete = {round_: draw for round_, draw in draws.items() if len(rounds[round_].commitments) == seats}
    return Sampled(sample.per_seat, sample.secret, tuple(complete.items()), artifacts.intervals_or(0), confirmed)


def _heads(record: JobRecord, history: History) -> dict[int, str]:
    """The heads that commitments made, by the place of their event."""
    every = [one for round_ in history.rounds for one in (*round_.abandoned, *round_.commitments)]
    made = {(one.logged.block_number, one.logged.log_index): "0x" + one.head.hex() for one in every}
    places = ((logged.block_number, logged.log_index) for logged in record.events)
    return {index: made[place] for index, place in enumerate(places) if place in made}


def _journal(artifacts: Artifacts, plan: Plan) -> Journal | None:
    """Of this very audit: nothing that was replayed under other circumstances counts."""
    if plan.journals is None:
        return None
    history = artifacts.history
    key = {
        "genesis": history.genesis.hex(),
        "head": history.head.hex(),
        "spec": history.params.spec_digest.hex(),
        "runtime": artifacts.runtime,
        "version": __version__,
    }
    return Journal(plan.journals, key, fresh=plan.fresh)


def audit_files(
    record_path: Path,
    store_at: Path | Store,
    keys: AuditKeys,
    *,
    trusted_models: Collection[str] = frozenset(),
    plan: Plan = FULL,
    progress: Progress = silent,
) -> AuditReport:
    """Judges a record and a store as they lie on a disk, or a store elsewhere, whatever has happened to them.

    A damaged record leaves no history to judge, and a damaged store marker no store to read: each is a row of the
    report like any other, and what the other one says is judged all the same.

    Raises:
        StorageError: the record cannot be read, or the store's folder cannot be listed.
    """
    started = time.perf_counter()
    store = _open_store(store_at) if isinstance(store_at, Path) else store_at
    try:
        record = record_from_json(read_record_bytes(record_path))
    except RecordError as e:
        rows = (CheckResult.of_error(Check.RECORD, record_path.name, e), *_check_store(store))
        return AuditReport.without_replay(record_path.name, rows, time.perf_counter() - started)
    if not isinstance(store, CheckResult):
        return audit_record(record, store, keys, trusted_models=trusted_models, plan=plan, progress=progress)
    rows, commitments = _judge_events(record)
    return AuditReport.without_replay(
        record.source, (store, *rows), time.perf_counter() - started, record.blocks, commitments
    )


def _open_store(path: Path) -> LocalStore | CheckResult:
    """The store, or the row that says why the folder cannot be taken for one."""
    try:
        return LocalStore(path)
    except StorageError as e:
        return CheckResult.of_error(Check.ARTIFACTS, STORE_MARKER, e)


def _check_store(
    store: Store | CheckResult,
    roots: Collection[CID] = (),
    unread: frozenset[bytes] = frozenset(),
    unpublished: frozenset[CID] = frozenset(),
) -> tuple[CheckResult, ...]:
    if isinstance(store, CheckResult):
        return (store,)
    return guarded(Check.ARTIFACTS, "store", partial(check_store, store, roots, unread, unpublished))


def _judge_events(record: JobRecord) -> tuple[tuple[CheckResult, ...], int]:
    """What a record shows without any artifact, and how many commitments it holds."""
    try:
        history = follow_record(record)
    except RecordError as e:
        return (CheckResult.of_error(Check.RECORD, "record", e),), 0
    return (*check_history(history), *check_payment(history)), len(history.commitments)


class _Work:
    """The audit of a history under way: what is replayed of each round, and how far it has come."""

    def __init__(
        self,
        artifacts: Artifacts,
        draws: Mapping[int, Draw] | None,
        executor: Executor,
        journal: Journal | None,
        progress: Progress,
    ) -> None:
        self._artifacts, self._draws, self._executor = artifacts, draws, executor
        self.journal, self._progress = journal, progress
        self.losses: dict[int, tuple[tuple[int, float], ...]] = {}
        self.confirmed: dict[int, int] = {}
        self.resumed = 0 if journal is None else journal.count
        self._intervals = self._steps = self._committed_steps = 0

    def audit(self) -> list[CheckResult]:
        """All rows after the record's own, in the order of the history."""
        artifacts, history = self._artifacts, self._artifacts.history
        rows = [*check_history(history)]
        for seat in history.holders:
            # What a record says that a seat registered, nobody vouches for until a node bears it out.
            rows += guarded(Check.RECORD, seat.trainer, partial(check_seat, seat))
            rows += guarded(Check.ARTIFACTS, seat.trainer, partial(check_grant, artifacts, seat))
        rows += guarded(Check.TERMS, "specification", partial(check_terms_of_job, artifacts))
        rows += guarded(Check.RELEASE, "activation release", partial(check_release, artifacts))
        for round_ in range(len(history.rounds)):
            rows += self._audit_round(round_)
        rows += check_payment(history)
        return rows

    def _audit_round(self, round_: int) -> list[CheckResult]:
        draw = None if self._draws is None else self._draws.get(round_)
        intervals = None if draw is None else draw.intervals
        self._tell(round_, 0)
        rows = [*check_commitments(self._artifacts, round_, intervals)]
        found, replay = examine_round(
            self._artifacts, round_, intervals, self._executor, self.journal, partial(self._tell, round_)
        )
        rows += found
        if draw is not None and not draw.intervals and self._artifacts.history.rounds[round_].commitments:
            rows.append(CheckResult(Check.REPLAY, Verdict.INCONCLUSIVE, f"round {round_}", draw.missing, round_))
        if self._artifacts.history.rounds[round_].commitments:
            self._committed_steps += self._artifacts.spec_steps()
        if replay is not None:
            self._intervals, self._steps = self._intervals + replay.intervals, self._steps + replay.steps
            self.confirmed[round_] = len(replay.losses)
            self.losses[round_] = tuple(_numbered(self._artifacts, replay))
        return rows

    def _tell(self, round_: int, done: int) -> None:
        """Progress in intervals over the whole job, so that the time that is left can be told."""
        history = self._artifacts.history
        per_round = 1 if self._draws is not None else self._artifacts.intervals_or(1)
        drawn = [len(draw.intervals) for draw in (self._draws or {}).values()]
        total = sum(drawn) if drawn else per_round * len(history.rounds)
        before = sum(drawn[:round_]) if drawn else per_round * round_
        self._progress(f"round {round_}", before + done, total)

    def replayed(self) -> Replayed:
        """How much work was done again."""
        share = self._steps / self._committed_steps if self._committed_steps else 0.0
        return Replayed(self._intervals, self._steps, share)


def _numbered(artifacts: Artifacts, replay: RoundReplay) -> Iterator[tuple[int, float]]:
    """The losses that replay confirmed, with their steps."""
    for interval, losses in sorted(replay.losses.items()):
        first = interval * artifacts.spec.replay.interval
        yield from ((first + offset, loss) for offset, loss in enumerate(losses))
