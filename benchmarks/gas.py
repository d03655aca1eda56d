"""What every call costs as a transaction of its own, read off receipts, beside the targets and two yardsticks.

The chain is the embedded EVM under Prague's rules; parties, digests and signatures are derived from constants, so each
run gives the same figures on every machine. Options: ``--json``; ``--write`` keeps the figures in ``gas.json``;
``--check`` fails if a target is missed, or if a figure is more than 1 % above the one kept there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from _table import Row, report

from clicooper.chain.client import Contract, MarkOpening, OpenedCommit, Receipt
from clicooper.chain.deploy import deploy
from clicooper.chain.keys import LocalAccount, account_from_seed
from clicooper.chain.rpc.node import Node
from clicooper.chain.typed_data import CommitContents, Position, SignedCommit, sign_commit
from clicooper.commitments.canonical import sha256
from clicooper.commitments.head import label_anchor, label_keys, next_head, opened_commitment
from clicooper.types import Address, Digest, Ground, Head, JobId, JobParams

ETHER = 10**18
MOST_SEATS = 16
ROUNDS = 2
KEYS = label_keys(sha256(b"last label key"), ROUNDS)
KEY_RECORD = sha256(b"sealing") + sha256(b"transport") + b"https://trainer.example:8443"
OPENING = MarkOpening(sha256(b"progress key's hash"), sha256(b"ownership key"), sha256(b"suspect"))

# Prague's rules, worked out: 21,000, the calldata, one cold slot rewritten, one event.
FLOOR = 27_649
# One Ethereum Attestation Service attestation that refers to its predecessor through a resolver, same rules.
EAS = 206_947
ARTIFACTS = 1_024

TARGETS = {
    "commit, not the last seat": 41_000,
    "commit, last seat": 41_000,
    "commitRound of 8, per commitment": 18_500,
    "commitRound of 16, per commitment": 16_500,
    "accept": 64_000,
    "whole round of 4 seats: batch + accept": 156_000,
    f"per artifact, {ARTIFACTS} under one commitment": 42,
}
KEPT = Path(__file__).with_name("gas.json")
TOLERANCE = 1.01


@dataclass(frozen=True)
class Parties:
    """Everybody who acts, each with funds and the contract seen from their account; the owner paid for ``created``."""

    owner: Contract
    arbiter: Contract
    stranger: Contract
    trainers: tuple[Contract, ...]
    created: Receipt


@dataclass(frozen=True)
class Job:
    """A job whose labels of round 0 are out, and what it took to get there."""

    parties: Parties
    number: JobId
    seats: int
    receipts: Mapping[str, Receipt]

    @property
    def head(self) -> Head:
        """Where the job stands."""
        return self.parties.owner.job(self.number).head

    def commit(self, seat: int, round_: int = 0) -> Receipt:
        """The seat commits by a transaction of its own."""
        contents = contents_of(round_, seat)
        trainer = self.parties.trainers[seat]
        return trainer.commit(self.number, self.head, contents.manifest_digest, contents.mark_commitment)

    def commit_all(self, round_: int = 0) -> Receipt:
        """A stranger sends the commitments that all seats have signed."""
        first = head = self.head
        batch: list[SignedCommit] = []
        for seat in range(self.seats):
            trainer, contents = self.parties.trainers[seat], contents_of(round_, seat)
            position = Position(self.number, round_, seat, head)
            batch.append(sign_commit(acting(trainer), trainer.domain, position, contents))
            mark = contents.mark_commitment
            head = next_head(head, self.number, round_, seat, address_of(trainer), contents.manifest_digest, mark)
        return self.parties.stranger.commit_round(self.number, first, batch)

    def accept(self, round_: int = 0) -> Receipt:
        """The owner accepts the round."""
        return self.parties.owner.accept(self.number, self.head, KEYS[round_ + 1])

    def challenge(self, accused: int) -> tuple[Digest, Receipt]:
        """A stranger accuses a seat."""
        bond = self.parties.stranger.bond_due(self.number)
        evidence = sha256(b"evidence")
        return self.parties.stranger.challenge(self.number, self.head, accused, Ground.FAULT, evidence, bond)


def acting(contract: Contract) -> LocalAccount:
    """The account that acts through this view of the contract."""
    if contract.account is None:
        raise ValueError("a contract without an account cannot act")
    return contract.account


def address_of(contract: Contract) -> Address:
    """That account's address."""
    return Address(acting(contract).address)


def contents_of(round_: int, seat: int) -> CommitContents:
    """What a seat commits; its mark commitment opens by ``OPENING``."""
    mark = opened_commitment(OPENING.progress_key_hash, OPENING.ownership_key)
    return CommitContents(sha256(b"manifest %d %d" % (round_, seat)), mark)


def assemble(node: Node) -> Parties:
    """Deploys the contract and funds everybody."""
    names = ["owner", "arbiter", "stranger", *(f"trainer {seat}" for seat in range(MOST_SEATS))]
    accounts = [account_from_seed(b"gas", name) for name in names]
    for account in accounts:
        node.fund(Address(account.address), 1_000 * ETHER)
    address, created = deploy(node, accounts[0])
    owner, arbiter, stranger, *trainers = (Contract(node, address, account) for account in accounts)
    return Parties(owner, arbiter, stranger, tuple(trainers), created)


def terms(parties: Parties, seats: int) -> JobParams:
    """Terms of a job in the native coin, without an allow-list."""
    return JobParams(
        pay_wei=ETHER // 100,
        stake_wei=ETHER,
        owner_bond_wei=ETHER,
        seats=seats,
        rounds=ROUNDS,
        arbiter=address_of(parties.arbiter),
        spec_digest=sha256(b"spec"),
        label_anchor=label_anchor(KEYS[0]),
        challenge_bond_wei=ETHER // 10,
        arbiter_fee_wei=ETHER // 20,
        silence_penalty_wei=ETHER // 4,
    )


def start(parties: Parties, seats: int) -> Job:
    """Opens a job, fills its seats and releases the labels of round 0."""
    params = terms(parties, seats)
    number, created = parties.owner.create_job(params)
    genesis = parties.owner.genesis_of(number)
    joins = [
        trainer.join(number, genesis, seat, KEY_RECORD, params.stake_wei)
        for seat, trainer in enumerate(parties.trainers[:seats])
    ]
    released = parties.owner.release_labels(number, KEYS[0])
    receipts = {"createJob": created, "join, not the last seat": joins[1], "join, last seat": joins[-1]}
    return Job(parties, number, seats, receipts | {"releaseLabels": released})


def single_commits(parties: Parties) -> dict[str, float]:
    """A job of 4 seats from its creation to its last withdrawal, each seat committing for itself."""
    job = start(parties, 4)
    begin = job.head
    commits = [job.commit(seat) for seat in range(job.seats)]
    receipts = {**job.receipts, "commit, not the last seat": commits[1], "commit, last seat": commits[-1]}
    receipts["accept"] = job.accept()
    receipts["openMark, first of 4 seats"] = open_mark(job, begin)
    job.commit_all(1)
    receipts["accept, last round"] = job.accept(1)
    receipts["withdraw, trainer"] = parties.trainers[0].withdraw(job.number)
    receipts["withdraw, owner"] = parties.owner.withdraw(job.number)
    return {name: receipt.gas_used for name, receipt in receipts.items()}


def open_mark(job: Job, begin: Head) -> Receipt:
    """Seat 0 opens its mark of round 0."""
    commits = []
    for seat in range(job.seats):
        contents = contents_of(0, seat)
        trainer = address_of(job.parties.trainers[seat])
        commits.append(OpenedCommit(trainer, contents.manifest_digest, contents.mark_commitment))
    return job.parties.trainers[0].open_mark(job.number, 0, 0, begin, commits, OPENING)


def batches(parties: Parties) -> dict[str, float]:
    """Rounds whose commitments a single transaction carries."""
    gas: dict[str, float] = {}
    for seats in (8, 16):
        whole = start(parties, seats).commit_all().gas_used
        gas[f"commitRound of {seats}, per commitment"] = round(whole / seats, 1)
    job = start(parties, 4)
    gas["commitRound of 4"] = job.commit_all().gas_used
    gas["whole round of 4 seats: batch + accept"] = gas["commitRound of 4"] + job.accept().gas_used
    return gas


def disputes(parties: Parties) -> dict[str, float]:
    """Challenges among 4 seats, and what follows."""
    job = start(parties, 4)
    first, challenged = job.challenge(accused=1)
    acquitted = parties.arbiter.rule(job.number, first, guilty=False)
    second, again = job.challenge(accused=1)
    condemned = parties.arbiter.rule(job.number, second, guilty=True)
    newcomer = address_of(parties.trainers[4])
    named = parties.owner.name_replacement(job.number, job.head, 1, newcomer)
    genesis = parties.owner.genesis_of(job.number)
    joined = parties.trainers[4].join(job.number, genesis, 1, KEY_RECORD, ETHER)
    receipts = {
        "challenge, first of the job": challenged,
        "challenge, later": again,
        "rule, not guilty": acquitted,
        "rule, guilty, 3 other seats": condemned,
        "nameReplacement": named,
        "join, replacement": joined,
    }
    return {name: receipt.gas_used for name, receipt in receipts.items()}


def silence_and_lies(parties: Parties) -> dict[str, float]:
    """What anybody may do about a silent trainer, and about one that signs twice."""
    job = start(parties, 4)
    liar = parties.trainers[2]
    position = Position(job.number, 0, 2, job.head)
    one, two = (sign_commit(acting(liar), liar.domain, position, contents_of(0, seat)) for seat in (2, 3))
    proven = parties.stranger.prove_equivocation(position, one, two)
    silent = start(parties, 4)
    parties.owner.node.advance_time(terms(parties, 4).train_window_s + 1)
    evicted = parties.stranger.resolve_timeout(silent.number)
    return {"proveEquivocation": proven.gas_used, "resolveTimeout, silent trainer": evicted.gas_used}


def measure() -> dict[str, float]:
    """Gas by name, in the order of a job's life."""
    with Node.embedded() as node:
        parties = assemble(node)
        _, lens = deploy(node, acting(parties.owner), "CliCooperLens")
        gas: dict[str, float] = {"deploy": parties.created.gas_used, "deploy, lens": lens.gas_used}
        for part in (single_commits, batches, disputes, silence_and_lies):
            gas |= part(parties)
    gas[f"per artifact, {ARTIFACTS} under one commitment"] = round(gas["commit, not the last seat"] / ARTIFACTS, 2)
    return gas


def yardsticks(gas: Mapping[str, float]) -> list[Row]:
    """Commitments beside the least that any could cost, and beside the same done with attestations."""
    names = {"commit": "commit, not the last seat", "commitRound of 16": "commitRound of 16, per commitment"}
    beside = {"floor": FLOOR, "EAS attestation": EAS}
    return [
        Row(f"{short} over the {what}", gas[name], "gas", against=figure)
        for short, name in names.items()
        for what, figure in beside.items()
    ]


def complaints(rows: Sequence[Row], gas: Mapping[str, float]) -> list[str]:
    """Targets that are missed, and figures that grew or have nothing to be compared with."""
    missed = [f"{row.name}: {row.value:g} misses the target {row.target:g}" for row in rows if row.met is False]
    kept = json.loads(KEPT.read_text())
    grown = [
        f"{name}: {value:g}, kept: {kept.get(name)}"
        for name, value in gas.items()
        if name not in kept or value > TOLERANCE * kept[name]
    ]
    return missed + grown


def main() -> None:
    """Measures and reports."""
    gas = measure()
    rows = [Row(name, value, "gas", target=TARGETS.get(name)) for name, value in gas.items()]
    report(rows + yardsticks(gas))
    if "--write" in sys.argv:
        KEPT.write_text(json.dumps(gas, indent=2) + "\n")
    if "--check" in sys.argv and (found := complaints(rows, gas)):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
