"""What an arbiter does: look at the open challenge, fetch the evidence that it names, repeat it, and rule.

    open challenge -> evidence by its digest -> opened -> judged -> ruling

The arbiter decides one bit about one accused. Nothing but the evidence and the chain enters, and between two neighbours
what the sender signed: the evidence must be the one that the challenge names, of this job, brought forward by the
challenger itself, about a trainer who still holds the accused seat. Whatever cannot be told is not ruled on: then the
challenge lapses, which costs nobody a stake.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from clicooper.chain.client import Contract, Receipt
from clicooper.chain.committee import Committee
from clicooper.chain.events import Challenged, JobCreated
from clicooper.chain.index.record_index import RecordIndex
from clicooper.commitments.boundary import BoundaryReceipt
from clicooper.commitments.head import challenge_id
from clicooper.disputes.evidence_file import OpenedEvidence, SealedEvidence, fetch_evidence, open_evidence
from clicooper.disputes.head_check import HeadCheck, compare_with_chain, transports_on_chain
from clicooper.disputes.head_proof import history_of
from clicooper.disputes.judge import judge_evidence
from clicooper.disputes.opinion import Answer, Opinion, party_name
from clicooper.disputes.shown_receipts import ShownReceipts
from clicooper.errors import ChainError, CliCooperError, RulingRefused, RulingUndecided
from clicooper.storage.base import Store
from clicooper.types import ACCUSED_OWNER, Address, Digest, Ground, Head, JobId, Phase

__all__ = ["Arbiter", "Case", "Judgement", "open_case", "ruling_of"]


@dataclass(frozen=True)
class Case:
    """A challenge that waits for its ruling.

    Attributes:
        round: in which it was raised.
        head: the job's head, on which it was decided.
        accused: a seat, or ``ACCUSED_OWNER``.
        trainer: who holds that seat; the owner's address where the owner is accused.
        evidence_digest: which evidence it names.
        interrupted: the phase to which a ruling of not guilty goes back.
        rule_after: last second, since the epoch, in which withheld data may be published; 0 for another ground.
        deadline: last second in which the arbiter may rule.
    """

    job: JobId
    id: Digest
    round: int
    head: Head
    accused: int
    trainer: Address
    challenger: Address
    ground: Ground
    bond_wei: int
    evidence_digest: Digest
    interrupted: Phase
    rule_after: int
    deadline: int


@dataclass(frozen=True)
class Judgement:
    """What the arbiter found out about a case, with the node's word on the evidence."""

    case: Case
    opinion: Opinion
    head: HeadCheck


def open_case(contract: Contract, index: RecordIndex, job: JobId) -> Case:
    """The open challenge of a job, with what its event adds to the contract's view.

    Args:
        index: of the same contract; brought up to date here.

    Raises:
        RevertError: ``WrongPhase``, where none is open.
        ChainError: the node's events do not hold it, or describe another one.
    """
    view, state = contract.challenge_of(job), contract.job(job)
    index.sync()
    events = list(index.bare_events(job))
    event = next((e for e in events if isinstance(e, Challenged) and e.challenge_id == view.id), None)
    created = events[0] if events else None
    if event is None or not isinstance(created, JobCreated):
        raise ChainError("the node does not show the event of the open challenge", hint="ask another node")
    names = (job, state.round, state.head, event.accused, event.challenger, event.evidence_digest, event.ground)
    if challenge_id(contract.node.chain_id, contract.address, *names) != view.id:
        raise ChainError("the event of the open challenge does not fit its name", hint="ask another node")
    accused_owner = event.accused == ACCUSED_OWNER
    return Case(
        job=job,
        id=view.id,
        round=state.round,
        head=state.head,
        accused=event.accused,
        trainer=state.owner if accused_owner else contract.seat(job, event.accused).trainer,
        challenger=event.challenger,
        ground=event.ground,
        bond_wei=event.bond_wei,
        evidence_digest=event.evidence_digest,
        interrupted=view.interrupted,
        rule_after=_cured_until(created, state.deadline) if event.ground is Ground.WITHHELD else 0,
        deadline=state.deadline,
    )


def _cured_until(created: JobCreated, deadline: int) -> int:
    """Withheld data may be published in the first half of the arbitration window, as the contract counts it."""
    window = created.params.arbitration_window_s
    return deadline - window + window // 2


class Arbiter:
    """The arbiter of one contract's jobs, or one member of a committee that is.

    Args:
        contract: the chain client; it signs with the arbiter's account, or the member's.
        index: what the arbiter reads of the contract's history.
        identity: the age identity that evidence is sealed to.
        store: where evidence is fetched from, and looked for what is said to be withheld; None needs it handed over.
        committee: the m-of-n arbiter that this account is a member of.
        trusted_models: custom models whose code may run here.
    """

    def __init__(
        self,
        contract: Contract,
        index: RecordIndex,
        identity: str | None,
        store: Store | None = None,
        committee: Committee | None = None,
        trusted_models: Collection[str] = frozenset(),
    ) -> None:
        self._contract = contract
        self._index = index
        self._identity = identity
        self._store = store
        self._committee = committee
        self._trusted_models = trusted_models

    def fetch(self, case: Case) -> SealedEvidence:
        """The evidence that a challenge names, from the store.

        Raises:
            RulingRefused: there is no store to ask.
            ArtifactMissing, ArtifactCorrupt, EvidenceUnusable: it is not there, or is something else.
        """
        if self._store is None:
            raise RulingRefused("nowhere to fetch the evidence from", hint="hand it over, or name a store")
        return fetch_evidence(self._store, case.evidence_digest)

    def judge(self, case: Case, sealed: SealedEvidence, receipts: Sequence[BoundaryReceipt] = ()) -> Judgement:
        """Opens the evidence, compares it with chain and challenge, and repeats it.

        Args:
            receipts: whatever a receiver, or the challenger of a sender, shows beside it, however late.

        Raises:
            ChainError: the node cannot be asked.
        """
        unread = HeadCheck(self._contract.node.source, verified=False, problem="the evidence was not opened")
        try:
            opened = open_evidence(sealed, self._identity)
            head = compare_with_chain(opened, self._contract, self._index, case.job, self._trusted_models)
            foreign = self._foreign(case, opened) or head.problem
        except ChainError:
            raise
        except CliCooperError as e:
            return Judgement(case, Opinion(Answer.CANNOT_TELL, case.accused, e.message), unread)
        if foreign:
            return Judgement(case, Opinion(Answer.CANNOT_TELL, case.accused, foreign), head)
        keys = transports_on_chain(self._index, case.job) if receipts else {}
        shown = ShownReceipts(tuple(receipts), keys)
        opinion = judge_evidence(
            opened, case.accused, store=self._store, trusted_models=self._trusted_models, shown=shown
        )
        return Judgement(case, opinion, head)

    def rule(self, case: Case, guilty: bool, judgement: Judgement | None = None, *, override: bool = False) -> Receipt:
        """Rules, or casts this member's vote.

        Args:
            guilty: the ruling.
            judgement: what the evidence showed.
            override: rule although nothing was judged, or against what was found.

        Raises:
            RulingRefused: the finding is another one, or there is none; nothing was sent.
            RevertError: the contract refused, such as ``TooEarly`` while withheld data may still be published.
        """
        if not override:
            _refuse_against(guilty, judgement)
        if self._committee is not None:
            return self._committee.vote(case.job, case.id, guilty)
        return self._contract.rule(case.job, case.id, guilty)

    def _foreign(self, case: Case, opened: OpenedEvidence) -> str:
        """Why this evidence cannot decide this challenge, whatever it shows."""
        evidence = opened.evidence
        if opened.digest != case.evidence_digest:
            return f"the challenge names evidence 0x{case.evidence_digest.hex()}, not 0x{opened.digest.hex()}"
        if evidence.challenger != bytes.fromhex(case.challenger[2:]):
            return f"the evidence is that of 0x{evidence.challenger.hex()}, the challenge that of {case.challenger}"
        if (evidence.claim == "withheld") != (case.ground is Ground.WITHHELD):
            return f"the charge is {case.ground.name.lower()}, the evidence is about {evidence.claim}"
        if case.accused == ACCUSED_OWNER:
            return ""
        held = {c.seat: c.trainer for c in history_of(evidence).rounds[evidence.round].commitments}
        if held.get(case.accused) != case.trainer:
            return f"what the evidence shows of {party_name(case.accused)} is not the work of {case.trainer}"
        return ""


def ruling_of(judgement: Judgement | None) -> bool:
    """The ruling that follows from the finding.

    Raises:
        RulingRefused: it is between two seats, no receipt decides, and a person has to hear the receiver first.
    """
    guilty = judgement is not None and judgement.opinion.answer is Answer.GUILTY
    fault = None if judgement is None else judgement.opinion.fault
    if guilty and fault is not None and fault.pair is not None and fault.cleared is None:
        raise RulingRefused(
            f"{fault.detail}: seat {fault.seat} may have the sender's signature to show",
            hint="hear it: --receipt FILE checks what it shows; if it shows nothing, say --guilty",
        )
    return guilty


def _refuse_against(guilty: bool, judgement: Judgement | None) -> None:
    hint = "rule by the finding, or say that you override it"
    if judgement is None:
        raise RulingUndecided("nothing was checked", hint="name the evidence, or say that you override")
    answer = judgement.opinion.answer
    if answer is Answer.CANNOT_TELL:
        raise RulingUndecided(f"the evidence cannot tell: {judgement.opinion.detail}", hint=hint)
    if guilty != (answer is Answer.GUILTY):
        ruling = "guilty" if guilty else "not guilty"
        raise RulingRefused(f"the ruling would be {ruling}, the finding is {answer.value}", hint=hint)
