"""What a report tells people about what failed, and about what could not be checked."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from clicooper.audit.verdict import AuditReport, Check, CheckResult, Replayed
from clicooper.errors import Cause
from clicooper.reports.audit_tables import print_audit
from clicooper.reports.contradictions import list_contradictions, list_open_claims, shorten
from clicooper.types import ACCUSED_OWNER, Address, Verdict

FAIL, OPEN = Verdict.FAIL, Verdict.INCONCLUSIVE
SEAT_1, OWNER = Address("0x" + "1a" * 20), Address("0x" + "0e" * 20)
MADE, AGAIN = "0x" + "ab" * 32, "0x" + "cd" * 32
REPLAYED = CheckResult(
    Check.REPLAY, FAIL, "step 3", "the state committed for step 3 differs", 0, 1, AGAIN, MADE, step=3
)
ALL_OF_IT = (
    (REPLAYED, ("Seat 1", "in round 0", "its training", "committed 0xababab…ababab", "demands 0xcdcdcd…cdcdcd")),
    (replace(REPLAYED, check=Check.LINKS, step=None), ("Seat 1", "what its work continues")),
    (
        CheckResult(Check.LABELS, FAIL, "x", "rows differs", 1, None, "3", "4"),
        ("The owner", "in round 1", "the labels"),
    ),
    (CheckResult(Check.BOUNDARY, FAIL, "x", "differ", 0, seats=(0, 1), step=2), ("One of seats 0 and 1",)),
    (CheckResult(Check.RECORD, FAIL, "record", "event 3 is not allowed"), ("Nobody in particular", "the job's record")),
)
NEXT = (
    ("verify RUN_DIR --round 0 --challenge", "evidence make JOB --round 0 --step 3 --seat 1"),
    ("verify RUN_DIR --round 0 --challenge", "--claim links --seat 1"),
    ("evidence make JOB --round 1 --claim labels --owner",),
    ("--network URL",),
    ("--network URL",),
)


def report(*rows: CheckResult) -> AuditReport:
    parties = {(0, 1): SEAT_1, (None, ACCUSED_OWNER): OWNER}
    return AuditReport("here", (0, 9), 2, rows, Replayed(), 0.0, parties=parties)


@pytest.mark.parametrize(("found", "then"), [*zip(ALL_OF_IT, NEXT, strict=True)])
def test_a_contradiction_is_one_sentence_and_what_to_do(
    found: tuple[CheckResult, tuple[str, ...]], then: tuple[str, ...]
) -> None:
    row, words = found
    ((sentence, following),) = list_contradictions(report(row))
    assert [word for word in words if word not in sentence] == []
    assert [word for word in then if word not in following] == []
    assert "Certain" in sentence


def test_addresses_stand_beside_seats_and_digests_are_folded() -> None:
    ((sentence, _),) = list_contradictions(report(REPLAYED))
    assert f"Seat 1 ({shorten(SEAT_1)}) in round 0" in sentence
    assert MADE not in sentence and AGAIN not in sentence


def test_what_could_not_be_checked_is_told_once_by_its_cause() -> None:
    lost = CheckResult(
        Check.STATE, OPEN, "bafk", "corrupt here: block bafk", 0, 1, cause=Cause.STORE, remedy="fetch it"
    )
    ((sentence, remedy),) = list_open_claims(report(lost, replace(lost, check=Check.MARK), replace(lost, seat=0)))
    assert sentence == "the store: corrupt here: block bafk (3 claims about seats 0, 1: state, mark)"
    assert remedy == "fetch it"


def test_many_reasons_are_counted_and_bystanders_are_one_line() -> None:
    reasons = [
        CheckResult(Check.MARK, OPEN, "x", f"block {number}", 0, 1, cause=Cause.STORE, remedy="")
        for number in range(40)
    ]
    beside = [CheckResult(Check.REPLAY, OPEN, f"seat {seat}", "cannot be judged", 0, seat) for seat in (0, 2)]
    told = [sentence for sentence, _ in list_open_claims(report(*reasons, *beside))]
    assert len(told) == 14
    assert told[-2].startswith("28 claims more")
    assert (
        told[-1]
        == "not judged, since they build on something else that does not hold: 2 claims about seats 0, 2: replay"
    )


def test_bystanders_are_not_red() -> None:
    stream = io.StringIO()
    beside = CheckResult(Check.REPLAY, OPEN, "seat 0", "cannot be judged past step 3", 0, 0)
    console = Console(file=stream, force_terminal=True, color_system="standard", width=200)
    print_audit(console, report(beside))
    assert "\x1b[31" not in stream.getvalue() and "\x1b[1;31" not in stream.getvalue()
    print_audit(console, report(REPLAYED))
    assert "\x1b[1;31" in stream.getvalue()
