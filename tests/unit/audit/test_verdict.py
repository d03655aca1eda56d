"""How rows become a verdict, and errors become rows."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicooper.audit.checks.frame import Comparison, compare_all
from clicooper.audit.verdict import AuditReport, Check, CheckResult, Replayed, combine, exit_code
from clicooper.errors import (
    ArtifactCorrupt,
    ArtifactMalformed,
    ArtifactMissing,
    CarError,
    Cause,
    ChainError,
    Contradiction,
    RecordDamaged,
    RecordError,
    SealError,
    SpecError,
    StorageError,
    VerificationFailed,
)
from clicooper.types import ACCUSED_OWNER, Verdict

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def row(verdict: Verdict) -> CheckResult:
    return CheckResult(Check.LINKS, verdict, "subject")


@given(st.lists(st.sampled_from(Verdict)))
def test_a_fail_outweighs_all_and_a_doubt_outweighs_passes(verdicts: list[Verdict]) -> None:
    combined = combine(map(row, verdicts))
    if FAIL in verdicts:
        assert combined is FAIL
    else:
        assert combined is (PASS if verdicts and OPEN not in verdicts else OPEN)


def test_exit_codes_are_the_protocols() -> None:
    assert [exit_code(verdict) for verdict in (PASS, FAIL, OPEN)] == [0, 1, 4]


@pytest.mark.parametrize(
    ("error", "cause", "subject"),
    [
        (ArtifactCorrupt("damaged", cid="bafy"), Cause.STORE, "bafy"),
        (ArtifactMalformed("genuine, of whose nobody knows", cid="bafy"), Cause.STORE, "bafy"),
        (ArtifactMissing("absent", cid="bafy"), Cause.STORE, "bafy"),
        (StorageError("unreadable"), Cause.STORE, "subject"),
        (CarError("cut off", offset=3), Cause.STORE, "subject"),
        (ChainError("gone"), Cause.NODE, "subject"),
        (SealError("sealed"), Cause.MACHINE, "subject"),
        (SpecError("malformed"), Cause.TERMS, "subject"),
        (RecordError("altered"), Cause.MACHINE, "subject"),
        (VerificationFailed("differs"), Cause.MACHINE, "subject"),
        (ZeroDivisionError("division by zero"), Cause.MACHINE, "subject"),
        (SystemExit(1), Cause.MACHINE, "subject"),
    ],
)
def test_an_error_that_contradicts_nobody_convicts_nobody(error: BaseException, cause: Cause, subject: str) -> None:
    result = CheckResult.of_error(Check.MARK, "subject", error, round_=1, seat=2)
    assert (result.check, result.verdict, result.subject) == (Check.MARK, OPEN, subject)
    assert (result.round, result.seat, result.culprit, result.cause) == (1, 2, None, cause)
    assert str(error) in result.detail


@pytest.mark.parametrize(
    ("check", "party", "at", "culprit"),
    [
        (Check.MANIFEST, 2, 1, 2),
        (Check.MANIFEST, 2, None, 2),
        (Check.MANIFEST, 2, 0, None),
        (Check.MANIFEST, 1, 1, None),
        (Check.MANIFEST, ACCUSED_OWNER, None, None),
        (Check.LABELS, ACCUSED_OWNER, 1, ACCUSED_OWNER),
        (Check.LABELS, 2, 1, None),
    ],
)
def test_a_contradiction_convicts_the_party_that_the_claim_is_about(
    check: Check, party: int, at: int | None, culprit: int | None
) -> None:
    error = Contradiction("it differs", party=party, round_=at, expected="this", actual="that")
    seat = None if check is Check.LABELS else 2
    result = CheckResult.of_error(check, "subject", error, round_=1, seat=seat)
    assert (result.verdict, result.culprit) == (OPEN if culprit is None else FAIL, culprit)
    assert (result.expected, result.actual) == (("", "") if culprit is None else ("this", "that"))
    assert result.cause is (Cause.TERMS if culprit is None and party == ACCUSED_OWNER else None)


def test_a_record_against_the_contracts_rules_fails_and_accuses_nobody() -> None:
    broken = CheckResult.of_error(Check.RECORD, "record", RecordError("altered"))
    assert (broken.verdict, broken.culprit) == (FAIL, None)
    damaged = CheckResult.of_error(Check.RECORD, "record", RecordDamaged("cut off"))
    assert (damaged.verdict, damaged.cause) == (OPEN, Cause.STORE)


@pytest.mark.parametrize(("actual", "verdict"), [(b"\x01", PASS), (b"\x02", FAIL)])
def test_comparison_shows_both_sides(actual: bytes, verdict: Verdict) -> None:
    result = CheckResult.compare(Check.LINKS, "link", b"\x01", actual, round_=0, seat=1)
    assert (result.verdict, result.expected, result.actual) == (verdict, "0x01", "0x" + actual.hex())


@pytest.mark.parametrize(
    ("failed", "culprit"),
    [
        (CheckResult(Check.REPLAY, FAIL, "step 3", seat=1, step=3), 1),
        (CheckResult(Check.BOUNDARY, FAIL, "seats 0 and 1", seats=(0, 1)), None),
        (CheckResult(Check.LABELS, FAIL, "labels"), ACCUSED_OWNER),
        (CheckResult(Check.RECORD, FAIL, "record"), None),
        (CheckResult(Check.REPLAY, OPEN, "seat 1", seat=1), None),
    ],
)
def test_a_failure_names_its_culprit_and_nothing_else_does(failed: CheckResult, culprit: int | None) -> None:
    assert failed.culprit == failed.to_json()["culprit"] == culprit


def test_first_difference_of_many_comparisons_is_the_row() -> None:
    same, other = Comparison("job", 1, 1), Comparison("gradient of step 2", b"\x01", b"\x02", 2, "grad_received")
    failed = compare_all(Check.BOUNDARY, "seats 0 and 1", [same, other, other], seats=(0, 1))
    assert (failed.verdict, failed.detail) == (FAIL, "gradient of step 2 differs")
    assert (failed.expected, failed.actual) == ("0x01", "0x02")
    assert (failed.step, failed.field, failed.seats, failed.seat) == (2, "grad_received", (0, 1), None)
    passed = compare_all(Check.MANIFEST, "manifest", [same], round_=1, seat=2)
    assert (passed.verdict, passed.detail, passed.round, passed.seat) == (PASS, "agrees on job", 1, 2)


def test_report_is_what_audit_prints() -> None:
    rows = (row(PASS), row(PASS), row(OPEN))
    report = AuditReport("embedded", (0, 9), 4, rows, Replayed(2, 8, 1.0), 1.23456)
    printed = json.loads(json.dumps(report.to_json()))
    assert (printed["ok"], printed["code"], printed["verdict"]) == (False, 4, "inconclusive")
    assert printed["record"] == {"source": "embedded", "blocks": [0, 9], "commitments": 4, "verified": None}
    assert printed["replayed"] == {"intervals": 2, "steps": 8, "share": 1.0}
    assert printed["seconds"] == 1.235
    assert [set(printed["checks"][0])] == [
        {"check", "round", "seat", "subject", "verdict", "expected", "actual", "detail"}
        | {"step", "interval", "field", "seats", "culprit", "cause", "remedy"}
    ]
    assert [report.count(verdict) for verdict in (PASS, FAIL, OPEN)] == [2, 0, 1]
