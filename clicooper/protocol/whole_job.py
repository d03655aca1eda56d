"""A whole job in one process, from its preparation to an audit and the measures of its model.

What the demo runs, and any program may: chain, store and folder are parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from clicooper.access.grants import IDENTITY_NAME, AuditKeys, write_grants
from clicooper.access.sealing import new_identity
from clicooper.audit.auditor import audit_record, silent
from clicooper.audit.verdict import AuditReport
from clicooper.chain.record import write_record
from clicooper.chain.rpc.node import Node
from clicooper.config import JobConfig
from clicooper.files import write_secret
from clicooper.protocol.evaluation import Accuracies, FinalMark, final_states, measure_accuracy, read_final_marks
from clicooper.protocol.job import JobParties, OpenJob, finish_job, open_job, run_rounds
from clicooper.protocol.round import Progress, SettledRound
from clicooper.storage.base import Store
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Verdict

__all__ = ["WholeJob", "run_whole_job"]


@dataclass(frozen=True)
class WholeJob:
    """A job that has ended, and what it showed.

    Attributes:
        audit: of its record and artifacts, with everything that the owner can grant.
        marks: every mark of every round, as read from the final model.
    """

    opened: OpenJob
    rounds: tuple[SettledRound, ...]
    audit: AuditReport
    accuracy: Accuracies
    marks: tuple[FinalMark, ...]


def run_whole_job(
    config: JobConfig, node: Node, store: Store, folder: RunFolder, progress: Progress = silent
) -> WholeJob:
    """Runs the job, audits it, and measures its model; the folder gets record, secrets and an auditor's grants.

    Args:
        folder: new; whoever calls marks it as finished.
        progress: called with what is being done, and how much of it, 0 of 0 where that is not known.

    Raises:
        UsageError, DataError, SpecError: nothing can be prepared from this configuration.
        ChainError, StorageError: the node or the store failed.
    """
    parties = JobParties.drawn(config)
    progress("preparing the job", 0, 0)
    opened = open_job(config, parties, node, store, folder)
    rounds = run_rounds(opened, progress)
    record = finish_job(opened)
    write_record(folder.record, record)

    keys = opened.owner.keys()
    _grant_all(folder, keys)
    audit = audit_record(
        record,
        store,
        keys,
        trusted_models={config.model},
        progress=lambda what, done, total: progress(f"auditing: {what}", done, total),
    )
    if audit.verdict is Verdict.PASS:
        opened.owner.retention.record_audit(rounds[-1].head)

    progress("measuring accuracy", 0, 0)
    prepared, states = opened.owner.prepared, final_states(opened.owner.artifacts())
    accuracy = measure_accuracy(prepared, states)
    progress("reading the marks", 0, 0)
    marks = read_final_marks(
        rounds, states, prepared.mark_params, lambda round_, seat: parties.mark_keys(seat, opened.job, round_)
    )
    return WholeJob(opened, rounds, audit, accuracy, marks)


def _grant_all(folder: RunFolder, keys: AuditKeys) -> None:
    """Grants everything to a throw-away auditor, whose identity lies beside."""
    identity, recipient = new_identity()
    write_secret(folder.auditor / IDENTITY_NAME, identity.encode() + b"\n")
    write_grants(folder.auditor, keys, recipient)
