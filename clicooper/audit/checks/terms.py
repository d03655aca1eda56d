"""The ``terms`` check: the job's specification keeps every limit, and the model that it names can be made here.

It comes before every check of a seat. What is wrong with a specification is its owner's doing, and what is wrong with
a model's code on this machine is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import cid_of_digest
from clicooper.learning.models import build_segments
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Verdict

__all__ = ["check_terms_of_job"]


def check_terms_of_job(artifacts: Artifacts) -> Iterator[CheckResult]:
    """One row; a failure is the owner's."""
    spec = artifacts.spec
    segments = build_segments(spec.model)
    subject = cid_text(cid_of_digest(artifacts.history.params.spec_digest))
    detail = f"keeps every limit; its model of {len(segments)} segments can be made here"
    yield CheckResult(Check.TERMS, Verdict.PASS, subject, detail)
