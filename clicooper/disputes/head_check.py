"""Evidence beside the chain: whether its head proof ends in a head of the job there, and whether its proofs hold there.

One head is enough: it covers every commitment in the head proof. Where the head is neither the job's present one nor
that of an accepted round, the job's events are read for it: after a ruling the head has moved on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from clicooper.audit.checks.receipts import transports_of
from clicooper.chain.client import Contract
from clicooper.chain.events import SeatJoined
from clicooper.chain.index.record_index import RecordIndex
from clicooper.commitments.canonical import cid_of_digest
from clicooper.disputes.enclosed import EnclosedArtifacts, ProvenStep
from clicooper.disputes.evidence import Evidence
from clicooper.disputes.evidence_file import OpenedEvidence
from clicooper.disputes.head_proof import history_of
from clicooper.errors import ChainError, CliCooperError, EvidenceUnusable, RecordError
from clicooper.history.follow import follow_record
from clicooper.history.history import History
from clicooper.types import Address, Digest, JobId

__all__ = ["HeadCheck", "compare_with_chain", "proofs_on_chain", "transports_on_chain"]

HASH_BYTES = 32


@dataclass(frozen=True)
class HeadCheck:
    """What a node says about evidence.

    Attributes:
        source: the node.
        verified: whether the evidence's last head is one of the job's.
        problem: why not, empty where it is.
        proven_steps: transcript steps whose proofs the contract itself has accepted.
    """

    source: str
    verified: bool
    problem: str = ""
    proven_steps: int = 0

    def to_json(self) -> dict[str, Any]:
        """The object under ``head`` of ``evidence check --json``."""
        why = self.problem or None
        return {"verified": self.verified, "source": self.source, "problem": why, "proven_steps": self.proven_steps}


def compare_with_chain(
    opened: OpenedEvidence,
    contract: Contract,
    index: RecordIndex,
    job: int | None = None,
    trusted_models: Collection[str] = frozenset(),
) -> HeadCheck:
    """Compares evidence's genesis and head with a node, and has the contract check its proofs.

    Args:
        contract: the one that the reader means.
        index: of the same contract; brought up to date here.
        job: the job that the reader means; None takes the evidence's word.
        trusted_models: custom models that the spec may name; none is run here.

    Raises:
        ChainError: the node cannot be asked.
    """
    source = contract.node.source
    try:
        history = history_of(opened.evidence)
    except EvidenceUnusable as e:
        return HeadCheck(source, False, e.message)
    index.sync()
    problem = (
        _foreign(history, contract, job)
        or _unknown_head(history, contract, index)
        or _unregistered(opened.evidence, history, index)
    )
    if problem:
        return HeadCheck(source, False, problem)
    try:
        steps = proofs_on_chain(opened, contract, trusted_models)
    except EvidenceUnusable as e:
        return HeadCheck(source, False, e.message)
    return HeadCheck(source, True, proven_steps=steps)


def _foreign(history: History, contract: Contract, job: int | None) -> str:
    """Why the evidence is of another job than the reader means."""
    place = contract.node.chain_id, contract.address
    if (history.chain_id, history.contract) != place:
        return (
            f"the evidence is of contract {history.contract} on chain {history.chain_id}, not {place[1]} on {place[0]}"
        )
    if job is not None and history.job != job:
        return f"the evidence is of job {history.job}, not {job}"
    if history.job > contract.job_count() or contract.genesis_of(history.job) != history.genesis:
        return f"job {history.job} has other terms on the chain than in the evidence"
    return ""


def _unknown_head(history: History, contract: Contract, index: RecordIndex) -> str:
    """Why the head proof cannot be the chain's."""
    round_ = len(history.rounds) - 1
    if history.head in (contract.job(history.job).head, contract.round_head(history.job, round_)):
        return ""
    try:
        followed = follow_record(index.record(history.job))
    except RecordError as e:
        return f"the node's own record of the job does not hold together: {e.message}"
    made = {c.head for r in followed.rounds for c in (*r.abandoned, *r.commitments)}
    return "" if history.head in made else "the chain knows no such head: somebody made up these commitments"


def _unregistered(evidence: Evidence, history: History, index: RecordIndex) -> str:
    """Why a revealed key record is not the one that the trainer registered when it joined."""
    if evidence.sealing is None:
        return ""
    held = {c.seat: c.trainer for c in history.rounds[evidence.round].commitments}
    trainer = held.get(evidence.accused or 0)
    joined = index.bare_events(history.job)
    records = [e.key_record for e in joined if isinstance(e, SeatJoined) and e.trainer == trainer]
    return "" if evidence.sealing.key_record in records else "the trainer registered another key record"


def transports_on_chain(index: RecordIndex, job: JobId) -> dict[Address, bytes]:
    """By trainer, the key under which its receipts hold, as it registered it when it joined.

    Raises:
        ChainError: the node cannot be asked.
    """
    index.sync()
    joined = index.bare_events(job)
    return transports_of((event.trainer, event.key_record) for event in joined if isinstance(event, SeatJoined))


def proofs_on_chain(opened: OpenedEvidence, contract: Contract, trusted_models: Collection[str] = frozenset()) -> int:
    """Has the contract itself check every proven transcript step, and returns their number.

    Raises:
        EvidenceUnusable: it refuses one, or the evidence's own parts do not fit together.
    """
    if opened.evidence.claim != "replay":
        return 0
    try:
        artifacts = EnclosedArtifacts(opened, trusted_models)
        accepted = 0
        for seat in range(artifacts.history.params.seats):
            digest = artifacts.commitment(opened.evidence.round, seat).manifest_digest
            block = opened.blocks.get_block(cid_of_digest(digest))
            for proven in artifacts.proven_steps(seat):
                if not _holds(contract, digest, block, proven):
                    raise EvidenceUnusable(f"the contract refuses step {proven.number} of seat {seat}")
                accepted += 1
    except (EvidenceUnusable, ChainError):
        raise
    except CliCooperError as e:
        raise EvidenceUnusable(f"its proofs cannot be read: {e.message}") from e
    return accepted


def _holds(contract: Contract, digest: Digest, block: bytes, proven: ProvenStep) -> bool:
    prefix, root = block[:-HASH_BYTES], Digest(block[-HASH_BYTES:])
    return contract.transcript_holds(digest, prefix, root, proven.step, proven.proof)
