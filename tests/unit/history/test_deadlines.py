"""Deadlines, withdrawals and the end in records: every rule kept once, and broken in every way that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clicooper.chain.events import (
    Event,
    JobAborted,
    JobCancelled,
    LabelsReleased,
    RoundAccepted,
    RoundAcceptedByTimeout,
    SeatJoined,
    Withdrawn,
)
from clicooper.history.follow import follow_record
from clicooper.types import AbortReason, Address, Phase, VacancyReason
from tests.unit.history.honest_record import (
    ABORTED,
    ACCEPTED,
    CREATED,
    DONE,
    FIRST,
    JOB,
    KEYS,
    LATE,
    OPENED,
    OWNER,
    PARAMS,
    REVIEWED,
    SECOND,
    STARTED,
    STRANGER,
    VACATED,
    WINDOW,
    committed,
    record,
    refuses,
)

# --- rule 7: deadlines ---


@pytest.mark.parametrize("at", range(1, len(DONE)))
def test_rule_7_nothing_happens_after_its_deadline(at: int) -> None:
    refuses("1 s after its deadline" if at != 2 else "s after its deadline", *DONE[:at], (LATE, DONE[at]))


@pytest.mark.parametrize(
    ("before", "event"),
    [
        (REVIEWED, RoundAcceptedByTimeout(JOB, 0)),
        (STARTED, VACATED),
        (OPENED, JobAborted(JOB, AbortReason.OWNER_SILENT)),
        ((*STARTED, (LATE, VACATED)), ABORTED),
    ],
)
def test_rule_7_time_outs_come_after_the_deadline(before: tuple[Event, ...], event: Event) -> None:
    refuses("time-out before the deadline", *before, (WINDOW, event))
    follow_record(record(*before, (LATE, event)))


def test_rule_7_owner_gives_up_before_the_deadline_only() -> None:
    given_up = JobAborted(JOB, AbortReason.OWNER_ABORTED)
    vacant = (*STARTED, (LATE, VACATED))
    refuses("after its deadline", *vacant, (LATE, given_up))
    assert follow_record(record(*vacant, (WINDOW, given_up))).phase is Phase.ABORTED


def test_rule_7_cancellation_before_the_first_labels_is_in_time() -> None:
    cancelled = JobCancelled(JOB)
    assert follow_record(record(CREATED, (LATE, cancelled))).phase is Phase.CANCELLED
    assert follow_record(record(*OPENED, (WINDOW, cancelled))).phase is Phase.CANCELLED
    refuses("after its deadline", *OPENED, (LATE, cancelled))
    refuses("cannot happen in phase COMMIT", *STARTED, cancelled)
    refuses("first labels are out", *REVIEWED, (LATE, RoundAcceptedByTimeout(JOB, 0)), cancelled)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (replace(VACATED, seat=1, trainer=SECOND), "whose turn it is not"),
        (replace(VACATED, trainer=SECOND), "whose turn it is not"),
        (replace(VACATED, reason=VacancyReason.GUILTY), "gives reason GUILTY"),
        (replace(VACATED, reason=VacancyReason.EQUIVOCATION), "gives reason EQUIVOCATION"),
    ],
)
def test_rule_7_only_the_seat_in_turn_is_vacated_for_silence(event: Event, why: str) -> None:
    refuses(why, *STARTED, (LATE, event))


@pytest.mark.parametrize(
    ("before", "reason", "why"),
    [
        (STARTED, AbortReason.OWNER_SILENT, "phase COMMIT"),
        (OPENED, AbortReason.SEAT_UNFILLED, "phase LABELS"),
        (OPENED, AbortReason.OWNER_ABORTED, "phase LABELS"),
        (OPENED, AbortReason.OWNER_GUILTY, "gives reason OWNER_GUILTY"),
    ],
)
def test_rule_7_aborts_have_their_reason(before: tuple[Event, ...], reason: AbortReason, why: str) -> None:
    refuses(why, *before, (LATE, JobAborted(JOB, reason)))


# --- rule 8: withdrawals ---


@pytest.mark.parametrize(
    ("before", "account", "amount_wei", "owed_wei"),
    [
        (OPENED, FIRST, 40, 0),
        (OPENED, FIRST, 0, 0),
        (ACCEPTED, FIRST, 11, 10),
        (ACCEPTED, FIRST, 9, 10),
        (ACCEPTED, OWNER, 25, 0),
        (ACCEPTED, STRANGER, 1, 0),
        (DONE, FIRST, 59, 60),
        (DONE, OWNER, 26, 25),
        ((*DONE, Withdrawn(JOB, FIRST, 60)), FIRST, 60, 0),
    ],
)
def test_rule_8_withdrawals_pay_what_is_owed(
    before: tuple[Event, ...], account: Address, amount_wei: int, owed_wei: int
) -> None:
    refuses(
        f"pays {amount_wei} wei to {account}, who is owed {owed_wei} wei", *before, Withdrawn(JOB, account, amount_wei)
    )


def test_rule_8_pay_may_be_withdrawn_round_by_round() -> None:
    whole = (*ACCEPTED, Withdrawn(JOB, FIRST, 10), *DONE[len(ACCEPTED) :])
    ends = (Withdrawn(JOB, FIRST, 50), Withdrawn(JOB, SECOND, 60), Withdrawn(JOB, OWNER, 25))
    history = follow_record(record(*whole, *ends))
    assert sum(withdrawal.amount_wei for withdrawal in history.withdrawals) == PARAMS.escrow_wei + 2 * PARAMS.stake_wei
    assert history.settlement.liabilities() == 0


# --- rule 9: the end ---

ENDS: dict[str, tuple[Any, ...]] = {
    "done": DONE,
    "cancelled": (CREATED, JobCancelled(JOB)),
    "aborted": (*STARTED, (LATE, VACATED), (LATE, ABORTED)),
}
AFTERWARDS: list[Callable[[], Event]] = [
    lambda: CREATED,
    lambda: SeatJoined(JOB, 0, STRANGER, b""),
    lambda: LabelsReleased(JOB, 2, KEYS[2]),
    lambda: committed(1, 0),
    lambda: RoundAccepted(JOB, 1, KEYS[2]),
    lambda: RoundAcceptedByTimeout(JOB, 1),
    lambda: VACATED,
    lambda: JobCancelled(JOB),
    lambda: ABORTED,
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("event", [make() for make in AFTERWARDS], ids=lambda event: type(event).__name__)
def test_rule_9_nothing_but_withdrawals_follows_the_end(end: str, event: Event) -> None:
    refuses("cannot happen in phase", *ENDS[end], event)
