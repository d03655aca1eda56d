"""The owner's folder: what it keeps of a job, and the owner made again from it by a later process.

    account.key      the key of the account, where the job made one
    identity.txt     the age identity to which every seat grants
    master.key       from which all secret randomness follows
    head.safetensors the head; without it, it is made again
    config.json      the settings that the job was prepared with
    grants.age       what the owner was granted, wrapped to itself
    receipts/        by round, what neighbours signed about what they sent each other, as its receivers have shown it
    ledger.json      releases and their budget

Everything is readable by the owner alone. Which job it is stands beside it in job.json, which is no secret.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount

from clicooper.access.grants import IDENTITY_NAME, AuditKeys, read_grants, read_identity
from clicooper.chain.client import Contract
from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.record import JobRecord
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import JobSpec
from clicooper.config import JobConfig
from clicooper.errors import UsageError
from clicooper.files import read_bounded, write_secret
from clicooper.history.history import History
from clicooper.json_values import parse_json
from clicooper.learning.checkpoint import state_bytes
from clicooper.learning.models import require_trusted
from clicooper.privacy.randomness import MasterSecret
from clicooper.protocol.owner import Owner
from clicooper.protocol.policy import Policy
from clicooper.protocol.preparation.prepare import HEAD_NAME, PreparedJob, restore_job
from clicooper.storage.base import Store
from clicooper.storage.pins.pin_sets import PinSets
from clicooper.storage.pins.retention import JOB_PINS, JobRetention
from clicooper.storage.run_folder import RunFolder
from clicooper.types import JobParams
from clicooper.user_text import decode_text

__all__ = [
    "keep_owner_secrets",
    "keys_to_grant",
    "read_settings",
    "reopen_owner",
]

CONFIG_NAME = "config.json"
MAX_SETTINGS_BYTES = 1 << 20


def keep_owner_secrets(folder: Path, prepared: PreparedJob, account: LocalAccount) -> None:
    """Writes what a later process of the owner needs, readable by the user alone."""
    secrets = prepared.secrets
    write_secret(folder / "account.key", account.key.hex().encode() + b"\n")
    write_secret(folder / IDENTITY_NAME, secrets.identity.encode() + b"\n")
    write_secret(folder / "master.key", secrets.master.material.hex().encode() + b"\n")
    write_secret(folder / HEAD_NAME, state_bytes(prepared.inputs.head.state()))
    write_secret(folder / CONFIG_NAME, prepared.config.model_dump_json(indent=2).encode() + b"\n")


def keys_to_grant(folder: Path, history: History, seats: Collection[int], *, labels: bool) -> AuditKeys:
    """What the owner can grant of these seats, past holders' secrets included, which the job left wrapped to itself.

    Args:
        folder: the owner's.
        labels: whether the labels may be opened too.

    Raises:
        UsageError: there is no such seat, or these are not the owner's secrets of this job.
    """
    if wrong := [seat for seat in seats if not 0 <= seat < history.params.seats]:
        hint = f"the job has seats 0 to {history.params.seats - 1}"
        raise UsageError(f"--seat {wrong[0]}: there is no such seat", hint=hint)
    identity = folder / IDENTITY_NAME
    if not identity.exists():
        raise UsageError(f"{folder} does not hold the owner's identity", hint="only the job's owner can grant")
    keys = read_grants(identity)
    if keys.genesis != history.genesis:
        hint = "owner/ and record.json are of different runs: put the right ones together"
        raise UsageError(f"the secrets in {folder} are of another job than the record", hint=hint)
    authors = {holder.trainer for holder in history.holders if holder.seat in seats}
    return keys.limited(seats, authors, labels=labels)


def reopen_owner(
    folder: RunFolder,
    contract: Contract,
    index: RecordIndex,
    record: JobRecord,
    params: JobParams,
    store: Store,
    policy: Policy,
    trusted_models: Collection[str],
) -> Owner:
    """The owner of a job under way, from its folder and the chain; it can do whatever the one that created it could.

    Args:
        index: of the same contract.
        record: of the job, as the chain has it.
        params: the job's, as the record has them.

    Raises:
        UsageError: the folder does not hold an owner's secrets, or those of another job.
        ArtifactMissing, ArtifactCorrupt, SpecError: the job's specification cannot be had.
        UntrustedModel: its model is code that nobody here has agreed to run.
        GrantRefused: a seat's files will not open.
    """
    config = read_settings(folder)
    spec = JobSpec.from_block(store.get_block(cid_of_digest(params.spec_digest)))
    require_trusted(spec.model, {config.model, *trusted_models})
    master = MasterSecret(_read_master(folder.owner / "master.key"), secure=config.seed is None)
    identity = read_identity(folder.owner / IDENTITY_NAME)
    prepared = restore_job(config, master, identity, spec, params, folder)
    retention = JobRetention(PinSets(folder.pins), JOB_PINS, store)
    owner = Owner(contract, index, store, prepared, policy, retention, folder.owner)
    owner.resume_job(record.job)
    return owner


def read_settings(folder: RunFolder) -> JobConfig:
    """The settings that the job was prepared with.

    Raises:
        UsageError: the folder does not hold an owner's secrets.
    """
    path = folder.owner / CONFIG_NAME
    try:
        settings: Any = parse_json(_read(path))
        return JobConfig(**settings)
    except (TypeError, ValueError) as e:
        raise UsageError(f"{path} is damaged", hint="restore it from a copy of the owner's folder") from e


def _read_master(path: Path) -> bytes:
    try:
        return bytes.fromhex(decode_text(_read(path)).strip())
    except ValueError as e:
        # The text itself is a secret, and stays out of the message.
        raise UsageError(f"{path} is damaged", hint="restore it from a copy of the owner's folder") from e


def _read(path: Path) -> bytes:
    hint = "only the job's owner can verify for payment; anybody can `audit`"
    return read_bounded(path, MAX_SETTINGS_BYTES, what="owner's", follow=False, error=UsageError, hint=hint)
