"""Receipts at boundaries, part of the ``boundary`` check: which of them hold, and whom a mismatch convicts.

A receiver goes no further without its sender's signature over what it received, and both commit to the running digest
that was signed (ADR 14). Where they committed to different values, a receipt over the receiver's convicts the sender,
which signed one value and committed to another. A receiver without one went on without a signature, or changed its
own value afterwards. Where the sender's key is not known, nothing can be told.

What is expected of a receipt is taken from the commitments, never from the receipt. ``protocol.boundary`` signs and
exchanges receipts, ``access.receipt_files`` reads them from files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.boundary import BoundaryReceipt, Crossing, Direction
from clicooper.commitments.manifest import BoundaryDigests, KeyRecord
from clicooper.errors import CliCooperError, SpecError, VerificationFailed
from clicooper.types import ZERO_DIGEST, Address, Digest, Verdict

__all__ = [
    "DIRECTIONS",
    "ECDSA",
    "BoundaryRefused",
    "Mismatch",
    "both_sides",
    "check_receipt",
    "check_receipts",
    "find_culprits",
    "judge_mismatch",
    "round_start",
    "transports_of",
]

ECDSA = ec.ECDSA(Prehashed(hashes.SHA256()))
"""The digest is keccak-256 already; only its length matters here."""

DIRECTIONS: tuple[Direction, Direction] = ("forward", "backward")


class BoundaryRefused(VerificationFailed):
    """A receipt that does not hold. A seat that needs it to go on goes no further."""


@dataclass(frozen=True)
class Mismatch:
    """A direction of a boundary in which two neighbours committed to different values.

    Attributes:
        crossing: as its receiver committed it.
        culprit: the seat that this convicts; None where nothing tells which.
        why: one sentence for a person.
    """

    crossing: Crossing
    culprit: int | None
    why: str


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
        key.verify(encode_dss_signature(r, s), expected.digest, ECDSA)
    except (InvalidSignature, ValueError) as e:
        raise BoundaryRefused(f"{where}: the receipt is not signed by its sender", hint=hint) from e


def judge_mismatch(expected: Crossing, receipts: Iterable[BoundaryReceipt], transport: bytes | None) -> Mismatch:
    """Whom a crossing convicts to whose value the sender did not commit.

    Args:
        expected: as its receiver committed it.
        receipts: all that were shown; one that holds is enough.
        transport: the key that the sender registered; None where it is not known.
    """
    sender, receiver = f"seat {expected.sender}", f"seat {expected.receiver}"
    if transport is None:
        return Mismatch(expected, None, f"the key that {sender} registered is not known, so that no receipt decides")
    if any(_holds(receipt, transport, expected) for receipt in receipts):
        why = f"{sender} signed what {receiver} has, and committed to another value"
        return Mismatch(expected, expected.sender, why)
    why = f"{receiver} shows no signature of {sender} over what it committed to"
    return Mismatch(expected, expected.receiver, why)


def find_culprits(
    crossed: Mapping[int, BoundaryDigests],
    receipts: Sequence[BoundaryReceipt],
    transports: Mapping[int, bytes],
    start: Crossing,
) -> Iterator[Mismatch]:
    """Every mismatch between committed boundary digests.

    Args:
        crossed: by seat, the digests that it committed; seats that are missing are judged at no boundary.
        receipts: all that receivers have shown.
        transports: by seat, the registered keys that are known.
        start: as ``round_start`` gives it.
    """
    for boundary in sorted(seat for seat in crossed if seat + 1 in crossed):
        for direction in DIRECTIONS:
            sent, received = both_sides(crossed, boundary, direction)
            if sent != received:
                place = (start.job, start.round, start.head, boundary, direction, start.steps)
                expected = Crossing(*place, received)
                yield judge_mismatch(expected, receipts, transports.get(expected.sender))


def check_receipts(artifacts: Artifacts, round_: int, receipts: Iterable[BoundaryReceipt]) -> Iterator[CheckResult]:
    """Whom a mismatch between neighbours convicts, in a round whose seats vouched for what they sent.

    Receipts that do not hold, or are of another job, round or attempt, count as none. Where there is none, the
    neighbours may have exchanged none, and no row is given.
    """
    start = round_start(artifacts, round_)
    commitments = artifacts.history.rounds[round_].commitments
    registered = transports_of((seat.trainer, seat.key_record) for seat in artifacts.history.holders)
    keys = {one.seat: registered[one.trainer] for one in commitments if one.trainer in registered}
    genuine = [receipt for receipt in receipts if _is_genuine(receipt, start, keys)]
    if not genuine:
        return
    crossed = {}
    for one in commitments:
        with suppress(CliCooperError):  # The seat's own rows say what is wrong with its manifest.
            crossed[one.seat] = artifacts.manifest(round_, one.seat).boundary
    for found in find_culprits(crossed, genuine, keys, start):
        pair = (found.crossing.boundary, found.crossing.boundary + 1)
        verdict = Verdict.INCONCLUSIVE if found.culprit is None else Verdict.FAIL
        subject = f"seats {pair[0]} and {pair[1]}, {found.crossing.direction}"
        yield CheckResult(Check.BOUNDARY, verdict, subject, found.why, round_, found.culprit, seats=pair)


def round_start(artifacts: Artifacts, round_: int) -> Crossing:
    """What all receipts over a whole round have in common: job, round, the head in which it began, and its steps.

    Raises:
        ArtifactMissing, ArtifactCorrupt, SpecError: nobody has committed, or the spec cannot be had.
    """
    head, steps = artifacts.commitment(round_, 0).head_before, artifacts.spec.training.steps
    return Crossing(artifacts.history.job, round_, head, 0, "forward", steps, ZERO_DIGEST)


def transports_of(registered: Iterable[tuple[Address, bytes]]) -> dict[Address, bytes]:
    """By trainer, the transport key in its key record; without those whose records are malformed."""
    found: dict[Address, bytes] = {}
    for trainer, key_record in registered:
        with suppress(SpecError):
            found[trainer] = KeyRecord.from_block(key_record).transport
    return found


def both_sides(
    crossed: Sequence[BoundaryDigests] | Mapping[int, BoundaryDigests], boundary: int, direction: Direction
) -> tuple[Digest, Digest]:
    """What was sent and what was received, by the word of either side."""
    below, above = crossed[boundary], crossed[boundary + 1]
    if direction == "forward":
        return Digest(below.output), Digest(above.input)
    return Digest(above.grad_sent), Digest(below.grad_received)


def _holds(receipt: BoundaryReceipt, transport: bytes, expected: Crossing) -> bool:
    try:
        check_receipt(receipt, transport, expected)
    except BoundaryRefused:
        return False
    return True


def _is_genuine(receipt: BoundaryReceipt, start: Crossing, keys: Mapping[int, bytes]) -> bool:
    said = receipt.crossing
    if (said.job, said.round, said.head) != (start.job, start.round, start.head) or said.steps > start.steps:
        return False
    return said.sender in keys and _holds(receipt, keys[said.sender], said)
