"""What an auditor was granted: the secrets that open sealed labels and progress marks, and nothing more.

A grants file is one DAG-CBOR block, age-encrypted to the auditor's X25519 identity. No manifest links it,
so granting access never changes an artifact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import Field

from clicooper.commitments.manifest import Bytes32, Count, Part, Record
from clicooper.errors import SealError, StorageError
from clicooper.storage.seal import unwrap, wrap, write_secret

__all__ = ["AuditKeys", "ProgressKey", "read_grants", "write_grants"]

GRANTS_NAME = "grants.age"
IDENTITY_NAME = "identity.txt"


@dataclass(frozen=True)
class ProgressKey:
    """A seat's progress key of one round, with the hash that completes its mark commitment."""

    key: bytes = field(repr=False)
    ownership_key_hash: bytes = b""


@dataclass(frozen=True)
class AuditKeys:
    """Secrets at hand; whatever is absent leaves its checks inconclusive."""

    label_secret: bytes | None = field(default=None, repr=False)
    progress: Mapping[tuple[int, int], ProgressKey] = field(default_factory=lambda: MappingProxyType({}))


class _ProgressGrant(Part):
    round: Count
    seat: Count
    key: Bytes32
    ownership_key_hash: Bytes32


class _Grants(Record):
    kind: ClassVar[str] = "Grants"
    label_secret: Bytes32
    progress: Annotated[tuple[_ProgressGrant, ...], Field(strict=False)]


def write_grants(folder: Path, keys: AuditKeys, recipient: str) -> None:
    """Writes ``grants.age``, readable by the holder of the identity behind ``recipient`` alone."""
    if keys.label_secret is None:
        raise SealError("there is no label secret to grant", hint="only the job's owner can grant it")
    progress = tuple(
        _ProgressGrant(round=r, seat=s, key=p.key, ownership_key_hash=p.ownership_key_hash)
        for (r, s), p in sorted(keys.progress.items())
    )
    block = _Grants(label_secret=keys.label_secret, progress=progress).to_block()
    write_secret(folder / GRANTS_NAME, wrap(block, [recipient]))


def read_grants(identity_file: Path) -> AuditKeys:
    """Opens the grants that lie beside an identity file.

    Raises:
        StorageError: a file cannot be read.
        SealError: the identity does not open the grants.
    """
    grants_file = identity_file.parent / GRANTS_NAME
    try:
        identity = identity_file.read_text(encoding="utf-8").strip()
        sealed = grants_file.read_bytes()
    except (OSError, UnicodeDecodeError) as e:
        raise StorageError(
            f"cannot read the auditor's keys: {e}", hint="pass --identity FILE; its grants.age lies beside it"
        ) from e
    grants = _Grants.from_block(unwrap(sealed, identity))
    progress = {(p.round, p.seat): ProgressKey(p.key, p.ownership_key_hash) for p in grants.progress}
    return AuditKeys(grants.label_secret, progress)
