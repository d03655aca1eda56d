"""Challenges, rulings, lapses and proofs of equivocation, followed in a record; their rules are named in ``state``.

Whether an accused *is* guilty is the arbiter's decision, and whether two signatures were valid the contract's: neither
can be seen in events. What follows from them can.
"""

from __future__ import annotations

from dataclasses import replace

from clicooper.chain.events import (
    Challenged,
    ChallengeLapsed,
    EquivocationProven,
    JobAborted,
    LoggedEvent,
    RoundAcceptedByTimeout,
    Ruled,
    SeatVacated,
)
from clicooper.commitments.head import challenge_id
from clicooper.history.history import Challenge, Outcome
from clicooper.history.machine import Dispute, Machine
from clicooper.types import ACCUSED_OWNER, AbortReason, Ground, Phase, VacancyReason

__all__ = ["Disputes"]

BOND_LIMIT = (1 << 96) - 1


class Disputes(Machine):
    """The part of the state machine that begins with a challenge or with two signatures."""

    def _follow_dispute(
        self,
        event: Challenged | Ruled | ChallengeLapsed | EquivocationProven,
        logged: LoggedEvent,
        following: LoggedEvent | None,
    ) -> None:
        match event:
            case Challenged():
                self._challenge(event, logged)
            case Ruled():
                self._rule(event, logged)
            case ChallengeLapsed():
                self._lapse(event, logged, following)
            case EquivocationProven():
                self._expel(event)

    def _challenge(self, event: Challenged, logged: LoggedEvent) -> None:
        self._need(Phase.COMMIT, Phase.REVIEW)
        self._in_time(logged)
        if not (0 <= event.accused < self._params.seats or event.accused == ACCUSED_OWNER):
            self._refuse(f"accuses seat {event.accused}, which does not exist")
        if event.challenger == self._params.arbiter:
            self._refuse("is the arbiter's own")
        challenge = self._identified(event, logged)
        self._failed = frozenset(n for n in self._failed if self._bond_due(n) == event.bond_wei)
        if not self._failed:
            self._refuse(f"locks {event.bond_wei}, which is not the bond that is due")
        self._challenges.append(challenge)
        self._dispute = Dispute(challenge, self._phase, self._deadline - logged.block_timestamp)
        self._enter(Phase.ARBITRATION, logged, self._params.arbitration_window_s)

    def _identified(self, event: Challenged, logged: LoggedEvent) -> Challenge:
        record, said = self._record, (event.accused, event.challenger, event.evidence_digest, event.ground)
        position = (record.chain_id, record.contract, record.job, self._accepted, self._head)
        if challenge_id(*position, *said) != event.challenge_id:
            self._refuse("has an id that is not of this round, head and accusation")
        return Challenge(
            id=event.challenge_id,
            round=self._accepted,
            head=self._head,
            accused=event.accused,
            challenger=event.challenger,
            ground=event.ground,
            bond_wei=event.bond_wei,
            evidence_digest=event.evidence_digest,
            logged=logged,
        )

    def _rule(self, event: Ruled, logged: LoggedEvent) -> None:
        self._need(Phase.ARBITRATION)
        dispute = self._opened(event)
        self._in_time(logged)
        challenge = dispute.challenge
        if challenge.ground is Ground.WITHHELD and logged.block_timestamp <= self._cured_until():
            self._refuse("rules on withheld data while it may still be published")
        if not event.guilty:
            self._close(dispute, Outcome.NOT_GUILTY, logged)
            self._settlement = self._settlement.challenge_failed(challenge.bond_wei)
            self._count_failure(challenge)
            self._resume(dispute, logged)
            return
        self._close(dispute, Outcome.GUILTY, logged)
        if challenge.accused == ACCUSED_OWNER:
            self._settlement = self._settlement.owner_guilty(challenge.challenger, challenge.bond_wei)
            self._due = JobAborted(event.job, AbortReason.OWNER_GUILTY)
        else:
            self._condemn_seat(challenge)

    def _condemn_seat(self, challenge: Challenge) -> None:
        seat, job = challenge.accused, self._record.job
        trainer = self._seats[seat].trainer
        self._settlement = self._settlement.vacated_guilty(seat, challenge.challenger, challenge.bond_wei)
        self._due = SeatVacated(job, seat, trainer, VacancyReason.GUILTY)

    def _lapse(self, event: ChallengeLapsed, logged: LoggedEvent, following: LoggedEvent | None) -> None:
        self._need(Phase.ARBITRATION)
        dispute = self._opened(event)
        challenge = dispute.challenge
        self._close(dispute, Outcome.LAPSED, logged)
        self._settlement = self._settlement.challenge_lapsed(challenge.challenger, challenge.bond_wei)
        proof = _proof_after(logged, following, challenge.accused)
        if proof is not None:
            self._lapse_by_proof(proof, dispute, logged)
            return
        self._timed_out(logged)
        self._count_failure(challenge)
        if dispute.interrupted is Phase.REVIEW:
            self._due = RoundAcceptedByTimeout(event.job, self._accepted)
        else:
            self._resume(dispute, logged)

    def _lapse_by_proof(self, proof: EquivocationProven, dispute: Dispute, logged: LoggedEvent) -> None:
        """One act with the proof: the reward is the challenger's, unless the time-out was taken first.

        Late, the reward of another tells that it was; with the challenger's only the next bond tells.
        """
        challenger = dispute.challenge.challenger
        if logged.block_timestamp <= self._deadline or dispute.interrupted is Phase.REVIEW:
            self._due = replace(proof, rewarded=challenger)
            return
        before = self._failed
        self._count_failure(dispute.challenge)
        if proof.rewarded == challenger:
            self._failed |= before
        self._due = proof

    def _expel(self, event: EquivocationProven) -> None:
        self._need(Phase.COMMIT, Phase.REVIEW, Phase.REFILL, Phase.ARBITRATION)
        seat = self._seats.get(event.seat)
        if seat is None:
            self._refuse(f"expels seat {event.seat}, which nobody holds")
        if self._dispute is not None and self._dispute.challenge.accused == event.seat:
            self._refuse("leaves a challenge of the expelled seat open")
        self._settlement = self._settlement.vacated_equivocation(event.seat, event.rewarded)
        self._due = SeatVacated(event.job, event.seat, seat.trainer, VacancyReason.EQUIVOCATION)

    # --- the open challenge ---

    def _opened(self, event: Ruled | ChallengeLapsed) -> Dispute:
        dispute = self._dispute
        if dispute is None or dispute.challenge.id != event.challenge_id:
            self._refuse("is about a challenge that is not open")
        return dispute

    def _close(self, dispute: Dispute, outcome: Outcome, logged: LoggedEvent) -> None:
        self._challenges[-1] = replace(dispute.challenge, outcome=outcome, closed=logged)
        self._dispute = None

    def _cured_until(self) -> int:
        window_s = self._params.arbitration_window_s
        return self._deadline - window_s + window_s // 2

    def _resume(self, dispute: Dispute, logged: LoggedEvent) -> None:
        """Back to the interrupted phase, with what was left of it, at least half its window."""
        params, phase = self._params, dispute.interrupted
        first = params.train_window_s if self._turn == 0 else params.turn_window_s
        window_s = {Phase.REVIEW: params.review_window_s, Phase.REFILL: params.join_window_s}.get(phase, first)
        self._enter(phase, logged, max(dispute.remaining_s, window_s - window_s // 2))

    # --- the price of the next one ---

    def _bond_due(self, failed: int) -> int:
        return min(self._params.challenge_bond_wei << failed, BOND_LIMIT)

    def _count_failure(self, challenge: Challenge) -> None:
        if challenge.bond_wei != BOND_LIMIT:
            self._failed = frozenset(n + 1 for n in self._failed)


def _proof_after(logged: LoggedEvent, following: LoggedEvent | None, seat: int) -> EquivocationProven | None:
    """The next event, if it is of the same act and proves that this seat equivocated."""
    if following is None or not isinstance(following.event, EquivocationProven) or following.event.seat != seat:
        return None
    adjoins = (following.tx_hash, following.log_index) == (logged.tx_hash, logged.log_index + 1)
    return following.event if adjoins else None
