"""Evidence as files: one encoding of the plaintext, sealed inside an envelope, found in a store by its digest.

The plaintext is a CAR file with the evidence as its root and the other blocks in the order of their names: equal
evidence gives equal bytes, and no other encoding is read. It travels as the content of an ``Envelope``, wrapped by age
unless its maker says otherwise. Both name the challenger: an envelope with another challenger's content does not open.

The bytes may come from any hand. Evidence that cannot be read is ``EvidenceUnusable``: it accuses and clears no party.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from multiformats import CID

from clicooper.access.sealing import unwrap, wrap
from clicooper.commitments.canonical import cid_of_digest, sha256
from clicooper.disputes.evidence import Envelope, Evidence
from clicooper.errors import CliCooperError, EvidenceUnusable, SealError
from clicooper.files import read_bounded
from clicooper.storage.base import Store
from clicooper.storage.held import HeldBlocks
from clicooper.storage.ipld.car import read_car, write_car
from clicooper.storage.ipld.cid import build_file, cid_bytes, read_file
from clicooper.storage.ipld.graph import walk
from clicooper.types import Digest

__all__ = [
    "MAX_EVIDENCE_BYTES",
    "OpenedEvidence",
    "SealedEvidence",
    "enclose",
    "evidence_bytes",
    "fetch_evidence",
    "open_evidence",
    "parse_evidence",
    "publish_evidence",
    "read_evidence",
]

MAX_EVIDENCE_BYTES = 1 << 31
"""2 GiB: what is larger is not read into memory."""

_FRESH = "take a fresh copy; evidence is what `evidence make` wrote, byte for byte"


@dataclass(frozen=True)
class SealedEvidence:
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
class OpenedEvidence:
    """Evidence with its blocks; every one of them hashes to its name.

    Attributes:
        digest: of the envelope that it came in.
        size_bytes: of its plaintext.
    """

    evidence: Evidence
    blocks: HeldBlocks
    digest: Digest
    size_bytes: int


def evidence_bytes(evidence: Evidence, blocks: Mapping[CID, bytes]) -> bytes:
    """The plaintext: one encoding of the evidence and its blocks."""
    target = io.BytesIO()
    rest = sorted(blocks.items(), key=lambda item: cid_bytes(item[0]))
    write_car(target, [evidence.cid], [(evidence.cid, evidence.to_block()), *rest])
    return target.getvalue()


def parse_evidence(plaintext: bytes) -> tuple[Evidence, HeldBlocks]:
    """Inverse of ``evidence_bytes``, which gives back exactly ``plaintext``.

    Raises:
        EvidenceUnusable: damaged, of another schema, or not in that one encoding.
    """
    with _usable("the evidence"):
        root, blocks = _read_rooted(plaintext, "the evidence")
        names = [cid_bytes(cid) for cid, _ in blocks]
        if names != sorted(names):
            raise EvidenceUnusable("the evidence is not in canonical order", hint=_FRESH)
        return Evidence.from_block(root), HeldBlocks(blocks, "the evidence")


def _read_rooted(data: bytes, what: str) -> tuple[bytes, list[tuple[CID, bytes]]]:
    """A CAR file's one root, which comes first, and its other blocks."""
    roots, sections = read_car(io.BytesIO(data))
    blocks = [(section.cid, section.block) for section in sections]
    if len(roots) != 1 or not blocks or blocks[0][0] != roots[0]:
        raise EvidenceUnusable(f"{what} does not begin with its one root", hint=_FRESH)
    return blocks[0][1], blocks[1:]


def enclose(genesis: bytes, evidence: Evidence, plaintext: bytes, recipients: Sequence[str] | None) -> SealedEvidence:
    """Puts evidence into an envelope.

    Args:
        plaintext: ``evidence_bytes`` of it.
        recipients: age recipients who can open it, each alone; None leaves it open to everybody.

    Raises:
        SealError: no recipient, or a bad one.
    """
    content = plaintext if recipients is None else wrap(plaintext, recipients)
    blocks = tuple(build_file(io.BytesIO(content)))
    envelope = Envelope(
        genesis=genesis,
        challenger=evidence.challenger,
        sealed=recipients is not None,
        content=blocks[-1][0],
        plaintext_digest=sha256(plaintext),
    )
    return SealedEvidence(envelope, HeldBlocks(dict(blocks).items(), "the evidence"))


def read_evidence(path: Path) -> SealedEvidence:
    """Reads an evidence file; nothing is opened.

    Raises:
        StorageError: it cannot be read.
        EvidenceUnusable: it is too large, damaged, or something else.
    """
    hint = "name a file that `evidence make` wrote"
    data = read_bounded(path, MAX_EVIDENCE_BYTES + 1, what="evidence", whole=False, hint=hint)
    if len(data) > MAX_EVIDENCE_BYTES:
        raise EvidenceUnusable(f"{path} is larger than {MAX_EVIDENCE_BYTES} bytes", hint=_FRESH)
    with _usable(str(path)):
        root, blocks = _read_rooted(data, str(path))
        return SealedEvidence(Envelope.from_block(root), HeldBlocks(blocks, str(path)))


def publish_evidence(store: Store, sealed: SealedEvidence) -> CID:
    """Puts an envelope and its content into a store, where its digest leads to it; returns the envelope's name."""
    for cid in sealed.blocks.cids():
        store.put_block(sealed.blocks.get_block(cid), cid.codec.name)
    return store.put_block(sealed.envelope.to_block())


def fetch_evidence(store: Store, digest: Digest) -> SealedEvidence:
    """The evidence that a challenge names, from a store.

    Raises:
        ArtifactMissing, ArtifactCorrupt: it is not there, or not whole.
        EvidenceUnusable: what is there under that name is no evidence.
        GraphTooLarge: its content is larger than ``MAX_EVIDENCE_BYTES``.
    """
    block = store.get_block(cid_of_digest(digest))
    with _usable("what the challenge names"):
        envelope = Envelope.from_block(block)
    blocks = walk(store.get_block, [envelope.content], max_bytes=MAX_EVIDENCE_BYTES)
    return SealedEvidence(envelope, HeldBlocks(blocks, "the fetched evidence"))


def open_evidence(sealed: SealedEvidence, identity: str | None = None) -> OpenedEvidence:
    """Opens an envelope, and checks that the evidence in it is the one that it announces.

    Args:
        identity: an age identity; not needed for what is not sealed.

    Raises:
        SealError: it is sealed, and not for this identity.
        EvidenceUnusable: damaged, or the content of another challenger.
    """
    envelope = sealed.envelope
    with _usable("the evidence"):
        content = b"".join(read_file(envelope.content, sealed.blocks.get_block, MAX_EVIDENCE_BYTES))
    plaintext = _unsealed(content, identity) if envelope.sealed else content
    if sha256(plaintext) != envelope.plaintext_digest:
        raise EvidenceUnusable("the evidence is not the one that its envelope announces", hint=_FRESH)
    evidence, blocks = parse_evidence(plaintext)
    if evidence.challenger != envelope.challenger:
        raise EvidenceUnusable(
            f"the envelope names 0x{envelope.challenger.hex()} as challenger, the evidence in it "
            f"0x{evidence.challenger.hex()}",
            hint="somebody put their own name on evidence that is not theirs",
        )
    return OpenedEvidence(evidence, blocks, sealed.digest, len(plaintext))


def _unsealed(content: bytes, identity: str | None) -> bytes:
    if identity is None:
        raise SealError("the evidence is sealed", hint="pass --identity FILE of a recipient of the seal")
    try:
        return unwrap(content, identity)
    except SealError as e:
        raise SealError(
            f"the evidence does not open: {e.message}", hint="use the identity that it was sealed to, or a fresh copy"
        ) from e


@contextmanager
def _usable(what: str) -> Iterator[None]:
    """Turns every error about untrusted bytes into ``EvidenceUnusable``."""
    try:
        yield
    except EvidenceUnusable:
        raise
    except CliCooperError as e:
        raise EvidenceUnusable(f"{what} cannot be read: {e.message}", hint=_FRESH) from e
