"""The head proof of evidence: from what the record says to the steps that lead to one head, and back to a history.

What comes back is the part of the history that the steps prove: the head after them covers every one, so a reader who
knows that head from the chain knows the seats, trainers and manifests of both rounds. The label key proves itself: its
hashes end in the anchor that the terms name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from eth_abi import decode as abi_decode
from eth_abi import encode as abi_encode
from eth_abi.exceptions import DecodingError
from eth_utils import to_checksum_address

from clicooper.chain.events import (
    Committed,
    LoggedEvent,
    RoundAccepted,
    RoundAcceptedByTimeout,
    SeatVacated,
    params_from_abi,
)
from clicooper.chain.record import JobRecord
from clicooper.commitments.head import PARAMS_TYPE, genesis, label_anchor, next_head, params_to_abi, restart_head
from clicooper.disputes.evidence import Evidence, HeadProof, HeadStep
from clicooper.errors import EvidenceUnusable
from clicooper.history.history import Commitment, History, Round
from clicooper.history.settlement import Settlement
from clicooper.types import ZERO_DIGEST, Address, Digest, Head, JobId, JobParams, Phase, address_bytes

__all__ = ["history_of", "pack_params", "prove_head"]


@dataclass(frozen=True)
class _Moved:
    """A step with the heads before and after it."""

    step: HeadStep
    before: Head
    after: Head


def pack_params(params: JobParams) -> bytes:
    """The terms as evidence has them; its inverse is part of ``history_of``."""
    return abi_encode([PARAMS_TYPE], [params_to_abi(params)])


def prove_head(record: JobRecord, history: History, round_: int) -> HeadProof:
    """The steps of a round and of the one before it, up to the round's last commitment that counts.

    Args:
        history: the followed record.

    Raises:
        EvidenceUnusable: no seat has committed in that round.
    """
    counted = history.rounds[round_].commitments if round_ < len(history.rounds) else ()
    if not counted:
        raise EvidenceUnusable(f"no seat has committed in round {round_}", hint="accuse a seat of a later round")
    start, steps = history.genesis, []
    for moved in _retrace(history.genesis, _recorded_steps(record, history), history.job):
        if moved.step.round < round_ - 1:
            start = moved.after
        else:
            steps.append(moved.step)
        if moved.after == counted[-1].head:
            return HeadProof(start=start, steps=tuple(steps))
    raise EvidenceUnusable("the record's events do not lead to the round's head", hint="read the record again")


def _recorded_steps(record: JobRecord, history: History) -> Iterator[HeadStep]:
    """Everything that moved the head, in order."""
    accepted = 0
    commitments = {c.logged: c for r in history.rounds for c in (*r.abandoned, *r.commitments)}
    for logged in record.events:
        event = logged.event
        if isinstance(event, (RoundAccepted, RoundAcceptedByTimeout)):
            accepted = event.round + 1
        elif isinstance(event, Committed):
            made = commitments[logged]
            yield HeadStep(
                round=made.round,
                seat=made.seat,
                trainer=address_bytes(made.trainer),
                manifest=made.manifest_digest,
                mark=made.mark_commitment,
            )
        elif isinstance(event, SeatVacated):
            trainer = address_bytes(event.trainer)
            yield HeadStep(round=accepted, seat=event.seat, trainer=trainer, manifest=None, mark=None)


def _retrace(head: Head, steps: Iterable[HeadStep], job: JobId) -> Iterator[_Moved]:
    """The steps with the heads that they lead to, from the one before the first."""
    for step in steps:
        trainer = Address(to_checksum_address(step.trainer))
        if step.manifest is None or step.mark is None:
            after = restart_head(head, job, step.round, step.seat, trainer)
        else:
            after = next_head(head, job, step.round, step.seat, trainer, Digest(step.manifest), Digest(step.mark))
        yield _Moved(step, head, after)
        head = after


def history_of(evidence: Evidence) -> History:
    """What evidence proves about its job's history, given that its last head is the chain's.

    Rounds before the one in which the head proof begins have their label key alone; seats and payment are left out.

    Raises:
        EvidenceUnusable: its parts do not fit together.
    """
    params, owner, job = _params(evidence), Address(to_checksum_address(evidence.owner)), JobId(evidence.job)
    contract = Address(to_checksum_address(evidence.contract))
    first = genesis(evidence.chain_id, contract, job, owner, params)
    if not 0 <= evidence.round < params.rounds:
        raise _misfit(f"round {evidence.round} of a job with {params.rounds}")
    if evidence.round < 2 and evidence.head_proof.start != first:
        raise _misfit("the head proof does not begin at the job's genesis")
    rounds = tuple(
        Round(round_, key, tuple(_last_attempt(evidence, round_, job)))
        for round_, key in enumerate(_label_keys(evidence, params))
    )
    if not rounds[-1].commitments:
        raise _misfit(f"the head proof holds no commitment of round {evidence.round}")
    if rounds[-1].commitments[-1].head != evidence.head:
        raise _misfit("the head proof does not end in its head")
    return History(
        chain_id=evidence.chain_id,
        contract=contract,
        job=job,
        owner=owner,
        params=params,
        genesis=first,
        phase=Phase.REVIEW,
        head=rounds[-1].commitments[-1].head,
        seats=(),
        rounds=rounds,
        withdrawals=(),
        settlement=Settlement(owner, params),
        joined=0,
    )


def _params(evidence: Evidence) -> JobParams:
    try:
        (values,) = abi_decode([PARAMS_TYPE], evidence.params)
        params = params_from_abi(values)
    except (DecodingError, ValueError, OverflowError) as e:
        raise _misfit("the terms cannot be read") from e
    if pack_params(params) != evidence.params:
        raise _misfit("the terms are not in canonical form")
    return params


def _label_keys(evidence: Evidence, params: JobParams) -> tuple[Digest, ...]:
    """The keys of round 0 to the evidence's, each the hash of the next."""
    keys = [Digest(evidence.label_key)]
    for _ in range(evidence.round):
        keys.append(label_anchor(keys[-1]))
    if label_anchor(keys[-1]) != params.label_anchor:
        raise _misfit("the label key is not of the job's chain of keys")
    return tuple(reversed(keys))


def _last_attempt(evidence: Evidence, round_: int, job: JobId) -> Iterator[Commitment]:
    """The commitments of a round that count: those after its last eviction, seat by seat from 0."""
    proof, attempt = evidence.head_proof, list[Commitment]()
    rounds = [step.round for step in proof.steps]
    if rounds != sorted(rounds) or not {*rounds} <= {evidence.round - 1, evidence.round}:
        raise _misfit("the head proof is not of one round and the one before it")
    for moved in _retrace(Head(proof.start), proof.steps, job):
        step = moved.step
        if step.round != round_:
            continue
        if step.manifest is None or step.mark is None:
            attempt = []
            continue
        if step.seat != len(attempt):
            raise _misfit(f"seat {step.seat} commits where seat {len(attempt)} is due")
        attempt.append(_commitment(moved, Digest(step.manifest), Digest(step.mark), job))
    yield from attempt


def _commitment(moved: _Moved, manifest: Digest, mark: Digest, job: JobId) -> Commitment:
    step, trainer = moved.step, Address(to_checksum_address(moved.step.trainer))
    event = Committed(job, step.round, step.seat, manifest, mark)
    # Where it stands on the chain, evidence does not say: its head does.
    logged = LoggedEvent(event, 0, ZERO_DIGEST, 0, ZERO_DIGEST, 0, trainer, 0)
    return Commitment(step.round, step.seat, trainer, manifest, mark, moved.before, moved.after, logged)


def _misfit(problem: str) -> EvidenceUnusable:
    return EvidenceUnusable(f"the evidence does not fit together: {problem}", hint="ask its maker for another copy")
