"""Records of a job that nobody disputes, made of events alone, and how the state machine takes them."""

from __future__ import annotations

from typing import Any

import pytest
from eth_utils import to_checksum_address

from clicooper.chain.events import (
    Committed,
    Event,
    JobAborted,
    JobCreated,
    LabelsReleased,
    LoggedEvent,
    RoundAccepted,
    SeatJoined,
    SeatVacated,
)
from clicooper.chain.record import JobRecord
from clicooper.commitments.head import label_anchor, label_keys
from clicooper.errors import RecordError
from clicooper.history.follow import follow_record
from clicooper.types import AbortReason, Address, Digest, JobId, JobParams, VacancyReason

JOB = JobId(1)


def address(number: int) -> Address:
    return Address(to_checksum_address(number.to_bytes(20, "big")))


OWNER, ARBITER, FIRST, SECOND, STRANGER, CONTRACT = (address(n) for n in range(1, 7))
KEYS = label_keys(Digest(b"\x07" * 32), rounds=2)
WINDOW = 100
PARAMS = JobParams(
    pay_wei=10,
    stake_wei=40,
    owner_bond_wei=25,
    seats=2,
    rounds=2,
    arbiter=ARBITER,
    spec_digest=Digest(b"\x01" * 32),
    label_anchor=label_anchor(KEYS[0]),
    challenge_bond_wei=8,
    arbiter_fee_wei=3,
    silence_penalty_wei=15,
    **dict.fromkeys(("join_window_s", "label_window_s", "train_window_s", "turn_window_s", "review_window_s"), WINDOW),
)
MANIFESTS = [Digest(bytes([0x10 + n]) * 32) for n in range(4)]
MARK = Digest(b"\x02" * 32)
START = 1_000


def logged(event: Event, block: int, time: int) -> LoggedEvent:
    digest = Digest(block.to_bytes(32, "big"))
    return LoggedEvent(event, block, digest, time, digest, 0, OWNER, 21_000)


def record(*events: Event | tuple[int, Event]) -> JobRecord:
    """One event a block and second; ``(seconds, event)`` waits that long before it."""
    time, lines = START, []
    for block, entry in enumerate(events, start=1):
        wait, event = entry if isinstance(entry, tuple) else (1, entry)
        time += wait
        lines.append(logged(event, block, time))
    return JobRecord("test", 31337, CONTRACT, JOB, (0, 1_000), tuple(lines))


CREATED = JobCreated(JOB, OWNER, PARAMS)
JOINED = (SeatJoined(JOB, 0, FIRST, b"keys"), SeatJoined(JOB, 1, SECOND, b"keys"))
OPENED = (CREATED, *JOINED)
RELEASED = LabelsReleased(JOB, 0, KEYS[0])
STARTED = (*OPENED, RELEASED)


def committed(round_: int, seat: int) -> Committed:
    return Committed(JOB, round_, seat, MANIFESTS[2 * round_ + seat], MARK)


REVIEWED = (*STARTED, committed(0, 0), committed(0, 1))
ACCEPTED = (*REVIEWED, RoundAccepted(JOB, 0, KEYS[1]))
DONE = (*ACCEPTED, committed(1, 0), committed(1, 1), RoundAccepted(JOB, 1, KEYS[2]))
LATE = WINDOW + 1
VACATED = SeatVacated(JOB, 0, FIRST, VacancyReason.SILENT)
ABORTED = JobAborted(JOB, AbortReason.SEAT_UNFILLED)


def refuses(why: str, *events: Any) -> None:
    with pytest.raises(RecordError, match=why):
        follow_record(record(*events))
