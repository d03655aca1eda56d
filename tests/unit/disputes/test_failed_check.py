"""What an owner shows after a refusal: the first failed check that small evidence can repeat."""

from __future__ import annotations

from typing import Any

import pytest

from clicooper.audit.verdict import Check, CheckResult
from clicooper.disputes.failed_check import choose_subject
from clicooper.disputes.subject import Subject
from clicooper.types import ACCUSED_OWNER, Verdict


def failed(check: Check, seat: int | None = None, round_: int = 1, **fields: Any) -> CheckResult:
    return CheckResult(check, Verdict.FAIL, "subject", "detail", round_, seat, **fields)


@pytest.mark.parametrize(
    ("row", "subject"),
    [
        (failed(Check.MANIFEST, seat=2), Subject("manifest", 1, None, 2)),
        (failed(Check.LINKS, seat=0), Subject("links", 1, None, 0)),
        (failed(Check.EMBED, seat=1), Subject("mark", 1, None, 1)),
        (failed(Check.LABELS), Subject("labels", 1, None, ACCUSED_OWNER)),
        (failed(Check.BOUNDARY, seat=1, expected="0x00", actual="0x01"), Subject("boundary", 1, None, 1)),
        (failed(Check.BOUNDARY, seat=0, seats=(0, 1)), None),
        (failed(Check.BOUNDARY, seats=(0, 1), step=7), Subject("replay", 1, 1)),
        (failed(Check.REPLAY, seat=1, step=14), Subject("replay", 1, 2, 1)),
        (failed(Check.COVERAGE, seat=0, step=4), Subject("replay", 1, 0, 0)),
        (failed(Check.ARTIFACTS, seat=2, step=9), Subject("replay", 1, 1, 2)),
        (failed(Check.PROGRESS), None),
        (failed(Check.MANIFEST, seat=2, round_=0), None),
    ],
    ids=str,
)
def test_each_failed_check_leads_to_its_evidence(row: CheckResult, subject: Subject | None) -> None:
    assert choose_subject([row], 1, 5) == subject


def test_what_needs_no_replay_comes_first_and_what_passed_is_no_failure() -> None:
    rows = [failed(Check.REPLAY, seat=0, step=3), failed(Check.LINKS, seat=1)]
    assert choose_subject(rows, 1, 5) == Subject("links", 1, None, 1)
    passed = [CheckResult(Check.LINKS, verdict, "", "", 1, 0) for verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)]
    assert choose_subject(passed, 1, 5) is None
