"""Judging an exhibit with nothing else at hand: the claim is repeated, and what was committed decides.

Only content that somebody committed to can convict that somebody. So each judge first takes, from blocks that hash to
what is on the trail, the manifests and files of the claim, and holds a malformed one against its author; whatever is
wrong with the exhibit itself, or missing from it, ends in "cannot tell".

The replay of intervals is judged in ``exhibit_replay``, whom a receipt convicts in ``exhibit_receipts``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from clicooper.audit import checks
from clicooper.audit.attributed import committed_manifest, faults_of, label_faults
from clicooper.audit.exhibit_evidence import ExhibitEvidence
from clicooper.audit.exhibit_file import OpenedExhibit
from clicooper.audit.exhibit_receipts import ShownReceipts, weigh_receipts
from clicooper.audit.exhibit_replay import judge_replay
from clicooper.audit.finding import Fault, Finding, Judged, Opinion, conclude, party_name
from clicooper.audit.sealed import sealed_by_seat
from clicooper.audit.verdict import Check, CheckResult
from clicooper.audit.withheld import judge_withheld
from clicooper.errors import CliCooperError, EvidenceUnusable, PrivacyClaimError, SealBroken, SpecError
from clicooper.learning.transcript import Transcript
from clicooper.storage.base import Store
from clicooper.storage.cid import cid_text
from clicooper.storage.sealed_files import open_bytes
from clicooper.types import ACCUSED_OWNER, Verdict

__all__ = ["judge_exhibit"]


def judge_exhibit(
    opened: OpenedExhibit,
    accused: int | None = None,
    *,
    store: Store | None = None,
    trusted_models: Collection[str] = frozenset(),
    runtime: str = "",
    shown: ShownReceipts = ShownReceipts(),  # noqa: B008 - frozen
) -> Opinion:
    """Repeats the claim of an exhibit.

    Nothing is believed but what the exhibit's trail commits to; whether the trail's head is the chain's is another
    question, which ``exhibit_chain`` answers.

    Args:
        accused: whom a challenge accuses; by default whom the exhibit does.
        store: where to look for what is said to be withheld, and for rows of the release that the exhibit leaves out.
        trusted_models: custom models whose code may run here.
        runtime: class of the machine that replays, by default this one's.
        shown: receipts that decide between two neighbours.

    Returns:
        An opinion, whatever has happened to the exhibit: an error on the way is "cannot tell" with its message.
    """
    named = opened.exhibit.accused
    about = named if accused is None else accused
    if named is not None and accused not in (None, named):
        why = f"the evidence accuses {party_name(named)}, and the question is about another party"
        return Opinion(Finding.CANNOT_TELL, about, why)
    try:
        evidence = ExhibitEvidence(opened, trusted_models, runtime, store)
        if opened.exhibit.claim == "withheld":
            return conclude(judge_withheld(evidence, store), about)
        judged = _JUDGES[opened.exhibit.claim](evidence)
        return conclude(weigh_receipts(evidence, judged, shown), about)
    except CliCooperError as e:
        return Opinion(Finding.CANNOT_TELL, about, e.message)


def _seat(evidence: ExhibitEvidence) -> int:
    return evidence.exhibit.accused or 0


def _judge_manifest(evidence: ExhibitEvidence) -> Judged:
    found = committed_manifest(evidence, _seat(evidence))
    if isinstance(found, Fault):
        return Judged((found,))
    commitment = evidence.commitment(evidence.exhibit.round, _seat(evidence))
    return _judged(checks.check_manifest(evidence, commitment))


def _judge_links(evidence: ExhibitEvidence) -> Judged:
    found = committed_manifest(evidence, _seat(evidence))
    if isinstance(found, Fault):
        return Judged((found,))
    commitment = evidence.commitment(evidence.exhibit.round, _seat(evidence))
    return _judged(checks.check_links(evidence, commitment))


def _judge_boundary(evidence: ExhibitEvidence) -> Judged:
    seat, round_ = _seat(evidence), evidence.exhibit.round
    found = committed_manifest(evidence, seat)
    transcript = found if isinstance(found, Fault) else _committed_transcript(evidence, seat)
    if isinstance(transcript, Fault):
        return Judged((transcript,))
    rows = tuple(checks.check_boundary(evidence, evidence.commitment(round_, seat)))
    own = _judged(row for row in rows if row.seat is not None)
    if own.faults or not seat:
        return own
    below = evidence.transcript(round_, seat - 1)
    mismatch = _first_mismatch(below, transcript, seat)
    confirmed = f"the transcript of seat {seat} has its root, and seats {seat - 1} and {seat} agree on every step"
    return Judged(() if mismatch is None else (mismatch,), confirmed=confirmed)


def _committed_transcript(evidence: ExhibitEvidence, seat: int) -> Transcript | Fault:
    """The transcript that a manifest commits to, or its author's fault if it is no transcript of the job."""
    try:
        return evidence.transcript(evidence.exhibit.round, seat)
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


def _judge_mark(evidence: ExhibitEvidence) -> Judged:
    seat = _seat(evidence)
    evidence.check_revealed_key()
    manifest = committed_manifest(evidence, seat)
    if isinstance(manifest, Fault):
        return Judged((manifest,))
    for sealed in (manifest.trained, manifest.out):
        try:
            evidence.state_file(sealed)
        except SpecError as e:
            return Judged((Fault(seat, Check.ARTIFACTS, e.message),))
    commitment = evidence.commitment(evidence.exhibit.round, seat)
    rows = (*checks.check_mark(evidence, commitment), *checks.check_embed(evidence, commitment))
    return _judged(rows)


def _judge_seal(evidence: ExhibitEvidence) -> Judged:
    seat = _seat(evidence)
    secret = evidence.registered_secret()
    manifest = committed_manifest(evidence, seat)
    if isinstance(manifest, Fault):
        return Judged((manifest,))
    own = {sealed.ciphertext: sealed for sealed in sealed_by_seat(manifest)}
    author = bytes.fromhex(evidence.commitment(evidence.exhibit.round, seat).trainer[2:])
    for cid in evidence.exhibit.wanted:
        if cid not in own or own[cid].author != author:
            raise EvidenceUnusable(f"file {cid_text(cid)} is none that seat {seat} sealed", hint="ask for another copy")
        try:
            open_bytes(evidence.store, own[cid], secret)
        except SealBroken as e:
            return Judged((Fault(seat, Check.ARTIFACTS, e.message),))
    return Judged(confirmed=f"all {len(evidence.exhibit.wanted)} files open under the registered secret")


def _judge_labels(evidence: ExhibitEvidence) -> Judged:
    faults = label_faults(evidence, evidence.exhibit.round)
    return Judged(faults, confirmed="the labels open to the spec's digests, exactly m each, and stay within range")


def _judge_release(evidence: ExhibitEvidence) -> Judged:
    cid = evidence.spec.activation_release
    evidence.store.get_block(cid)
    try:
        return _judged(checks.check_release(evidence))
    except (SpecError, PrivacyClaimError) as e:
        return Judged((Fault(ACCUSED_OWNER, Check.RELEASE, e.message),))


def _judged(rows: Iterable[CheckResult]) -> Judged:
    """What the rows of a check came to; a row without a seat is about the owner."""
    kept = tuple(rows)
    unsure = next((row.detail for row in kept if row.verdict is Verdict.INCONCLUSIVE), "")
    return Judged(tuple(faults_of(kept)), unsure, "; ".join(f"{row.check.value}: {row.detail}" for row in kept))


_JUDGES: Mapping[str, Callable[[ExhibitEvidence], Judged]] = {
    "replay": judge_replay,
    "boundary": _judge_boundary,
    "manifest": _judge_manifest,
    "links": _judge_links,
    "mark": _judge_mark,
    "labels": _judge_labels,
    "release": _judge_release,
    "seal": _judge_seal,
}
