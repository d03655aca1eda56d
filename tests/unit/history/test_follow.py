"""The state machine over records: every rule of its docstring kept once, and broken in every way that it names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clicooper.chain.events import Event, LabelsReleased, RoundAccepted, RoundAcceptedByTimeout, SeatJoined, Withdrawn
from clicooper.chain.record import JobRecord
from clicooper.commitments.head import genesis, next_head
from clicooper.errors import RecordError
from clicooper.history.follow import follow_record
from clicooper.types import Digest, JobId, Phase
from tests.unit.history.honest_record import (
    ABORTED,
    ACCEPTED,
    ARBITER,
    CONTRACT,
    CREATED,
    DONE,
    FIRST,
    JOB,
    JOINED,
    KEYS,
    LATE,
    MARK,
    OPENED,
    OWNER,
    PARAMS,
    RELEASED,
    REVIEWED,
    SECOND,
    START,
    STARTED,
    STRANGER,
    VACATED,
    WINDOW,
    address,
    committed,
    record,
    refuses,
)

# --- what every rule allows ---


def test_whole_job_gives_the_contracts_heads() -> None:
    history = follow_record(record(*DONE))
    head = genesis(31337, CONTRACT, JOB, OWNER, PARAMS)
    assert history.genesis == head
    for commitment in history.commitments:
        assert commitment.head_before == head
        place = (commitment.round, commitment.seat, [FIRST, SECOND][commitment.seat])
        head = next_head(head, JOB, *place, commitment.manifest_digest, MARK)
        assert commitment.head == head
    assert (history.head, history.phase, history.accepted_rounds) == (head, Phase.DONE, 2)
    assert [(c.round, c.seat) for c in history.commitments] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [round_.label_key for round_ in history.rounds] == list(KEYS[:2])
    assert [round_.next_label_key for round_ in history.rounds] == list(KEYS[1:])
    assert history.rounds[0].head == history.commitments[1].head


@pytest.mark.parametrize("length", range(1, len(DONE) + 1))
def test_every_prefix_of_a_history_is_a_history(length: int) -> None:
    phases = [Phase.OPEN] * 2 + [Phase.LABELS] + [Phase.COMMIT] * 2 + [Phase.REVIEW]
    phases += [Phase.COMMIT] * 2 + [Phase.REVIEW, Phase.DONE]
    assert follow_record(record(*DONE[:length])).phase is phases[length - 1]


def test_last_second_of_every_window_is_in_time() -> None:
    """The joining window runs from creation; every other one from the event before."""
    later = ((WINDOW, event) for event in DONE[3:])
    assert follow_record(record(CREATED, JOINED[0], (WINDOW - 1, JOINED[1]), *later)).phase is Phase.DONE


# --- rule 1: order ---


def altered(at: int, **changes: Any) -> JobRecord:
    whole = record(*DONE)
    events = list(whole.events)
    events[at] = replace(events[at], **changes)
    return replace(whole, events=tuple(events))


@pytest.mark.parametrize(
    ("at", "changes", "why"),
    [
        (3, {"block_number": 2, "block_hash": Digest((2).to_bytes(32, "big"))}, "two different hashes or timestamps"),
        (3, {"block_number": 1, "block_hash": Digest((1).to_bytes(32, "big")), "block_timestamp": START + 1}, "after"),
        (3, {"block_timestamp": START}, "earlier timestamp"),
        (3, {"block_number": 1_001}, "outside the scanned blocks"),
        (3, {"block_number": 3, "log_index": 1}, "two different hashes or timestamps"),
    ],
)
def test_rule_1_events_are_ordered(at: int, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(RecordError, match=why):
        follow_record(altered(at, **changes))


def test_rule_1_one_block_may_hold_several_events() -> None:
    whole = record(*OPENED)
    twin = replace(whole.events[1], event=JOINED[1], log_index=1)
    assert follow_record(replace(whole, events=(*whole.events[:2], twin))).phase is Phase.LABELS
    with pytest.raises(RecordError, match="is not after"):
        follow_record(replace(whole, events=(*whole.events[:2], replace(twin, log_index=0))))


def test_rule_1_events_of_another_job_are_refused() -> None:
    refuses("belongs to job 2, not 1", CREATED, SeatJoined(JobId(2), 0, FIRST, b""))


# --- rule 2: creation ---


def test_rule_2_empty_record() -> None:
    refuses("holds no events")


@pytest.mark.parametrize("event", [JOINED[0], RELEASED, committed(0, 0), VACATED, ABORTED, Withdrawn(JOB, OWNER, 1)])
def test_rule_2_nothing_comes_before_creation(event: Event) -> None:
    refuses("phase NONE|before the job", event)


def test_rule_2_created_once() -> None:
    refuses("cannot happen in phase OPEN", CREATED, CREATED)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"arbiter": OWNER}, "arbiter"),
        ({"arbiter": address(0)}, "arbiter"),
        ({"seats": 1}, "has 1 seats"),
        ({"seats": 33}, "has 33 seats"),
        ({"seats": 2**256 - 1}, "seats"),
        ({"rounds": 0}, "has 0 rounds"),
        ({"rounds": 2**32}, "rounds"),
        ({"pay_wei": 2**96}, "above 96 bits"),
        ({"silence_penalty_wei": 2**256 - 1}, "above 96 bits"),
        ({"join_window_s": 0}, "join_window_s"),
        ({"review_window_s": 90 * 86_400 + 1}, "review_window_s"),
        ({"owner_bond_wei": 19}, "owner's bond"),
        ({"arbiter_fee_wei": 6}, "owner's bond"),
        ({"challenge_bond_wei": 0, "arbiter_fee_wei": 0}, "challenge bond of nothing"),
        ({"challenge_bond_wei": 2}, "one below the arbiter's fee"),
        ({"challenge_bond_wei": 19}, "stake below"),
        ({"silence_penalty_wei": 41}, "silence penalty above the stake"),
        ({"allow_list": (FIRST,)}, "reserves 1 seats of 2"),
    ],
)
def test_rule_2_terms_that_no_contract_accepts(changes: dict[str, Any], why: str) -> None:
    refuses(why, replace(CREATED, params=replace(PARAMS, **changes)))


# --- rule 3: seats ---


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (replace(JOINED[1], seat=0), "seat 0, which is not free"),
        (replace(JOINED[1], seat=2), "seat 2, which is not free"),
        (replace(JOINED[1], trainer=FIRST), "already has a part"),
        (replace(JOINED[1], trainer=OWNER), "already has a part"),
        (replace(JOINED[1], trainer=ARBITER), "already has a part"),
        (replace(JOINED[1], key_record=bytes(513)), "513 bytes of keys"),
    ],
)
def test_rule_3_seats_are_taken_once_by_outsiders(event: Event, why: str) -> None:
    refuses(why, CREATED, JOINED[0], event)


def test_rule_3_nobody_joins_after_the_seats_are_filled() -> None:
    refuses("cannot happen in phase LABELS", *OPENED, SeatJoined(JOB, 0, STRANGER, b""))


def test_rule_3_reserved_seats() -> None:
    reserved = replace(CREATED, params=replace(PARAMS, allow_list=(STRANGER, address(0))))
    refuses("reserved for", reserved, JOINED[0])
    assert follow_record(record(reserved, JOINED[1])).seats[0].trainer == SECOND


# --- rule 4: labels ---


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (LabelsReleased(JOB, 0, KEYS[1]), "does not open the key before it"),
        (LabelsReleased(JOB, 1, KEYS[0]), "round 1 where round 0 is due"),
    ],
)
def test_rule_4_labels_open_the_anchor(event: Event, why: str) -> None:
    refuses(why, *OPENED, event)


def test_rule_4_labels_only_while_they_are_due() -> None:
    refuses("phase OPEN", CREATED, RELEASED)
    refuses("phase COMMIT", *STARTED, LabelsReleased(JOB, 0, KEYS[1]))
    refuses("phase REVIEW", *REVIEWED, LabelsReleased(JOB, 1, KEYS[1]))


def test_rule_4_labels_after_an_optimistic_round_open_the_last_key() -> None:
    timed_out = (*REVIEWED, (LATE, RoundAcceptedByTimeout(JOB, 0)))
    refuses("does not open", *timed_out, LabelsReleased(JOB, 1, KEYS[2]))
    refuses("round 0 where round 1", *timed_out, LabelsReleased(JOB, 0, KEYS[1]))
    history = follow_record(record(*timed_out, LabelsReleased(JOB, 1, KEYS[1])))
    assert history.rounds[0].next_label_key == history.rounds[1].label_key == KEYS[1]


# --- rule 5: commitments ---


@pytest.mark.parametrize(
    ("before", "event", "due"),
    [
        (STARTED, committed(0, 1), "round 0, seat 0"),
        (STARTED, committed(1, 0), "round 0, seat 0"),
        ((*STARTED, committed(0, 0)), committed(0, 0), "round 0, seat 1"),
        (ACCEPTED, committed(0, 0), "round 1, seat 0"),
    ],
)
def test_rule_5_commitments_come_in_seat_order(before: tuple[Event, ...], event: Event, due: str) -> None:
    refuses(f"where {due} is due", *before, event)


def test_rule_5_commitments_only_while_they_are_due() -> None:
    refuses("phase LABELS", *OPENED, committed(0, 0))
    refuses("phase REVIEW", *REVIEWED, committed(0, 0))
    refuses("phase DONE", *DONE, committed(1, 1))


# --- rule 6: acceptance ---


@pytest.mark.parametrize("before", [OPENED, STARTED, (*STARTED, committed(0, 0)), ACCEPTED])
def test_rule_6_acceptance_comes_after_the_last_commit(before: tuple[Event, ...]) -> None:
    refuses("cannot happen in phase", *before, RoundAccepted(JOB, 0, KEYS[1]))
    refuses("cannot happen in phase", *before, (LATE, RoundAcceptedByTimeout(JOB, 0)))


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (RoundAccepted(JOB, 0, KEYS[2]), "does not open the key before it"),
        (RoundAccepted(JOB, 0, KEYS[0]), "does not open the key before it"),
        (RoundAccepted(JOB, 1, KEYS[1]), "round 1 where round 0 is in review"),
        ((LATE, RoundAcceptedByTimeout(JOB, 1)), "round 1 where round 0 is in review"),
    ],
)
def test_rule_6_acceptance_opens_the_next_key(event: Any, why: str) -> None:
    refuses(why, *REVIEWED, event)


def test_a_broken_rule_names_its_event() -> None:
    refuses("block 5, log 0, Committed: commits round 0, seat 1", *STARTED, committed(0, 1))
