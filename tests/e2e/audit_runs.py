"""Audits of one long round, whole or without some of its states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clicooper.audit.auditor import Plan, audit_record
from clicooper.audit.verdict import AuditReport
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import SegmentManifest
from clicooper.history.follow import follow_record
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Digest
from tests.scenario import FinishedRun
from tests.simulators import MemoryStore

SECRET = Digest(b"\x07" * 32)
INTERVALS = 12


def audit(run: FinishedRun, plan: Plan, store: Any = None) -> AuditReport:
    return audit_record(run.record, run.rehearsal.store if store is None else store, run.keys, plan=plan)


def states_of(run: FinishedRun, seat: int) -> Sequence[Any]:
    commitment = follow_record(run.record).rounds[0].commitments[seat]
    block = run.rehearsal.store.get_block(cid_of_digest(commitment.manifest_digest))
    return SegmentManifest.from_block(block).transcript.states


def without_states(run: FinishedRun, seat: int, *numbers: int) -> MemoryStore:
    """The run's artifacts without the states at the ends of some intervals."""
    store, whole = MemoryStore(), run.rehearsal.store
    gone = {cid_text(states_of(run, seat)[number].weights.ciphertext) for number in numbers}
    for cid in whole.cids():
        if cid_text(cid) not in gone:
            store.blocks[cid] = whole.get_block(cid)
    return store
