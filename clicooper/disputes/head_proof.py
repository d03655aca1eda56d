"""The head proof of evidence: from what the record says to the acts that lead to one head, and back to a history.

What comes back is the part of the history that the acts prove: the head after them covers every one, so whoever knows
that head from the chain knows the seats, trainers and manifests of both rounds. The label key proves itself: its
hashes end in the anchor that the terms name.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from clicooper.types import ZERO_DIGEST, Address, Digest, Head, JobId, JobParams, Phase

__all__ = ["history_of", "pack_params", "prove_head"]


@dataclass(frozen=True)
class _Moved:
    """An act with the heads before and after it."""

    act: HeadStep
    before: Head
    after: Head


def pack_params(params: JobParams) -> bytes:
    """The terms as evidence has them; its inverse is part of ``history_of``."""
    return abi_encode([PARAMS_TYPE], [params_to_abi(params)])


def prove_head(record: JobRecord, history: History, round_: int) -> HeadProof:
    """The acts of a round and of the one before it, up to the round's last commitment that counts.

    Args:
        history: the followed record.

    Raises:
        EvidenceUnusable: nobody has committed anything in that round.
    """
    counted = history.rounds[round_].commitments if round_ < len(history.rounds) else ()
    if not counted:
        raise EvidenceUnusable(f"nobody has committed anything in round {round_}", hint="there is nothing to accuse of")
    start, acts = history.genesis, []
    for moved in _moves(record, history):
        if moved.act.round < round_ - 1:
            start = moved.after
        else:
            acts.append(moved.act)
        if moved.after == counted[-1].head:
            return HeadProof(start=start, acts=tuple(acts))
    raise EvidenceUnusable("the record's events do not lead to the round's head", hint="read the record again")


def _moves(record: JobRecord, history: History) -> Iterator[_Moved]:
    """Everything that moved the head, in order."""
    head, accepted = history.genesis, 0
    made = {c.head_before: c for r in history.rounds for c in (*r.abandoned, *r.commitments)}
    for event in (logged.event for logged in record.events):
        if isinstance(event, (RoundAccepted, RoundAcceptedByTimeout)):
            accepted = event.round + 1
        elif isinstance(event, Committed):
            yield _Moved(_committed(made[head]), head, made[head].head)
            head = made[head].head
        elif isinstance(event, SeatVacated):
            after = restart_head(head, history.job, accepted, event.seat, event.trainer)
            act = HeadStep(round=accepted, seat=event.seat, trainer=_raw(event.trainer), manifest=None, mark=None)
            yield _Moved(act, head, after)
            head = after


def _committed(commitment: Commitment) -> HeadStep:
    return HeadStep(
        round=commitment.round,
        seat=commitment.seat,
        trainer=_raw(commitment.trainer),
        manifest=commitment.manifest_digest,
        mark=commitment.mark_commitment,
    )


def _raw(address: Address) -> bytes:
    return bytes.fromhex(address[2:])


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
    if evidence.round < 2 and evidence.trail.start != first:
        raise _misfit("the trail does not begin at the job's genesis")
    rounds = tuple(
        Round(round_, key, tuple(_last_attempt(evidence, round_, job)))
        for round_, key in enumerate(_label_keys(evidence, params))
    )
    if not rounds[-1].commitments:
        raise _misfit(f"the trail holds no commitment of round {evidence.round}")
    if rounds[-1].commitments[-1].head != evidence.head:
        raise _misfit("the trail does not end in its head")
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
    attempt: list[Commitment] = []
    for moved in _retraced(evidence, job):
        if moved.act.round != round_:
            continue
        if moved.act.manifest is None or moved.act.mark is None:
            attempt = []
            continue
        if moved.act.seat != len(attempt):
            raise _misfit(f"seat {moved.act.seat} commits where seat {len(attempt)} is due")
        attempt.append(_commitment(moved, Digest(moved.act.manifest), Digest(moved.act.mark), job))
    yield from attempt


def _retraced(evidence: Evidence, job: JobId) -> Iterator[_Moved]:
    head, trail = Head(evidence.trail.start), evidence.trail
    rounds = [act.round for act in trail.acts]
    if rounds != sorted(rounds) or not {*rounds} <= {evidence.round - 1, evidence.round}:
        raise _misfit("the trail is not of one round and the one before it")
    for act in trail.acts:
        trainer = Address(to_checksum_address(act.trainer))
        if act.manifest is None or act.mark is None:
            after = restart_head(head, job, act.round, act.seat, trainer)
        else:
            after = next_head(head, job, act.round, act.seat, trainer, Digest(act.manifest), Digest(act.mark))
        yield _Moved(act, head, after)
        head = after


def _commitment(moved: _Moved, manifest: Digest, mark: Digest, job: JobId) -> Commitment:
    act, trainer = moved.act, Address(to_checksum_address(moved.act.trainer))
    event = Committed(job, act.round, act.seat, manifest, mark)
    # Where it stands on the chain, evidence does not say: its head does.
    logged = LoggedEvent(event, 0, ZERO_DIGEST, 0, ZERO_DIGEST, 0, trainer, 0)
    return Commitment(act.round, act.seat, trainer, manifest, mark, moved.before, moved.after, logged)


def _misfit(problem: str) -> EvidenceUnusable:
    return EvidenceUnusable(f"the evidence does not fit together: {problem}", hint="ask its maker for another copy")
