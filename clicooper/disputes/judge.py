"""Judging evidence with nothing else at hand: the claim is repeated, and what was committed decides.

Only content that somebody committed to can convict that somebody. So each judge first takes, from blocks that hash to
what is in the head proof, the manifests and files of the claim, and holds a malformed one against its author;
whatever is wrong with the evidence itself, or missing from it, ends in "cannot tell".

The replay of intervals is judged in ``judge_replay``, whom a receipt convicts in ``shown_receipts``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from clicooper.access.sealed_files import open_bytes
from clicooper.audit.checks import claims as checks
from clicooper.audit.sealed import sealed_by_seat
from clicooper.audit.verdict import Check, CheckResult
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.evidence_file import OpenedEvidence
from clicooper.disputes.faults import committed_manifest, faults_of, label_faults
from clicooper.disputes.judge_replay import judge_replay
from clicooper.disputes.opinion import Answer, Fault, Judged, Opinion, conclude, party_name
from clicooper.disputes.shown_receipts import ShownReceipts, weigh_receipts
from clicooper.disputes.withheld import judge_withheld
from clicooper.errors import CliCooperError, EvidenceUnusable, PrivacyClaimError, SealBroken, SpecError
from clicooper.learning.transcript import Transcript
from clicooper.storage.base import Store
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import ACCUSED_OWNER, Verdict

__all__ = ["judge_evidence"]


def judge_evidence(
    opened: OpenedEvidence,
    accused: int | None = None,
    *,
    store: Store | None = None,
    trusted_models: Collection[str] = frozenset(),
    runtime: str = "",
    shown: ShownReceipts = ShownReceipts(),  # noqa: B008 - frozen
) -> Opinion:
    """Repeats the claim of evidence.

    Nothing is believed but what the evidence's head proof commits to; whether its head is the chain's is another
    question, which ``head_check`` answers.

    Args:
        accused: whom a challenge accuses; by default whom the evidence does.
        store: where to look for what is said to be withheld, and for rows of the release that the evidence leaves out.
        trusted_models: custom models whose code may run here.
        runtime: class of the machine that replays, by default this one's.
        shown: receipts that decide between two neighbours.

    Returns:
        An opinion, whatever has happened to the evidence: an error on the way is "cannot tell" with its message.
    """
    named = opened.evidence.accused
    about = named if accused is None else accused
    if named is not None and accused not in (None, named):
        why = f"the evidence accuses {party_name(named)}, and the question is about another party"
        return Opinion(Answer.CANNOT_TELL, about, why)
    try:
        artifacts = EnclosedArtifacts(opened, trusted_models, runtime, store)
        if opened.evidence.claim == "withheld":
            return conclude(judge_withheld(artifacts, store), about)
        judged = _JUDGES[opened.evidence.claim](artifacts)
        return conclude(weigh_receipts(artifacts, judged, shown), about)
    except CliCooperError as e:
        return Opinion(Answer.CANNOT_TELL, about, e.message)


def _seat(artifacts: EnclosedArtifacts) -> int:
    return artifacts.evidence.accused or 0


def _judge_manifest(artifacts: EnclosedArtifacts) -> Judged:
    found = committed_manifest(artifacts, _seat(artifacts))
    if isinstance(found, Fault):
        return Judged((found,))
    commitment = artifacts.commitment(artifacts.evidence.round, _seat(artifacts))
    return _judged(checks.check_manifest(artifacts, commitment))


def _judge_links(artifacts: EnclosedArtifacts) -> Judged:
    found = committed_manifest(artifacts, _seat(artifacts))
    if isinstance(found, Fault):
        return Judged((found,))
    commitment = artifacts.commitment(artifacts.evidence.round, _seat(artifacts))
    return _judged(checks.check_links(artifacts, commitment))


def _judge_boundary(artifacts: EnclosedArtifacts) -> Judged:
    seat, round_ = _seat(artifacts), artifacts.evidence.round
    found = committed_manifest(artifacts, seat)
    transcript = found if isinstance(found, Fault) else _committed_transcript(artifacts, seat)
    if isinstance(transcript, Fault):
        return Judged((transcript,))
    rows = tuple(checks.check_boundary(artifacts, artifacts.commitment(round_, seat)))
    own = _judged(row for row in rows if row.seat is not None)
    if own.faults or not seat:
        return own
    below = artifacts.transcript(round_, seat - 1)
    mismatch = _first_mismatch(below, transcript, seat)
    confirmed = f"the transcript of seat {seat} has its root, and seats {seat - 1} and {seat} agree on every step"
    return Judged(() if mismatch is None else (mismatch,), confirmed=confirmed)


def _committed_transcript(artifacts: EnclosedArtifacts, seat: int) -> Transcript | Fault:
    """The transcript that a manifest commits to, or its author's fault if it is no transcript of the job."""
    try:
        return artifacts.transcript(artifacts.evidence.round, seat)
    except SpecError as e:
        return Fault(seat, Check.BOUNDARY, e.message)


def _first_mismatch(below: Transcript, above: Transcript, seat: int) -> Fault | None:
    """Where two neighbours committed to different tensors; which of them lies, only a receipt or a replay can tell."""
    pair = (seat - 1, seat)
    for step, (lower, upper) in enumerate(zip(below.steps, above.steps, strict=True)):
        for what, field, sent, received in (
            ("activations", "input", lower.output, upper.input),
            ("gradients", "grad_received", upper.grad_sent, lower.grad_received),
        ):
            if sent != received:
                detail = f"seats {pair[0]} and {seat} committed to different {what} in step {step}"
                sides = "0x" + sent.hex(), "0x" + received.hex()
                return Fault(None, Check.BOUNDARY, detail, pair, step, field, *sides)
    return None


def _judge_mark(artifacts: EnclosedArtifacts) -> Judged:
    seat = _seat(artifacts)
    artifacts.check_revealed_key()
    manifest = committed_manifest(artifacts, seat)
    if isinstance(manifest, Fault):
        return Judged((manifest,))
    for sealed in (manifest.trained, manifest.out):
        try:
            artifacts.state_file(sealed)
        except SpecError as e:
            return Judged((Fault(seat, Check.ARTIFACTS, e.message),))
    commitment = artifacts.commitment(artifacts.evidence.round, seat)
    rows = (*checks.check_mark(artifacts, commitment), *checks.check_embed(artifacts, commitment))
    return _judged(rows)


def _judge_seal(artifacts: EnclosedArtifacts) -> Judged:
    seat = _seat(artifacts)
    secret = artifacts.registered_secret()
    manifest = committed_manifest(artifacts, seat)
    if isinstance(manifest, Fault):
        return Judged((manifest,))
    own = {sealed.ciphertext: sealed for sealed in sealed_by_seat(manifest)}
    author = bytes.fromhex(artifacts.commitment(artifacts.evidence.round, seat).trainer[2:])
    for cid in artifacts.evidence.wanted:
        if cid not in own or own[cid].author != author:
            raise EvidenceUnusable(f"file {cid_text(cid)} is none that seat {seat} sealed", hint="ask for another copy")
        try:
            open_bytes(artifacts.store, own[cid], secret)
        except SealBroken as e:
            return Judged((Fault(seat, Check.ARTIFACTS, e.message),))
    return Judged(confirmed=f"all {len(artifacts.evidence.wanted)} files open under the registered secret")


def _judge_labels(artifacts: EnclosedArtifacts) -> Judged:
    faults = label_faults(artifacts, artifacts.evidence.round)
    return Judged(faults, confirmed="the labels open to the spec's digests, exactly m each, and stay within range")


def _judge_release(artifacts: EnclosedArtifacts) -> Judged:
    cid = artifacts.spec.activation_release
    artifacts.store.get_block(cid)
    try:
        return _judged(checks.check_release(artifacts))
    except (SpecError, PrivacyClaimError) as e:
        return Judged((Fault(ACCUSED_OWNER, Check.RELEASE, e.message),))


def _judged(rows: Iterable[CheckResult]) -> Judged:
    """What the rows of a check came to; a row without a seat is about the owner."""
    kept = tuple(rows)
    unsure = next((row.detail for row in kept if row.verdict is Verdict.INCONCLUSIVE), "")
    return Judged(tuple(faults_of(kept)), unsure, "; ".join(f"{row.check.value}: {row.detail}" for row in kept))


_JUDGES: Mapping[str, Callable[[EnclosedArtifacts], Judged]] = {
    "replay": judge_replay,
    "boundary": _judge_boundary,
    "manifest": _judge_manifest,
    "links": _judge_links,
    "mark": _judge_mark,
    "labels": _judge_labels,
    "release": _judge_release,
    "seal": _judge_seal,
}
