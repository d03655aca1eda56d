"""The contract's state machine, run again over a record: a pure function, no network and no files.

Rules that every record must obey, in this order for each event:

1. Events are ordered by (block, log index), timestamps never go back, one block number has one hash and timestamp.
2. The first event is ``JobCreated``, on terms that the contract accepts; its parameters give the genesis head.
3. ``SeatJoined`` only while open, each seat once, no address twice, neither owner nor arbiter.
4. ``LabelsReleased`` opens the previous key's hash, or the anchor for key 0.
5. ``Committed`` comes in seat order, once a seat and round, and advances the head.
6. ``RoundAccepted`` comes after the last seat's commit and opens the next label key.
7. Each of these happens no later than its deadline; time-outs happen after theirs.
8. ``Withdrawn`` pays exactly what the rules owe to that account at that moment.
9. Nothing but withdrawals follows a terminal event.

A broken rule raises ``RecordError`` and names the event; nothing after it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, assert_never

from clicooper.audit.settlement import Settlement
from clicooper.audit.terms import MAX_KEY_RECORD_BYTES, refused_terms
from clicooper.chain.events import (
    Committed,
    JobAborted,
    JobCancelled,
    JobCreated,
    LabelsReleased,
    LoggedEvent,
    RoundAccepted,
    RoundAcceptedByTimeout,
    SeatJoined,
    SeatVacated,
    Withdrawn,
)
from clicooper.chain.record import JobRecord
from clicooper.commitments.head import genesis, label_anchor, next_head
from clicooper.errors import RecordError
from clicooper.types import ZERO_ADDRESS, Address, Digest, Head, JobId, JobParams, Phase, VacancyReason

__all__ = ["Commitment", "History", "Round", "Seat", "follow_record"]

TERMINAL = {Phase.DONE, Phase.CANCELLED, Phase.ABORTED}


@dataclass(frozen=True)
class Seat:
    """One holder of one seat; ``from_round`` is the first round whose pay is the holder's."""

    seat: int
    trainer: Address
    key_record: bytes
    from_round: int


@dataclass(frozen=True)
class Commitment:
    """One ``commit``, with the head that it was built on and the head that it made."""

    round: int
    seat: int
    trainer: Address
    manifest_digest: Digest
    mark_commitment: Digest
    head_before: Head
    head: Head
    logged: LoggedEvent


@dataclass(frozen=True)
class Round:
    """One round as far as the record goes; ``next_label_key`` is set once it is accepted by its owner."""

    round: int
    label_key: Digest
    commitments: tuple[Commitment, ...] = ()
    accepted: bool = False
    by_timeout: bool = False
    head: Head | None = None
    next_label_key: Digest | None = None
    settled: LoggedEvent | None = None


@dataclass(frozen=True)
class History:
    """What a record proves about a job; ``joined`` counts every stake that was ever posted."""

    chain_id: int
    contract: Address
    job: JobId
    owner: Address
    params: JobParams
    genesis: Head
    phase: Phase
    head: Head
    seats: tuple[Seat, ...]
    rounds: tuple[Round, ...]
    withdrawals: tuple[Withdrawn, ...]
    settlement: Settlement
    joined: int

    @property
    def commitments(self) -> tuple[Commitment, ...]:
        """All commitments in order."""
        return tuple(c for round_ in self.rounds for c in round_.commitments)

    @property
    def accepted_rounds(self) -> int:
        """Number of accepted rounds."""
        return sum(round_.accepted for round_ in self.rounds)


def follow_record(record: JobRecord) -> History:
    """Runs the state machine over a record.

    Raises:
        RecordError: an event that the contract would not have emitted there, with its place.
    """
    if not record.events:
        raise RecordError("the record holds no events", hint="export the record of an existing job")
    machine = _Machine(record)
    for logged in record.events:
        machine.apply(logged)
    return machine.history()


class _Machine:
    """The state between two events."""

    def __init__(self, record: JobRecord) -> None:
        self._record = record
        self._last: LoggedEvent | None = None
        self._blocks: dict[int, tuple[Digest, int]] = {}
        self._phase = Phase.NONE
        self._deadline = 0
        self._turn = 0
        self._accepted = 0
        self._label_key = Digest(b"")
        self._seats: dict[int, Seat] = {}
        self._rounds: list[Round] = []
        self._withdrawals: list[Withdrawn] = []
        self._joined = 0

    def apply(self, logged: LoggedEvent) -> None:
        """Advances by one event or raises."""
        self._where = f"block {logged.block_number}, log {logged.log_index}, {type(logged.event).__name__}"
        self._check_order(logged)
        event = logged.event
        if event.job != self._record.job:
            self._refuse(f"belongs to job {event.job}, not {self._record.job}")
        match event:
            case JobCreated():
                self._create(event, logged)
            case SeatJoined():
                self._join(event, logged)
            case LabelsReleased():
                self._release(event, logged)
            case Committed():
                self._commit(event, logged)
            case RoundAccepted():
                self._accept(event, logged)
            case RoundAcceptedByTimeout():
                self._accept_by_timeout(event, logged)
            case SeatVacated():
                self._vacate(event, logged)
            case JobCancelled():
                self._cancel(logged)
            case JobAborted():
                self._abort(event, logged)
            case Withdrawn():
                self._withdraw(event)
            case _:
                assert_never(event)
        self._last = logged

    def history(self) -> History:
        """The frozen result."""
        return History(
            chain_id=self._record.chain_id,
            contract=self._record.contract,
            job=self._record.job,
            owner=self._owner,
            params=self._params,
            genesis=self._genesis,
            phase=self._phase,
            head=self._head,
            seats=tuple(self._seats[seat] for seat in sorted(self._seats)),
            rounds=tuple(self._rounds),
            withdrawals=tuple(self._withdrawals),
            settlement=self._settlement,
            joined=self._joined,
        )

    def _refuse(self, why: str) -> NoReturn:
        raise RecordError(f"{self._where}: {why}", hint="the record was altered, cut, or exported from a faulty node")

    def _check_order(self, logged: LoggedEvent) -> None:
        first, last = self._record.blocks
        if not first <= logged.block_number <= last:
            self._refuse(f"lies outside the scanned blocks {first} to {last}")
        block = (logged.block_hash, logged.block_timestamp)
        if self._blocks.setdefault(logged.block_number, block) != block:
            self._refuse("its block number has two different hashes or timestamps")
        before = self._last
        if before is None:
            return
        if (logged.block_number, logged.log_index) <= (before.block_number, before.log_index):
            self._refuse("is not after the event before it")
        if logged.block_timestamp < before.block_timestamp:
            self._refuse("has an earlier timestamp than the event before it")

    def _need(self, *phases: Phase) -> None:
        if self._phase not in phases:
            self._refuse(f"cannot happen in phase {self._phase.name}")

    def _in_time(self, logged: LoggedEvent) -> None:
        if logged.block_timestamp > self._deadline:
            self._refuse(f"is {logged.block_timestamp - self._deadline} s after its deadline")

    def _timed_out(self, logged: LoggedEvent) -> None:
        if logged.block_timestamp <= self._deadline:
            self._refuse("is a time-out before the deadline")

    def _enter(self, phase: Phase, logged: LoggedEvent, window_s: int = 0) -> None:
        self._phase = phase
        self._deadline = logged.block_timestamp + window_s

    def _create(self, event: JobCreated, logged: LoggedEvent) -> None:
        self._need(Phase.NONE)
        params = event.params
        if objection := refused_terms(event.owner, params):
            self._refuse(objection)
        self._owner, self._params = event.owner, params
        self._label_key = params.label_anchor
        self._genesis = genesis(self._record.chain_id, self._record.contract, event.job, event.owner, params)
        self._head = self._genesis
        self._settlement = Settlement(event.owner, params)
        self._enter(Phase.OPEN, logged, params.join_window_s)

    def _join(self, event: SeatJoined, logged: LoggedEvent) -> None:
        self._need(Phase.OPEN)
        self._in_time(logged)
        if not 0 <= event.seat < self._params.seats or event.seat in self._seats:
            self._refuse(f"takes seat {event.seat}, which is not free")
        taken = {self._owner, self._params.arbiter, *(seat.trainer for seat in self._seats.values())}
        if event.trainer in taken:
            self._refuse(f"{event.trainer} already has a part in the job")
        allowed = self._params.allow_list[event.seat] if self._params.allow_list else ZERO_ADDRESS
        if allowed not in {ZERO_ADDRESS, event.trainer}:
            self._refuse(f"seat {event.seat} is reserved for {allowed}")
        if len(event.key_record) > MAX_KEY_RECORD_BYTES:
            self._refuse(f"registers {len(event.key_record)} bytes of keys")
        self._seats[event.seat] = Seat(event.seat, event.trainer, event.key_record, 0)
        self._joined += 1
        self._settlement = self._settlement.joined(event.seat, event.trainer)
        if len(self._seats) == self._params.seats:
            self._enter(Phase.LABELS, logged, self._params.label_window_s)

    def _open_labels(self, key: Digest, round_: int) -> None:
        if label_anchor(key) != self._label_key:
            self._refuse(f"label key of round {round_} does not open the key before it")
        self._label_key = key

    def _start_round(self, logged: LoggedEvent) -> None:
        if self._accepted == self._params.rounds:
            self._finish(Phase.DONE, logged)
            return
        self._rounds.append(Round(self._accepted, self._label_key))
        self._turn = 0
        self._enter(Phase.COMMIT, logged, self._params.train_window_s)

    def _finish(self, phase: Phase, logged: LoggedEvent) -> None:
        self._enter(phase, logged)
        self._settlement = self._settlement.ended()

    def _release(self, event: LabelsReleased, logged: LoggedEvent) -> None:
        self._need(Phase.LABELS)
        self._in_time(logged)
        if event.round != self._accepted:
            self._refuse(f"releases labels of round {event.round} where round {self._accepted} is due")
        self._open_labels(event.label_key, event.round)
        if self._rounds:
            self._replace_round(next_label_key=event.label_key)
        self._start_round(logged)

    def _commit(self, event: Committed, logged: LoggedEvent) -> None:
        self._need(Phase.COMMIT)
        self._in_time(logged)
        if (event.round, event.seat) != (self._accepted, self._turn):
            due = f"round {self._accepted}, seat {self._turn}"
            self._refuse(f"commits round {event.round}, seat {event.seat} where {due} is due")
        trainer = self._seats[event.seat].trainer
        before = self._head
        self._head = next_head(
            before, event.job, event.round, event.seat, trainer, event.manifest_digest, event.mark_commitment
        )
        commitment = Commitment(
            event.round, event.seat, trainer, event.manifest_digest, event.mark_commitment, before, self._head, logged
        )
        self._replace_round(commitments=(*self._rounds[-1].commitments, commitment))
        self._turn += 1
        if self._turn == self._params.seats:
            self._enter(Phase.REVIEW, logged, self._params.review_window_s)
        else:
            self._enter(Phase.COMMIT, logged, self._params.turn_window_s)

    def _replace_round(self, **changes: object) -> None:
        self._rounds[-1] = Round(**(vars(self._rounds[-1]) | changes))

    def _accept(self, event: RoundAccepted, logged: LoggedEvent) -> None:
        self._need(Phase.REVIEW)
        self._in_time(logged)
        self._settle_round(event.round, logged, by_timeout=False)
        self._open_labels(event.label_key, event.round + 1)
        self._replace_round(next_label_key=event.label_key)
        self._start_round(logged)

    def _accept_by_timeout(self, event: RoundAcceptedByTimeout, logged: LoggedEvent) -> None:
        self._need(Phase.REVIEW)
        self._timed_out(logged)
        self._settle_round(event.round, logged, by_timeout=True)
        self._enter(Phase.LABELS, logged, self._params.label_window_s)

    def _settle_round(self, round_: int, logged: LoggedEvent, *, by_timeout: bool) -> None:
        if round_ != self._accepted:
            self._refuse(f"accepts round {round_} where round {self._accepted} is in review")
        self._accepted += 1
        self._settlement = self._settlement.round_accepted()
        self._replace_round(accepted=True, by_timeout=by_timeout, head=self._head, settled=logged)

    def _vacate(self, event: SeatVacated, logged: LoggedEvent) -> None:
        self._need(Phase.COMMIT)
        self._timed_out(logged)
        seat = self._seats.get(event.seat)
        if event.seat != self._turn or seat is None or seat.trainer != event.trainer:
            self._refuse("vacates a seat whose turn it is not")
        if event.reason is not VacancyReason.SILENT:
            self._refuse(f"gives reason {event.reason.name}, which this version of the contract does not have")
        del self._seats[event.seat]
        self._settlement = self._settlement.vacated_silent(event.seat)
        self._enter(Phase.REFILL, logged, self._params.join_window_s)

    def _cancel(self, logged: LoggedEvent) -> None:
        self._need(Phase.OPEN, Phase.LABELS)
        if self._rounds:
            self._refuse("cancels a job whose first labels are out")
        if self._phase is Phase.LABELS:
            # While seats are open, the owner's cancellation and the time-out look alike; past that, silence aborts.
            self._in_time(logged)
        self._finish(Phase.CANCELLED, logged)

    def _abort(self, event: JobAborted, logged: LoggedEvent) -> None:
        reason = event.reason.name
        if reason == "OWNER_SILENT":
            self._need(Phase.LABELS)
            self._timed_out(logged)
            self._settlement = self._settlement.bond_lost()
        elif reason == "SEAT_UNFILLED":
            self._need(Phase.REFILL)
            self._timed_out(logged)
        elif reason == "OWNER_ABORTED":
            self._need(Phase.REFILL)
            self._in_time(logged)
        else:
            self._refuse(f"gives reason {reason}, which this version of the contract does not have")
        self._finish(Phase.ABORTED, logged)

    def _withdraw(self, event: Withdrawn) -> None:
        if self._phase is Phase.NONE:
            self._refuse("comes before the job")
        owed = self._settlement.owed(event.account)
        if event.amount_wei != owed or owed == 0:
            self._refuse(f"pays {event.amount_wei} wei to {event.account}, who is owed {owed} wei")
        self._withdrawals.append(event)
        self._settlement = self._settlement.withdrawn(event.account)
