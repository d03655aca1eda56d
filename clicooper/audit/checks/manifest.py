"""The ``manifest`` check: the committed manifest says what the chain and the spec say."""

from __future__ import annotations

from collections.abc import Iterator

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import Comparison, compare_all
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import cid_of_digest
from clicooper.history.history import Commitment
from clicooper.types import address_bytes

__all__ = ["check_manifest"]


def check_manifest(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """One row: place, trainer, spec, amount of work and authors of the files."""
    manifest, spec = artifacts.manifest(commitment.round, commitment.seat), artifacts.spec
    trainer, authors = address_bytes(commitment.trainer), {sealed.author for sealed in manifest.own_files}
    comparisons = (
        Comparison("job", commitment.logged.event.job, manifest.job),
        Comparison("round", commitment.round, manifest.round),
        Comparison("seat", commitment.seat, manifest.seat),
        Comparison("trainer", trainer, manifest.trainer),
        Comparison("mark commitment", commitment.mark_commitment, manifest.mark_commitment),
        Comparison("spec", str(cid_of_digest(artifacts.history.params.spec_digest)), str(manifest.spec)),
        Comparison("runtime class", spec.runtime_class, manifest.runtime_class),
        Comparison("steps", spec.training.steps, manifest.transcript.steps),
        Comparison("interval", spec.replay.interval, manifest.transcript.interval),
        Comparison("interval states", artifacts.intervals - 1, len(manifest.transcript.states)),
        Comparison("authors of its files", {trainer}, authors),
    )
    yield compare_all(Check.MANIFEST, str(manifest.cid), comparisons, round_=commitment.round, seat=commitment.seat)
