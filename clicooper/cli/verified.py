"""What ``clicooper verify`` does: the owner made again from its folder, one round examined, at most one act sent.

An act names the head that it was decided on, so that a chain that has moved on refuses it; a round that is settled is
examined all the same, and nothing is sent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clicooper.access.receipt_files import read_receipts
from clicooper.audit.checks.record import check_on_chain
from clicooper.audit.replay.sampling import escape_probability
from clicooper.audit.verdict import AuditReport
from clicooper.chain.client import Contract
from clicooper.chain.fees import SendPolicy
from clicooper.cli import session
from clicooper.cli.onchain import OnChain, opened
from clicooper.cli.output import Show
from clicooper.cli.stores import open_store
from clicooper.commitments.boundary import BoundaryReceipt
from clicooper.commitments.canonical import cid_of_digest
from clicooper.config import ClientConfig
from clicooper.errors import UsageError
from clicooper.history.follow import follow_record
from clicooper.history.history import History, Outcome
from clicooper.protocol.accusation import evidence_digest, note_of
from clicooper.protocol.decision import Accept, Challenge, Decision, decide
from clicooper.protocol.owner import Owner, VerifiedRound
from clicooper.protocol.owner_folder import read_place, read_settings, reopen_owner
from clicooper.protocol.policy import Detection, Policy, read_policy
from clicooper.storage.base import Store
from clicooper.storage.run_folder import RunFolder
from clicooper.types import ZERO_ADDRESS, Address, Digest, JobId, Phase

__all__ = ["Acts", "Verified", "Wanted", "verified_round"]

SHARES = (0.01, 0.05, 0.2)
GOAL = Detection(share=0.05, probability=0.99)


@dataclass(frozen=True)
class Wanted:
    """What is to be verified.

    Attributes:
        root: the owner's run folder.
        contract, job: where the job is; None where job.json says it.
        round: which one; None takes the last that every seat has committed.
        policy: the policy file, if any.
        trusted: custom models whose code may run here.
        receipts: a folder of receipts beside the owner's own, if any.
    """

    root: Path
    contract: str | None
    job: int | None
    round: int | None
    policy: Path | None
    trusted: frozenset[str]
    receipts: Path | None = None


@dataclass(frozen=True)
class Acts:
    """What may be sent.

    Attributes:
        evidence: the file that a challenge names; None for a note of the failed check.
    """

    accept: bool
    challenge: bool
    evidence: Path | None = None


@dataclass(frozen=True)
class Verified:
    """A round as its owner found it.

    Attributes:
        settled: why its owner decides no more; empty while it can.
        sent: the act that was sent.
    """

    report: AuditReport
    found: VerifiedRound
    settled: str
    sent: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """The object that ``verify --json`` prints."""
        drawn = self.found.drawn
        shares = [{"share": share, "escape": escape_probability(share, len(drawn))} for share in SHARES]
        return self.report.to_json() | {
            "round": self.found.round,
            "decision": self.found.decision.to_json(),
            "escape": {
                "intervals": self.found.intervals,
                "samples": len(drawn),
                "drawn": list(drawn),
                "shares": shares,
                "samples_for_99": GOAL.samples,
            },
            "settled": self.settled or None,
            "sent": self.sent,
        }


def verified_round(config: ClientConfig, place: OnChain, wanted: Wanted, acts: Acts, progress: Show) -> Verified:
    """Examines a round and does what the acts allow.

    Args:
        place: the chain.

    Raises:
        UsageError: there is no such round, or folder or account are not the owner's.
        CliCooperError: the chain or the specification cannot be read; nothing was sent.
    """
    started = time.perf_counter()
    folder = RunFolder(wanted.root)
    contract, job = _place(folder, wanted)
    policy = _policy(folder, wanted.policy)
    shown = () if wanted.receipts is None else _shown(wanted.receipts)
    store = open_store(config, folder.store)
    progress("reading the record", 0, 0)
    with opened(config, place, contract) as (index, reader):
        index.sync()
        record = index.record(job)
        rows, confirmed = check_on_chain(record, index, reader)
        history = follow_record(record)
        round_ = _chosen(history, wanted.round)
        acting = _acting(config, reader, history, acts)
        owner = reopen_owner(folder, acting or reader, index, record, history.params, store, policy, wanted.trusted)
        if wanted_states := owner.request_states(round_):
            listed = ", ".join(map(str, wanted_states))
            within = f"within {policy.publish_deadline_s:g} s"
            progress(f"every seat has to publish its states at the start of intervals {listed} {within}", 0, 0)
        progress(f"verifying round {round_}", 0, 0)
        found = owner.examine_round(round_, record, shown)
        # What a node says about the record counts as much as what the round's own checks say.
        found = replace(found, decision=decide((*rows, *found.results), policy))
        settled = _settled(history, round_)
        sent = None if settled or acting is None else _act(_Desk(owner, acting, history, store), found, acts)
        report = AuditReport(
            record.source,
            record.blocks,
            len(history.rounds[round_].commitments),
            (*rows, *found.results),
            found.replayed,
            time.perf_counter() - started,
            confirmed,
        )
    return Verified(report, found, settled, sent)


def _place(folder: RunFolder, wanted: Wanted) -> tuple[Address, JobId]:
    if wanted.contract is not None and wanted.job is not None:
        return session.contract_address(wanted.contract), JobId(wanted.job)
    place = read_place(folder)
    return place.contract, place.job


def _policy(folder: RunFolder, path: Path | None) -> Policy:
    samples = read_settings(folder).samples
    return Policy(samples=samples) if path is None else read_policy(path, samples=samples)


def _shown(folder: Path) -> tuple[BoundaryReceipt, ...]:
    receipts = read_receipts(folder)
    if not receipts:
        hint = "name a folder of files such as receipt-0-forward, of the round that is verified"
        raise UsageError(f"{folder} holds no receipts", hint=hint)
    return receipts


def _chosen(history: History, round_: int | None) -> int:
    whole = [one.round for one in history.rounds if len(one.commitments) == history.params.seats]
    if round_ is None and whole:
        return whole[-1]
    if round_ is None or round_ not in whole:
        what = "no round" if round_ is None else f"round {round_} is not"
        raise UsageError(f"{what} committed by every seat", hint=f"the job is in phase {history.phase.name.lower()}")
    return round_


def _acting(config: ClientConfig, reader: Contract, history: History, acts: Acts) -> Contract | None:
    """The contract as the owner's account acts on it; None where nothing may be sent."""
    if not acts.accept and not acts.challenge:
        return None
    account = session.open_account(config)
    if acts.accept and Address(account.address) != history.owner:
        hint = f"the job's owner is {history.owner}; choose its account with --account"
        raise UsageError(f"account {account.address} cannot accept", hint=hint)
    confirmations = 1 if reader.node.is_local else 3
    return Contract(reader.node, reader.address, account, policy=SendPolicy(None, confirmations))


def _settled(history: History, round_: int) -> str:
    """Why the owner has nothing to decide about a round; empty where it has."""
    done = history.rounds[round_]
    if done.accepted and done.settled is not None:
        how = "counted as accepted when its review ended" if done.by_timeout else "was accepted"
        return f"round {round_} {how} in block {done.settled.block_number}, transaction 0x{done.settled.tx_hash.hex()}"
    for challenge in history.challenges:
        if challenge.outcome is Outcome.OPEN:
            return f"seat {challenge.accused} stands accused: challenge 0x{challenge.id.hex()} awaits the arbiter"
    return "" if history.phase is Phase.REVIEW else f"the job is in phase {history.phase.name.lower()}"


@dataclass(frozen=True)
class _Desk:
    """Who acts, on what."""

    owner: Owner
    contract: Contract
    history: History
    store: Store


def _act(desk: _Desk, found: VerifiedRound, acts: Acts) -> dict[str, Any] | None:
    """Sends what was decided, if that may be sent."""
    decision: Decision = found.decision
    if isinstance(decision, Accept) and acts.accept:
        return _accept(desk, found)
    if isinstance(decision, Challenge) and acts.challenge:
        return _challenge(desk, found, decision, acts.evidence)
    return None


def _accept(desk: _Desk, found: VerifiedRound) -> dict[str, Any]:
    """Pins the round, then pays it."""
    commitments, params = desk.history.rounds[found.round].commitments, desk.history.params
    desk.owner.keep_round(found.round, [cid_of_digest(one.manifest_digest) for one in commitments])
    receipt = desk.owner.accept(found.round, found.head)
    sent = {"act": "accept", "tx_hash": f"0x{receipt.tx_hash.hex()}", "block": receipt.block_number}
    return sent | {"gas_used": receipt.gas_used, "paid_wei": params.pay_wei * params.seats}


def _challenge(desk: _Desk, found: VerifiedRound, charge: Challenge, evidence: Path | None) -> dict[str, Any]:
    """Accuses before the arbiter; a note goes into the store, where whoever reads the challenge finds it."""
    job, account = desk.history.job, desk.contract.account
    if account is None:
        raise UsageError("a challenge needs an account", hint="choose one with --account")
    if evidence is None:
        note = note_of(desk.history, found.round, found.head, Address(account.address), charge)
        desk.store.put_block(note.to_block())
        digest: Digest = note.digest
    else:
        digest = evidence_digest(evidence)
    bond_wei = desk.contract.bond_due(job)
    native = desk.history.params.token == ZERO_ADDRESS
    challenge_id, receipt = desk.contract.challenge(
        job, found.head, charge.seat, charge.ground, digest, bond_wei if native else 0
    )
    sent = {"act": "challenge", "tx_hash": f"0x{receipt.tx_hash.hex()}", "block": receipt.block_number}
    sent |= {"gas_used": receipt.gas_used, "challenge_id": f"0x{challenge_id.hex()}", "bond_wei": bond_wei}
    return sent | {"evidence_digest": f"0x{digest.hex()}"}
