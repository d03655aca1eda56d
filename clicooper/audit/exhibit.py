"""Exhibits: evidence on one interval or one claim of a job, small enough to send, complete enough to judge alone.

An ``Exhibit`` names the job by what its genesis hashes, the challenger, the claim and the accused, and carries the
trail of commitments up to the head of the round. Its blocks and plaintext files are each named by something that is
committed: a reader who knows one head of the chain can tell that nothing in it was made up.

The plaintext is a CAR file with the exhibit as its root and the other blocks in the order of their names: equal
exhibits are equal bytes. It travels as the content of an ``Envelope``, sealed by age unless its maker says otherwise;
the envelope's sha2-256 is the contract's ``evidenceDigest``, so that whoever sees a challenge can fetch the evidence
by that name. Both name the challenger: an envelope around somebody else's content does not open.

Collecting the parts is the job of ``exhibit_make``, judging them that of ``exhibit_check``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from multiformats import CID
from pydantic import Field

from clicooper.audit.terms import MAX_KEY_RECORD_BYTES
from clicooper.commitments.canonical import cid_of_digest, sha256
from clicooper.commitments.manifest import Bytes20, Bytes32, Count, Link, Part, Positive, Record
from clicooper.errors import CliCooperError, EvidenceUnusable, SealError, StorageError
from clicooper.storage.base import Store
from clicooper.storage.car import read_car, write_car
from clicooper.storage.cid import build_file, cid_bytes, read_file
from clicooper.storage.graph import walk
from clicooper.storage.held import HeldBlocks
from clicooper.storage.seal import unwrap, wrap
from clicooper.types import Digest

__all__ = [
    "MAX_EXHIBIT_BYTES",
    "Act",
    "Claim",
    "Envelope",
    "Exhibit",
    "OpenedExhibit",
    "PlainFile",
    "RevealedKey",
    "RevealedSecret",
    "SealedExhibit",
    "SeatRows",
    "Trail",
    "enclose",
    "exhibit_bytes",
    "fetch_exhibit",
    "open_exhibit",
    "parse_exhibit",
    "publish_exhibit",
    "read_exhibit",
]

MAX_EXHIBIT_BYTES = 1 << 31
"""2 GiB: what is larger is not read into memory."""

MAX_PARAMS_BYTES = 4096
"""The terms of a job with an allow-list of 32 seats take 1,728 bytes."""

Claim = Literal["replay", "boundary", "manifest", "links", "mark", "labels", "release", "seal", "withheld"]
"""What the evidence is about: the check that an arbiter repeats. ``replay`` covers coverage and boundaries too, and the
metrics of a round's end; ``seal`` is about a file that does not open; ``withheld`` says that something committed
cannot be had, which only whoever looks for it can tell."""


class Act(Part):
    """What moved the head once: a commitment, or with no manifest the eviction of the seat's holder."""

    round: Count
    seat: Count
    trainer: Bytes20
    manifest: Bytes32 | None
    mark: Bytes32 | None


class Trail(Part):
    """The acts from a known head to the head of the evidence, in order.

    Attributes:
        start: the genesis, or the head in which the round before the last one of ``acts`` began.
    """

    start: Bytes32
    acts: Annotated[tuple[Act, ...], Field(strict=False, min_length=1)]


class SeatRows(Record):
    """Some steps of one seat's transcript, each with its Merkle proof up to the root in the seat's manifest.

    Attributes:
        first: the first of the steps.
        rows: 160 bytes a step, as the transcript's file has them.
        proofs: by step, its siblings from the leaf up, 32 bytes each, one after the other.
    """

    kind: ClassVar[str] = "SeatRows"
    seat: Count
    first: Count
    rows: bytes
    proofs: Annotated[tuple[bytes, ...], Field(strict=False)]


class PlainFile(Part):
    """A file that a manifest links under seal, in plaintext: the digest in the manifest, and where the bytes are."""

    plaintext_digest: Bytes32
    content: Link


class RevealedKey(Part):
    """A seat's progress key of the round, with the hash that completes its mark commitment."""

    key: Bytes32
    ownership_key_hash: Bytes32


class RevealedSecret(Part):
    """A trainer's sealing secret of the job, and the key record by which it registered the secret's digest."""

    secret: Bytes32
    key_record: Annotated[bytes, Field(max_length=MAX_KEY_RECORD_BYTES)]


class Exhibit(Record):
    """The root of the evidence.

    Attributes:
        chain_id, contract, job, owner, params: what the genesis hashes; ``params`` ABI-encoded.
        challenger: who brings it forward, so that nobody else can.
        accused: a seat, ``ACCUSED_OWNER``, or None where the check shall say who it was.
        interval: which one, for a replay.
        label_key: of ``round``; the keys before it, and the anchor in the terms, are its hashes.
        rows: a ``SeatRows`` for each seat, for a replay.
        files: the plaintext of sealed files.
        progress: for a claim about marks.
        sealing: for a claim about a file that does not open.
        wanted: what is said to be withheld, or not to open.
    """

    kind: ClassVar[str] = "Exhibit"
    chain_id: Positive
    contract: Bytes20
    job: Positive
    owner: Bytes20
    params: Annotated[bytes, Field(max_length=MAX_PARAMS_BYTES)]
    challenger: Bytes20
    claim: Claim
    accused: Count | None
    round: Count
    interval: Count | None
    label_key: Bytes32
    trail: Trail
    rows: Annotated[tuple[Link, ...], Field(strict=False)]
    files: Annotated[tuple[PlainFile, ...], Field(strict=False)]
    progress: RevealedKey | None
    sealing: RevealedSecret | None
    wanted: Annotated[tuple[Link, ...], Field(strict=False)]


class Envelope(Record):
    """What everybody may see of an exhibit, and what the contract's ``evidenceDigest`` names.

    Attributes:
        genesis: the job's first head.
        challenger: as in the exhibit.
        sealed: whether ``content`` is an age file or the plaintext itself.
        content: a file.
        plaintext_digest: sha2-256 of the exhibit's CAR file.
    """

    kind: ClassVar[str] = "Envelope"
    genesis: Bytes32
    challenger: Bytes20
    sealed: bool
    content: Link
    plaintext_digest: Bytes32


@dataclass(frozen=True)
class SealedExhibit:
    """An envelope with the blocks of its content, not opened yet."""

    envelope: Envelope
    blocks: HeldBlocks

    @property
    def digest(self) -> Digest:
        """What a challenge names."""
        return self.envelope.digest

    def to_car(self) -> bytes:
        """The file to send: a CAR file whose root is the envelope, as any IPFS node exports that root."""
        target = io.BytesIO()
        content = walk(self.blocks.get_block, [self.envelope.content])
        write_car(target, [self.envelope.cid], [(self.envelope.cid, self.envelope.to_block()), *content])
        return target.getvalue()


@dataclass(frozen=True)
class OpenedExhibit:
    """An exhibit with its blocks; every one of them hashes to its name.

    Attributes:
        digest: of the envelope that it came in.
        size_bytes: of its plaintext.
    """

    exhibit: Exhibit
    blocks: HeldBlocks
    digest: Digest
    size_bytes: int


def exhibit_bytes(exhibit: Exhibit, blocks: Mapping[CID, bytes]) -> bytes:
    """The plaintext: one encoding for one exhibit."""
    target = io.BytesIO()
    rest = sorted(blocks.items(), key=lambda item: cid_bytes(item[0]))
    write_car(target, [exhibit.cid], [(exhibit.cid, exhibit.to_block()), *rest])
    return target.getvalue()


def parse_exhibit(plaintext: bytes) -> tuple[Exhibit, HeldBlocks]:
    """Inverse of ``exhibit_bytes``, which gives back exactly ``plaintext``.

    Raises:
        EvidenceUnusable: damaged, of another schema, or not in that one encoding.
    """
    with _usable("the evidence"):
        roots, sections = read_car(io.BytesIO(plaintext))
        blocks = [(section.cid, section.block) for section in sections]
        if len(roots) != 1 or not blocks or blocks[0][0] != roots[0]:
            raise EvidenceUnusable("the evidence does not begin with its one root", hint=_FRESH)
        names = [cid_bytes(cid) for cid, _ in blocks[1:]]
        if names != sorted(names):
            raise EvidenceUnusable("the evidence is not in canonical order", hint=_FRESH)
        return Exhibit.from_block(blocks[0][1]), HeldBlocks(blocks[1:], "the evidence")


def enclose(genesis: bytes, exhibit: Exhibit, plaintext: bytes, recipients: Sequence[str] | None) -> SealedExhibit:
    """Puts an exhibit into an envelope.

    Args:
        plaintext: ``exhibit_bytes`` of it.
        recipients: age recipients who can open it, each alone; None leaves it open to everybody.

    Raises:
        SealError: no recipient, or a bad one.
    """
    content = plaintext if recipients is None else wrap(plaintext, recipients)
    blocks = tuple(build_file(io.BytesIO(content)))
    envelope = Envelope(
        genesis=genesis,
        challenger=exhibit.challenger,
        sealed=recipients is not None,
        content=blocks[-1][0],
        plaintext_digest=sha256(plaintext),
    )
    return SealedExhibit(envelope, HeldBlocks(dict(blocks).items(), "the evidence"))


def read_exhibit(path: Path) -> SealedExhibit:
    """Reads an evidence file; nothing is opened.

    Raises:
        StorageError: it cannot be read.
        EvidenceUnusable: it is too large, damaged, or something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_EXHIBIT_BYTES + 1)
    except OSError as e:
        raise StorageError(f"cannot read {path}: {e.strerror}", hint="name a file that `evidence make` wrote") from e
    if len(data) > MAX_EXHIBIT_BYTES:
        raise EvidenceUnusable(f"{path} is larger than {MAX_EXHIBIT_BYTES} bytes", hint=_FRESH)
    with _usable(str(path)):
        roots, sections = read_car(io.BytesIO(data))
        blocks = [(section.cid, section.block) for section in sections]
        if len(roots) != 1 or not blocks or blocks[0][0] != roots[0]:
            raise EvidenceUnusable(f"{path} does not begin with its one root", hint=_FRESH)
        return SealedExhibit(Envelope.from_block(blocks[0][1]), HeldBlocks(blocks[1:], str(path)))


def publish_exhibit(store: Store, sealed: SealedExhibit) -> CID:
    """Puts an envelope and its content into a store, where its digest leads to it; returns the envelope's name."""
    for cid in sealed.blocks.cids():
        store.put_block(sealed.blocks.get_block(cid), cid.codec.name)
    return store.put_block(sealed.envelope.to_block())


def fetch_exhibit(store: Store, digest: Digest) -> SealedExhibit:
    """The evidence that a challenge names, from a store.

    Raises:
        ArtifactMissing, ArtifactCorrupt: it is not there, or not whole.
        EvidenceUnusable: what is there under that name is no evidence.
        GraphTooLarge: its content is larger than ``MAX_EXHIBIT_BYTES``.
    """
    block = store.get_block(cid_of_digest(digest))
    with _usable("what the challenge names"):
        envelope = Envelope.from_block(block)
    blocks = walk(store.get_block, [envelope.content], max_bytes=MAX_EXHIBIT_BYTES)
    return SealedExhibit(envelope, HeldBlocks(blocks, "the fetched evidence"))


def open_exhibit(sealed: SealedExhibit, identity: str | None = None) -> OpenedExhibit:
    """Opens an envelope, and checks that the exhibit in it is the one that it announces.

    Args:
        identity: an age identity; not needed for what is not sealed.

    Raises:
        SealError: it is sealed, and not for this identity.
        EvidenceUnusable: damaged, or the content of another challenger.
    """
    envelope = sealed.envelope
    with _usable("the evidence"):
        content = b"".join(read_file(envelope.content, sealed.blocks.get_block, MAX_EXHIBIT_BYTES))
    plaintext = _unsealed(content, identity) if envelope.sealed else content
    if sha256(plaintext) != envelope.plaintext_digest:
        raise EvidenceUnusable("the evidence is not the one that its envelope announces", hint=_FRESH)
    exhibit, blocks = parse_exhibit(plaintext)
    if exhibit.challenger != envelope.challenger:
        raise EvidenceUnusable(
            f"the envelope names 0x{envelope.challenger.hex()} as challenger, the evidence in it "
            f"0x{exhibit.challenger.hex()}",
            hint="somebody put their own name on evidence that is not theirs",
        )
    return OpenedExhibit(exhibit, blocks, sealed.digest, len(plaintext))


def _unsealed(content: bytes, identity: str | None) -> bytes:
    if identity is None:
        raise SealError("the evidence is sealed", hint="pass --identity FILE of whom it was sealed to")
    try:
        return unwrap(content, identity)
    except SealError as e:
        raise SealError(
            f"the evidence does not open: {e.message}", hint="use the identity that it was sealed to, or a fresh copy"
        ) from e


_FRESH = "take a fresh copy; evidence is what `evidence make` wrote, byte for byte"


@contextmanager
def _usable(what: str) -> Iterator[None]:
    """Turns whatever is wrong with bytes that anybody may have written into ``EvidenceUnusable``."""
    try:
        yield
    except EvidenceUnusable:
        raise
    except CliCooperError as e:
        raise EvidenceUnusable(f"{what} cannot be read: {e.message}", hint=_FRESH) from e
