"""A committee as arbiter, on every kind of node: votes cast, votes signed, fees shared."""

from dataclasses import dataclass, replace

import pytest
from chain_world import account_of
from court import DISPUTED, Court, open_court

from clicooper.chain.committee import Committee, deploy_committee
from clicooper.chain.rpc.node import Node
from clicooper.chain.typed_data import sign_ruling
from clicooper.errors import ChainError, RevertError, UsageError
from clicooper.history.follow import Outcome
from clicooper.types import ZERO_ADDRESS, Address, Digest, Phase


@dataclass(frozen=True)
class Bench:
    """A job whose arbiter is a committee of three, and the committee as its members see it."""

    court: Court
    members: tuple[Committee, ...]

    def signed(self, challenge: Digest, guilty: bool, *members: int) -> dict[Address, bytes]:
        votes = {}
        for committee in (self.members[member] for member in members):
            assert committee.account is not None
            signature = sign_ruling(committee.account, committee.domain, self.court.job, challenge, guilty)
            votes[Address(committee.account.address)] = signature
        return votes


@pytest.fixture
def bench(node: Node) -> Bench:
    """The owner's other parties make up the committee: two of three rule."""
    court = open_court(node)
    members = (court.challenger, court.replacement, court.arbiter)
    assert court.owner.account is not None
    address, _ = deploy_committee(node, court.owner.account, court.owner.address, [*map(account_of, members)], 2)
    court.params = replace(court.params, arbiter=address)
    court.open()
    return Bench(court, tuple(Committee(node, address, member.account) for member in members))


def refused(name: str) -> "pytest.RaisesExc[RevertError]":
    return pytest.RaisesExc(RevertError, check=lambda e: e.name == name and bool(e.hint))


def test_last_vote_needed_rules(bench: Bench) -> None:
    court, (first, second, third) = bench.court, bench.members
    challenge = court.challenge(0, by=court.trainers[1])
    first.vote(court.job, challenge, guilty=True)
    third.vote(court.job, challenge, guilty=False)
    with refused("AlreadyVoted"):
        first.vote(court.job, challenge, guilty=False)
    assert (first.votes_for(court.job, challenge, True), court.state.phase) == (1, Phase.ARBITRATION)
    second.vote(court.job, challenge, guilty=True)
    assert court.follow().challenges[0].outcome is Outcome.GUILTY


def test_signed_votes_rule_and_fees_are_shared(bench: Bench) -> None:
    court, (first, second, _) = bench.court, bench.members
    challenge = court.challenge(0, by=court.trainers[1])
    stranger = Committee(court.node, first.address, court.owner.account)
    with refused("TooFewVotes"):
        stranger.rule_by_signatures(court.job, challenge, False, bench.signed(challenge, False, 0))
    with refused("BadSignature"):
        stranger.rule_by_signatures(court.job, challenge, False, bench.signed(challenge, True, 0, 1))
    stranger.rule_by_signatures(court.job, challenge, False, bench.signed(challenge, False, 0, 1))
    history = court.follow()
    assert history.settlement.owed(first.address) == DISPUTED.arbiter_fee_wei

    stranger.collect(court.job)
    assert second.account is not None
    share = first.owed_to(ZERO_ADDRESS, Address(second.account.address))
    assert share == DISPUTED.arbiter_fee_wei // 3
    second.withdraw(ZERO_ADDRESS)
    assert court.node.balance(first.address) == DISPUTED.arbiter_fee_wei - share
    court.finish_rounds()
    court.settle()


def test_committee_says_who_it_is(bench: Bench) -> None:
    committee = Committee(bench.court.node, bench.members[0].address)
    accounts = [member.account for member in bench.members]
    assert list(committee.members()) == [account.address for account in accounts if account is not None]
    assert (committee.threshold(), committee.contract()) == (2, bench.court.owner.address)
    with pytest.raises(UsageError, match="collect needs an account"):
        committee.collect(bench.court.job)


def test_outsiders_and_impossible_committees_are_refused(bench: Bench) -> None:
    court = bench.court
    challenge = court.challenge(0, by=court.trainers[1])
    outsider = Committee(court.node, bench.members[0].address, court.owner.account)
    with refused("NotMember"):
        outsider.vote(court.job, challenge, guilty=True)
    bench.members[0].vote(court.job, Digest(bytes(32)), guilty=True)
    with refused("WrongChallenge"):
        bench.members[1].vote(court.job, Digest(bytes(32)), guilty=True)
    assert court.owner.account is not None
    with refused("InvalidCommittee"):
        deploy_committee(court.node, court.owner.account, court.owner.address, [], 1)
    with pytest.raises(ChainError, match="no committee at"):
        Committee(court.node, account_of(court.owner))
