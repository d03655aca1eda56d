"""Evidence on one interval or one claim of a job, small enough to send, complete enough to judge alone.

``Evidence`` names the job by what its genesis hashes, the challenger, the claim and the accused, and carries the proof
of the head of the round: every commitment up to it. Its blocks and plaintext files are each named by something that is
committed: a reader who knows one head of the chain can tell that nothing in it was made up. An ``Envelope`` is what
everybody may see of it; its sha2-256 is the contract's ``evidenceDigest``.

Only the records: ``evidence_file`` turns them into files, ``collect`` collects them, ``judge`` judges them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from clicooper.commitments.ownership import OpenedFile
from clicooper.commitments.records import Bytes20, Bytes32, Count, Link, Part, Positive, Record
from clicooper.history.params import MAX_KEY_RECORD_BYTES

__all__ = [
    "Claim",
    "Envelope",
    "Evidence",
    "HeadProof",
    "HeadStep",
    "RevealedKey",
    "RevealedSecret",
    "SeatRows",
]

MAX_PARAMS_BYTES = 4096
"""The terms of a job with an allow-list of 32 seats take 1,728 bytes."""

Claim = Literal["replay", "boundary", "manifest", "links", "mark", "labels", "release", "seal", "withheld"]
"""What the evidence is about: the check that an arbiter repeats. ``replay`` covers coverage and boundaries too, and the
metrics of a round's end; ``seal`` is about a file that does not open; ``withheld`` says that something committed
cannot be had, which only a search can tell."""


class HeadStep(Part):
    """What moved the head once: a commitment, or with no manifest the eviction of the seat's holder."""

    round: Count
    seat: Count
    trainer: Bytes20
    manifest: Bytes32 | None
    mark: Bytes32 | None


class HeadProof(Part):
    """The steps from a known head to the head of the evidence, in order.

    Attributes:
        start: the genesis, or the head in which the round before the last one of ``steps`` began.
    """

    start: Bytes32
    steps: Annotated[tuple[HeadStep, ...], Field(strict=False, min_length=1)]


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


class RevealedKey(Part):
    """A seat's progress key of the round, with the hash that completes its mark commitment."""

    key: Bytes32
    ownership_key_hash: Bytes32


class RevealedSecret(Part):
    """A trainer's sealing secret of the job, and the key record by which it registered the secret's digest."""

    secret: Bytes32
    key_record: Annotated[bytes, Field(max_length=MAX_KEY_RECORD_BYTES)]


class Evidence(Record):
    """The root of the evidence.

    Attributes:
        chain_id, contract, job, owner, params: what the genesis hashes; ``params`` ABI-encoded.
        challenger: who brings it forward, and the only party that can.
        accused: a seat, ``ACCUSED_OWNER``, or None where the check shall say who it was.
        interval: which one, for a replay.
        label_key: of ``round``; the keys before it, and the anchor in the terms, are its hashes.
        head: in which the head proof ends: what a reader compares with the chain.
        rows: a ``SeatRows`` for each seat, for a replay.
        files: the plaintext of sealed files.
        progress: for a claim about marks.
        sealing: for a claim about a file that does not open.
        wanted: what is said to be withheld, or not to open.
    """

    kind: ClassVar[str] = "Evidence"
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
    head_proof: HeadProof
    head: Bytes32
    rows: Annotated[tuple[Link, ...], Field(strict=False)]
    files: Annotated[tuple[OpenedFile, ...], Field(strict=False)]
    progress: RevealedKey | None
    sealing: RevealedSecret | None
    wanted: Annotated[tuple[Link, ...], Field(strict=False)]


class Envelope(Record):
    """What everybody may see of evidence, and what the contract's ``evidenceDigest`` names.

    Attributes:
        genesis: the job's first head.
        challenger: as in the evidence.
        sealed: whether ``content`` is an age file or the plaintext itself.
        content: a file.
        plaintext_digest: sha2-256 of the evidence's CAR file.
    """

    kind: ClassVar[str] = "Envelope"
    genesis: Bytes32
    challenger: Bytes20
    sealed: bool
    content: Link
    plaintext_digest: Bytes32
