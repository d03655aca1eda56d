"""A whole job in one CAR file: packed from a record and a store, and audited from nothing else.

The file's one root is a ``JobBundle``, so that a node that has imported the file can pin, walk and export the job by
that name. The same record and artifacts give the same file, byte for byte.
"""

from __future__ import annotations

import io
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from multiformats import CID

from clicooper.access.grants import AuditKeys
from clicooper.audit.auditor import FULL, Plan, Progress, audit_record, silent
from clicooper.audit.checks.frame import guarded
from clicooper.audit.checks.store import check_store
from clicooper.audit.replay.unpublished import unpublished_states
from clicooper.audit.verdict import AuditReport, Check, CheckResult
from clicooper.chain.record import MAX_RECORD_BYTES, JobRecord, record_from_json, record_to_json
from clicooper.commitments.bundle import JobBundle
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, CarError, CliCooperError, GraphTooLarge, RecordError
from clicooper.files import whole_file
from clicooper.history.dag_roots import find_dag_roots
from clicooper.history.follow import follow_record
from clicooper.storage.base import Store, get_bytes
from clicooper.storage.car_store import CarStore
from clicooper.storage.ipld.car import write_car
from clicooper.storage.ipld.cid import build_file
from clicooper.storage.ipld.graph import walk
from clicooper.types import Verdict

__all__ = ["PackedJob", "audit_car", "pack_job", "read_bundle"]


@dataclass(frozen=True)
class PackedJob:
    """What was written: the root's name, and the number of blocks.

    Attributes:
        left_out: attached roots of the record whose graphs the store does not hold intact.
    """

    root: CID
    blocks: int
    left_out: tuple[CID, ...]


def pack_job(record: JobRecord, store: Store, target: Path, *, attach: Sequence[CID] = ()) -> PackedJob:
    """Writes a job's CAR file, whole or not at all.

    Args:
        record: the job's events; its record.json goes into the file.
        store: where the artifacts are.
        attach: roots to take along besides, such as an auditor's grant; each must be whole.

    Raises:
        RecordError: the record's events do not follow from each other.
        ArtifactMissing, ArtifactCorrupt: a block that the job needs is not there or not intact; nothing is written.
        SpecError: the job has more manifests than one block can link, about 25,000.
        StorageError: the store cannot be read, or the file cannot be written.
    """
    history = follow_record(record)
    roots, unpublished = find_dag_roots(history), unpublished_states(history, store)
    extra = {cid: _is_whole(store, cid) for cid in roots.attached if cid not in attach}
    attached = (*(cid for cid, whole in extra.items() if whole), *dict.fromkeys(attach))
    own = dict(build_file(io.BytesIO(record_to_json(record))))
    bundle = JobBundle(record=list(own)[-1], spec=roots.spec, manifests=roots.manifests, attachments=attached)
    own[bundle.cid] = bundle.to_block()

    def get_block(cid: CID) -> bytes:
        return own[cid] if cid in own else store.get_block(cid)

    def pass_over(cid: CID, error: ArtifactMissing | ArtifactCorrupt) -> None:
        if cid not in unpublished:
            raise error

    with whole_file(target) as stream:
        blocks = write_car(stream, [bundle.cid], walk(get_block, [bundle.cid], on_bad=pass_over))
    return PackedJob(bundle.cid, blocks, tuple(cid for cid, whole in extra.items() if not whole))


def _is_whole(store: Store, root: CID) -> bool:
    try:
        for _ in walk(store.get_block, [root]):
            pass
    except (ArtifactMissing, ArtifactCorrupt, GraphTooLarge):
        return False
    return True


def read_bundle(store: CarStore) -> tuple[JobBundle, bytes]:
    """The bundle that a CAR file is for, and the bytes of its record.

    Raises:
        SpecError: the file is for something else than one job.
        ArtifactMissing, ArtifactCorrupt: the bundle or its record is not there or not intact.
    """
    bundle = JobBundle.from_block(store.get_block(store.roots[0]))
    return bundle, get_bytes(store, bundle.record, max_bytes=MAX_RECORD_BYTES)


def audit_car(
    path: Path,
    keys: AuditKeys,
    *,
    trusted_models: Collection[str] = frozenset(),
    plan: Plan = FULL,
    progress: Progress = silent,
) -> AuditReport:
    """Judges a job from its CAR file alone, which may be damaged.

    Damage of the file's structure, its bundle or its record leaves no history to judge: it is a row like any other.

    Raises:
        StorageError: the file cannot be read.
    """
    started = time.perf_counter()
    try:
        with CarStore(path) as store:
            rows, record = _read_record(store, path.name)
            if record is None:
                return AuditReport.without_replay(path.name, rows, time.perf_counter() - started)
            report = audit_record(record, store, keys, trusted_models=trusted_models, plan=plan, progress=progress)
    except CarError as e:
        row = CheckResult.of_error(Check.ARTIFACTS, path.name, e)
        return AuditReport.without_replay(path.name, (row,), time.perf_counter() - started)
    return report.with_rows(rows)


def _read_record(store: CarStore, name: str) -> tuple[tuple[CheckResult, ...], JobRecord | None]:
    """The record in a file, and what its bundle shows; without a record, all that can be said."""
    check = Check.ARTIFACTS
    try:
        bundle, data = read_bundle(store)
        check = Check.RECORD
        record = record_from_json(data)
    except CliCooperError as e:
        rows = guarded(Check.ARTIFACTS, "store", partial(check_store, store))
        return (CheckResult.of_error(check, name, e), *rows), None
    return guarded(Check.ARTIFACTS, "bundle", partial(_check_bundle, bundle, record)), record


def _check_bundle(bundle: JobBundle, record: JobRecord) -> Iterator[CheckResult]:
    """The bundle lists what its record names; a record that cannot be followed is judged by its own row."""
    try:
        roots = find_dag_roots(follow_record(record))
    except RecordError:
        return
    differs = (bundle.spec, *bundle.manifests) != roots.required
    verdict = Verdict.FAIL if differs else Verdict.PASS
    detail = "lists other artifacts than its record names" if differs else "lists what its record names"
    yield CheckResult(Check.ARTIFACTS, verdict, str(bundle.cid), detail)
