"""Records that are not the chain's: what the contract's rules refute, and what only a node can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from clicooper.audit.auditor import audit_record
from clicooper.audit.verdict import Check, CheckResult
from clicooper.chain.client import Contract
from clicooper.chain.deploy import deploy
from clicooper.chain.events import Committed, LabelsReleased, LoggedEvent
from clicooper.chain.index.confirm import confirm_record
from clicooper.chain.index.record_index import IN_MEMORY, RecordIndex
from clicooper.chain.rpc.node import Node
from clicooper.errors import RecordError
from clicooper.history.follow import follow_record
from clicooper.types import Address, Digest, JobId
from tests.adversaries.stage import Accused, Look, Outcome
from tests.scenario import Rehearsal

NOTHING = Digest(b"\x06" * 32)


class Forger:
    """Shows an auditor other events than the chain's. ``play`` starts when round 0 has its labels."""

    check: ClassVar[str] = Check.RECORD.value
    names: ClassVar[Accused] = frozenset()

    def forged(self, events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
        raise NotImplementedError

    def play(self, job: Rehearsal) -> Outcome:
        committed = job.train_and_commit()
        job.opened.owner.accept(0, committed[-1].head)
        record = job.record()
        report = audit_record(
            replace(record, events=tuple(self.forged(record.events))), job.store, job.opened.owner.keys()
        )
        return Outcome((Look.at(report.results),))


class ForgesRecord(Forger):
    """Shows another label key than was released. Caught by `record`; names nobody."""

    def forged(self, events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
        def other(logged: LoggedEvent) -> LoggedEvent:
            if not isinstance(logged.event, LabelsReleased):
                return logged
            return replace(logged, event=replace(logged.event, label_key=Digest(b"\x05" * 32)))

        return [other(logged) for logged in events]


class DropsEvents(Forger):
    """Leaves a commitment out of the record. Caught by `record`; names nobody."""

    def forged(self, events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
        first = next(logged for logged in events if isinstance(logged.event, Committed))
        return [logged for logged in events if logged is not first]


class ShowsReplacedBlocks(Forger):
    """Shows a record of blocks that the chain has replaced since. Caught by `record`; names nobody.

    Its events follow every rule: only a node can tell. Two embedded nodes hold the two branches, since the same
    transactions give the same blocks, up to a commitment that one of them never saw.
    """

    def play(self, job: Rehearsal) -> Outcome:
        with Node.embedded() as replaced, Node.embedded() as kept:
            contracts = [branch(node, job) for node in (replaced, kept)]
            first, number = contracts[0][0], JobId(1)
            first.commit(number, first.job(number).head, NOTHING, NOTHING)
            with RecordIndex(IN_MEMORY, replaced, first.address) as index:
                index.sync()
                record = index.record(number)
            follow_record(record)
            kept.wait_for_block(record.blocks[1])
            index = RecordIndex(job.folder.root / "index.sqlite", kept, record.contract)
            with index, pytest.raises(RecordError, match="the chain does not have Committed") as refuted:
                confirm_record(record, index)
        return Outcome((Look.at([CheckResult.of_error(Check.RECORD, kept.source, refuted.value)]),))


def branch(node: Node, job: Rehearsal) -> list[Contract]:
    """The job's terms on another chain, up to the first labels; each trainer's view of it."""
    parties, owner = job.parties, job.opened.owner
    for account in parties.accounts:
        node.fund(Address(account.address), 10**18)
    address, _ = deploy(node, parties.owner)
    contract = Contract(node, address, parties.owner)
    number, _ = contract.create_job(owner.params)
    trainers = [Contract(node, address, account) for account in parties.trainers]
    for seat, trainer in enumerate(trainers):
        trainer.join(number, contract.genesis_of(number), seat, b"keys", owner.params.stake_wei)
    contract.release_labels(number, owner.label_key(0))
    return trainers
