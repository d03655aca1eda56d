"""What every part of the state machine over a record shares: guards, clock, transitions, the record under way.

The parts follow the contract's: this is its ``State``, ``disputes`` its challenges and rulings, ``state`` the rest and
the rules in words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NoReturn

from clicooper.chain.events import Event, LoggedEvent, MarkOpened, Withdrawn
from clicooper.chain.record import JobRecord
from clicooper.commitments.head import label_anchor, restart_head
from clicooper.errors import RecordError
from clicooper.history.history import Challenge, Commitment, Round, Seat
from clicooper.history.settlement import Settlement
from clicooper.types import Address, Digest, Head, JobParams, Phase

__all__ = ["Dispute", "Machine"]


@dataclass(frozen=True)
class Dispute:
    """The open challenge, the phase that it interrupted, and the seconds that were left of that phase."""

    challenge: Challenge
    interrupted: Phase
    remaining_s: int


class Machine:
    """The state between two events."""

    _owner: Address
    _params: JobParams
    _genesis: Head
    _head: Head
    _settlement: Settlement

    def __init__(self, record: JobRecord) -> None:
        self._record = record
        self._last: LoggedEvent | None = None
        self._where = ""
        self._blocks: dict[int, tuple[Digest, int]] = {}
        self._phase = Phase.NONE
        self._deadline = 0
        self._turn = 0
        self._accepted = 0
        self._label_key = Digest(b"")
        self._seats: dict[int, Seat] = {}
        self._named: dict[int, Address] = {}
        self._evicted: list[Seat] = []
        self._rounds: list[Round] = []
        self._withdrawals: list[Withdrawn] = []
        self._openings: list[MarkOpened] = []
        self._joined = 0
        self._challenges: list[Challenge] = []
        self._dispute: Dispute | None = None
        self._failed = frozenset({0})
        self._due: Event | None = None

    # --- guards ---

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

    def _may_hold_seat(self, account: Address) -> bool:
        """Neither owner nor arbiter holds a seat, nobody holds two, and nobody returns to a job."""
        holders = (seat.trainer for seat in (*self._seats.values(), *self._evicted))
        return account not in {self._owner, self._params.arbiter, *holders}

    # --- transitions ---

    def _enter(self, phase: Phase, logged: LoggedEvent, window_s: int = 0) -> None:
        self._phase = phase
        self._deadline = logged.block_timestamp + window_s

    def _enter_commit(self, logged: LoggedEvent) -> None:
        self._turn = 0
        self._enter(Phase.COMMIT, logged, self._params.train_window_s)

    def _restart_round(self, logged: LoggedEvent) -> None:
        """Every seat is held again: the attempt before is abandoned, and every seat commits anew."""
        attempt = self._rounds[-1]
        self._replace_round(commitments=(), abandoned=(*attempt.abandoned, *attempt.commitments))
        self._enter_commit(logged)

    def _finish(self, phase: Phase, logged: LoggedEvent) -> None:
        self._enter(phase, logged)
        self._settlement = self._settlement.ended()

    def _replace_round(self, **changes: Any) -> None:
        self._rounds[-1] = replace(self._rounds[-1], **changes)

    def _open_labels(self, key: Digest, round_: int) -> None:
        if label_anchor(key) != self._label_key:
            self._refuse(f"label key of round {round_} does not open the key before it")
        self._label_key = key

    def _start_round(self, logged: LoggedEvent) -> None:
        if self._accepted == self._params.rounds:
            self._finish(Phase.DONE, logged)
            return
        self._rounds.append(Round(self._accepted, self._label_key))
        self._enter_commit(logged)

    def _settle_round(self, round_: int, logged: LoggedEvent, *, by_timeout: bool) -> None:
        if round_ != self._accepted:
            self._refuse(f"accepts round {round_} where round {self._accepted} is in review")
        self._accepted += 1
        self._failed = frozenset({0})
        self._settlement = self._settlement.round_accepted()
        self._replace_round(accepted=True, by_timeout=by_timeout, head=self._head, settled=logged)

    def _open_seat(self, seat: int, logged: LoggedEvent) -> None:
        """What every vacancy does; what becomes of the stake is settled before."""
        evicted = self._seats.pop(seat)
        self._evicted.append(evicted)
        self._replace_round(restarts=self._rounds[-1].restarts + 1)
        self._turn = seat
        self._head = restart_head(self._head, self._record.job, self._accepted, seat, evicted.trainer)
        if self._dispute is not None:
            window_s = self._params.join_window_s
            self._dispute = replace(self._dispute, interrupted=Phase.REFILL, remaining_s=window_s)
        else:
            self._enter(Phase.REFILL, logged, self._params.join_window_s)

    def _add_commitment(self, commitment: Commitment) -> None:
        self._head = commitment.head
        self._replace_round(commitments=(*self._rounds[-1].commitments, commitment))
