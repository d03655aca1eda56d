"""Random walks through the contract by all parties: after every act the auditor's books are the contract's."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from chain_world import ETHER, KEYS
from court import ACCUSED_OWNER, DISPUTED, Court, open_court

from clicooper.chain.client import Contract
from clicooper.chain.keys import account_from_seed
from clicooper.chain.rpc.node import Node
from clicooper.errors import RevertError
from clicooper.types import ZERO_ADDRESS, Address, Ground, Phase

STEPS = 60
LIKELY: Mapping[Phase, tuple[str, ...]] = {
    Phase.LABELS: ("release", "release", "withdraw"),
    Phase.COMMIT: ("commit", "commit", "commit round", "challenge", "equivocate", "time out"),
    Phase.REVIEW: ("accept", "accept", "challenge", "equivocate", "time out"),
    Phase.REFILL: ("refill", "refill", "refill", "equivocate", "withdraw"),
    Phase.ARBITRATION: ("rule", "rule", "rule", "equivocate", "time out"),
}
"""What keeps a job going; anything else is tried too, and mostly refused."""


class Walk:
    """One job under random acts; an act that the contract refuses changes nothing."""

    def __init__(self, court: Court, seed: int) -> None:
        self.court = court
        self.random = random.Random(seed)  # noqa: S311 - a walk, not a secret
        self.done: list[str] = []
        self.newcomers = 0

    def acts(self) -> Mapping[str, Callable[[], object]]:
        court, anybody = self.court, self.random.choice(self.court.everybody)
        seat, guilty = self.random.randrange(3), self.random.random() < 0.4
        accused = self.random.choice([0, 1, 2, ACCUSED_OWNER])
        ground = self.random.choice(list(Ground))
        run = range(court.state.turn, self.random.randint(court.state.turn, 2) + 1)
        return {
            "commit": lambda: court.commit(court.state.turn),
            "commit round": lambda: anybody.commit_round(court.job, court.state.head, court.signed_run(run)),
            "accept": lambda: court.owner.accept(court.job, court.state.head, KEYS[min(court.state.round + 1, 2)]),
            "release": lambda: court.owner.release_labels(court.job, KEYS[court.state.round]),
            "challenge": lambda: court.challenge(accused, ground, by=anybody),
            "rule": lambda: court.rule(guilty),
            "equivocate": lambda: court.equivocate(seat, by=anybody),
            "refill": self.refill,
            "wait": lambda: court.node.advance_time(self.random.randint(1, 700)),
            "time out": court.time_out,
            "withdraw": lambda: anybody.withdraw(court.job),
        }

    def refill(self) -> None:
        court = self.court
        for seat in range(3):
            if court.owner.seat(court.job, seat).trainer == ZERO_ADDRESS:
                court.replacement = self.newcomer()
                court.refill(seat)

    def newcomer(self) -> Contract:
        self.newcomers += 1
        account = account_from_seed(b"walk", f"newcomer {self.newcomers}")
        self.court.node.fund(Address(account.address), ETHER)
        contract = Contract(self.court.node, self.court.owner.address, account)
        self.court.everybody = (*self.court.everybody, contract)
        return contract

    def step(self) -> None:
        acts = self.acts()
        usual = LIKELY.get(self.court.state.phase, ("withdraw",))
        name = self.random.choice(usual if self.court.ended or self.random.random() < 0.85 else list(acts))
        try:
            acts[name]()
        except RevertError:
            return
        self.done.append(name)
        self.court.follow()


@pytest.mark.parametrize("seed", range(6))
def test_auditor_follows_every_walk(seed: int) -> None:
    with Node.embedded() as node:
        court = open_court(node, replace(DISPUTED, pay_wei=10**15 + 1, owner_bond_wei=4 * 10**15))
        court.open()
        walk = Walk(court, seed)
        for _ in range(STEPS):
            walk.step()
        assert len(walk.done) >= 8, walk.done
        while not court.ended:
            court.time_out()
            court.follow()
        court.settle()
