"""What an owner shows after a refusal: the first failed check that small evidence can repeat."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clicooper.audit.verdict import Check, CheckResult
from clicooper.disputes.failed_check import subject_of_failure
from clicooper.disputes.subject import Subject
from clicooper.types import ACCUSED_OWNER, Verdict


def failed(check: Check, subject: str = "", detail: str = "", seat: int | None = None, round_: int = 1) -> CheckResult:
    return CheckResult(check, Verdict.FAIL, subject, detail, round_, seat)


@pytest.mark.parametrize(
    ("row", "subject"),
    [
        (failed(Check.MANIFEST, seat=2), Subject("manifest", 1, None, 2)),
        (failed(Check.LINKS, seat=0), Subject("links", 1, None, 0)),
        (failed(Check.EMBED, seat=1), Subject("mark", 1, None, 1)),
        (failed(Check.LABELS), Subject("labels", 1, None, ACCUSED_OWNER)),
        (replace(failed(Check.BOUNDARY, seat=1), expected="0x00", actual="0x01"), Subject("boundary", 1, None, 1)),
        (failed(Check.BOUNDARY, "seats 0 and 1, forward", "seat 0 signed what seat 1 has", seat=0), None),
        (failed(Check.BOUNDARY, "seats 0 and 1", "activation of step 7 differs"), Subject("replay", 1, 1)),
        (failed(Check.REPLAY, "step 14", seat=1), Subject("replay", 1, 2, 1)),
        (failed(Check.COVERAGE, detail="batch of step 4 differs", seat=0), Subject("replay", 1, 0, 0)),
        (failed(Check.ARTIFACTS, detail="state after step 9 differs", seat=2), Subject("replay", 1, 1, 2)),
        (failed(Check.PROGRESS, "held-out records"), None),
        (failed(Check.MANIFEST, seat=2, round_=0), None),
    ],
    ids=str,
)
def test_each_failed_check_leads_to_its_evidence(row: CheckResult, subject: Subject | None) -> None:
    assert subject_of_failure([row], 1, 5) == subject


def test_what_needs_no_replay_comes_first_and_what_passed_is_no_grievance() -> None:
    rows = [failed(Check.REPLAY, "step 3", seat=0), failed(Check.LINKS, seat=1)]
    assert subject_of_failure(rows, 1, 5) == Subject("links", 1, None, 1)
    passed = [CheckResult(Check.LINKS, verdict, "", "", 1, 0) for verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)]
    assert subject_of_failure(passed, 1, 5) is None
