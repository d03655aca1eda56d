"""Neighbours vouch for what they send: receipts at every interval's end, and whom a mismatch convicts.

A sender signs the running digest of what it sent; the receiver compares it with what it received and goes no further
without a valid signature over its own value. Both commit to these values later. Where they then differ, the receiver
shows the receipt: its sender signed what the receiver has, and committed to something else. A receiver that has no
such receipt went on without one, or changed its own value afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from eth_account.signers.local import LocalAccount

from clicooper.commitments.boundary import BoundaryReceipt, Crossing, Direction
from clicooper.commitments.manifest import BoundaryDigests
from clicooper.errors import VerificationFailed
from clicooper.types import Digest, Head, JobId

__all__ = ["BoundaryRefused", "Neighbour", "check_receipt", "culprits", "exchange_receipts", "sign_crossing"]

_ECDSA = ec.ECDSA(Prehashed(hashes.SHA256()))
"""The digest is keccak-256 already; only its length matters here."""

DIRECTIONS: tuple[Direction, Direction] = ("forward", "backward")


class BoundaryRefused(VerificationFailed):
    """A receiver that goes no further: its neighbour does not vouch for what arrived."""


def sign_crossing(account: LocalAccount, crossing: Crossing) -> BoundaryReceipt:
    """The receipt of a crossing, by the transport key, which is that of the account."""
    key = ec.derive_private_key(int.from_bytes(account.key, "big"), ec.SECP256K1())
    r, s = decode_dss_signature(key.sign(crossing.digest, _ECDSA))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return BoundaryReceipt(**vars(crossing), signature=signature)


def check_receipt(receipt: BoundaryReceipt, transport: bytes, expected: Crossing) -> None:
    """The receipt is about exactly this crossing, and signed by the key that its sender registered.

    Args:
        transport: compressed secp256k1 key of the sender's key record, 33 bytes.

    Raises:
        BoundaryRefused: it is not.
    """
    where = f"seat {expected.sender} to seat {expected.receiver}, {expected.direction}, after step {expected.steps - 1}"
    hint = "what arrived is not what its sender vouches for: challenge it before the deadline of this seat"
    if receipt.crossing != expected:
        names = [name for name, value in vars(expected).items() if value != getattr(receipt.crossing, name)]
        raise BoundaryRefused(f"{where}: the receipt says another {', '.join(names)}", hint=hint)
    r, s = (int.from_bytes(receipt.signature[at : at + 32], "big") for at in (0, 32))
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), transport)
        key.verify(encode_dss_signature(r, s), expected.digest, _ECDSA)
    except (InvalidSignature, ValueError) as e:
        raise BoundaryRefused(f"{where}: the receipt is not signed by its sender", hint=hint) from e


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
            sent, received = _both_sides(crossed, boundary, direction)
            place = (job, round_, head, boundary, direction, steps)
            said, expected = Crossing(*place, sent), Crossing(*place, received)
            seats[said.receiver].keep_receipt(seats[said.sender].sign_sent(said), expected)


def culprits(
    crossed: Mapping[int, BoundaryDigests],
    receipts: Iterable[BoundaryReceipt],
    transports: Mapping[int, bytes],
    round_start: Crossing,
) -> Iterator[tuple[Crossing, int, str]]:
    """Whom each mismatch between committed boundary digests convicts.

    Args:
        crossed: by seat, the digests that it committed; seats that are missing are judged at no boundary.
        receipts: whatever receivers have shown.
        transports: by seat, the registered keys.
        round_start: job, round, head and step count, in any crossing of the round.

    Yields:
        the crossing as its receiver committed it, the culprit, and why.
    """
    shown = {receipt.crossing: receipt for receipt in receipts}
    for boundary in sorted(seat for seat in crossed if seat + 1 in crossed):
        for direction in DIRECTIONS:
            sent, received = _both_sides(crossed, boundary, direction)
            if sent == received:
                continue
            start = round_start
            place = (start.job, start.round, start.head, boundary, direction, start.steps)
            expected = Crossing(*place, received)
            try:
                check_receipt(shown[expected], transports[expected.sender], expected)
            except (KeyError, BoundaryRefused):
                yield expected, expected.receiver, "shows no signature of its sender over what it committed to"
            else:
                yield (
                    expected,
                    expected.sender,
                    "signed what its neighbour has, and committed to another value",
                )


def _both_sides(
    crossed: Sequence[BoundaryDigests] | Mapping[int, BoundaryDigests], boundary: int, direction: Direction
) -> tuple[Digest, Digest]:
    """What was sent and what was received."""
    below, above = crossed[boundary], crossed[boundary + 1]
    if direction == "forward":
        return Digest(below.output), Digest(above.input)
    return Digest(above.grad_sent), Digest(below.grad_received)
