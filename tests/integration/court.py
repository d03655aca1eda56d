"""A job of three seats with everybody whom a dispute needs, held against the auditor's state machine at every step."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from chain_world import ETHER, KEYS, MANIFEST, MARK, PARAMS, account_of

from clicooper.audit.checks.payment import check_payment
from clicooper.chain.client import Contract, JobState
from clicooper.chain.deploy import deploy
from clicooper.chain.events import LoggedEvent
from clicooper.chain.index.record_index import IN_MEMORY, RecordIndex
from clicooper.chain.keys import account_from_seed
from clicooper.chain.record import JobRecord, record_from_json, record_to_json
from clicooper.chain.rpc.node import Node
from clicooper.chain.token import Token
from clicooper.chain.typed_data import CommitContents, Position, SignedCommit, sign_commit
from clicooper.commitments.head import next_head
from clicooper.errors import RevertError
from clicooper.history.follow import Commitment, History, follow_record
from clicooper.types import (
    ACCUSED_OWNER,
    DEAD_ADDRESS,
    ZERO_ADDRESS,
    Address,
    Digest,
    Ground,
    JobId,
    JobParams,
    Phase,
    Verdict,
)

__all__ = [
    "ACCUSED_OWNER",
    "CONTENTS",
    "DISPUTED",
    "EVIDENCE",
    "OTHER_CONTENTS",
    "Court",
    "kinds",
    "open_court",
    "refused",
]

NAMES = ("owner", "t0", "t1", "t2", "replacement", "challenger", "arbiter")
DISPUTED = replace(
    PARAMS,
    seats=3,
    owner_bond_wei=4 * 10**15 + 1,
    stake_wei=5 * 10**15 + 2,
    arbiter_fee_wei=10**13 + 1,
    challenge_bond_wei=10**14 + 1,
    arbitration_window_s=1000,
)
"""Odd amounts, so that every division leaves dust."""

CONTENTS, OTHER_CONTENTS = CommitContents(MANIFEST, MARK), CommitContents(MARK, MANIFEST)
EVIDENCE = Digest(b"\x0e" * 32)
TERMINAL = {Phase.DONE, Phase.CANCELLED, Phase.ABORTED}


@dataclass
class Court:
    """One job and its parties; ``trainers`` are the seats' holders of the moment."""

    node: Node
    params: JobParams
    owner: Contract
    trainers: list[Contract]
    replacement: Contract
    challenger: Contract
    arbiter: Contract
    everybody: tuple[Contract, ...]
    index: RecordIndex
    job: JobId = field(default_factory=lambda: JobId(0))

    @property
    def native(self) -> bool:
        return self.params.token == ZERO_ADDRESS

    def coin(self, amount_wei: int) -> int:
        """What a call that locks this much sends along."""
        return amount_wei if self.native else 0

    # Acts

    def open(self) -> None:
        """Up to the first commitment."""
        self.job, _ = self.owner.create_job(self.params)
        for seat in range(self.params.seats):
            self.join(self.trainers[seat], seat)
        self.owner.release_labels(self.job, KEYS[0])

    def join(self, contract: Contract, seat: int) -> None:
        contract.join(self.job, contract.genesis_of(self.job), seat, b"keys", self.coin(self.params.stake_wei))

    def commit(self, *seats: int) -> None:
        for seat in seats:
            self.trainers[seat].commit(self.job, self.state.head, MANIFEST, MARK)

    def commit_all(self) -> None:
        self.commit(*range(self.params.seats))

    def accept(self) -> None:
        state = self.state
        self.owner.accept(self.job, state.head, KEYS[state.round + 1])

    def challenge(self, accused: int, ground: Ground = Ground.FAULT, by: Contract | None = None) -> Digest:
        challenger = by or self.challenger
        bond = self.coin(challenger.bond_due(self.job))
        return challenger.challenge(self.job, self.state.head, accused, ground, EVIDENCE, bond)[0]

    def rule(self, guilty: bool) -> None:
        self.arbiter.rule(self.job, self.arbiter.challenge_of(self.job).id, guilty)

    def time_out(self) -> None:
        """Past the deadline of the phase, and out by its exit."""
        self.node.advance_time(max(1, self.state.deadline - self.node.block().timestamp + 1))
        self.challenger.resolve_timeout(self.job)

    def refill(self, seat: int) -> None:
        """The owner names the replacement, which joins."""
        self.owner.name_replacement(self.job, self.state.head, seat, account_of(self.replacement))
        self.join(self.replacement, seat)
        self.trainers[seat] = self.replacement

    def equivocate(self, seat: int, by: Contract | None = None) -> None:
        """The challenger, or whoever is named, shows two signatures over the present head."""
        account, state = self.trainers[seat].account, self.state
        assert account is not None
        at = Position(self.job, state.round, seat, state.head)
        first, second = (sign_commit(account, self.owner.domain, at, said) for said in (CONTENTS, OTHER_CONTENTS))
        (by or self.challenger).prove_equivocation(at, first, second)

    def signed_run(self, seats: Iterable[int]) -> list[SignedCommit]:
        """The commitments of a run of seats, each signed over the head that the one before makes."""
        state, signed = self.state, []
        head = state.head
        for seat in seats:
            account = self.trainers[seat].account
            assert account is not None
            at = Position(self.job, state.round, seat, head)
            signed.append(sign_commit(account, self.owner.domain, at, CONTENTS))
            head = next_head(head, self.job, state.round, seat, Address(account.address), MANIFEST, MARK)
        return signed

    def finish_rounds(self) -> None:
        """Honest work to the end, from the start of a round."""
        while self.state.phase is Phase.COMMIT:
            self.commit_all()
            self.accept()

    # Views

    @property
    def state(self) -> JobState:
        return self.owner.job(self.job)

    @property
    def ended(self) -> bool:
        return self.state.phase in TERMINAL

    def events(self) -> tuple[LoggedEvent, ...]:
        return self.record().events

    def record(self) -> JobRecord:
        self.index.sync()
        return self.index.record(self.job)

    def follow(self) -> History:
        """The job's record, read from the node and from its file, is followed to exactly what the contract holds."""
        record = self.record()
        history = follow_record(record_from_json(record_to_json(record)))
        state = self.state
        assert (history.phase, history.head, history.accepted_rounds) == (state.phase, state.head, state.round)
        for account in (*map(account_of, self.everybody), DEAD_ADDRESS):
            assert history.settlement.owed(account) == self.owner.owed_to(self.job, account), account
        held = {seat.seat: seat.trainer for seat in history.seats}
        for seat in range(self.params.seats):
            assert held.get(seat, ZERO_ADDRESS) == self.owner.seat(self.job, seat).trainer
        for round_ in history.rounds:
            assert (round_.head or Digest(bytes(32))) == self.owner.round_head(self.job, round_.round)
        assert all(row.verdict is Verdict.PASS for row in check_payment(history))
        return history

    def settle(self) -> History:
        """Everybody takes what it is owed; only what is burned stays."""
        assert self.ended
        before = self.follow().settlement
        for contract in self.everybody:
            owed = before.owed(account_of(contract))
            if owed:
                contract.withdraw(self.job)
        history = self.follow()
        burned = history.settlement.owed(DEAD_ADDRESS)
        assert history.settlement.liabilities() == burned
        assert self.held() == burned
        locked = self.params.escrow_wei + history.joined * self.params.stake_wei + history.bonds_wei
        assert sum(withdrawal.amount_wei for withdrawal in history.withdrawals) + burned == locked
        return history

    def held(self) -> int:
        """What the contract has, in the job's currency."""
        address = self.owner.address
        if self.native:
            return self.node.balance(address)
        return Token(self.node, self.params.token).balance(address)


def open_court(node: Node, params: JobParams = DISPUTED, pay_in: Callable[[Contract], Address] | None = None) -> Court:
    """A contract of its own and fresh accounts, up to the first commitment.

    Args:
        node: the chain.
        params: the terms; their arbiter is replaced.
        pay_in: deploys a token and names it, given the owner's view; every party gets some and approves the contract.
    """
    seed = secrets.token_bytes(32)
    accounts = [account_from_seed(seed, name) for name in NAMES]
    for account in accounts:
        node.fund(Address(account.address), ETHER)
    address, deployed = deploy(node, accounts[0])
    index = RecordIndex(IN_MEMORY, node, address, deployed.block_number)
    owner, *trainers, replacement, challenger, arbiter = [Contract(node, address, account) for account in accounts]
    token = pay_in(owner) if pay_in else ZERO_ADDRESS
    params = replace(params, arbiter=account_of(arbiter), token=token)
    everybody = (owner, *trainers, replacement, challenger, arbiter)
    return Court(node, params, owner, trainers, replacement, challenger, arbiter, everybody, index)


def abandoned(history: History, round_: int = 0) -> list[int]:
    """The seats whose commitments of earlier attempts stay visible."""
    return [commitment.seat for commitment in history.rounds[round_].abandoned]


def chained(commitments: tuple[Commitment, ...]) -> bool:
    """Whether each commitment builds on the one before."""
    return all(later.head_before == former.head for former, later in pairwise(commitments))


def refused(name: str) -> "pytest.RaisesExc[RevertError]":
    return pytest.RaisesExc(RevertError, check=lambda e: e.name == name and bool(e.hint) and name in e.message)


def kinds(court: Court, last: int) -> list[type]:
    return [type(logged.event) for logged in court.events()[-last:]]
