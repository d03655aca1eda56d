"""A job's events as a file: everything that is needed to recompute its heads without a node.

The file is JSON for people and programs: digests are ``0x``-hex, amounts in wei are decimal strings (they exceed what
many JSON readers hold exactly), its last key is the sha2-256 of its canonical content. That finds damage; a forger can
recompute it, so authenticity comes from comparison with a node alone. Round-trip law:
``record_from_json(record_to_json(r)) == r``, and bytes that any record does not serialise to are refused.
"""

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from clicooper.chain._record_codec import decode, encode
from clicooper.chain.events import LoggedEvent
from clicooper.errors import CliCooperError, RecordDamaged, RecordError, StorageError
from clicooper.files import read_bounded, write_whole
from clicooper.json_values import parse_json
from clicooper.types import Address, JobId

__all__ = [
    "MAX_RECORD_BYTES",
    "RECORD_VERSION",
    "JobRecord",
    "read_record",
    "read_record_bytes",
    "record_from_json",
    "record_to_json",
    "write_record",
]

RECORD_VERSION = 1
MAX_RECORD_BYTES = 1 << 28

_DAMAGED = "the file is damaged: take a fresh copy, or read the record from a node again"


@dataclass(frozen=True)
class JobRecord:
    """All events of one job.

    Args:
        source: where they were read, such as ``embedded`` or a node's address; printable ASCII.
        chain_id: of the chain.
        contract: that emitted them.
        job: which job.
        blocks: first and last block that were searched, both inclusive.
        events: in chain order.
    """

    source: str
    chain_id: int
    contract: Address
    job: JobId
    blocks: tuple[int, int]
    events: tuple[LoggedEvent, ...]


def record_to_json(record: JobRecord) -> bytes:
    """The record's file: indented JSON, closed by the digest of its content.

    Raises:
        RecordError: a value is out of its range, so that no reader would accept it.
    """
    decode(JobRecord, encode(record), "record")
    return _serialise(record)


def record_from_json(data: bytes) -> JobRecord:
    """The record in a file.

    Raises:
        RecordDamaged: the bytes are not exactly what ``record_to_json`` writes for some record.
        RecordError: its events are not those of one job in chain order.
    """
    content = _parse(data)
    digest = content.pop("sha256", None)
    version = content.pop("version", None)
    if type(version) is not int or version != RECORD_VERSION:
        hint = "use the version of clicooper that wrote it"
        raise RecordDamaged(f"not a record of version {RECORD_VERSION}: version is {version!r:.40}", hint=hint)
    if digest != _content_digest({"version": version, **content}):
        raise RecordDamaged("the record's sha256 does not match its content", hint=_DAMAGED)
    record = decode(JobRecord, content, "record")
    _check_order(record)
    if _serialise(record) != data:
        raise RecordDamaged("the record's layout is not the canonical one", hint=_DAMAGED)
    return record


def write_record(path: Path, record: JobRecord) -> None:
    """Writes the record at once or not at all, replacing what is there.

    Raises:
        RecordError: the path cannot be written.
    """
    write_whole(
        path, record_to_json(record), mode=0o644, parents=False, error=RecordError, hint="choose a folder you can write"
    )


def read_record(path: Path) -> JobRecord:
    """The record in the file at ``path``.

    Raises:
        RecordDamaged: there is none, or it is damaged.
        RecordError: as ``record_from_json``.
    """
    return record_from_json(read_record_bytes(path, RecordDamaged))


def read_record_bytes(path: Path, error: type[CliCooperError] = StorageError) -> bytes:
    """The bytes of the record at ``path``, whatever they are; raises ``error`` where there are none to read."""
    hint = "give the path of a record.json"
    return read_bounded(path, MAX_RECORD_BYTES, what="record", follow=False, error=error, hint=hint)


def _serialise(record: JobRecord) -> bytes:
    content: dict[str, Any] = {"version": RECORD_VERSION, **encode(record)}
    return (json.dumps(content | {"sha256": _content_digest(content)}, indent=2) + "\n").encode()


def _content_digest(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _parse(data: bytes) -> dict[str, Any]:
    try:
        content = parse_json(data.decode("ascii"))
    except UnicodeDecodeError as e:
        raise RecordDamaged(f"the record is not ASCII text at byte {e.start}", hint=_DAMAGED) from e
    except json.JSONDecodeError as e:
        raise RecordDamaged(f"the record is no JSON: {e.msg} at line {e.lineno}", hint=_DAMAGED) from e
    except ValueError as e:
        raise RecordDamaged(f"the record is no JSON that a record can be: {e}", hint=_DAMAGED) from e
    if not isinstance(content, dict):
        raise RecordDamaged("the record is not a JSON object", hint=_DAMAGED)
    return content


def _check_order(record: JobRecord) -> None:
    first, last = record.blocks
    places = [(logged.block_number, logged.log_index) for logged in record.events]
    if any(later <= earlier for earlier, later in pairwise(places)):
        raise RecordError("the record's events are not in chain order", hint=_DAMAGED)
    if any(not first <= number <= last for number, _ in places):
        raise RecordError(f"an event lies outside of the searched blocks {first} to {last}", hint=_DAMAGED)
    if any(logged.event.job != record.job for logged in record.events):
        raise RecordError(f"an event belongs to another job than {record.job}", hint=_DAMAGED)
