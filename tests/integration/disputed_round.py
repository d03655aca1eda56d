"""A committed round on a real node, and what its owner and its arbiter need for a dispute about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clicooper.audit.artifacts import Artifacts
from clicooper.chain.client import Contract
from clicooper.chain.keys import LocalAccount
from clicooper.disputes.collect import make_evidence
from clicooper.disputes.evidence_file import SealedEvidence, enclose
from clicooper.disputes.subject import Subject
from clicooper.protocol.arbiter import Arbiter, Case, open_case
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.trainer import Trainer
from clicooper.types import Address, Ground
from tests.evidence_files import artifacts_of
from tests.scenario import Rehearsal, keys_of, rehearsal, seating, tiny_config

REPLAY = Subject("replay", 0, 0)


@dataclass(frozen=True)
class Dispute:
    """A committed round, and what its owner and its arbiter need for a dispute about it."""

    job: Rehearsal
    committed: tuple[CommittedSegment, ...]

    def __post_init__(self) -> None:
        # What a challenge's bond and a trainer's transactions are paid from.
        for account in self.job.parties.accounts:
            self.job.opened.node.fund(Address(account.address), 10**18)

    @property
    def owner(self) -> Address:
        return Address(self.job.parties.owner.address)

    @property
    def artifacts(self) -> Artifacts:
        return artifacts_of(self.job, keys_of(self.job, self.committed))

    def sealed(self, subject: Subject, challenger: Address | None = None) -> SealedEvidence:
        """The owner's evidence, sealed to the arbiter of the spec."""
        artifacts = self.artifacts
        packed = make_evidence(self.job.record(), artifacts, subject, challenger or self.owner)
        return enclose(artifacts.history.genesis, packed.evidence, packed.plaintext, artifacts.spec.arbiter_keys)

    def challenge(self, accused: int, sealed: SealedEvidence, ground: Ground = Ground.FAULT) -> Case:
        """The owner accuses."""
        contract, number = self.job.contract(), self.job.opened.job
        contract.challenge(number, self.job.head, accused, ground, sealed.digest, contract.bond_due(number))
        return open_case(contract, self.job.opened.index, number)

    def view(self, account: LocalAccount) -> Contract:
        return Contract(self.job.opened.node, self.job.opened.contract, account)

    @property
    def arbiter(self) -> Arbiter:
        """In possession of nothing but its account, its identity and the store."""
        parties = self.job.parties
        return Arbiter(self.view(parties.arbiter), self.job.opened.index, parties.arbiter_identity, self.job.store)

    def owed(self, account: LocalAccount) -> int:
        return self.job.contract().owed_to(self.job.opened.job, Address(account.address))


@contextmanager
def dispute(
    root: Path, connect: Callable[[], Any], cheat: type[Trainer] = Trainer, seat: int = 1, *, vouched: bool = False
) -> Iterator[Dispute]:
    with rehearsal(root, tiny_config(rounds=1), seating({seat: cheat}), connect) as job:
        yield Dispute(job, job.train_and_commit(vouched=vouched))
