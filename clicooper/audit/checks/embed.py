"""The ``embed`` check: from trained to marked weights nothing happened but the two marks."""

from __future__ import annotations

from collections.abc import Iterator

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.mark import mark_params, progress_seed
from clicooper.audit.verdict import Check, CheckResult
from clicooper.history.history import Commitment
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Verdict
from clicooper.watermark.bound import check_embedding

__all__ = ["check_embed"]


def check_embed(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """One row."""
    round_, seat = commitment.round, commitment.seat
    seed, manifest = progress_seed(artifacts, commitment), artifacts.manifest(round_, seat)
    trained, out = artifacts.state_file(manifest.trained), artifacts.state_file(manifest.out)
    result = check_embedding(trained, out, seed, mark_params(artifacts))
    subject = cid_text(manifest.out.ciphertext)
    if result.ok:
        yield CheckResult(Check.EMBED, Verdict.PASS, subject, result.reason, round_, seat)
        return
    sides = "the trained weights and two marks", result.reason
    yield CheckResult(Check.EMBED, Verdict.FAIL, subject, result.reason, round_, seat, *sides)
