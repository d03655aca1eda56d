"""A whole job with all roles in one process: deploy, create, join, run every round, withdraw.

What the demo runs and what tests cheat in. In the field each role is a process of its own with its own keys and
store; here they share a node and a store, and nothing else that they would not share there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from clicooper.chain.client import Contract
from clicooper.chain.deploy import deploy
from clicooper.chain.keys import account_from_seed, random_account
from clicooper.chain.record import JobRecord
from clicooper.chain.rpc import Node
from clicooper.config import JobConfig
from clicooper.errors import UsageError
from clicooper.privacy.randomness import MasterSecret
from clicooper.protocol.owner import Owner
from clicooper.protocol.prepare import PreparedJob, prepare_job
from clicooper.protocol.round import Progress, SettledRound, run_round
from clicooper.protocol.trainer import Trainer
from clicooper.storage.base import Store
from clicooper.storage.pin_sets import PinSets
from clicooper.storage.retention import JOB_PINS, JobRetention
from clicooper.storage.run_folder import RunFolder
from clicooper.storage.seal import write_secret
from clicooper.types import Address, Digest, Head, JobId
from clicooper.watermark.keys import MarkKeys, keys_from_secret

__all__ = ["JobParties", "OpenJob", "finish_job", "open_job", "run_rounds"]

DEVELOPMENT_CHAIN = 31337
FUNDS_WEI = 10**18


@dataclass(frozen=True)
class JobParties:
    """Accounts and mark secrets of every role of a rehearsal."""

    owner: LocalAccount
    arbiter: LocalAccount
    trainers: tuple[LocalAccount, ...]
    mark_secrets: tuple[bytes, ...]
    master: MasterSecret

    @classmethod
    def drawn(cls, config: JobConfig) -> JobParties:
        """From the operating system, or from the seed of an INSECURE rehearsal."""
        seats = range(config.trainers)
        if config.seed is None:
            accounts = [random_account() for _ in range(config.trainers + 2)]
            secrets = tuple(os.urandom(32) for _ in seats)
            return cls(accounts[0], accounts[1], tuple(accounts[2:]), secrets, MasterSecret.from_os())
        seed = config.seed.to_bytes(32, "big")
        marks = MasterSecret.from_seed(config.seed)
        return cls(
            owner=account_from_seed(seed, "owner"),
            arbiter=account_from_seed(seed, "arbiter"),
            trainers=tuple(account_from_seed(seed, f"trainer-{seat}") for seat in seats),
            mark_secrets=tuple(marks.derive(f"clicooper.rehearsal.marks-{seat}", Digest(bytes(32))) for seat in seats),
            master=marks,
        )

    def mark_keys(self, seat: int, job: JobId, round_: int) -> MarkKeys:
        """The keys of a seat's first attempt in a round."""
        return keys_from_secret(self.mark_secrets[seat], job, round_, seat, 0)

    @property
    def accounts(self) -> tuple[LocalAccount, ...]:
        """Everyone who needs coin."""
        return (self.owner, self.arbiter, *self.trainers)


@dataclass(frozen=True)
class OpenJob:
    """A job on chain whose seats are filled."""

    node: Node
    contract: Address
    job: JobId
    genesis: Head
    owner: Owner
    trainers: tuple[Trainer, ...]


def open_job(
    config: JobConfig,
    parties: JobParties,
    node: Node,
    store: Store,
    folder: RunFolder,
    make_trainer: Callable[..., Trainer] = Trainer,
) -> OpenJob:
    """Prepares a job, deploys the contract, publishes the job and fills its seats.

    Args:
        make_trainer: builds the party in a seat; tests seat cheats with it.

    Raises:
        UsageError: a seeded rehearsal on another chain than a local development one.
    """
    if config.seed is not None and node.chain_id != DEVELOPMENT_CHAIN:
        raise UsageError(
            f"a seeded run is refused on chain {node.chain_id}: everybody could derive its keys",
            hint=f"leave out --seed, or use a local node with chain id {DEVELOPMENT_CHAIN}",
        )
    arbiter = Address(parties.arbiter.address)
    retention = JobRetention(PinSets(folder.pins), JOB_PINS, store)
    retention.begin([])
    prepared = prepare_job(config, parties.master, arbiter, store, folder)
    retention.begin([prepared.spec.cid])
    _keep_secrets(folder, parties, prepared)
    for account in parties.accounts:
        node.fund(Address(account.address), FUNDS_WEI)
    contract, _ = deploy(node, parties.owner)
    view, floor = Contract(node, contract, parties.owner), _progress_floor(prepared)
    owner = Owner(view, store, prepared, config.samples, floor, retention)
    job, genesis = owner.create_job()
    trainers = []
    for seat, account in enumerate(parties.trainers):
        keys = _mark_keys(parties.mark_secrets[seat], job, seat)
        trainer = make_trainer(seat, account, Contract(node, contract, account), store, keys, {config.model})
        trainer.join(job, genesis, prepared.params, f"in-process/{seat}")
        trainers.append(trainer)
    owner.release_first_labels()
    return OpenJob(node, contract, job, genesis, owner, tuple(trainers))


def run_rounds(opened: OpenJob, progress: Progress) -> tuple[SettledRound, ...]:
    """Runs every round of the job."""
    rounds: list[SettledRound] = []
    for round_ in range(opened.owner.params.rounds):
        last = rounds[-1] if rounds else None
        head = last.head if last else opened.genesis
        rounds.append(run_round(opened.owner, opened.trainers, round_, head, last, progress))
    return tuple(rounds)


def finish_job(opened: OpenJob, parties: JobParties) -> JobRecord:
    """Everybody withdraws what the job owes them; returns the job's whole record."""
    opened.owner.withdraw()
    for trainer in opened.trainers:
        trainer.withdraw()
    opened.owner.retention.finish()
    return Contract(opened.node, opened.contract, parties.owner).record(opened.job)


def _progress_floor(prepared: PreparedJob) -> float:
    """The share of the most frequent class among the owner's held-out records: what naming it always would give."""
    labels = prepared.dataset.labels[prepared.splits.holdout]
    return max(float((labels == label).mean()) for label in set(labels.tolist()))


def _mark_keys(secret: bytes, job: JobId, seat: int) -> Callable[[int, int], MarkKeys]:
    """A trainer's mark keys: derived from its secret, so that they survive a restart."""
    return lambda round_, attempt: keys_from_secret(secret, job, round_, seat, attempt)


def _keep_secrets(folder: RunFolder, parties: JobParties, prepared: PreparedJob) -> None:
    """Writes each role's secrets to its own folder, readable by the user alone."""
    secrets = prepared.secrets
    write_secret(folder.owner / "account.key", parties.owner.key.hex().encode() + b"\n")
    write_secret(folder.owner / "master.key", parties.master.material.hex().encode() + b"\n")
    write_secret(folder.owner / "label-secret.key", secrets.label_secret.hex().encode() + b"\n")
    write_secret(folder.owner / "label-keys.txt", "\n".join(key.hex() for key in secrets.label_keys).encode() + b"\n")
    write_secret(folder.owner / "label-map.bin", secrets.label_map.pseudo_of_record.astype("<i8").tobytes())
    for seat, account in enumerate(parties.trainers):
        write_secret(folder.trainer(seat) / "account.key", account.key.hex().encode() + b"\n")
        write_secret(folder.trainer(seat) / "marks.key", parties.mark_secrets[seat].hex().encode() + b"\n")
