"""Equivocation, vacancies, replacements and openings in records: every rule kept once, and broken as it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from eth_utils import keccak

from clicooper.audit.artifacts import AuditKeys
from clicooper.audit.auditor import audit_record
from clicooper.audit.checks.payment import check_payment
from clicooper.audit.verdict import Check
from clicooper.chain.events import Committed, EquivocationProven, Event, JobAborted, MarkOpened, RoundAccepted, Ruled
from clicooper.commitments.head import restart_head
from clicooper.types import (
    ACCUSED_OWNER,
    DEAD_ADDRESS,
    ZERO_ADDRESS,
    AbortReason,
    Digest,
    Phase,
    VacancyReason,
    Verdict,
)
from tests.simulators import MemoryStore
from tests.unit.history.disputed_record import (
    ACCEPTED,
    ARBITER,
    ARGUED,
    COMMITS,
    CREATED,
    EVIDENCE,
    EXPELLED,
    FIRST,
    HALF,
    JOB,
    KEYS,
    LATE,
    MANIFEST,
    MARK,
    NAMED,
    OPENED,
    OWNER,
    OWNERSHIP,
    PARAMS,
    PROGRESS_HASH,
    REFILLED,
    REJOINED,
    REPLACEMENT,
    REVIEWED,
    SECOND,
    STARTED,
    STRANGER,
    VACANT,
    WINDOW,
    Together,
    acquitted,
    after,
    challenged,
    follow,
    lapsed,
    record,
    refuses,
    vacated,
)

# --- rule 13: equivocation ---


@pytest.mark.parametrize("before", [STARTED, HALF, REVIEWED])
def test_rule_13_equivocation_expels_and_burns(before: Sequence[Event]) -> None:
    history = follow(*before, after(10_000, *EXPELLED))
    assert (history.phase, len(history.seats)) == (Phase.REFILL, 1)
    owed = {account: history.settlement.owed(account) for account in (STRANGER, DEAD_ADDRESS, SECOND)}
    assert owed == {STRANGER: 8, DEAD_ADDRESS: 42, SECOND: 0}
    assert len(history.rounds[0].commitments) == len(before) - len(STARTED)
    again = follow(*before, after(10_000, *EXPELLED), NAMED, REJOINED)
    assert (again.commitments, len(again.rounds[0].abandoned)) == ((), len(before) - len(STARTED))


def test_rule_13_equivocation_is_of_a_held_seat_in_an_open_round() -> None:
    refuses("phase LABELS", *OPENED, Together(EXPELLED))
    refuses("which nobody holds", *VACANT, Together(EXPELLED))
    refuses("which nobody holds", *STARTED, EquivocationProven(JOB, 7, STRANGER))
    refuses("is the last event", *STARTED, EXPELLED[0])
    refuses("leaves a challenge of the expelled seat open", *ARGUED, Together(EXPELLED))


def test_rule_13_challenge_of_another_stays_open_and_goes_back_to_the_refill() -> None:
    challenge = challenged(REVIEWED, accused=0)
    acts = (*REVIEWED, challenge, Together(EXPELLED))
    assert follow(*acts).phase is Phase.ARBITRATION
    resumed = (*acts, acquitted(challenge, 200))
    follow(*resumed, NAMED, after(WINDOW - 1, REJOINED))
    refuses("after its deadline", *resumed, NAMED, after(WINDOW, REJOINED))
    unruled = (*acts, lapsed(challenge), NAMED, REJOINED)
    assert follow(*unruled).phase is Phase.COMMIT


# --- rules 14 and 15: vacancies and replacements ---


def test_rule_14_vacancy_moves_the_head_on() -> None:
    before, moved = follow(*ARGUED), follow(*VACANT)
    assert moved.head == restart_head(before.head, JOB, 0, 1, SECOND)
    assert (moved.rounds[0].abandoned, len(moved.commitments)) == ((), 1)
    again = follow(*REFILLED, after(LATE, vacated(VacancyReason.SILENT, 0, FIRST)))
    assert again.head == restart_head(moved.head, JOB, 0, 0, FIRST)


@pytest.mark.parametrize(
    ("acts", "why"),
    [
        ((replace(NAMED, seat=0),), "seat 0, which is not vacant"),
        ((replace(NAMED, seat=2),), "seat 2, which is not vacant"),
        ((replace(NAMED, trainer=ZERO_ADDRESS),), "may not hold a seat"),
        ((replace(NAMED, trainer=OWNER),), "may not hold a seat"),
        ((replace(NAMED, trainer=ARBITER),), "may not hold a seat"),
        ((replace(NAMED, trainer=FIRST),), "may not hold a seat"),
        ((replace(NAMED, trainer=SECOND),), "may not hold a seat"),
        ((after(LATE, NAMED),), "after its deadline"),
        ((NAMED, REJOINED, NAMED), "phase COMMIT"),
    ],
)
def test_rule_15_replacements_are_outsiders_for_vacant_seats(acts: Sequence[Event | Together], why: str) -> None:
    refuses(why, *VACANT, *acts)


# --- rule 16: openings ---

OPENING = MarkOpened(JOB, 0, 1, SECOND, PROGRESS_HASH, OWNERSHIP, EVIDENCE)


def test_rule_16_marks_open_once_and_even_after_the_end() -> None:
    second = (Committed(JOB, 1, 0, MANIFEST, MARK), Committed(JOB, 1, 1, MANIFEST, MARK))
    done = (*ACCEPTED, *second, RoundAccepted(JOB, 1, KEYS[2]))
    other = replace(OPENING, seat=0, trainer=FIRST)
    assert follow(*done, OPENING, other).mark_openings == (OPENING, other)
    assert follow(*ACCEPTED, OPENING).phase is Phase.COMMIT
    refuses("for the second time", *done, OPENING, replace(OPENING, suspect_digest=MARK))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"round": 1}, "round 1, which is not accepted"),
        ({"seat": 2}, "did not commit"),
        ({"trainer": FIRST}, "did not commit"),
        ({"ownership_key": MARK}, "does not open"),
        ({"progress_key_hash": Digest(keccak(PROGRESS_HASH))}, "does not open"),
    ],
)
def test_rule_16_openings_fit_the_commitment(changes: dict[str, Any], why: str) -> None:
    refuses(why, *ACCEPTED, replace(OPENING, **changes))


def test_rule_16_abandoned_commitments_are_not_opened() -> None:
    both = (*REVIEWED, Together(EXPELLED), NAMED, REJOINED, *COMMITS, RoundAccepted(JOB, 0, KEYS[1]))
    refuses("did not commit", *both, OPENING)
    assert follow(*both, replace(OPENING, trainer=REPLACEMENT)).mark_openings


# --- tokens ---


def test_jobs_may_pay_in_a_token() -> None:
    in_token = replace(CREATED, params=replace(PARAMS, token=STRANGER))
    assert follow(in_token, *ACCEPTED[1:]).params.token == STRANGER


# --- what the audit shows ---


def test_audit_names_disputes_and_burned_money() -> None:
    acts = (*REFILLED, *COMMITS, RoundAccepted(JOB, 0, KEYS[1]))
    late = after(LATE, vacated(VacancyReason.SILENT, 0, FIRST))
    report = audit_record(record(*acts, late), MemoryStore(), AuditKeys())
    by_check = {row.subject: row.detail for row in report.results if row.check in {Check.RECORD, Check.PAYMENT}}
    said = by_check["state machine"]
    assert "2 commitments, 1 of 2 rounds accepted, 1 commitments of abandoned attempts, 2 seats vacated" in said
    assert "challenge of seat 1 in round 0: guilty" in said
    assert by_check[DEAD_ADDRESS] == "15 wei are burned"
    assert by_check[STRANGER] == "withdrew 0 wei, is owed 16 wei"


def test_audit_accounts_for_every_bond_at_the_end() -> None:
    in_token = replace(CREATED, params=replace(PARAMS, token=STRANGER))
    for created, unit in ((CREATED, "wei"), (in_token, f"units of token {STRANGER}")):
        acts: tuple[Event | Together, ...] = (created, *REVIEWED[1:])
        challenge = challenged(acts, ACCUSED_OWNER)
        verdict = [Ruled(JOB, challenge.challenge_id, True), JobAborted(JOB, AbortReason.OWNER_GUILTY)]
        rows = list(check_payment(follow(*acts, challenge, Together(verdict))))
        assert rows[-1].subject == "all money locked in the job"
        assert unit in rows[-1].detail
        assert {row.verdict for row in rows} == {Verdict.PASS}
