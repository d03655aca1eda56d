"""Records of a job in dispute, made of events alone, and how the state machine takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from eth_utils import to_checksum_address

from clicooper.chain.events import (
    Challenged,
    ChallengeLapsed,
    Committed,
    EquivocationProven,
    Event,
    JobCreated,
    LabelsReleased,
    LoggedEvent,
    ReplacementNamed,
    RoundAccepted,
    Ruled,
    SeatJoined,
    SeatVacated,
)
from clicooper.chain.record import JobRecord
from clicooper.commitments.head import challenge_id, label_anchor, label_keys, opened_commitment
from clicooper.errors import RecordError
from clicooper.history.follow import History, follow_record
from clicooper.types import Address, Digest, Ground, JobId, JobParams, VacancyReason

JOB = JobId(1)
WINDOW, COURT_WINDOW = 100, 300
LATE = WINDOW + 1


def address(number: int) -> Address:
    return Address(to_checksum_address(number.to_bytes(20, "big")))


OWNER, ARBITER, FIRST, SECOND, STRANGER, REPLACEMENT, CONTRACT = (address(n) for n in range(1, 8))
KEYS = label_keys(Digest(b"\x07" * 32), rounds=2)
PARAMS = JobParams(
    pay_wei=10,
    stake_wei=50,
    owner_bond_wei=26,
    seats=2,
    rounds=2,
    arbiter=ARBITER,
    spec_digest=Digest(b"\x01" * 32),
    label_anchor=label_anchor(KEYS[0]),
    challenge_bond_wei=8,
    arbiter_fee_wei=3,
    silence_penalty_wei=15,
    arbitration_window_s=COURT_WINDOW,
    **dict.fromkeys(("join_window_s", "label_window_s", "train_window_s", "turn_window_s", "review_window_s"), WINDOW),
)
MANIFEST, EVIDENCE = Digest(b"\x10" * 32), Digest(b"\x0e" * 32)
PROGRESS_HASH, OWNERSHIP = Digest(b"\x21" * 32), Digest(b"\x22" * 32)
MARK = opened_commitment(PROGRESS_HASH, OWNERSHIP)


@dataclass(frozen=True)
class Together:
    """Events of one transaction, ``wait`` seconds after the one before."""

    events: Sequence[Event]
    wait: int = 1


def record(*acts: Event | Together) -> JobRecord:
    """One act a block."""
    time, lines = 1_000, []
    for block, entry in enumerate(acts, start=1):
        act = entry if isinstance(entry, Together) else Together([entry])
        time += act.wait
        digest = Digest(block.to_bytes(32, "big"))
        for index, event in enumerate(act.events):
            lines.append(LoggedEvent(event, block, digest, time, digest, index, OWNER, 21_000))
    return JobRecord("test", 31337, CONTRACT, JOB, (0, 1_000), tuple(lines))


def follow(*acts: Event | Together) -> History:
    return follow_record(record(*acts))


def refuses(why: str, *acts: Event | Together) -> None:
    with pytest.raises(RecordError, match=why):
        follow(*acts)


def after(wait: int, *events: Event) -> Together:
    return Together(events, wait)


CREATED = JobCreated(JOB, OWNER, PARAMS)
OPENED = (CREATED, SeatJoined(JOB, 0, FIRST, b"keys"), SeatJoined(JOB, 1, SECOND, b"keys"))
STARTED = (*OPENED, LabelsReleased(JOB, 0, KEYS[0]))
COMMITS = tuple(Committed(JOB, 0, seat, MANIFEST, MARK) for seat in range(2))
HALF = (*STARTED, COMMITS[0])
REVIEWED = (*STARTED, *COMMITS)
ACCEPTED = (*REVIEWED, RoundAccepted(JOB, 0, KEYS[1]))
NAMED = ReplacementNamed(JOB, 1, REPLACEMENT)
REJOINED = SeatJoined(JOB, 1, REPLACEMENT, b"keys")


def challenged(
    acts: Sequence[Event | Together],
    accused: int = 1,
    bond: int = 8,
    ground: Ground = Ground.FAULT,
    by: Address = STRANGER,
) -> Challenged:
    """The challenge of this moment."""
    history = follow(*acts)
    where = (31337, CONTRACT, JOB, history.accepted_rounds, history.head)
    named = challenge_id(*where, accused, by, EVIDENCE, ground)
    return Challenged(JOB, named, by, accused, ground, bond, EVIDENCE)


def vacated(reason: VacancyReason, seat: int = 1, trainer: Address = SECOND) -> SeatVacated:
    return SeatVacated(JOB, seat, trainer, reason)


def guilty(challenge: Challenged, wait: int = 1) -> Together:
    return after(wait, Ruled(JOB, challenge.challenge_id, True), vacated(VacancyReason.GUILTY))


def acquitted(challenge: Challenged, wait: int = 1) -> Together:
    return after(wait, Ruled(JOB, challenge.challenge_id, False))


def lapsed(challenge: Challenged, *rest: Event, wait: int = COURT_WINDOW + 1) -> Together:
    return after(wait, ChallengeLapsed(JOB, challenge.challenge_id), *rest)


EXPELLED = (EquivocationProven(JOB, 1, STRANGER), vacated(VacancyReason.EQUIVOCATION))
ACCUSED = challenged(HALF)
ARGUED = (*HALF, ACCUSED)
VACANT = (*ARGUED, guilty(ACCUSED))
REFILLED = (*VACANT, NAMED, REJOINED)
