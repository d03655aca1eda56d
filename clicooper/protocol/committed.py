"""A trained segment on its way to the chain: marked from the head so far, both marks read back, then committed."""

from __future__ import annotations

from dataclasses import dataclass

from eth_utils import keccak

from clicooper.access.grants import ProgressKey
from clicooper.chain.client import Receipt
from clicooper.commitments.boundary import BoundaryReceipt
from clicooper.commitments.head import mark_commitment
from clicooper.commitments.manifest import SegmentManifest
from clicooper.errors import VerificationFailed
from clicooper.learning.checkpoint import State
from clicooper.learning.training import TrainedSegment
from clicooper.types import Address, Digest, Head, JobId
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.detect import ACCEPT_LOG2_P, MarkReading, read_mark
from clicooper.watermark.embed import embed_both
from clicooper.watermark.keys import MarkKeys, MarkPurpose, mark_seed

__all__ = ["CommittedSegment", "MarkedSegment", "mark_segment"]


@dataclass(frozen=True, eq=False)
class MarkedSegment:
    """A segment with its marks.

    Attributes:
        out: the marked weights.
        commitment: to both keys.
        progress, ownership: the marks as read back from ``out``.
    """

    out: State
    commitment: Digest
    progress_key: ProgressKey
    progress: MarkReading
    ownership: MarkReading


@dataclass(frozen=True)
class CommittedSegment:
    """One seat's commitment of one round, as its trainer knows it.

    Attributes:
        progress_key: granted to the owner and to auditors; the ownership key stays with the trainer.
        progress, ownership: both marks as read back from the weights that were committed.
        receipts: what the seat's neighbours signed about what it received, up to the last step.
    """

    round: int
    seat: int
    trainer: Address
    manifest: SegmentManifest
    head_before: Head
    head: Head
    receipt: Receipt
    progress_key: ProgressKey
    progress: MarkReading
    ownership: MarkReading
    receipts: tuple[BoundaryReceipt, ...] = ()


def mark_segment(
    trained: TrainedSegment,
    keys: MarkKeys,
    params: MarkParams,
    head: Head,
    job: JobId,
    round_: int,
    seat: int,
    trainer: Address,
) -> MarkedSegment:
    """Embeds both marks.

    Raises:
        VerificationFailed: a mark that cannot be read back.
    """
    place = (head, job, round_, seat, trainer, trained.transcript.root)
    progress, ownership = (
        mark_seed(keys.of(purpose), purpose, *place) for purpose in (MarkPurpose.PROGRESS, MarkPurpose.OWNERSHIP)
    )
    out = dict(embed_both(trained.trained, progress, ownership, params))
    ownership_hash = Digest(keccak(keys.ownership))
    return MarkedSegment(
        out,
        mark_commitment(keys.progress, ownership_hash),
        ProgressKey(keys.progress, ownership_hash),
        _read_back(out, progress, params, seat),
        _read_back(out, ownership, params, seat),
    )


def _read_back(out: State, seed: bytes, params: MarkParams, seat: int) -> MarkReading:
    reading = read_mark(out, seed, params)
    if reading.log2_p > ACCEPT_LOG2_P:
        raise VerificationFailed(
            f"seat {seat}: a mark just embedded reads at log2 p {reading.log2_p:.1f}",
            hint="the segment is too small or its weights are degenerate; choose wider layers",
        )
    return reading
