"""Equivocation and signed commitments on every kind of node; the auditor follows each record to the same wei."""

import pytest
from chain_world import account_of
from court import (
    ACCUSED_OWNER,
    CONTENTS,
    DISPUTED,
    OTHER_CONTENTS,
    Court,
    abandoned,
    chained,
    kinds,
    open_court,
    refused,
)

from clicooper.chain.events import ChallengeLapsed, Committed, EquivocationProven, SeatVacated
from clicooper.chain.rpc.node import Node
from clicooper.chain.typed_data import Position, sign_commit
from clicooper.history.follow import Outcome
from clicooper.types import DEAD_ADDRESS, Phase, VacancyReason


@pytest.fixture
def court(node: Node) -> Court:
    """A job that waits for its first commitment."""
    court = open_court(node)
    court.open()
    return court


# Equivocation


@pytest.mark.parametrize("reviewed", [False, True])
def test_equivocation_expels_until_the_round_is_settled(court: Court, reviewed: bool) -> None:
    court.commit(*range(3 if reviewed else 1))
    equivocator = account_of(court.trainers[2])
    court.equivocate(2)
    vacated = SeatVacated(court.job, 2, equivocator, VacancyReason.EQUIVOCATION)
    assert [logged.event for logged in court.events()[-2:]] == [
        EquivocationProven(court.job, 2, account_of(court.challenger)),
        vacated,
    ]
    history = court.follow()
    assert history.settlement.owed(account_of(court.challenger)) == DISPUTED.challenge_bond_wei
    court.refill(2)
    assert abandoned(court.follow()) == ([0, 1, 2] if reviewed else [0])
    court.finish_rounds()
    court.settle()


def test_equivocation_of_the_accused_lets_the_challenge_lapse(court: Court) -> None:
    court.challenge(0)
    court.equivocate(0)
    assert kinds(court, 3) == [ChallengeLapsed, EquivocationProven, SeatVacated]
    history = court.follow()
    assert (history.phase, history.challenges[0].outcome) == (Phase.REFILL, Outcome.LAPSED)
    court.refill(0)
    court.challenge(0)
    court.rule(guilty=False)
    assert [c.bond_wei for c in court.follow().challenges] == [DISPUTED.challenge_bond_wei] * 2
    court.finish_rounds()
    court.settle()


@pytest.mark.parametrize("reporter", ["the accused itself", "a neighbour"])
def test_accused_that_reports_itself_leaves_the_reward_to_its_challenger(court: Court, reporter: str) -> None:
    sender = court.trainers[0 if reporter == "the accused itself" else 1]
    court.challenge(0)
    court.equivocate(0, by=sender)
    history = court.follow()
    assert history.settlement.owed(account_of(sender)) == 0
    assert history.settlement.owed(account_of(court.challenger)) == 2 * DISPUTED.challenge_bond_wei
    assert history.settlement.owed(DEAD_ADDRESS) == DISPUTED.stake_wei - DISPUTED.challenge_bond_wei
    court.owner.abort(court.job)
    court.settle()


@pytest.mark.parametrize("end", ["guilty", "not guilty", "silent"])
def test_equivocation_of_another_leaves_the_challenge_open(court: Court, end: str) -> None:
    court.commit_all()
    court.challenge(0)
    court.equivocate(1)
    history = court.follow()
    assert (history.phase, history.challenges[0].outcome) == (Phase.ARBITRATION, Outcome.OPEN)
    if end == "silent":
        court.time_out()
    else:
        court.rule(guilty=end == "guilty")
    history = court.follow()
    assert (history.phase, len(history.seats)) == (Phase.REFILL, 1 if end == "guilty" else 2)
    court.owner.abort(court.job)
    court.settle()


def test_owner_guilty_with_a_vacant_seat_pays_the_seats_that_are_left(court: Court) -> None:
    court.challenge(ACCUSED_OWNER)
    for seat in range(2):
        court.equivocate(seat)
    court.rule(guilty=True)
    history = court.settle()
    (last,) = history.seats
    paid = [w.amount_wei for w in history.withdrawals if w.account == last.trainer]
    assert paid == [DISPUTED.stake_wei + DISPUTED.owner_bond_wei - DISPUTED.arbiter_fee_wei]


def test_equal_contents_or_a_strangers_signature_prove_nothing(court: Court) -> None:
    at = Position(court.job, 0, 0, court.state.head)
    trainer, stranger = court.trainers[0].account, court.challenger.account
    assert trainer is not None
    assert stranger is not None
    own = sign_commit(trainer, court.owner.domain, at, CONTENTS)
    with refused("SameContents"):
        court.challenger.prove_equivocation(at, own, own)
    with refused("BadSignature"):
        court.challenger.prove_equivocation(at, own, sign_commit(stranger, court.owner.domain, at, OTHER_CONTENTS))


# Signed commitments


def test_round_committed_at_once_makes_the_heads_of_single_commits(court: Court) -> None:
    court.commit(0)
    court.challenger.commit_round(court.job, court.state.head, court.signed_run([1, 2]))
    assert kinds(court, 3) == [Committed] * 3
    history = court.follow()
    assert (history.phase, chained(history.commitments)) == (Phase.REVIEW, True)
    court.accept()
    court.challenger.commit_round(court.job, court.state.head, court.signed_run([0, 1]))
    assert court.follow().phase is Phase.COMMIT
    court.commit(2)
    court.accept()
    assert court.settle().phase is Phase.DONE


def test_replayed_or_reordered_signatures_are_refused(court: Court) -> None:
    head, run = court.state.head, court.signed_run(range(3))
    with refused("BadSignature"):
        court.challenger.commit_round(court.job, head, run[::-1])
    court.challenger.commit_round(court.job, head, run)
    with refused("WrongPhase"):
        court.challenger.commit_round(court.job, head, run)
    court.accept()
    with refused("StaleHead"):
        court.challenger.commit_round(court.job, head, run)
    with refused("BadSignature"):
        court.challenger.commit_round(court.job, court.state.head, run)
