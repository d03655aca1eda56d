"""Neighbours vouch for what they send: receipts at every interval's end.

A sender signs the running digest of what it sent; the receiver compares it with what it received and goes no further
without a valid signature over its own value. Both commit to these values later; whom a difference between them
convicts is judged in ``audit.receipts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from eth_account.signers.local import LocalAccount

from clicooper.audit.checks.receipts import DIRECTIONS, ECDSA, both_sides
from clicooper.commitments.boundary import BoundaryReceipt, Crossing
from clicooper.commitments.manifest import BoundaryDigests
from clicooper.types import Head, JobId

__all__ = ["Neighbour", "exchange_receipts", "sign_crossing"]


def sign_crossing(account: LocalAccount, crossing: Crossing) -> BoundaryReceipt:
    """The receipt of a crossing, by the transport key, which is that of the account."""
    key = ec.derive_private_key(int.from_bytes(account.key, "big"), ec.SECP256K1())
    r, s = decode_dss_signature(key.sign(crossing.digest, ECDSA))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return BoundaryReceipt(**vars(crossing), signature=signature)


class Neighbour(Protocol):
    """A seat at a boundary; the one behind it may be in another process."""

    def sign_sent(self, crossing: Crossing) -> BoundaryReceipt:
        """Vouches for what it sent."""
        ...

    def keep_receipt(self, receipt: BoundaryReceipt, expected: Crossing) -> None:
        """Takes a receipt for what it received; raises BoundaryRefused unless it is for exactly that."""
        ...


def exchange_receipts(
    seats: Sequence[Neighbour], crossed: Sequence[BoundaryDigests], job: JobId, round_: int, head: Head, steps: int
) -> None:
    """Every sender signs, every receiver checks and keeps; in the order of the boundaries, forward first.

    Args:
        crossed: by seat, what it recorded so far.

    Raises:
        BoundaryRefused: a receiver goes no further.
    """
    for boundary in range(len(seats) - 1):
        for direction in DIRECTIONS:
            sent, received = both_sides(crossed, boundary, direction)
            place = (job, round_, head, boundary, direction, steps)
            said, expected = Crossing(*place, sent), Crossing(*place, received)
            seats[said.receiver].keep_receipt(seats[said.sender].sign_sent(said), expected)
