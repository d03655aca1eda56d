"""The ``terms`` check: the job's specification keeps every limit, and the model that it names can be made here.

It comes before every check of a seat. What is wrong with a specification is its owner's doing, and what is wrong with
a model's code on this machine is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import cid_of_digest
from clicooper.learning.segments import try_model
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Verdict

__all__ = ["check_terms_of_job"]


def check_terms_of_job(artifacts: Artifacts) -> Iterator[CheckResult]:
    """One row; a failure is the owner's."""
    spec, params = artifacts.spec, artifacts.history.params
    try_model(spec.model, spec.marks, params.rounds)
    subject = cid_text(cid_of_digest(params.spec_digest))
    detail = f"keeps every limit; its model of {params.seats} segments can be made here"
    yield CheckResult(Check.TERMS, Verdict.PASS, subject, detail)
