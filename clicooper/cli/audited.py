"""What ``clicooper audit`` is about: a run folder or a CAR file, the keys to it, and what becomes of a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clicooper.cli.output import Output, Show
from clicooper.cli.stores import audited_store
from clicooper.errors import SpecError, UsageError

if TYPE_CHECKING:
    from multiformats import CID

    from clicooper.access.grants import AuditKeys
    from clicooper.audit.auditor import Plan
    from clicooper.audit.verdict import AuditReport
    from clicooper.config import ClientConfig

__all__ = ["granted_keys", "judged", "note_audit", "packed"]


def granted_keys(config: ClientConfig, job: Path | None, identity: Path | None, grant: str | None) -> AuditKeys:
    """What the auditor was granted, or nothing.

    Raises:
        UsageError: a grant, and nobody who could open it; or one that is neither a file nor a CID.
    """
    from clicooper.access.grants import (  # noqa: PLC0415 - imports torch
        IDENTITY_NAME,
        AuditKeys,
        Grant,
        open_grant,
        read_grants,
        read_identity,
    )
    from clicooper.storage.ipld.cid import parse_cid  # noqa: PLC0415

    found = None if job is None else job / "auditor" / IDENTITY_NAME
    key_file = identity if identity is not None else found if found is not None and found.exists() else None
    if key_file is None:
        if grant is not None:
            raise UsageError("--grant needs the identity that opens it", hint="name its file with --identity")
        return AuditKeys()
    if grant is None or Path(grant).exists():
        return read_grants(key_file, None if grant is None else Path(grant))
    try:
        cid = parse_cid(grant)
    except SpecError as e:
        raise UsageError(f"--grant {grant}: neither a file nor a CID", hint="give what `job grant` printed") from e
    return open_grant(Grant.from_block(_block_of(config, job, cid)), read_identity(key_file))


def _block_of(config: ClientConfig, job: Path | None, cid: CID) -> bytes:
    """A block from wherever the audit finds the job's artifacts."""
    from clicooper.storage.car_store import CarStore  # noqa: PLC0415 - keeps --help fast
    from clicooper.storage.ipfs.ipfs_store import IpfsStore  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    if job is None:
        if config.ipfs_url is None:
            raise UsageError("a grant's CID needs a store that has it", hint="name one with --store ipfs:URL")
        return IpfsStore(config.ipfs_url, timeout_s=config.store_timeout).get_block(cid)
    if job.is_file():
        with CarStore(job) as car:
            return car.get_block(cid)
    store = audited_store(config, RunFolder.open(job, needs_store=config.ipfs_url is None).store)
    return (LocalStore(store) if isinstance(store, Path) else store).get_block(cid)


def judged(
    config: ClientConfig, job: Path, keys: AuditKeys, trusted: frozenset[str], plan: Plan, progress: Show
) -> AuditReport:
    """The audit of a CAR file or of a run folder."""
    from clicooper.audit.auditor import audit_files  # noqa: PLC0415
    from clicooper.audit.bundle import audit_car  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    if job.is_file():
        return audit_car(job, keys, trusted_models=trusted, plan=plan, progress=progress)
    folder = RunFolder.open(job, needs_store=config.ipfs_url is None)
    store = audited_store(config, folder.store)
    return audit_files(folder.record, store, keys, trusted_models=trusted, plan=plan, progress=progress)


def note_audit(output: Output, job: Path) -> None:
    """Notes a passing audit of all the work in the owner's pin set, if there is one: superseded states may go then."""
    from clicooper.chain.record import read_record  # noqa: PLC0415
    from clicooper.errors import StorageError  # noqa: PLC0415
    from clicooper.history.follow import follow_record  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415
    from clicooper.storage.pins.pin_sets import PinSets  # noqa: PLC0415
    from clicooper.storage.pins.retention import JOB_PINS, JobRetention  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    folder = RunFolder.open(job, needs_store=False)
    sets = PinSets(folder.pins)
    pins = sets.load(JOB_PINS)
    if pins is not None and pins.finished and pins.audited is None:
        head = follow_record(read_record(folder.record)).head
        try:
            JobRetention(sets, JOB_PINS, LocalStore(folder.store)).record_audit(head)
        except StorageError as e:
            # A folder that cannot be written is still one that can be audited.
            with output.progress() as progress:
                progress(f"the audit is not noted for clean-ups: {e.message}", 0, 0)


def packed(config: ClientConfig, job: Path, bundle: Path, report: AuditReport) -> dict[str, Any]:
    """What was written, or why nothing was: the verdict on an incomplete job must not be lost with its bundle.

    Raises:
        CliCooperError: an error beside a verdict that passed.
    """
    from clicooper.audit.bundle import pack_job  # noqa: PLC0415
    from clicooper.chain.record import read_record  # noqa: PLC0415
    from clicooper.errors import CliCooperError  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415
    from clicooper.types import Verdict  # noqa: PLC0415

    folder = RunFolder.open(job, needs_store=config.ipfs_url is None)
    store = audited_store(config, folder.store)
    try:
        held = LocalStore(store) if isinstance(store, Path) else store
        done = pack_job(read_record(folder.record), held, bundle)
    except CliCooperError as e:
        if report.verdict is Verdict.PASS:
            raise
        return {"path": None, "why": e.message}
    return {"path": str(bundle), "root": str(done.root), "blocks": done.blocks}
