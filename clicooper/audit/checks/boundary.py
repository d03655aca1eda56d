"""The ``boundary`` check: a transcript has the committed root and digests, and neighbours agree on what crossed.

Whom a difference between neighbours convicts, receipts decide, in ``receipts``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import Comparison, compare_all
from clicooper.audit.verdict import Check, CheckResult
from clicooper.errors import CliCooperError
from clicooper.history.history import Commitment
from clicooper.learning.transcript import StepDigests, Transcript
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Verdict

__all__ = ["check_boundary", "compare_neighbours"]


def check_boundary(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """A row about the seat's own transcript, then one about the seat and the one below it."""
    round_, seat = commitment.round, commitment.seat
    manifest, transcript = artifacts.manifest(round_, seat), artifacts.transcript(round_, seat)
    own = (
        Comparison("transcript root", manifest.training_transcript_merkle_root, transcript.root),
        Comparison("boundary digests", manifest.boundary, transcript.boundary()),
    )
    leaves = cid_text(manifest.transcript.leaves.ciphertext)
    yield compare_all(Check.BOUNDARY, leaves, own, round_=round_, seat=seat)
    if seat:
        yield _check_pair(artifacts, round_, seat, transcript)


def _check_pair(artifacts: Artifacts, round_: int, seat: int, transcript: Transcript) -> CheckResult:
    """What the seat received is what the seat below sent, and the other way round; a mismatch names the pair."""
    subject, pair = f"seats {seat - 1} and {seat}", (seat - 1, seat)
    try:
        below = artifacts.transcript(round_, seat - 1)
    except CliCooperError as e:
        # The neighbour's own rows judge its transcript; held against this seat it would accuse the wrong one.
        return CheckResult(Check.BOUNDARY, Verdict.INCONCLUSIVE, subject, e.message, round_, seats=pair)
    comparisons = tuple(compare_neighbours(below.steps, transcript.steps))
    passed = f"agree on {len(comparisons)} tensors"
    return compare_all(Check.BOUNDARY, subject, comparisons, round_=round_, seats=pair, passed=passed)


def compare_neighbours(
    below: Sequence[StepDigests], above: Sequence[StepDigests], first: int = 0
) -> Iterator[Comparison]:
    """What one seat sent beside what its neighbour received, both ways in every step.

    Args:
        first: the step of the round that both begin with.
    """
    for step, (lower, upper) in enumerate(zip(below, above, strict=True), start=first):
        yield Comparison(f"activation of step {step}", lower.output, upper.input, step, "input")
        yield Comparison(f"gradient of step {step}", upper.grad_sent, lower.grad_received, step, "grad_received")
