"""Committed content that turns out to be malformed, held against whoever committed it.

Each function first fetches by digest: what is absent or has other bytes raises and proves nothing. Only genuine bytes
are then parsed, and where they cannot be, that is a ``Fault`` of their author.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clicooper.audit.checks import claims as checks
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import SegmentManifest
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.opinion import Fault
from clicooper.errors import SpecError
from clicooper.types import ACCUSED_OWNER, Digest, Verdict

__all__ = ["committed_manifest", "faults_of", "label_faults"]


def committed_manifest(artifacts: EnclosedArtifacts, seat: int) -> SegmentManifest | Fault:
    """The manifest of a seat in the evidence's round.

    Raises:
        ArtifactMissing, ArtifactCorrupt: it is not there; or the spec is not.
        SpecError: the spec, which is the owner's, cannot be read.
    """
    round_, _ = artifacts.evidence.round, artifacts.spec
    artifacts.store.get_block(cid_of_digest(artifacts.commitment(round_, seat).manifest_digest))
    try:
        return artifacts.manifest(round_, seat)
    except SpecError as e:
        return Fault(seat, Check.MANIFEST, f"what seat {seat} committed is no manifest: {e.message}")


def label_faults(artifacts: EnclosedArtifacts, round_: int) -> tuple[Fault, ...]:
    """What is wrong with the opened labels of the rounds up to one: their owner's doing.

    Raises:
        ArtifactMissing, ArtifactCorrupt: they are not there.
    """
    for sealed in artifacts.spec.labels[: round_ + 1]:
        artifacts.store.get_block(cid_of_digest(Digest(sealed.plaintext_digest)))
    try:
        return tuple(faults_of(checks.check_labels(artifacts, round_)))
    except SpecError as e:
        return (Fault(ACCUSED_OWNER, Check.LABELS, e.message),)


def faults_of(rows: Iterable[CheckResult]) -> Iterator[Fault]:
    """The failed rows of a check as faults; a row without a seat is about the owner."""
    for row in rows:
        if row.verdict is Verdict.FAIL:
            seat = ACCUSED_OWNER if row.seat is None else row.seat
            yield Fault(seat, row.check, row.detail, expected=row.expected, actual=row.actual)
