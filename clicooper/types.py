"""Names and frozen values that every floor shares.

Digests and ids are ``bytes`` and ``int`` inside the program and ``0x``-hex or CID text at its edges.
This module imports nothing of the project.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NewType

__all__ = [
    "ACCUSED_OWNER",
    "DEAD_ADDRESS",
    "ZERO_ADDRESS",
    "ZERO_DIGEST",
    "AbortReason",
    "Address",
    "Digest",
    "Ground",
    "Head",
    "JobId",
    "JobParams",
    "Phase",
    "VacancyReason",
    "Verdict",
    "address_bytes",
]

Digest = NewType("Digest", bytes)
"""32 bytes: sha2-256 of content, or keccak-256 where the contract computes it."""

Head = NewType("Head", bytes)
"""32 bytes: the running keccak-256 over every commitment of a job."""

Address = NewType("Address", str)
"""EIP-55 checksummed account address."""

JobId = NewType("JobId", int)


def address_bytes(address: str) -> bytes:
    """An address as manifests, grants and evidence have it, 20 bytes."""
    return bytes.fromhex(address[2:])


ZERO_ADDRESS = Address("0x" + "00" * 20)
ZERO_DIGEST = Digest(bytes(32))

DEAD_ADDRESS = Address("0x000000000000000000000000000000000000dEaD")
"""Where the contract credits what is burned: nobody has its key."""

ACCUSED_OWNER = 255
"""What a challenge names in the place of a seat to accuse the owner."""


class Phase(IntEnum):
    """Phases of a job, in the order of the contract's enum."""

    NONE = 0
    OPEN = 1
    LABELS = 2
    COMMIT = 3
    REVIEW = 4
    REFILL = 5
    ARBITRATION = 6
    DONE = 7
    CANCELLED = 8
    ABORTED = 9


class VacancyReason(IntEnum):
    """Why a seat became vacant, in the order of the contract's enum."""

    SILENT = 0
    GUILTY = 1
    EQUIVOCATION = 2


class AbortReason(IntEnum):
    """Why a job was aborted, in the order of the contract's enum."""

    OWNER_SILENT = 0
    OWNER_GUILTY = 1
    OWNER_ABORTED = 2
    SEAT_UNFILLED = 3


class Ground(IntEnum):
    """What an accused is charged with, in the order of the contract's enum.

    ``FAULT`` is anything that an arbiter can repeat from committed artifacts; ``WITHHELD`` is committed data that
    cannot be had, which publishing cures: no ruling on it in the first half of the arbitration window.
    """

    FAULT = 0
    WITHHELD = 1


class Verdict(Enum):
    """Outcome of a check. ``INCONCLUSIVE`` means "could not check" and never counts as passed."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class JobParams:
    """Parameters of ``createJob``, field by field the contract's ``Params``.

    Amounts are in wei (or the token's smallest unit), windows in seconds (1 s to 90 d).
    """

    pay_wei: int
    stake_wei: int
    owner_bond_wei: int
    seats: int
    rounds: int
    arbiter: Address
    spec_digest: Digest
    label_anchor: Digest
    token: Address = ZERO_ADDRESS
    challenge_bond_wei: int = 0
    arbiter_fee_wei: int = 0
    silence_penalty_wei: int = 0
    join_window_s: int = 86_400
    label_window_s: int = 86_400
    train_window_s: int = 86_400
    turn_window_s: int = 86_400
    review_window_s: int = 86_400
    arbitration_window_s: int = 604_800
    allow_list: tuple[Address, ...] = field(default=())

    @property
    def escrow_wei(self) -> int:
        """What ``createJob`` locks: all pay and the owner's bond."""
        return self.pay_wei * self.seats * self.rounds + self.owner_bond_wei
