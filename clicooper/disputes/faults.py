"""Committed content that turns out to be malformed or wrong, held against its author.

Content is first fetched by digest: what is absent or has other bytes raises and proves nothing. Only genuine bytes are
then parsed, and where they cannot be, that is a ``Fault`` of their author.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from clicooper.audit.checks.labels import check_labels
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import SegmentManifest
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.opinion import Fault
from clicooper.errors import PrivacyClaimError, SpecError
from clicooper.types import ACCUSED_OWNER, Digest, Verdict

__all__ = [
    "FaultProven",
    "describe_mismatch",
    "find_faults",
    "find_label_faults",
    "hold_against",
    "read_committed_manifest",
]


class FaultProven(Exception):
    """Committed content proves a fault of its author, and nothing that builds on it can be judged."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


@contextmanager
def hold_against(seat: int, check: Check, what: str = "") -> Iterator[None]:
    """Holds content that cannot be used against its author.

    Args:
        seat: a seat, or ``ACCUSED_OWNER``.
        what: put before the error's message.

    Raises:
        FaultProven: in the place of SpecError and PrivacyClaimError.
    """
    try:
        yield
    except (SpecError, PrivacyClaimError) as e:
        raise FaultProven(Fault(seat, check, what + e.message)) from e


def read_committed_manifest(artifacts: EnclosedArtifacts, seat: int) -> SegmentManifest:
    """The manifest of a seat in the evidence's round.

    Raises:
        FaultProven: what the seat committed is no manifest.
        ArtifactMissing, ArtifactCorrupt: it is not there; or the spec is not.
        SpecError: the spec, which is the owner's, cannot be read.
    """
    round_, _ = artifacts.evidence.round, artifacts.spec
    artifacts.store.get_block(cid_of_digest(artifacts.commitment(round_, seat).manifest_digest))
    with hold_against(seat, Check.MANIFEST, f"what seat {seat} committed is no manifest: "):
        return artifacts.manifest(round_, seat)


def find_label_faults(artifacts: EnclosedArtifacts) -> tuple[Fault, ...]:
    """What is wrong with the opened labels of the rounds up to the evidence's, which are their owner's.

    Raises:
        FaultProven: they are no labels.
        ArtifactMissing, ArtifactCorrupt: they are not there.
    """
    round_ = artifacts.evidence.round
    for sealed in artifacts.spec.labels[: round_ + 1]:
        artifacts.store.get_block(cid_of_digest(Digest(sealed.plaintext_digest)))
    with hold_against(ACCUSED_OWNER, Check.LABELS):
        return tuple(find_faults(check_labels(artifacts, round_)))


def find_faults(rows: Iterable[CheckResult]) -> Iterator[Fault]:
    """The failed rows of a check as faults."""
    for row in rows:
        if row.verdict is not Verdict.FAIL:
            continue
        pair, detail = None, row.detail
        if len(row.seats) == 2 and row.step is not None:
            pair, detail = (row.seats[0], row.seats[1]), describe_mismatch(row.seats, row.field, row.step)
        yield Fault(row.culprit, row.check, detail, pair, row.step, row.field, row.expected, row.actual)


def describe_mismatch(pair: tuple[int, ...], field: str, step: int) -> str:
    """A difference between what two neighbours committed to, in words."""
    what = "activations" if field == "input" else "gradients"
    return f"seats {pair[0]} and {pair[1]} committed to different {what} in step {step}"
