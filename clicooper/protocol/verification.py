"""An owner verifies a committed round before it pays: examined, decided by its policy, and at most one transaction.

What is sent names the head that it was decided on, so that a chain that has moved on refuses it. A round that is
settled is examined all the same, and nothing is sent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clicooper.audit.auditor import Progress, parties_of
from clicooper.audit.checks.record import CheckedRecord
from clicooper.audit.replay.sampling import escape_probability
from clicooper.audit.verdict import AuditReport
from clicooper.chain.client import Contract
from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.rpc.messages import Receipt
from clicooper.commitments.boundary import BoundaryReceipt
from clicooper.commitments.canonical import cid_of_digest
from clicooper.disputes.evidence_file import publish_evidence
from clicooper.errors import UsageError
from clicooper.history.follow import follow_record
from clicooper.history.history import History, Outcome
from clicooper.protocol.accusation import EVIDENCE_PINS, evidence_digest, evidence_of, note_of, raise_challenge
from clicooper.protocol.decision import Accept, Accuse, decide
from clicooper.protocol.owner import Owner, VerifiedRound
from clicooper.protocol.owner_folder import reopen_owner
from clicooper.protocol.policy import Detection, Policy
from clicooper.storage.base import Store
from clicooper.storage.pins.pin_sets import PinSets
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Address, Phase

__all__ = ["RoundReport", "VerifyOptions", "verify_round"]

SHARES = (0.01, 0.05, 0.2)
GOAL = Detection(share=0.05, probability=0.99)


@dataclass(frozen=True)
class VerifyOptions:
    """What is verified, and what may be sent.

    Attributes:
        round: which one; None takes the last that every seat has committed.
        accept, challenge: whether that decision may be sent.
        evidence: the file that a challenge names; None makes evidence, or a note of the failed check.
        trusted: custom models whose code may run here.
        receipts: those to use beside the owner's own.
    """

    round: int | None = None
    accept: bool = False
    challenge: bool = False
    evidence: Path | None = None
    trusted: frozenset[str] = frozenset()
    receipts: tuple[BoundaryReceipt, ...] = ()


@dataclass(frozen=True)
class RoundReport:
    """A round as its owner found it.

    Attributes:
        settled: why its owner decides no more; empty while it can.
        sent: the transaction that was sent, as ``verify --json`` prints it.
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


def verify_round(
    folder: RunFolder,
    checked: CheckedRecord,
    contract: Contract,
    index: RecordIndex,
    store: Store,
    policy: Policy,
    options: VerifyOptions,
    progress: Progress,
) -> RoundReport:
    """Examines a round as its owner, made again from its folder, and sends what the options allow.

    Args:
        folder: with the owner's secrets.
        checked: the job's record, as the chain has it.
        contract: it signs with the owner's account where something may be sent.
        index: of the same contract.

    Raises:
        UsageError: there is no such round, or folder or account are not the owner's.
        CliCooperError: the chain or the specification cannot be read; nothing was sent.
    """
    started = time.perf_counter()
    record, history = checked.record, follow_record(checked.record)
    round_ = _choose_round(history, options.round)
    if options.accept:
        _require_owner(contract, history)
    owner = reopen_owner(folder, contract, index, record, history.params, store, policy, options.trusted)
    if states := owner.request_states(round_):
        listed, within = ", ".join(map(str, states)), f"within {policy.publish_deadline_s:g} s"
        progress(f"every seat has to publish its states at the start of intervals {listed} {within}", 0, 0)
    progress(f"verifying round {round_}", 0, 0)
    found = owner.examine_round(round_, record, options.receipts)
    # What a node says about the record counts as much as what the round's own checks say.
    rows = (*checked.rows, *found.results)
    found = replace(found, decision=decide(rows, policy))
    settled = _why_settled(history, round_)
    sent = None
    if not settled and options.accept and isinstance(found.decision, Accept):
        sent = _accept(owner, history, found)
    elif not settled and options.challenge and isinstance(found.decision, Accuse):
        sent = _accuse(folder, checked, owner, found, contract, options.evidence)
    seconds, commitments = time.perf_counter() - started, len(history.rounds[round_].commitments)
    report = AuditReport(
        record.source,
        record.blocks,
        commitments,
        rows,
        found.replayed,
        seconds,
        checked.confirmed,
        parties=parties_of(history),
    )
    return RoundReport(report, found, settled, sent)


def _choose_round(history: History, round_: int | None) -> int:
    whole = [one.round for one in history.rounds if len(one.commitments) == history.params.seats]
    if round_ is None and whole:
        return whole[-1]
    if round_ is None or round_ not in whole:
        what = "no round" if round_ is None else f"round {round_} is not"
        raise UsageError(f"{what} committed by every seat", hint=f"the job is in phase {history.phase.name.lower()}")
    return round_


def _require_owner(contract: Contract, history: History) -> None:
    account = contract.account
    if account is None or Address(account.address) != history.owner:
        named = "no account" if account is None else f"account {account.address}"
        hint = f"the job's owner is {history.owner}; choose its account with --account"
        raise UsageError(f"{named} cannot accept", hint=hint)


def _why_settled(history: History, round_: int) -> str:
    """Why the owner has nothing to decide about a round; empty where it has."""
    done = history.rounds[round_]
    if done.accepted and done.settled is not None:
        how = "counted as accepted when its review ended" if done.by_timeout else "was accepted"
        return f"round {round_} {how} in block {done.settled.block_number}, transaction 0x{done.settled.tx_hash.hex()}"
    for challenge in history.challenges:
        if challenge.outcome is Outcome.OPEN:
            return f"seat {challenge.accused} stands accused: challenge 0x{challenge.id.hex()} awaits the arbiter"
    return "" if history.phase is Phase.REVIEW else f"the job is in phase {history.phase.name.lower()}"


def _accept(owner: Owner, history: History, found: VerifiedRound) -> dict[str, Any]:
    """Pins the round, then pays it."""
    commitments, params = history.rounds[found.round].commitments, history.params
    owner.keep_round(found.round, [cid_of_digest(one.manifest_digest) for one in commitments])
    receipt = owner.accept(found.round, found.head)
    return _describe("accept", receipt) | {"paid_wei": params.pay_wei * params.seats}


def _describe(act: str, receipt: Receipt) -> dict[str, Any]:
    sent = {"act": act, "tx_hash": f"0x{receipt.tx_hash.hex()}", "block": receipt.block_number}
    return sent | {"gas_used": receipt.gas_used}


def _accuse(
    folder: RunFolder, checked: CheckedRecord, owner: Owner, found: VerifiedRound, contract: Contract, file: Path | None
) -> dict[str, Any]:
    """Sends the challenge that was decided on; what it names as evidence is in the store before, for the arbiter.

    Args:
        file: the evidence; None makes it, or a note of the failed check.
    """
    account, charge = contract.account, found.decision
    if account is None or not isinstance(charge, Accuse):
        raise UsageError("a challenge needs an account", hint="choose one with --account")
    if file is not None:
        digest, kind = evidence_digest(file), "given"
    else:
        artifacts, challenger = owner.artifacts(checked.record), Address(account.address)
        rows, round_, pins = found.results, found.round, PinSets(folder.pins)
        sealed = evidence_of(checked.record, artifacts, rows, round_, challenger, charge)
        if sealed is not None:
            digest, kind = sealed.digest, "made"
            pins.add(EVIDENCE_PINS, [sealed.envelope.cid])
            publish_evidence(artifacts.store, sealed)
        else:
            note = note_of(artifacts.history, round_, found.head, challenger, charge)
            digest, kind = note.digest, "note"
            pins.add(EVIDENCE_PINS, [note.cid])
            artifacts.store.put_block(note.to_block())
    raised = raise_challenge(contract, checked.record.job, found.head, charge.seat, charge.ground, digest)
    sent = _describe("challenge", raised.receipt)
    sent |= {"challenge_id": f"0x{raised.id.hex()}", "bond_wei": raised.bond_wei}
    return sent | {"evidence_digest": f"0x{digest.hex()}", "evidence": kind}
