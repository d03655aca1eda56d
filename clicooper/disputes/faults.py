"""Committed content that turns out to be malformed or wrong, as a fault of who committed it.

What is absent, has other bytes or cannot be read on this machine raises and proves nothing; a ``Contradiction`` alone
becomes a ``Fault``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from clicooper.audit.checks.labels import check_labels
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.manifest import SegmentManifest
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.opinion import Fault
from clicooper.errors import Contradiction
from clicooper.types import ACCUSED_OWNER, Verdict

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
    """Makes a contradiction of one party the fault that ``check`` would find.

    Args:
        seat: a seat, or ``ACCUSED_OWNER``.
        what: put before the error's message.

    Raises:
        FaultProven: in the place of a ``Contradiction`` of ``seat``; one of somebody else passes through.
    """
    try:
        yield
    except Contradiction as e:
        if e.party != seat:
            raise
        raise FaultProven(Fault(seat, check, what + e.message, expected=e.expected, actual=e.actual)) from e


def read_committed_manifest(artifacts: EnclosedArtifacts, seat: int) -> SegmentManifest:
    """The manifest of a seat in the evidence's round.

    Raises:
        FaultProven: what the seat committed is no manifest.
        ArtifactMissing, ArtifactCorrupt: it is not there; or the spec is not.
        Contradiction: of the owner: the spec.
    """
    round_, _ = artifacts.evidence.round, artifacts.spec
    with hold_against(seat, Check.MANIFEST):
        return artifacts.manifest(round_, seat)


def find_label_faults(artifacts: EnclosedArtifacts) -> tuple[Fault, ...]:
    """What is wrong with the opened labels of the rounds up to the evidence's, which are their owner's.

    Raises:
        FaultProven: they are no labels.
        ArtifactMissing, ArtifactCorrupt: they are not there.
    """
    round_ = artifacts.evidence.round
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
