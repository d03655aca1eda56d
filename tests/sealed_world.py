"""A job in which somebody was evicted and replaced, with everybody whose reading rights differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clicooper.access.grants import AuditKeys, Grant, open_grant
from clicooper.access.sealed_files import open_bytes
from clicooper.access.sealing import labels_file_key, new_identity, open_labels
from clicooper.access.vault import TrainerSecrets, Vault
from clicooper.chain.keys import account_from_seed
from clicooper.commitments.manifest import SealedFile, SegmentManifest
from clicooper.errors import CliCooperError
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.job import FUNDS_WEI
from clicooper.protocol.round import SettledRound, commit_in_order, run_round, train_segments
from clicooper.protocol.trainer import Trainer
from clicooper.storage.base import get_bytes
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Address, Digest
from tests.scenario import Rehearsal, quiet, rehearsal

__all__ = ["Reader", "World", "replaced_seat"]

SEAT = 1
"""The last of two: whoever holds it reads labels, and keeps doing so after losing it."""


@dataclass(frozen=True)
class Reader:
    """What a role has: an identity, and the sealing secret of a trainer."""

    identity: str
    own: bytes | None = None


@dataclass(frozen=True)
class World:
    """A finished job, what was made in it, and who is who."""

    job: Rehearsal
    first: SettledRound
    second: tuple[CommittedSegment, ...]
    readers: dict[str, Reader]
    newcomer: Trainer

    def manifests(self) -> dict[str, list[SegmentManifest]]:
        """By who made them."""
        return {
            "seat 0": [self.first.manifests[0], self.second[0].manifest],
            "evicted": [self.first.manifests[1]],
            "replacement": [self.second[1].manifest],
        }

    def files(self) -> dict[str, SealedFile]:
        """One file of every kind and maker."""
        found: dict[str, SealedFile] = {}
        for maker, manifests in self.manifests().items():
            for manifest in manifests:
                place = f"{maker}, round {manifest.round}"
                found |= {f"{place}: {kind}": getattr(manifest, kind) for kind in ("trained", "out", "optimizer")}
                found[f"{place}: transcript"] = manifest.transcript.leaves
                found[f"{place}: state"] = manifest.transcript.states[0].weights
                if manifest.round == 0:
                    found[f"{place}: initial"] = manifest.state_in.weights
        return found

    def secrets(self, role: str) -> list[AuditKeys]:
        """Whatever the role opens of all that lies in the store, tried on every grant, and what it has itself."""
        reader, store = self.readers[role], self.job.store
        held = [] if reader.own is None else [AuditKeys(sealing={Address(role): reader.own})]
        for cid in store.cids():
            try:
                held.append(open_grant(Grant.from_block(store.get_block(cid)), reader.identity))
            except CliCooperError:
                continue
        return held

    def readable(self, role: str) -> set[str]:
        """What the role reads, of every file and label release, by decrypting it under each secret that it has."""
        held = self.secrets(role)
        sealing = {secret for keys in held for secret in keys.sealing.values()}
        found = {name for name, file in self.files().items() if any(self._opens(file, s) for s in sealing)}
        spec, label_keys = self.job.opened.owner.prepared.spec, self.public_label_keys()
        for round_, sealed in enumerate(spec.labels[: len(label_keys)]):
            ciphertext = get_bytes(self.job.store, sealed.ciphertext)
            for keys in held:
                if keys.label_secret is not None:
                    key = labels_file_key(keys.label_secret, label_keys[round_])
                    assert open_labels(ciphertext, key, Digest(sealed.plaintext_digest))
                    found.add(f"labels of round {round_}")
        return found

    def public_label_keys(self) -> tuple[Digest, ...]:
        return tuple(round_.label_key for round_ in self.job.opened.owner.artifacts().history.rounds[:2])

    def _opens(self, file: SealedFile, secret: bytes) -> bool:
        try:
            return bool(open_bytes(self.job.store, file, secret))
        except CliCooperError:
            return False


@contextmanager
def replaced_seat(root: Path) -> Iterator[World]:
    """Round 0 is paid; in round 1 the last seat falls silent, a replacement takes over from its state, and is paid."""
    with rehearsal(root) as job:
        first = run_round(job.opened.owner, job.opened.trainers, 0, job.opened.genesis, None, quiet)
        newcomer = replacement(job)
        owner, number = job.opened.owner, job.opened.job
        newcomer.join(number, job.opened.genesis, owner.params, "elsewhere")
        owner.collect_grants()
        newcomer.receive_grant(owner.grant_to_seat(SEAT))
        trainers = (job.opened.trainers[0], newcomer)
        trained = train_segments(trainers, 1, job.head, first.manifests, quiet)
        second = commit_in_order(trainers, 1, job.head, trained, first.manifests)
        owner.verify_round(1, second)
        owner.accept(1, second[-1].head)
        yield World(job, first, second, _readers(job, newcomer), newcomer)


def replacement(job: Rehearsal) -> Trainer:
    """The last seat's holder misses its turn in round 1; the owner names somebody with an account and coin."""
    trainers, number = job.opened.trainers, job.opened.job
    workers = job.contract(0)
    workers.commit(number, job.head, Digest(b"\x01" * 32), Digest(b"\x02" * 32))
    state = job.contract().job(number)
    job.opened.node.advance_time(state.deadline + 1 - job.opened.node.block().timestamp)
    workers.resolve_timeout(number)
    account = account_from_seed(b"replacement", "trainer")
    job.opened.node.fund(Address(account.address), FUNDS_WEI)
    job.contract().name_replacement(number, job.head, SEAT, Address(account.address))
    contract = type(workers)(job.opened.node, job.opened.contract, account)
    secrets = TrainerSecrets(b"\x42" * 32, new_identity()[0])
    assert len(trainers) == SEAT + 1
    return Trainer(SEAT, account, contract, job.opened.index, job.store, secrets, {"mlp"})


def _readers(job: Rehearsal, newcomer: Trainer) -> dict[str, Reader]:
    owner, parties = job.opened.owner, job.parties
    readers = {
        "stranger": Reader(new_identity()[0]),
        "owner": Reader(parties.owner_identity),
        "arbiter": Reader(parties.arbiter_identity),
        "seat 0": _trainer(job, job.opened.trainers[0], parties.trainer_secrets[0]),
        "evicted": _trainer(job, job.opened.trainers[1], parties.trainer_secrets[1]),
        "replacement": _trainer(job, newcomer, newcomer._secrets),
    }
    granted = {
        "auditor": (None, True),
        "auditor without labels": (None, False),
        "auditor of seat 0": ({0}, False),
        "auditor of labels": (set(), True),
    }
    for name, (seats, labels) in granted.items():
        identity, recipient = new_identity()
        cid = owner.grant([recipient], seats, labels=labels)
        assert cid_text(cid)
        readers[name] = Reader(identity)
    return readers


def _trainer(job: Rehearsal, trainer: Trainer, secrets: TrainerSecrets) -> Reader:
    own = Vault(job.store, trainer.address, secrets, job.opened.genesis)
    return Reader(secrets.identity, own._secret)
