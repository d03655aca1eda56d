"""The contract's state machine, run again over a record: a pure function, no network and no files.

Rules that every record must obey, in this order for each event:

1. Events are ordered by (block, log index), timestamps never go back, one block number has one hash and timestamp.
2. The first event is ``JobCreated``, on terms that the contract accepts; its parameters give the genesis head.
3. ``SeatJoined`` only while open, each seat once, no address twice, neither owner nor arbiter; in REFILL only a vacant
   seat, by the replacement that the owner named for it, never by somebody who was evicted. With the last vacant seat
   filled, the round starts again with seat 0: its commitments so far are abandoned, but stay in the record.
4. ``LabelsReleased`` opens the previous key's hash, or the anchor for key 0.
5. ``Committed`` comes in seat order, once a seat, round and attempt, and advances the head.
6. ``RoundAccepted`` comes after the last seat's commit and opens the next label key.
7. Each of these happens no later than its deadline; time-outs happen after theirs.
8. ``Withdrawn`` pays exactly what the rules owe to that account at that moment.
9. Nothing but withdrawals and openings of marks follows a terminal event.
10. ``Challenged`` only in COMMIT or REVIEW, one at a time, not by the arbiter; it locks the challenge bond, doubled for
    every challenge that failed in this round, and its id binds chain, contract, job, round, head and accusation.
11. ``Ruled`` is about the open challenge, within the arbitration window, on withheld data in its second half only. Not
    guilty: the interrupted phase resumes with its remaining time, at least half a window. Guilty: the next event, of
    the same act, vacates the seat or aborts the job.
12. ``ChallengeLapsed`` either after the arbitration window, and then a round in review counts as accepted while any
    other phase resumes, or in one act with the proof that the accused seat equivocated, whose reward is then the
    challenger's.
13. ``EquivocationProven`` expels a held seat from COMMIT to ARBITRATION; a challenge of another accused stays open.
14. ``SeatVacated`` moves the head on by ``restart_head``, so that no position occurs twice. For silence it takes the
    seat in turn, otherwise, in the same act, the seat that was found guilty or proven to equivocate.
15. ``ReplacementNamed`` only in REFILL, in time, for a vacant seat, and somebody who may hold it.
16. ``MarkOpened`` opens the mark commitment of an accepted round, by the trainer who committed it, once a seat.

A broken rule raises ``RecordError`` and names the event; nothing after it is believed. That a ruling is just, or that
two signatures were valid, no event can show: the arbiter and the contract vouch for these.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import assert_never

from clicooper.chain.events import (
    Challenged,
    ChallengeLapsed,
    Committed,
    EquivocationProven,
    JobAborted,
    JobCancelled,
    JobCreated,
    LabelsReleased,
    LoggedEvent,
    MarkOpened,
    ReplacementNamed,
    RoundAccepted,
    RoundAcceptedByTimeout,
    Ruled,
    SeatJoined,
    SeatVacated,
    Withdrawn,
)
from clicooper.chain.record import JobRecord
from clicooper.commitments.head import genesis, next_head, opened_commitment
from clicooper.errors import RecordError
from clicooper.history.challenges import Disputes
from clicooper.history.history import Challenge, Commitment, History, Outcome, Round, Seat
from clicooper.history.params import MAX_KEY_RECORD_BYTES, refuse_params
from clicooper.history.settlement import Settlement
from clicooper.types import ZERO_ADDRESS, AbortReason, Phase, VacancyReason

__all__ = ["Challenge", "Commitment", "History", "Outcome", "Round", "Seat", "follow_record"]


def follow_record(record: JobRecord) -> History:
    """Runs the state machine over a record.

    Raises:
        RecordError: an event that the contract would not have emitted there, with its place.
    """
    if not record.events:
        raise RecordError("the record holds no events", hint="export the record of an existing job")
    machine = _Machine(record)
    for logged, following in zip_longest(record.events, record.events[1:]):
        machine.apply(logged, following)
    return machine.history()


class _Machine(Disputes):
    """The life of a job, event by event."""

    def apply(self, logged: LoggedEvent, following: LoggedEvent | None) -> None:
        """Advances by one event or raises; ``following`` is the one after it, if any."""
        self._where = f"block {logged.block_number}, log {logged.log_index}, {type(logged.event).__name__}"
        self._check_order(logged)
        if logged.event.job != self._record.job:
            self._refuse(f"belongs to job {logged.event.job}, not {self._record.job}")
        announced = self._announced(logged)
        self._follow(logged, following, announced)
        self._last = logged

    def _announced(self, logged: LoggedEvent) -> bool:
        """Whether the event before made this one due, as the rest of the same act."""
        due, before = self._due, self._last
        self._due = None
        if due is None or before is None:
            return False
        adjoins = (logged.tx_hash, logged.log_index) == (before.tx_hash, before.log_index + 1)
        if logged.event != due or not adjoins:
            self._refuse(f"comes where {type(due).__name__} is due in the same act")
        return True

    def _follow(self, logged: LoggedEvent, following: LoggedEvent | None, announced: bool) -> None:
        match event := logged.event:
            case JobCreated() | SeatJoined() | ReplacementNamed():
                self._follow_opening(event, logged)
            case LabelsReleased() | Committed() | RoundAccepted():
                self._follow_round(event, logged)
            case Challenged() | Ruled() | ChallengeLapsed() | EquivocationProven():
                self._follow_dispute(event, logged, following)
            case RoundAcceptedByTimeout() | SeatVacated() | JobCancelled() | JobAborted():
                self._follow_exit(event, logged, announced)
            case Withdrawn():
                self._withdraw(event)
            case MarkOpened():
                self._open_mark(event)
            case _:
                assert_never(event)

    def history(self) -> History:
        """The frozen result."""
        if self._due is not None:
            self._refuse(f"is the last event, where {type(self._due).__name__} is due in the same act")
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
            evicted=tuple(self._evicted),
            challenges=tuple(self._challenges),
            mark_openings=tuple(self._openings),
            events=len(self._record.events),
        )

    # --- opening and refill ---

    def _follow_opening(self, event: JobCreated | SeatJoined | ReplacementNamed, logged: LoggedEvent) -> None:
        match event:
            case JobCreated():
                self._create(event, logged)
            case SeatJoined():
                self._join(event, logged)
            case ReplacementNamed():
                self._name(event, logged)

    def _create(self, event: JobCreated, logged: LoggedEvent) -> None:
        self._need(Phase.NONE)
        params = event.params
        if objection := refuse_params(event.owner, params):
            self._refuse(objection)
        self._owner, self._params = event.owner, params
        self._named = {seat: trainer for seat, trainer in enumerate(params.allow_list) if trainer != ZERO_ADDRESS}
        self._label_key = params.label_anchor
        self._genesis = genesis(self._record.chain_id, self._record.contract, event.job, event.owner, params)
        self._head = self._genesis
        self._settlement = Settlement(event.owner, params)
        self._enter(Phase.OPEN, logged, params.join_window_s)

    def _join(self, event: SeatJoined, logged: LoggedEvent) -> None:
        self._need(Phase.OPEN, Phase.REFILL)
        self._in_time(logged)
        if not 0 <= event.seat < self._params.seats or event.seat in self._seats:
            self._refuse(f"takes seat {event.seat}, which is not free")
        if not self._may_hold_seat(event.trainer):
            self._refuse(f"{event.trainer} already has a part in the job")
        self._check_reserved(event)
        if len(event.key_record) > MAX_KEY_RECORD_BYTES:
            self._refuse(f"registers {len(event.key_record)} bytes of keys")
        self._seats[event.seat] = Seat(event.seat, event.trainer, event.key_record, self._accepted)
        self._joined += 1
        self._settlement = self._settlement.joined(event.seat, event.trainer)
        if len(self._seats) < self._params.seats:
            return
        if self._phase is Phase.OPEN:
            self._enter(Phase.LABELS, logged, self._params.label_window_s)
        else:
            self._restart_round(logged)

    def _check_reserved(self, event: SeatJoined) -> None:
        reserved = self._named.get(event.seat)
        if reserved is None and self._phase is Phase.REFILL:
            self._refuse(f"takes seat {event.seat}, for which nobody was named")
        if reserved not in {None, event.trainer}:
            self._refuse(f"seat {event.seat} is reserved for {reserved}")

    def _name(self, event: ReplacementNamed, logged: LoggedEvent) -> None:
        self._need(Phase.REFILL)
        self._in_time(logged)
        if not 0 <= event.seat < self._params.seats or event.seat in self._seats:
            self._refuse(f"names somebody for seat {event.seat}, which is not vacant")
        if event.trainer == ZERO_ADDRESS or not self._may_hold_seat(event.trainer):
            self._refuse(f"names {event.trainer}, who may not hold a seat")
        self._named[event.seat] = event.trainer

    # --- rounds ---

    def _follow_round(self, event: LabelsReleased | Committed | RoundAccepted, logged: LoggedEvent) -> None:
        match event:
            case LabelsReleased():
                self._release(event, logged)
            case Committed():
                self._commit(event, logged)
            case RoundAccepted():
                self._accept(event, logged)

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
        contents = (event.manifest_digest, event.mark_commitment)
        head = next_head(self._head, event.job, event.round, event.seat, trainer, *contents)
        self._add_commitment(Commitment(event.round, event.seat, trainer, *contents, self._head, head, logged))
        self._turn += 1
        if self._turn == self._params.seats:
            self._enter(Phase.REVIEW, logged, self._params.review_window_s)
        else:
            self._enter(Phase.COMMIT, logged, self._params.turn_window_s)

    def _accept(self, event: RoundAccepted, logged: LoggedEvent) -> None:
        self._need(Phase.REVIEW)
        self._in_time(logged)
        self._settle_round(event.round, logged, by_timeout=False)
        self._open_labels(event.label_key, event.round + 1)
        self._replace_round(next_label_key=event.label_key)
        self._start_round(logged)

    # --- exits ---

    def _follow_exit(
        self,
        event: RoundAcceptedByTimeout | SeatVacated | JobCancelled | JobAborted,
        logged: LoggedEvent,
        announced: bool,
    ) -> None:
        match event:
            case RoundAcceptedByTimeout():
                self._accept_by_timeout(event, logged, announced)
            case SeatVacated():
                self._vacate(event, logged, announced)
            case JobCancelled():
                self._cancel(logged)
            case JobAborted():
                self._abort(event, logged, announced)

    def _accept_by_timeout(self, event: RoundAcceptedByTimeout, logged: LoggedEvent, announced: bool) -> None:
        if not announced:
            self._need(Phase.REVIEW)
            self._timed_out(logged)
        self._settle_round(event.round, logged, by_timeout=True)
        self._enter(Phase.LABELS, logged, self._params.label_window_s)

    def _vacate(self, event: SeatVacated, logged: LoggedEvent, announced: bool) -> None:
        if not announced:
            self._vacate_silent(event, logged)
        self._open_seat(event.seat, logged)

    def _vacate_silent(self, event: SeatVacated, logged: LoggedEvent) -> None:
        self._need(Phase.COMMIT)
        self._timed_out(logged)
        seat = self._seats.get(event.seat)
        if event.seat != self._turn or seat is None or seat.trainer != event.trainer:
            self._refuse("vacates a seat whose turn it is not")
        if event.reason is not VacancyReason.SILENT:
            self._refuse(f"gives reason {event.reason.name}, which nothing before it bears out")
        self._settlement = self._settlement.vacated_silent(event.seat)

    def _cancel(self, logged: LoggedEvent) -> None:
        self._need(Phase.OPEN, Phase.LABELS)
        if self._rounds:
            self._refuse("cancels a job whose first labels are out")
        if self._phase is Phase.LABELS:
            # While seats are open, the owner's cancellation and the time-out look alike; past that, silence aborts.
            self._in_time(logged)
        self._finish(Phase.CANCELLED, logged)

    def _abort(self, event: JobAborted, logged: LoggedEvent, announced: bool) -> None:
        match event.reason:
            case AbortReason.OWNER_SILENT:
                self._need(Phase.LABELS)
                self._timed_out(logged)
                self._settlement = self._settlement.bond_lost()
            case AbortReason.SEAT_UNFILLED:
                self._need(Phase.REFILL)
                self._timed_out(logged)
            case AbortReason.OWNER_ABORTED:
                self._need(Phase.REFILL)
                self._in_time(logged)
            case AbortReason.OWNER_GUILTY:
                if not announced:
                    self._refuse("gives reason OWNER_GUILTY without a ruling")
            case _:
                assert_never(event.reason)
        self._finish(Phase.ABORTED, logged)

    def _withdraw(self, event: Withdrawn) -> None:
        if self._phase is Phase.NONE:
            self._refuse("comes before the job")
        owed = self._settlement.owed(event.account)
        if event.amount_wei != owed or owed == 0:
            self._refuse(f"pays {event.amount_wei} wei to {event.account}, who is owed {owed} wei")
        self._withdrawals.append(event)
        self._settlement = self._settlement.withdrawn(event.account)

    # --- evidence ---

    def _open_mark(self, event: MarkOpened) -> None:
        if not 0 <= event.round < self._accepted:
            self._refuse(f"opens a mark of round {event.round}, which is not accepted")
        commitments = self._rounds[event.round].commitments
        if not 0 <= event.seat < len(commitments) or commitments[event.seat].trainer != event.trainer:
            self._refuse(f"opens a mark of seat {event.seat}, which {event.trainer} did not commit")
        opened = opened_commitment(event.progress_key_hash, event.ownership_key)
        if opened != commitments[event.seat].mark_commitment:
            self._refuse("does not open the mark commitment")
        if any((before.round, before.seat) == (event.round, event.seat) for before in self._openings):
            self._refuse("opens a mark for the second time")
        self._openings.append(event)
