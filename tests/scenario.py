"""Whole jobs for tests, made by the library on an embedded node: honest ones, and ones with a cheat in a seat."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from multiformats import CID

from clicooper.access.grants import AuditKeys, Grant, write_grants
from clicooper.access.sealing import new_identity
from clicooper.audit.auditor import audit_record
from clicooper.audit.verdict import AuditReport, Check, CheckResult
from clicooper.chain.client import Contract
from clicooper.chain.record import JobRecord, write_record
from clicooper.chain.rpc.node import Node
from clicooper.cli.main import main
from clicooper.commitments.manifest import SegmentManifest
from clicooper.config import JobConfig
from clicooper.errors import SpecError
from clicooper.files import write_secret
from clicooper.learning.runtime import use_threads
from clicooper.learning.training import TrainedSegment, train_round
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.job import JobParties, OpenJob, finish_job, open_job, run_rounds
from clicooper.protocol.round import SettledRound, commit_in_order, start_workers, train_segments
from clicooper.protocol.trainer import Trainer
from clicooper.storage.ipld.cid import cid_text
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Head, JobId, Verdict
from tests.simulators import MemoryStore

__all__ = [
    "FinishedRun",
    "Printed",
    "Rehearsal",
    "audit_command",
    "block_file",
    "checks",
    "failures",
    "finished_run",
    "grants_in",
    "grants_of",
    "keys_of",
    "quiet",
    "rehearsal",
    "resealed",
    "rows",
    "seating",
    "tiny_config",
    "unlinked",
]

Printed = dict[str, Any]

TINY: Mapping[str, Any] = {
    "seed": 1,
    "trainers": 2,
    "rounds": 2,
    "steps": 4,
    "interval": 2,
    "batch": 32,
    "samples": 2,
    "learning_rate": 0.05,
    "head_records": 120,
    "mark_bits": 64,
    "widths": (256, 256, 256, 256),
    "mechanism": "gaussian",
    "epsilon": 4.0,
    "group": 4,
    "gamma": 4,
}
"""The smallest job on real digits whose segments hold their marks and learn more than the most frequent class."""


def tiny_config(**changes: Any) -> JobConfig:
    """A job of some seconds; with more than two trainers its widths and marks are the defaults."""
    settings = {**TINY, **changes}
    if settings["trainers"] > 2:
        settings |= {"widths": (), "mark_bits": 128}
    return JobConfig(**settings)


def quiet(what: str, done: int, total: int) -> None:
    """The progress of work that nobody watches."""


@dataclass(frozen=True)
class Rehearsal:
    """An open job with all its parties in this process."""

    folder: RunFolder
    store: LocalStore
    parties: JobParties
    opened: OpenJob

    def train_and_commit(
        self,
        round_: int = 0,
        last: Sequence[CommittedSegment] = (),
        seats: int | None = None,
        *,
        vouched: bool = False,
    ) -> tuple[CommittedSegment, ...]:
        """A round up to its last commit, or that of the first ``seats`` seats, without the owner's verdict.

        Args:
            vouched: whether neighbours exchange receipts; where all of them collude, they do not.
        """
        trainers = self.opened.trainers
        previous = tuple(before.manifest for before in last) or (None,) * len(trainers)
        if vouched:
            trained = train_segments(trainers, round_, self.head, previous, quiet)
        else:
            trained = self._train_unvouched(round_, previous)
        return commit_in_order(trainers[:seats], round_, self.head, trained[:seats], previous[:seats])

    def _train_unvouched(self, round_: int, previous: Sequence[SegmentManifest | None]) -> tuple[TrainedSegment, ...]:
        """``train_segments`` without receipts, which the protocol does not know."""
        trainers = self.opened.trainers
        workers, whole = start_workers(trainers, round_, previous)
        done = whole * trainers[0].spec.replay.interval
        train_round(workers, islice(trainers[0].batches(round_), done, None))
        return tuple(worker.finish() for worker in workers)

    def contract(self, seat: int | None = None) -> Contract:
        """The contract as a seat's holder sees it, or its owner."""
        account = self.parties.owner if seat is None else self.parties.trainers[seat]
        return Contract(self.opened.node, self.opened.contract, account)

    @property
    def head(self) -> Head:
        return self.contract().job(self.opened.job).head

    def accepted_rounds(self) -> int:
        return self.contract().job(self.opened.job).round

    def record(self, number: JobId | None = None) -> JobRecord:
        """What the parties' index holds of this job, or of another one, up to the latest block."""
        self.opened.index.sync()
        return self.opened.index.record(self.opened.job if number is None else number)

    def audit(self, keys: AuditKeys | None = None) -> AuditReport:
        return audit_record(self.record(), self.store, self.opened.owner.keys() if keys is None else keys)


@dataclass(frozen=True)
class FinishedRun:
    """An honest job's run folder, complete with record, artifacts and an auditor's grants."""

    rehearsal: Rehearsal
    rounds: tuple[SettledRound, ...]
    record: JobRecord
    keys: AuditKeys

    @property
    def root(self) -> Path:
        return self.rehearsal.folder.root


@contextmanager
def rehearsal(
    root: Path,
    config: JobConfig | None = None,
    make_trainer: Callable[..., Trainer] = Trainer,
    connect: Callable[[], AbstractContextManager[Node]] = Node.embedded,
) -> Iterator[Rehearsal]:
    """A job on a node, by default a fresh embedded one, up to its first labels; computes on one thread."""
    config = config or tiny_config()
    folder = RunFolder.create(root)
    store, parties = LocalStore(folder.store), JobParties.drawn(config)
    with use_threads(1), connect() as node:
        yield Rehearsal(folder, store, parties, open_job(config, parties, node, store, folder, make_trainer))


def finished_run(root: Path, config: JobConfig | None = None) -> FinishedRun:
    """An honest job, run, paid and written to ``root``."""
    with rehearsal(root, config) as job:
        rounds = run_rounds(job.opened, quiet)
        record = finish_job(job.opened)
        identity, recipient = new_identity()
        write_secret(job.folder.auditor / "identity.txt", identity.encode() + b"\n")
        keys = job.opened.owner.keys()
        write_grants(job.folder.auditor, keys, recipient)
        write_record(job.folder.record, record)
        job.folder.finish()
        return FinishedRun(job, rounds, record, keys)


def seating(cheats: Mapping[int, type[Trainer]]) -> Callable[..., Trainer]:
    """Seats these trainers, and honest ones elsewhere."""

    def make_trainer(seat: int, *rest: Any) -> Trainer:
        return cheats.get(seat, Trainer)(seat, *rest)

    return make_trainer


def audit_command(root: Path, *options: str) -> tuple[int, Printed]:
    """Exit code and JSON object of ``clicooper audit --json``, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["audit", str(root), "--json", "--quiet", *options])
    printed = json.loads(out.getvalue())
    assert printed["code"] == code, printed
    assert printed["ok"] is (code == 0), printed
    return code, printed


def rows(printed: Printed, verdict: str) -> list[dict[str, Any]]:
    """The rows of a printed audit that have a verdict."""
    return [row for row in printed["checks"] if row["verdict"] == verdict]


def checks(printed: Printed, verdict: str) -> set[str]:
    """The names of the checks among them."""
    return {row["check"] for row in rows(printed, verdict)}


def failures(rows: Sequence[CheckResult]) -> set[tuple[Check, int | None]]:
    """Check and seat of every row that failed."""
    return {(row.check, row.seat) for row in rows if row.verdict is Verdict.FAIL}


def keys_of(job: Rehearsal, *rounds: Sequence[CommittedSegment]) -> AuditKeys:
    """What owner and trainers together can grant of these rounds."""
    progress = {(segment.round, segment.seat): segment.progress_key for segments in rounds for segment in segments}
    return replace(job.opened.owner.keys(), progress=progress)


def grants_of(run: FinishedRun | Rehearsal) -> list[CID]:
    """The Grant blocks of a run's store."""
    return grants_in(run.store if isinstance(run, Rehearsal) else run.rehearsal.store)


def grants_in(store: LocalStore | MemoryStore) -> list[CID]:
    """The Grant blocks of a store: the only ones that two runs of one seed do not share."""
    return [cid for cid in store.cids() if cid.codec.name == "dag-cbor" and _is_grant(store.get_block(cid))]


def unlinked(run: FinishedRun) -> set[str]:
    """The names of blocks that nothing leads to: what the owner granted, told to its recipients alone."""
    owner = bytes.fromhex(run.record.events[0].event.owner[2:])  # type: ignore[union-attr]
    store = run.rehearsal.store
    return {cid_text(cid) for cid in grants_of(run) if Grant.from_block(store.get_block(cid)).author == owner}


def _is_grant(block: bytes) -> bool:
    try:
        return bool(Grant.from_block(block))
    except SpecError:
        return False


def resealed(content: Mapping[str, Any]) -> bytes:
    """The record file that a forger writes: changed content under a fitting digest."""
    body = {key: value for key, value in content.items() if key != "sha256"}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return (json.dumps(body | {"sha256": hashlib.sha256(canonical).hexdigest()}, indent=2) + "\n").encode()


def block_file(store: Path, cid: CID) -> Path:
    """Where a folder store keeps a block."""
    (path,) = store.rglob(cid_text(cid))
    return path
