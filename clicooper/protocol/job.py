"""A whole job with all roles in one process: deploy, create, join, run every round, withdraw.

What the demo runs and what tests cheat in. In the field each role is a process of its own with its own keys and
store; here they share a node and a store, and nothing else that they would not share there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from eth_account.signers.local import LocalAccount

from clicooper.access.grants import IDENTITY_NAME
from clicooper.access.identity import identity_from_seed, recipient_of
from clicooper.access.sealing import new_identity
from clicooper.access.vault import TrainerSecrets
from clicooper.chain.client import Contract
from clicooper.chain.deploy import deploy
from clicooper.chain.index.record_index import DEFAULT_FINALITY, IN_MEMORY, RecordIndex
from clicooper.chain.job_place import JOB_NAME, encode_place
from clicooper.chain.keys import account_from_seed, random_account
from clicooper.chain.record import JobRecord
from clicooper.chain.rpc.node import Node
from clicooper.config import JobConfig
from clicooper.errors import UsageError
from clicooper.files import write_secret
from clicooper.privacy.randomness import MasterSecret
from clicooper.protocol.owner import Owner
from clicooper.protocol.owner_folder import keep_owner_secrets
from clicooper.protocol.policy import Policy
from clicooper.protocol.preparation.prepare import PreparedJob, prepare_job
from clicooper.protocol.round import Progress, SettledRound, run_round
from clicooper.protocol.trainer import Trainer
from clicooper.storage.base import Store
from clicooper.storage.pins.pin_sets import PinSets
from clicooper.storage.pins.retention import JOB_PINS, JobRetention
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Address, Digest, Head, JobId
from clicooper.watermark.keys import MarkKeys

__all__ = ["JobParties", "OpenJob", "finish_job", "open_job", "run_rounds"]

DEVELOPMENT_CHAIN = 31337
FUNDS_WEI = 10**18


@dataclass(frozen=True)
class JobParties:
    """Accounts and secrets of every role of a rehearsal; identities are those of ``age``."""

    owner: LocalAccount
    owner_identity: str = field(repr=False)
    arbiter: LocalAccount
    arbiter_identity: str = field(repr=False)
    trainers: tuple[LocalAccount, ...]
    trainer_secrets: tuple[TrainerSecrets, ...]
    master: MasterSecret

    @classmethod
    def drawn(cls, config: JobConfig) -> JobParties:
        """From the operating system, or from the seed of an INSECURE rehearsal."""
        seats = range(config.trainers)
        if config.seed is None:
            accounts = [random_account() for _ in range(config.trainers + 2)]
            return cls(
                owner=accounts[0],
                owner_identity=new_identity()[0],
                arbiter=accounts[1],
                arbiter_identity=new_identity()[0],
                trainers=tuple(accounts[2:]),
                trainer_secrets=tuple(TrainerSecrets(os.urandom(32), new_identity()[0]) for _ in seats),
                master=MasterSecret.from_os(),
            )
        seed, master = config.seed.to_bytes(32, "big"), MasterSecret.from_seed(config.seed)
        return cls(
            owner=account_from_seed(seed, "owner"),
            owner_identity=_seeded_identity(master, "owner"),
            arbiter=account_from_seed(seed, "arbiter"),
            arbiter_identity=_seeded_identity(master, "arbiter"),
            trainers=tuple(account_from_seed(seed, f"trainer-{seat}") for seat in seats),
            trainer_secrets=tuple(
                TrainerSecrets(_seeded(master, f"marks-{seat}"), _seeded_identity(master, f"trainer-{seat}"))
                for seat in seats
            ),
            master=master,
        )

    def mark_keys(self, seat: int, job: JobId, round_: int) -> MarkKeys:
        """The keys of a seat's first attempt in a round."""
        return self.trainer_secrets[seat].mark_keys(job, round_, seat)

    @property
    def accounts(self) -> tuple[LocalAccount, ...]:
        """Everyone who needs coin."""
        return (self.owner, self.arbiter, *self.trainers)


def _seeded(master: MasterSecret, name: str) -> bytes:
    return master.derive(f"clicooper.rehearsal.{name}", Digest(bytes(32)))


def _seeded_identity(master: MasterSecret, name: str) -> str:
    return identity_from_seed(_seeded(master, f"identity-{name}"))


@dataclass(frozen=True)
class OpenJob:
    """A job on chain whose seats are filled; all its parties read the chain through one index."""

    node: Node
    contract: Address
    index: RecordIndex
    job: JobId
    genesis: Head
    owner: Owner
    trainers: tuple[Trainer, ...]
    folder: RunFolder


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
    arbiter_keys = [recipient_of(parties.arbiter_identity)]
    prepared = prepare_job(config, parties.master, parties.owner_identity, arbiter, arbiter_keys, store, folder)
    retention.begin([prepared.spec.cid])
    _keep_secrets(folder, parties, prepared)
    for account in parties.accounts:
        node.fund(Address(account.address), FUNDS_WEI)
    contract, _ = deploy(node, parties.owner)
    # A development chain replaces no block unless it is told to.
    finality = 0 if node.is_local else DEFAULT_FINALITY
    index = RecordIndex(IN_MEMORY, node, contract, finality=finality)
    # In one process there is nobody to wait for.
    policy = Policy(samples=config.samples, publish_deadline_s=0)
    owner = Owner(Contract(node, contract, parties.owner), index, store, prepared, policy, retention, folder.owner)
    job, genesis = owner.create_job()
    folder.write(JOB_NAME, encode_place(node.chain_id, contract, job))
    trainers = []
    for seat, account in enumerate(parties.trainers):
        secrets = parties.trainer_secrets[seat]
        round_log = folder.trainer(seat) / "round-log"
        trainer = make_trainer(
            seat, account, Contract(node, contract, account), index, store, secrets, {config.model}, round_log
        )
        trainer.join(job, genesis, prepared.params, f"in-process/{seat}")
        trainers.append(trainer)
    owner.collect_grants()
    trainers[-1].receive_grant(owner.grant_to_seat(len(trainers) - 1))
    owner.grant_to_arbiter()
    owner.release_first_labels()
    return OpenJob(node, contract, index, job, genesis, owner, tuple(trainers), folder)


def run_rounds(opened: OpenJob, progress: Progress) -> tuple[SettledRound, ...]:
    """Runs every round of the job."""
    rounds: list[SettledRound] = []
    for round_ in range(opened.owner.params.rounds):
        last = rounds[-1] if rounds else None
        head = last.head if last else opened.genesis
        rounds.append(run_round(opened.owner, opened.trainers, round_, head, last, progress))
    return tuple(rounds)


def finish_job(opened: OpenJob) -> JobRecord:
    """Everybody withdraws what the job owes them; returns the job's whole record."""
    opened.owner.withdraw()
    for trainer in opened.trainers:
        trainer.withdraw()
    opened.owner.retention.finish()
    opened.index.sync()
    return opened.index.record(opened.job)


def _keep_secrets(folder: RunFolder, parties: JobParties, prepared: PreparedJob) -> None:
    """Writes each role's secrets to its own folder, readable by the user alone."""
    keep_owner_secrets(folder.owner, prepared, parties.owner)
    for seat, account in enumerate(parties.trainers):
        write_secret(folder.trainer(seat) / "account.key", account.key.hex().encode() + b"\n")
        own = parties.trainer_secrets[seat]
        write_secret(folder.trainer(seat) / "secret.key", own.secret.hex().encode() + b"\n")
        write_secret(folder.trainer(seat) / IDENTITY_NAME, own.identity.encode() + b"\n")
