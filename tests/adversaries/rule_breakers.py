"""Parties that break the contract's rules: what it refuses, or what costs them their stake or bond."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from clicooper.chain.client import Contract
from clicooper.chain.events import JobAborted, SeatVacated
from clicooper.chain.typed_data import CommitContents, Position, sign_commit
from clicooper.errors import RevertError
from clicooper.history.follow import Outcome as Ruling
from clicooper.history.follow import follow_record
from clicooper.types import AbortReason, Address, Digest, Ground, JobId, VacancyReason, Verdict
from tests.adversaries.stage import CONTRACT, OWNER, Accused, Look, Outcome
from tests.scenario import Rehearsal, keys_of

EVIDENCE, SOMETHING, SOMETHING_ELSE = (Digest(bytes([n]) * 32) for n in (1, 2, 3))


class RuleBreaker:
    """A party whose act the contract itself judges. ``play`` starts when round 0 has its labels."""

    check: ClassVar[str] = CONTRACT
    names: ClassVar[Accused]

    def play(self, job: Rehearsal) -> Outcome:
        raise NotImplementedError


def convicted(who: int) -> Look:
    """What everybody sees who reads the chain."""
    return Look(frozenset({(CONTRACT, frozenset({who}))}))


def refused(name: str, call: Callable[[], object]) -> None:
    with pytest.raises(RevertError) as refusal:
        call()
    assert refusal.value.name == name


def vacated(job: Rehearsal, reason: VacancyReason) -> list[int]:
    """Which seats the contract emptied for this reason."""
    events = [logged.event for logged in job.record().events]
    return [event.seat for event in events if isinstance(event, SeatVacated) and event.reason is reason]


def outlast(job: Rehearsal, number: JobId) -> None:
    """Past the deadline of the phase; anybody takes its exit."""
    node = job.opened.node
    node.advance_time(max(1, job.contract().job(number).deadline - node.block().timestamp + 1))
    job.contract(2).resolve_timeout(number)


class SignsTwoCommits(RuleBreaker):
    """Seat 0 signs two different commitments for one place: whoever holds both proves it, and its stake is burned.

    Caught by `contract`; names its seat.
    """

    names: ClassVar = frozenset({0})

    def play(self, job: Rehearsal) -> Outcome:
        contract, number = job.contract(0), job.opened.job
        at = Position(number, 0, 0, job.head)
        said = CommitContents(SOMETHING, SOMETHING), CommitContents(SOMETHING_ELSE, SOMETHING)
        assert contract.account is not None
        first, second = (sign_commit(contract.account, contract.domain, at, contents) for contents in said)
        job.contract(1).prove_equivocation(at, first, second)
        assert vacated(job, VacancyReason.EQUIVOCATION) == [0]
        trainer = job.opened.trainers[0].address
        assert job.contract().owed_to(number, trainer) == 0
        return Outcome((convicted(0), Look.at(job.audit().results)))


class CommitsLate(RuleBreaker):
    """Seat 0 commits after its deadline: refused, its penalty burned, its seat vacated.

    Caught by `contract`; names its seat.
    """

    names: ClassVar = frozenset({0})

    def play(self, job: Rehearsal) -> Outcome:
        contract, number = job.contract(0), job.opened.job
        job.opened.node.advance_time(contract.job(number).deadline - job.opened.node.block().timestamp + 1)
        refused("TooLate", lambda: contract.commit(number, job.head, SOMETHING, SOMETHING))
        outlast(job, number)
        assert vacated(job, VacancyReason.SILENT) == [0]
        params = job.opened.owner.params
        left = job.contract().owed_to(number, job.opened.trainers[0].address)
        assert left == params.stake_wei - params.silence_penalty_wei
        return Outcome((convicted(0), Look.at(job.audit().results)))


class CommitsOutOfTurn(RuleBreaker):
    """Seat 1 commits before seat 0, to choose the head that its own mark is bound to: refused.

    Caught by `contract`; names its seat.
    """

    names: ClassVar = frozenset({1})

    def play(self, job: Rehearsal) -> Outcome:
        contract, number = job.contract(1), job.opened.job
        refused("NotYourTurn", lambda: contract.commit(number, job.head, SOMETHING, SOMETHING))
        assert not vacated(job, VacancyReason.SILENT)
        return Outcome((convicted(1), Look.at(job.audit().results)))


class WithholdsLabelKey(RuleBreaker):
    """The owner fills its seats and reveals no key: past the deadline its bond goes to the seats.

    Caught by `contract`; names the owner.
    """

    names: ClassVar = frozenset({OWNER})

    def play(self, job: Rehearsal) -> Outcome:
        owner = job.opened.owner
        number, genesis = owner.create_job()
        for seat, trainer in enumerate(job.opened.trainers):
            job.contract(seat).join(number, genesis, trainer.seat, b"keys", owner.params.stake_wei)
        outlast(job, number)
        record = job.record(number)
        (aborted,) = (e.event for e in record.events if isinstance(e.event, JobAborted))
        assert aborted.reason is AbortReason.OWNER_SILENT
        share = owner.params.owner_bond_wei // owner.params.seats
        for trainer in job.opened.trainers:
            assert job.contract().owed_to(number, trainer.address) == owner.params.stake_wei + share
        follow_record(record)
        return Outcome((convicted(OWNER),))


class ReleasesWrongKey(RuleBreaker):
    """The owner reveals another key than its chain's: refused. Caught by `contract`; names the owner."""

    names: ClassVar = frozenset({OWNER})

    def play(self, job: Rehearsal) -> Outcome:
        owner, number = job.opened.owner, job.opened.job
        head = job.train_and_commit()[-1].head
        for wrong in (0, owner.params.rounds + 1):
            key = owner.label_key(0) if wrong == 0 else SOMETHING
            refused("WrongLabelKey", lambda key=key: job.contract().accept(number, head, key))
        assert job.accepted_rounds() == 0
        return Outcome((convicted(OWNER),))


class ChallengesFalsely(RuleBreaker):
    """The owner accuses an honest seat, to win time or its stake: the arbiter repeats the work, and the bond is lost.

    Caught by `contract`; names the owner.
    """

    names: ClassVar = frozenset({OWNER})

    def play(self, job: Rehearsal) -> Outcome:
        owner, number, contract = job.opened.owner, job.opened.job, job.contract()
        committed = job.train_and_commit()
        arbiter = Contract(job.opened.node, job.opened.contract, job.parties.arbiter)
        bond = contract.bond_due(number)
        contract.challenge(number, job.head, 1, Ground.FAULT, EVIDENCE, bond)
        report = job.audit(keys_of(job, committed))
        guilty = any(row.seat == 1 and row.verdict is not Verdict.PASS for row in report.results)
        arbiter.rule(number, arbiter.challenge_of(number).id, guilty)
        (challenge,) = follow_record(job.record()).challenges
        assert (challenge.outcome, challenge.bond_wei) == (Ruling.NOT_GUILTY, bond)
        assert contract.bond_due(number) == 2 * bond, "the next one costs twice as much"
        owner.verify_round(0, committed)
        owner.accept(0, committed[-1].head)
        stakes = [contract.owed_to(number, trainer.address) for trainer in job.opened.trainers]
        assert stakes == [owner.params.pay_wei + owner.params.stake_wei] * 3
        assert contract.owed_to(number, Address(job.parties.owner.address)) == owner.params.owner_bond_wei
        return Outcome((convicted(OWNER), Look.at(job.audit().results)))
