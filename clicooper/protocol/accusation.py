"""What a challenge names as its evidence, and the challenge itself.

An owner that refuses a round makes evidence of the failed check where evidence can show it. Where it cannot, a note of
the check stands in its place. A note shows nothing by itself: it says who accuses whom of what, so that nobody else can
use its digest, and what the arbiter has to look at.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from eth_utils import to_checksum_address
from pydantic import Field

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import CheckResult
from clicooper.chain.client import Contract
from clicooper.chain.record import JobRecord
from clicooper.chain.rpc.messages import Receipt
from clicooper.commitments.canonical import digest_of_cid, sha256
from clicooper.commitments.records import Bytes20, Bytes32, Count, Record
from clicooper.disputes.collect import make_evidence
from clicooper.disputes.evidence_file import SealedEvidence, enclose, open_evidence
from clicooper.disputes.failed_check import choose_subject
from clicooper.disputes.judge import judge_evidence
from clicooper.disputes.opinion import Answer
from clicooper.disputes.subject import Subject
from clicooper.errors import CarError, CliCooperError, StorageError, UsageError
from clicooper.files import open_regular, read_bounded
from clicooper.history.follow import History
from clicooper.protocol.decision import Accuse
from clicooper.storage.car_store import CarStore
from clicooper.types import ZERO_ADDRESS, Address, Digest, Ground, Head, JobId

__all__ = [
    "EVIDENCE_PINS",
    "AccusationNote",
    "RaisedChallenge",
    "evidence_digest",
    "evidence_of",
    "note_of",
    "raise_challenge",
    "require_own_evidence",
]

EVIDENCE_PINS = "evidence"
"""The pin set of evidence that was published from a run folder."""

MAX_EVIDENCE_BYTES = 1 << 32


class AccusationNote(Record):
    """A failed check as its finder saw it."""

    kind: ClassVar[str] = "AccusationNote"
    genesis: Bytes32
    head: Bytes32
    challenger: Bytes20
    round: Count
    accused: Count
    ground: Annotated[str, Field(pattern="^(fault|withheld)$")]
    check: str
    subject: str
    expected: str
    actual: str
    detail: str


def note_of(history: History, round_: int, head: Head, challenger: Address, charge: Accuse) -> AccusationNote:
    """The note of a charge."""
    row: CheckResult = charge.row
    return AccusationNote(
        genesis=history.genesis,
        head=head,
        challenger=bytes.fromhex(challenger[2:]),
        round=round_,
        accused=charge.seat,
        ground=charge.ground.name.lower(),
        check=row.check.value,
        subject=row.subject,
        expected=row.expected,
        actual=row.actual,
        detail=row.detail,
    )


def evidence_of(
    record: JobRecord,
    artifacts: Artifacts,
    rows: Sequence[CheckResult],
    round_: int,
    challenger: Address,
    charge: Accuse,
) -> SealedEvidence | None:
    """Evidence on the failed check of a charge, sealed to the arbiter that the spec names.

    It is judged before it is used: evidence that clears the accused would cost the challenger its bond.

    Args:
        record: the one that ``artifacts`` follows.
        rows: of the verification.

    Returns:
        None where no evidence can show it: no claim covers the check, something that it needs cannot be had, the
        spec names no key of an arbiter, or the evidence clears the accused.
    """
    try:
        subject = _subject_of(artifacts, rows, round_, charge)
        if subject is None:
            return None
        packed = make_evidence(record, artifacts, subject, challenger)
        genesis = artifacts.history.genesis
        opened = open_evidence(enclose(genesis, packed.evidence, packed.plaintext, None))
        opinion = judge_evidence(opened, charge.seat, store=artifacts.store, trusted_models=artifacts.trusted)
        if opinion.answer is Answer.NOT_GUILTY:
            return None
        return enclose(genesis, packed.evidence, packed.plaintext, artifacts.spec.arbiter_keys)
    except CliCooperError:
        # The charge stands without evidence: the note says what was found.
        return None


def _subject_of(artifacts: Artifacts, rows: Sequence[CheckResult], round_: int, charge: Accuse) -> Subject | None:
    """What to show of the accused; of nobody else, since another seat's fault does not convict it."""
    if charge.ground is Ground.WITHHELD:
        return Subject("withheld", round_, None, charge.seat)
    own = [row for row in rows if row.seat == charge.seat]
    return choose_subject(own, round_, artifacts.spec.replay.interval)


def evidence_digest(path: Path) -> Digest:
    """What a challenge names of an evidence file: a CAR file's one root, or sha2-256 of any other file's bytes.

    Raises:
        StorageError: it cannot be read.
        UsageError: it is empty, or larger than 4 GiB.
    """
    hint = "make it with: clicooper evidence make"
    with open_regular(path, what="evidence", hint=hint) as file:
        size = os.fstat(file.fileno()).st_size
        if not 0 < size <= MAX_EVIDENCE_BYTES:
            raise UsageError(f"{path} of {size} bytes is no evidence", hint=hint)
    try:
        with CarStore(path) as car:
            if len(car.roots) == 1:
                return digest_of_cid(car.roots[0])
    except (CarError, StorageError):
        pass
    return sha256(read_bounded(path, MAX_EVIDENCE_BYTES, what="evidence", hint=hint))


def require_own_evidence(contract: Contract, job: JobId, sealed: SealedEvidence, challenger: Address) -> None:
    """Refuses evidence that no arbiter could use.

    Raises:
        UsageError: it is that of another challenger, or about another job.
    """
    named = to_checksum_address(sealed.envelope.challenger)
    if str(named) != challenger:
        hint = "make it with --challenger or --account"
        raise UsageError(f"the evidence is that of {named}, not {challenger}", hint=hint)
    if sealed.envelope.genesis != contract.genesis_of(job):
        raise UsageError("the evidence is about another job", hint="check the job's number, --contract and --network")


@dataclass(frozen=True)
class RaisedChallenge:
    """A challenge that was sent.

    Attributes:
        bond_wei: what was locked, in the coin or in units of the job's token.
    """

    id: Digest
    receipt: Receipt
    bond_wei: int


def raise_challenge(
    contract: Contract, job: JobId, head: Head, accused: int, ground: Ground, digest: Digest
) -> RaisedChallenge:
    """Accuses before the arbiter, with the bond that is due.

    Args:
        contract: it signs with the challenger's account.
        head: on which it was decided; a chain that has moved on refuses it.
        accused: a seat, or ``ACCUSED_OWNER``.
        digest: of the evidence.

    Raises:
        RevertError: the contract refused.
    """
    bond_wei = contract.bond_due(job)
    coins = bond_wei if contract.job(job).token == ZERO_ADDRESS else 0
    challenge_id, receipt = contract.challenge(job, head, accused, ground, digest, coins)
    return RaisedChallenge(challenge_id, receipt, bond_wei)
