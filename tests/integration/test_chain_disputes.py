"""Disputes, refills and openings of marks on every kind of node; the auditor follows each record to the same wei."""

import pytest
from chain_world import KEYS, MARK, account_of
from court import ACCUSED_OWNER, DISPUTED, EVIDENCE, Court, abandoned, chained, kinds, open_court, refused
from eth_utils import keccak

from clicooper.chain.client import Contract, MarkOpening, OpenedCommit
from clicooper.chain.events import ChallengeLapsed, JobAborted, MarkOpened, RoundAcceptedByTimeout
from clicooper.chain.rpc.node import Node
from clicooper.chain.views import ChallengeState
from clicooper.commitments.head import mark_commitment
from clicooper.history.follow import Outcome
from clicooper.types import DEAD_ADDRESS, AbortReason, Digest, Ground, Head, Phase


@pytest.fixture
def court(node: Node) -> Court:
    """A job that waits for its first commitment."""
    court = open_court(node)
    court.open()
    return court


# Guilty seat, refill, restart


def test_guilty_seat_is_replaced_and_the_round_starts_again(court: Court) -> None:
    court.commit_all()
    court.accept()
    court.commit_all()
    evicted = account_of(court.trainers[1])
    court.challenge(1)
    assert court.follow().challenges[-1].outcome is Outcome.OPEN
    court.rule(guilty=True)
    history = court.follow()
    assert (history.phase, history.challenges[-1].outcome) == (Phase.REFILL, Outcome.GUILTY)
    assert [c.seat for c in history.rounds[1].commitments] == [0, 1, 2], "until the round starts again"
    assert history.settlement.owed(evicted) == DISPUTED.pay_wei, "earned pay is never forfeited"

    court.refill(1)
    assert court.follow().phase is Phase.COMMIT
    court.finish_rounds()
    history = court.settle()
    assert (history.phase, abandoned(history, 0), abandoned(history, 1)) == (Phase.DONE, [], [0, 1, 2])
    assert [c.trainer for c in history.rounds[1].commitments] == list(map(account_of, court.trainers))
    assert [seat.trainer for seat in history.evicted] == [evicted]
    assert chained(history.rounds[1].abandoned)
    assert chained(history.rounds[1].commitments)
    assert not chained(history.rounds[1].abandoned + history.rounds[1].commitments), "the restart lies between"


def test_guilty_stake_goes_to_challenger_arbiter_and_the_other_seats(court: Court) -> None:
    court.challenge(2)
    court.rule(guilty=True)
    terms, settled = DISPUTED, court.follow().settlement
    rest = terms.stake_wei - terms.challenge_bond_wei - terms.arbiter_fee_wei
    assert settled.owed(account_of(court.challenger)) == 2 * terms.challenge_bond_wei
    assert settled.owed(account_of(court.arbiter)) == terms.arbiter_fee_wei
    assert settled.owed(account_of(court.trainers[0])) == rest // 2
    assert settled.owed(account_of(court.owner)) == rest % 2
    assert settled.owed(account_of(court.trainers[2])) == 0


def test_seat_challenges_its_neighbour_as_well_as_a_stranger_does(court: Court) -> None:
    court.commit(0)
    court.challenge(0, Ground.FAULT, by=court.trainers[1])
    court.rule(guilty=True)
    court.refill(0)
    court.finish_rounds()
    assert court.settle().challenges[0].challenger == account_of(court.trainers[1])


def test_unfilled_seat_aborts_and_everything_else_returns(court: Court) -> None:
    court.commit(0)
    court.time_out()
    assert court.follow().phase is Phase.REFILL
    court.time_out()
    history = court.settle()
    assert (history.phase, abandoned(history), len(history.commitments)) == (Phase.ABORTED, [], 1)
    assert history.settlement.owed(DEAD_ADDRESS) == DISPUTED.silence_penalty_wei


def test_only_the_named_replacement_takes_the_seat(court: Court) -> None:
    court.time_out()
    silent = court.trainers[0]
    with refused("NotAllowed"):
        court.join(court.replacement, 0)
    with refused("NotAllowed"):
        court.owner.name_replacement(court.job, court.state.head, 0, account_of(silent))
    with refused("StaleHead"):
        court.owner.name_replacement(court.job, Head(bytes(32)), 0, account_of(court.replacement))
    court.owner.name_replacement(court.job, court.state.head, 0, account_of(court.challenger))
    with refused("NotAllowed"):
        court.join(court.replacement, 0)
    court.refill(0)
    court.finish_rounds()
    assert court.settle().phase is Phase.DONE


# Not guilty, withheld data, silent arbiter


def test_not_guilty_resumes_and_the_next_bond_doubles(court: Court) -> None:
    court.commit(0)
    court.challenge(1)
    shown = court.arbiter.challenge_of(court.job)
    assert shown == ChallengeState(
        shown.id,
        account_of(court.challenger),
        DISPUTED.challenge_bond_wei,
        1,
        Ground.FAULT,
        Phase.COMMIT,
        shown.remaining_s,
    )
    court.rule(guilty=False)
    history = court.follow()
    assert (history.phase, history.challenges[0].outcome) == (Phase.COMMIT, Outcome.NOT_GUILTY)
    assert history.settlement.owed(DEAD_ADDRESS) == DISPUTED.challenge_bond_wei - DISPUTED.arbiter_fee_wei
    assert court.owner.bond_due(court.job) == 2 * DISPUTED.challenge_bond_wei

    court.challenge(ACCUSED_OWNER)
    court.rule(guilty=False)
    court.commit(1, 2)
    court.accept()
    assert court.owner.bond_due(court.job) == DISPUTED.challenge_bond_wei, "a new round starts afresh"
    court.challenge(0)
    court.rule(guilty=False)
    court.finish_rounds()
    assert [c.bond_wei // DISPUTED.challenge_bond_wei for c in court.settle().challenges] == [1, 2, 1]


def test_resumed_phase_has_at_least_half_its_window(court: Court) -> None:
    court.node.advance_time(DISPUTED.train_window_s - 20)
    court.challenge(0)
    court.rule(guilty=False)
    left = court.state.deadline - court.node.block().timestamp
    assert left == DISPUTED.train_window_s // 2
    court.node.advance_time(left - 20)
    court.commit_all()
    court.accept()
    assert court.follow().accepted_rounds == 1


def test_withheld_data_is_ruled_on_in_the_second_half_only(court: Court) -> None:
    court.commit(0)
    court.challenge(0, Ground.WITHHELD)
    with refused("TooEarly"):
        court.rule(guilty=True)
    court.node.advance_time(DISPUTED.arbitration_window_s // 2 + 1)
    court.rule(guilty=True)
    history = court.follow()
    assert (history.challenges[0].ground, history.phase) == (Ground.WITHHELD, Phase.REFILL)


def test_silent_arbiter_in_review_accepts_the_round(court: Court) -> None:
    court.commit_all()
    challenge = court.challenge(0)
    court.time_out()
    assert kinds(court, 2) == [ChallengeLapsed, RoundAcceptedByTimeout]
    history = court.follow()
    assert (history.phase, history.rounds[0].by_timeout, history.challenges[0].id) == (Phase.LABELS, True, challenge)
    court.owner.release_labels(court.job, KEYS[1])
    court.finish_rounds()
    assert court.settle().challenges[0].outcome is Outcome.LAPSED


def test_silent_arbiter_in_commit_resumes_and_the_next_bond_doubles(court: Court) -> None:
    court.challenge(0)
    court.time_out()
    assert kinds(court, 1) == [ChallengeLapsed]
    history = court.follow()
    assert history.phase is Phase.COMMIT
    assert history.settlement.owed(account_of(court.challenger)) == DISPUTED.challenge_bond_wei
    court.challenge(0)
    assert court.follow().challenges[1].bond_wei == 2 * DISPUTED.challenge_bond_wei
    court.rule(guilty=False)
    court.finish_rounds()
    court.settle()


# Guilty owner


def test_guilty_owner_loses_its_bond_to_the_seats(court: Court) -> None:
    court.commit_all()
    court.challenge(ACCUSED_OWNER)
    court.rule(guilty=True)
    history = court.follow()
    share, dust = divmod(DISPUTED.owner_bond_wei - DISPUTED.arbiter_fee_wei, 3)
    assert history.phase is Phase.ABORTED
    assert court.events()[-1].event == JobAborted(court.job, AbortReason.OWNER_GUILTY)
    assert history.settlement.owed(account_of(court.trainers[0])) == DISPUTED.stake_wei + share
    assert history.settlement.owed(account_of(court.owner)) == 6 * DISPUTED.pay_wei + dust
    court.settle()


# Openings of marks


def test_opened_mark_is_on_record_once(court: Court) -> None:
    progress, ownership = Digest(b"\x21" * 32), Digest(b"\x22" * 32)
    marked = mark_commitment(progress, Digest(keccak(ownership)))
    court.commit(0)
    head = court.state.head
    court.trainers[1].commit(court.job, head, EVIDENCE, marked)
    court.commit(2)
    court.accept()
    commits = [
        OpenedCommit(c.trainer, c.manifest_digest, c.mark_commitment) for c in court.follow().rounds[0].commitments[1:]
    ]
    opening = MarkOpening(Digest(keccak(progress)), ownership, EVIDENCE)
    act = (court.job, 0, 1, head, commits, opening)
    with refused("NotCommitted"):
        court.challenger.open_mark(*act)
    court.trainers[1].open_mark(*act)
    with refused("MarkAlreadyOpened"):
        court.trainers[1].open_mark(*act)
    court.finish_rounds()
    opened = MarkOpened(court.job, 0, 1, account_of(court.trainers[1]), opening.progress_key_hash, ownership, EVIDENCE)
    assert court.settle().mark_openings == (opened,)


def test_mark_of_the_restarted_attempt_is_opened_after_the_end(court: Court) -> None:
    progress, ownership = Digest(b"\x21" * 32), Digest(b"\x22" * 32)
    court.commit(0)
    court.equivocate(1)
    court.refill(1)
    court.commit(0, 1)
    head = court.state.head
    marked = mark_commitment(progress, Digest(keccak(ownership)))
    court.trainers[2].commit(court.job, head, EVIDENCE, marked)
    court.accept()
    court.finish_rounds()
    commits = [OpenedCommit(account_of(court.trainers[2]), EVIDENCE, marked)]
    with refused("WrongMarkKeys"):
        court.trainers[2].open_mark(court.job, 0, 2, head, commits, MarkOpening(MARK, ownership, EVIDENCE))
    opening = MarkOpening(Digest(keccak(progress)), ownership, EVIDENCE)
    court.trainers[2].open_mark(court.job, 0, 2, head, commits, opening)
    assert [event.seat for event in court.settle().mark_openings] == [2]


# Refusals


def test_challenges_and_rulings_by_the_wrong_party_are_refused(court: Court) -> None:
    head, bond = court.state.head, court.owner.bond_due(court.job)
    with refused("NotAllowed"):
        court.challenge(0, by=court.arbiter)
    with refused("NoSuchSeat"):
        court.challenge(3)
    with refused("StaleHead"):
        court.challenger.challenge(court.job, Head(bytes(32)), 0, Ground.FAULT, EVIDENCE, bond)
    with refused("WrongValue"):
        court.challenger.challenge(court.job, head, 0, Ground.FAULT, EVIDENCE, bond - 1)
    challenge = court.challenge(0)
    with refused("WrongPhase"):
        court.challenge(0)
    with refused("NotArbiter"):
        court.challenger.rule(court.job, challenge, guilty=True)
    with refused("WrongChallenge"):
        court.arbiter.rule(court.job, EVIDENCE, guilty=True)
    reader = Contract(court.node, court.owner.address)
    assert reader.challenge_of(court.job).id == challenge
