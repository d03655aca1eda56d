"""The root of an ownership claim: one block that opens one commitment, and links what shows that it was honest work.

It travels in a CAR file with the blocks that it needs: the job's spec, the seat's manifests, and *plaintexts* of files
that a manifest names by their digests. It opens the keys of one round; a trainer's other keys are independent of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from eth_abi import decode as abi_decode
from eth_abi import encode as abi_encode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak, to_checksum_address
from pydantic import Field

from clicooper.commitments.head import GENESIS_TAG, PARAMS_TYPE, next_head, opened_commitment
from clicooper.commitments.records import Bytes20, Bytes32, Count, Link, Part, Positive, Record
from clicooper.errors import SpecError
from clicooper.types import Address, Digest, Head, JobId

__all__ = ["OpenedCommitment", "OpenedFile", "OpenedInterval", "OwnershipBundle", "claim_seed"]

CLAIM_TAG = keccak(b"CliCooper/1/claim")
SPEC_DIGEST_FIELD = 16
"""Place of the spec's digest in the contract's ``Params``."""


class OpenedCommitment(Part):
    """One seat's commitment of the round, as ``openMark`` takes it."""

    trainer: Bytes20
    manifest_digest: Bytes32
    mark_commitment: Bytes32


class OpenedFile(Part):
    """A file that a manifest names by the digest of its plaintext, and where the plaintext is."""

    plaintext_digest: Bytes32
    content: Link


class OpenedInterval(Part):
    """What crossed the seat's boundaries in an interval; ``crossings`` links a safetensors file."""

    index: Count
    crossings: Link


class OwnershipBundle(Record):
    """A claim of one seat in one round upon one suspect.

    Attributes:
        params: the job's parameters, ABI-encoded; with the other names they give the job's genesis.
        created_block: in which the job was created, and its public starting weights with it.
        settled_block, settled_hash: in which the round was accepted. Nobody knew its hash when the work was committed,
            so that it draws the intervals which a claim has to show.
        block: of the commitment.
        head_before: the head just before it.
        commits: it and those of all later seats, which lead to the round's head.
        progress_key_hash: keccak-256; the progress key itself is not opened.
        previous: the seat's manifests of the rounds before, back to round 0.
        suspect_digest: sha2-256 of the suspect's file.
    """

    kind: ClassVar[str] = "OwnershipBundle"
    chain_id: Positive
    contract: Bytes20
    job: Positive
    owner: Bytes20
    params: Annotated[bytes, Field(max_length=1 << 16)]
    created_block: Count
    round: Count
    seat: Count
    block: Count
    settled_block: Count
    settled_hash: Bytes32
    head_before: Bytes32
    commits: Annotated[tuple[OpenedCommitment, ...], Field(strict=False, min_length=1, max_length=32)]
    progress_key_hash: Bytes32
    ownership_key: Bytes32 = Field(repr=False)
    spec: Link
    manifest: Link
    previous: Annotated[tuple[Link, ...], Field(strict=False)]
    files: Annotated[tuple[OpenedFile, ...], Field(strict=False)]
    intervals: Annotated[tuple[OpenedInterval, ...], Field(strict=False)]
    suspect_digest: Bytes32

    @property
    def trainer(self) -> Address:
        """Who claims."""
        return _address(self.commits[0].trainer)

    @property
    def genesis(self) -> Head:
        """The job's first head, as these terms give it."""
        types = ["bytes32", "uint256", "address", "uint256", "address", "bytes32"]
        values = [GENESIS_TAG, self.chain_id, _address(self.contract), self.job, _address(self.owner)]
        return Head(keccak(abi_encode(types, [*values, keccak(self.params)])))

    @property
    def spec_digest(self) -> Digest:
        """Of the JobSpec that these terms name.

        Raises:
            SpecError: ``params`` is no encoding of a job's parameters.
        """
        try:
            (params,) = abi_decode([PARAMS_TYPE], self.params)
        except (DecodingError, ValueError, OverflowError) as e:
            raise SpecError("the bundle's job parameters cannot be read", hint="make the bundle again") from e
        if abi_encode([PARAMS_TYPE], [params]) != self.params:
            raise SpecError("the bundle's job parameters are not in canonical form", hint="make the bundle again")
        return Digest(params[SPEC_DIGEST_FIELD])

    @property
    def round_head(self) -> Head:
        """The head that the commitments lead to."""
        head = Head(self.head_before)
        for seat, commit in enumerate(self.commits, self.seat):
            contents = Digest(commit.manifest_digest), Digest(commit.mark_commitment)
            head = next_head(head, JobId(self.job), self.round, seat, _address(commit.trainer), *contents)
        return head

    @property
    def key_opens(self) -> bool:
        """Whether the opened key is the committed one."""
        opened = opened_commitment(Digest(self.progress_key_hash), Digest(self.ownership_key))
        return opened == self.commits[0].mark_commitment


def claim_seed(settled_hash: bytes, round_head: Head) -> Digest:
    """Seed of the intervals that a claim has to show: ``keccak256(abi.encode(TAG, settledHash, roundHead))``."""
    return Digest(keccak(abi_encode(["bytes32"] * 3, [CLAIM_TAG, settled_hash, round_head])))


def _address(raw: bytes) -> Address:
    return Address(to_checksum_address(raw))


def opened_commits(parts: Sequence[tuple[Address, Digest, Digest]]) -> tuple[OpenedCommitment, ...]:
    """Commitments as a bundle has them, from (trainer, manifest digest, mark commitment)."""
    return tuple(
        OpenedCommitment(trainer=bytes.fromhex(trainer[2:]), manifest_digest=manifest, mark_commitment=mark)
        for trainer, manifest, mark in parts
    )
