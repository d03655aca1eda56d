"""Receipts beside evidence: what they decide where two neighbours committed to different tensors.

Evidence shows a mismatch in a step; the receipt after the last step is over the running digests in which the
manifests end. So manifests are compared, both of them in the evidence's head proof. A receipt over the receiver's
digest convicts the sender and clears the receiver, on any machine. Where the manifests agree although the steps differ,
one of the two quotes another transcript than its own, and no receipt tells which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from clicooper.audit.checks.receipts import BoundaryRefused, both_sides, check_receipt, judge_mismatch, round_start
from clicooper.commitments.boundary import BoundaryReceipt, Crossing, Direction
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.opinion import Fault, Judged
from clicooper.types import Address

__all__ = ["ShownReceipts", "weigh_receipts"]


@dataclass(frozen=True)
class ShownReceipts:
    """What a party shows beside evidence.

    Attributes:
        receipts: from any hand; none is believed to be about this boundary.
        transports: by trainer, the key that it registered, as the chain has it; empty where no node was asked.
    """

    receipts: tuple[BoundaryReceipt, ...] = ()
    transports: Mapping[Address, bytes] = field(default_factory=dict)


def weigh_receipts(artifacts: EnclosedArtifacts, judged: Judged, shown: ShownReceipts) -> Judged:
    """The same, with each fault between two seats held against the seat that manifests and receipts convict."""
    return replace(judged, faults=tuple(_weighed(artifacts, fault, shown) for fault in judged.faults))


def _weighed(artifacts: EnclosedArtifacts, fault: Fault, shown: ShownReceipts) -> Fault:
    if fault.pair is None:
        return fault
    expected = _expected(artifacts, fault.pair, "forward" if fault.field == "input" else "backward")
    if expected is None:
        why = "the manifests of both agree, so that one misquotes its transcript: evidence on its boundary tells"
        return replace(fault, seat=None, detail=f"{fault.detail}; {why}")
    if not shown.receipts:
        return fault
    about = [receipt for receipt in shown.receipts if receipt.crossing == expected]
    if not about:
        return replace(fault, detail=f"{fault.detail}; {'; '.join(_refusals(shown, expected))}")
    sender = artifacts.commitment(artifacts.evidence.round, expected.sender).trainer
    found = judge_mismatch(expected, about, shown.transports.get(sender))
    detail = f"{fault.detail}; {found.why}"
    if found.culprit == expected.sender:
        return replace(fault, seat=expected.sender, cleared=expected.receiver, detail=detail)
    return replace(fault, seat=None if found.culprit is None else fault.seat, detail=detail)


def _expected(artifacts: EnclosedArtifacts, pair: tuple[int, int], direction: Direction) -> Crossing | None:
    """What a receipt would have to say: the crossing as its receiver committed it; None where both sides agree."""
    round_, boundary = artifacts.evidence.round, pair[0]
    crossed = {seat: artifacts.manifest(round_, seat).boundary for seat in pair}
    sent, received = both_sides(crossed, boundary, direction)
    if sent == received:
        return None
    return replace(round_start(artifacts, round_), boundary=boundary, direction=direction, running=received)


def _refusals(shown: ShownReceipts, expected: Crossing) -> Iterator[str]:
    """Why each receipt that was shown is about something else."""
    for receipt in shown.receipts:
        try:
            check_receipt(receipt, b"", expected)
        except BoundaryRefused as e:
            yield e.message
