"""Grants: the secrets of one job that somebody was let in with, and nothing more.

What is granted is one ``Grants`` block, age-encrypted to X25519 recipients. It travels as a file, ``grants.age``, or
inside a ``Grant`` block in a store; no manifest links either, so granting access never changes an artifact. Both
blocks name the job's genesis: a grant copied from another job is found out by whoever opens it.

Who is granted what is decided in ``clicooper.protocol``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from eth_utils import to_checksum_address
from pydantic import Field

from clicooper.access.identity import parse_identity
from clicooper.access.sealing import unwrap, wrap
from clicooper.commitments.records import Bytes20, Bytes32, Count, Part, Record
from clicooper.errors import SealError, SpecError
from clicooper.files import read_bounded, write_secret
from clicooper.types import Address, Head

__all__ = [
    "GRANTS_NAME",
    "IDENTITY_NAME",
    "AuditKeys",
    "Grant",
    "ProgressKey",
    "open_grant",
    "read_grants",
    "read_identity",
    "seal_grant",
    "write_grants",
]

GRANTS_NAME = "grants.age"
IDENTITY_NAME = "identity.txt"
MAX_GRANTS_BYTES = (1 << 20) + (1 << 16)
"""One block, and what age adds to it for many recipients."""


def _nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class ProgressKey:
    """A seat's progress key of one round, with the hash that completes its mark commitment."""

    key: bytes = field(repr=False)
    ownership_key_hash: bytes = b""


@dataclass(frozen=True)
class AuditKeys:
    """Secrets at hand; whatever is absent leaves its checks inconclusive.

    Attributes:
        label_secret: opens the labels of every round whose label key is public.
        progress: by (round, seat).
        sealing: by author, evicted ones too; each opens every file that its author sealed for the job.
        genesis: the job that they belong to; None where their holder knows without being told.
    """

    label_secret: bytes | None = field(default=None, repr=False)
    progress: Mapping[tuple[int, int], ProgressKey] = field(default_factory=_nothing)
    sealing: Mapping[Address, bytes] = field(default_factory=_nothing, repr=False)
    genesis: Head | None = None

    def for_job(self, genesis: Head) -> AuditKeys:
        """These keys if they belong to the job, else none at all: another job's keys could only accuse wrongly."""
        return self if self.genesis in (None, genesis) else AuditKeys(genesis=genesis)

    def limited(self, seats: Collection[int], authors: Collection[Address], *, labels: bool) -> AuditKeys:
        """Those that concern some seats and the trainers who held them, with the label secret or without."""
        return replace(
            self,
            label_secret=self.label_secret if labels else None,
            progress={place: key for place, key in self.progress.items() if place[1] in seats},
            sealing={author: secret for author, secret in self.sealing.items() if author in authors},
        )

    def with_more(self, more: AuditKeys) -> AuditKeys:
        """These and those of a later grant for the same job."""
        return replace(
            self,
            label_secret=more.label_secret or self.label_secret,
            progress={**self.progress, **more.progress},
            sealing={**self.sealing, **more.sealing},
        )


class _ProgressGrant(Part):
    round: Count
    seat: Count
    key: Bytes32
    ownership_key_hash: Bytes32


class _SealingGrant(Part):
    """One author's sealing secret; in the block's bytes the secret follows the author."""

    author: Bytes20
    secret: Bytes32


class _Grants(Record):
    kind: ClassVar[str] = "Grants"
    genesis: Bytes32
    label_secret: Bytes32 | None
    progress: Annotated[tuple[_ProgressGrant, ...], Field(strict=False)]
    sealing: Annotated[tuple[_SealingGrant, ...], Field(strict=False)]


class Grant(Record):
    """A ``Grants`` block as it lies in a store, where anybody may see it and its recipients alone can open it.

    Attributes:
        genesis: the job.
        author: who grants: the owner, or a trainer its own sealing secret.
        ciphertext: an age file.
    """

    kind: ClassVar[str] = "Grant"
    genesis: Bytes32
    author: Bytes20
    ciphertext: Annotated[bytes, Field(max_length=MAX_GRANTS_BYTES)]


def seal_grant(keys: AuditKeys, author: Address, recipients: Sequence[str]) -> Grant:
    """Wraps keys for each of ``recipients`` alone.

    Raises:
        SealError: keys that name no job, or a bad recipient.
    """
    genesis = _job_of(keys)
    return Grant(genesis=genesis, author=bytes.fromhex(author[2:]), ciphertext=wrap(_pack(keys), recipients))


def open_grant(grant: Grant, identity: str) -> AuditKeys:
    """What a grant gives to the holder of ``identity``.

    Raises:
        SealError: it is not for this identity, or it wraps no keys, or those of another job than it says.
    """
    keys = _unpack(unwrap(grant.ciphertext, identity))
    if keys.genesis != grant.genesis:
        raise SealError("a grant wraps the keys of another job", hint="ask the job's owner for a new one")
    return keys


def write_grants(folder: Path, keys: AuditKeys, recipient: str) -> None:
    """Writes ``grants.age``, readable by the holder of the identity behind ``recipient`` alone."""
    write_secret(folder / GRANTS_NAME, wrap(_pack(keys), [recipient]))


def read_grants(identity_file: Path, grants_file: Path | None = None) -> AuditKeys:
    """Opens a grants file, by default the one beside the identity.

    Raises:
        StorageError: a file cannot be read.
        SealError: the identity does not open the grants.
    """
    identity = read_identity(identity_file)
    path = identity_file.parent / GRANTS_NAME if grants_file is None else grants_file
    return _unpack(unwrap(_read(path, "name the file with --grant; by default it lies beside the identity"), identity))


def read_identity(path: Path) -> str:
    """The identity in a file such as ``age-keygen`` writes.

    Raises:
        StorageError: it cannot be read.
        SealError: it holds no identity, or more than one.
    """
    return parse_identity(_read(path, "pass --identity FILE; its grants.age lies beside it"), path.name)


def _read(path: Path, hint: str) -> bytes:
    data = read_bounded(path, MAX_GRANTS_BYTES + 1, what="auditor's keys in", whole=False, hint=hint)
    if len(data) > MAX_GRANTS_BYTES:
        raise SealError(f"{path} is too large for a grant", hint=hint)
    return data


def _job_of(keys: AuditKeys) -> Head:
    if keys.genesis is None:
        raise SealError(
            "these keys do not say which job they are for",
            hint="make the grants for one job: give AuditKeys the job's genesis",
        )
    return keys.genesis


def _pack(keys: AuditKeys) -> bytes:
    progress = tuple(
        _ProgressGrant(round=r, seat=s, key=p.key, ownership_key_hash=p.ownership_key_hash)
        for (r, s), p in sorted(keys.progress.items())
    )
    sealing = tuple(
        _SealingGrant(author=bytes.fromhex(author[2:]), secret=secret)
        for author, secret in sorted(keys.sealing.items())
    )
    genesis, labels = _job_of(keys), keys.label_secret
    return _Grants(genesis=genesis, label_secret=labels, progress=progress, sealing=sealing).to_block()


def _unpack(block: bytes) -> AuditKeys:
    try:
        grants = _Grants.from_block(block)
    except SpecError as e:
        # Whatever else a grant holds opens nothing: its checks stay inconclusive, and nobody is accused by it.
        raise SealError(f"what the grant wraps cannot be used: {e.message}", hint="ask for a new grant") from e
    progress = {(p.round, p.seat): ProgressKey(p.key, p.ownership_key_hash) for p in grants.progress}
    sealing = {Address(to_checksum_address(one.author)): one.secret for one in grants.sealing}
    return AuditKeys(grants.label_secret, progress, sealing, Head(grants.genesis))
