"""The ``coverage`` check: seat 0 trained on exactly the scheduled batches of the release, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import Comparison, compare_all, unless_drawn_otherwise
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import tensor_digest
from clicooper.learning.schedule import batch_input, batch_rows
from clicooper.learning.transcript import interval_bounds

__all__ = ["check_coverage"]


def check_coverage(artifacts: Artifacts, round_: int, intervals: Sequence[int] | None = None) -> Iterator[CheckResult]:
    """One row about seat 0.

    Args:
        intervals: whose batches are compared; None compares all.
    """
    spec, transcript = artifacts.spec, artifacts.transcript(round_, 0)
    rows = batch_rows(spec.seeds, round_, spec.rows_until(round_), spec.training)
    chosen = range(artifacts.intervals) if intervals is None else intervals
    steps = [step for i in chosen for step in range(*interval_bounds(i, len(rows), spec.replay.interval))]

    def compare(step: int) -> Comparison:
        batch = batch_input(artifacts.activations, rows[step], spec.seeds, round_, step, spec.training)
        expected, actual = tensor_digest(batch), transcript.steps[step].input
        return Comparison(f"batch of step {step}", expected, actual, step, "input")

    sampled = "" if intervals is None else f", of {len(rows)}"
    passed = f"{len(steps)} batches of {rows.shape[1]}{sampled} as scheduled"
    subject = f"{len(steps)} batches"
    row = compare_all(Check.COVERAGE, subject, map(compare, steps), round_=round_, seat=0, passed=passed)
    yield unless_drawn_otherwise(artifacts, row)
