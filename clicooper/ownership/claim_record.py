"""Part a of an ownership claim: what was opened is what the chain holds, in the block that the claim names."""

from __future__ import annotations

from clicooper.chain.client import Contract
from clicooper.chain.deploy import first_difference
from clicooper.chain.events import Committed, JobCreated, LoggedEvent, RoundAccepted, RoundAcceptedByTimeout
from clicooper.chain.index.record_index import IN_MEMORY, RecordIndex
from clicooper.errors import ChainError, VerificationFailed
from clicooper.ownership.claim_files import FORGED, ClaimFiles
from clicooper.types import Digest, JobId

__all__ = ["check_record"]


def check_record(files: ClaimFiles, contract: Contract | None) -> str:
    """Judges the record behind a claim, and says in words what was confirmed.

    Args:
        contract: the claim's own contract, on a node that the reader trusts; None leaves the record unverified.

    Raises:
        VerificationFailed: the claim contradicts itself or the chain.
        RevertError: the contract knows no such job.
        ChainError: there is no node, or it cannot be read or is of another chain.
    """
    bundle = files.bundle
    files.require_consistent()
    if contract is None:
        hint = "name a node of the claim's chain with --network"
        raise ChainError(f"unverified: no node of chain {bundle.chain_id} has shown the round's head", hint=hint)
    _check_chain(files, contract)
    confirmed = f"commitment in block {bundle.block}, round head 0x{bundle.round_head.hex()}"
    return f"{confirmed} in {contract.address} on chain {bundle.chain_id}"


def _check_chain(files: ClaimFiles, contract: Contract) -> None:
    bundle, job, node = files.bundle, JobId(files.bundle.job), contract.node
    if node.chain_id != bundle.chain_id:
        raise ChainError(f"the claim is of chain {bundle.chain_id}, the node of chain {node.chain_id}", hint=FORGED)
    if first_difference(node, contract.address) is not None:
        hint = "compare it with: clicooper contract verify"
        raise ChainError(f"unverified: {contract.address} is not the contract of this release", hint=hint)
    if contract.genesis_of(job) != bundle.genesis:
        raise VerificationFailed("the job's terms on chain are not those of the claim", hint=FORGED)
    if contract.round_head(job, bundle.round) != bundle.round_head:
        raise VerificationFailed("the commitment does not lead to the round's head on chain", hint=FORGED)
    if node.block_hash(bundle.settled_block) != bundle.settled_hash:
        raise VerificationFailed("the block that accepted the round has another hash on chain", hint=FORGED)
    with RecordIndex(IN_MEMORY, node, contract.address, bundle.created_block) as index:
        index.sync()
        events = tuple(index.events(job))
    if not events or not isinstance(events[0].event, JobCreated) or events[0].block_number != bundle.created_block:
        raise VerificationFailed(f"block {bundle.created_block} does not create the job", hint=FORGED)
    if not any(_is_commitment(files, logged) for logged in events):
        raise VerificationFailed(f"block {bundle.block} does not hold the commitment", hint=FORGED)
    if not any(_is_settlement(files, logged) for logged in events):
        raise VerificationFailed(f"block {bundle.settled_block} does not accept the round", hint=FORGED)


def _is_commitment(files: ClaimFiles, logged: LoggedEvent) -> bool:
    bundle, event = files.bundle, logged.event
    if not isinstance(event, Committed) or logged.block_number != bundle.block:
        return False
    opened = bundle.commits[0]
    contents = Digest(opened.manifest_digest), Digest(opened.mark_commitment)
    said = event.round, event.seat, event.manifest_digest, event.mark_commitment
    return said == (bundle.round, bundle.seat, *contents)


def _is_settlement(files: ClaimFiles, logged: LoggedEvent) -> bool:
    event = logged.event
    accepts = isinstance(event, (RoundAccepted, RoundAcceptedByTimeout)) and event.round == files.bundle.round
    return accepts and logged.block_number == files.bundle.settled_block
