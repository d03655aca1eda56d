"""What a sender signs about a boundary: the receipt that its neighbour keeps.

A receipt covers everything that crossed in one direction since the round began, as the running digest that both sides'
manifests end in. Signing is the business of ``clicooper.protocol.boundary``, judging that of
``clicooper.audit.checks.receipts``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from eth_abi import encode as abi_encode
from eth_utils import keccak
from pydantic import Field

from clicooper.commitments.records import Bytes32, Count, Positive, Record
from clicooper.types import Digest, Head, JobId

__all__ = ["BOUNDARY_TAG", "BoundaryReceipt", "Crossing", "Direction"]

Direction: TypeAlias = Literal["forward", "backward"]
"""Activations go forward, from the seat below a boundary; gradients backward, from the seat above it."""

BOUNDARY_TAG = keccak(b"CliCooper/1/boundary")
"""The account's key also signs transactions and typed data. What begins with this tag is neither: its first byte, 0xe4,
begins a list of 36 bytes at most, and 256 bytes are signed here."""


@dataclass(frozen=True)
class Crossing:
    """One direction of one boundary, up to a step.

    Attributes:
        head: in which the round began; it binds chain, contract and everything before.
        boundary: the seat below it.
        steps: how many steps are covered.
        running: sha2-256 over the digests of the tensors that crossed, in step order.
    """

    job: JobId
    round: int
    head: Head
    boundary: int
    direction: Direction
    steps: int
    running: Digest

    @property
    def sender(self) -> int:
        """The seat that signs."""
        return self.boundary if self.direction == "forward" else self.boundary + 1

    @property
    def receiver(self) -> int:
        """The seat that keeps the receipt."""
        return self.boundary + 1 if self.direction == "forward" else self.boundary

    @property
    def digest(self) -> Digest:
        """What is signed: keccak256(abi.encode(TAG, job, round, head, boundary, backward?, steps, running))."""
        types = ["bytes32", "uint256", "uint32", "bytes32", "uint8", "bool", "uint256", "bytes32"]
        backward = self.direction == "backward"
        values = [BOUNDARY_TAG, self.job, self.round, self.head, self.boundary, backward, self.steps, self.running]
        return Digest(keccak(abi_encode(types, values)))


class BoundaryReceipt(Record):
    """A crossing under its sender's signature: secp256k1 over ``Crossing.digest``, r and s, 32 bytes each."""

    kind: ClassVar[str] = "BoundaryReceipt"
    job: Positive
    round: Count
    head: Bytes32
    boundary: Count
    direction: Direction
    steps: Positive
    running: Bytes32
    signature: Annotated[bytes, Field(min_length=64, max_length=64)]

    @property
    def crossing(self) -> Crossing:
        """What it is about."""
        return Crossing(
            JobId(self.job),
            self.round,
            Head(self.head),
            self.boundary,
            self.direction,
            self.steps,
            Digest(self.running),
        )
