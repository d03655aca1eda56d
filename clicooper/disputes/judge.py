"""Judging evidence with nothing else at hand: the claim is repeated, and what was committed decides.

Only a contradiction with committed content can convict, and only its author. So each judge first takes, from blocks
that hash to what is in the head proof, the manifests and files of the claim, and holds a malformed one against its
author. An error in the evidence itself, a gap in it, or whatever goes wrong on this machine ends in "cannot tell".

``judge_replay`` judges the replay of intervals, ``shown_receipts`` which of two neighbours a receipt convicts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from clicooper.access.sealed_files import open_bytes
from clicooper.audit.checks.boundary import check_boundary
from clicooper.audit.checks.embed import check_embed
from clicooper.audit.checks.links import check_links
from clicooper.audit.checks.manifest import check_manifest
from clicooper.audit.checks.mark import check_mark
from clicooper.audit.checks.release import check_release
from clicooper.audit.committed_states import open_out
from clicooper.audit.rounds import CommitmentCheck
from clicooper.audit.verdict import Check, CheckResult, could_not_check
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.evidence_file import OpenedEvidence
from clicooper.disputes.faults import FaultProven, find_faults, find_label_faults, hold_against, read_committed_manifest
from clicooper.disputes.judge_replay import judge_replay
from clicooper.disputes.opinion import Answer, Fault, Judged, Opinion, conclude, party_name
from clicooper.disputes.shown_receipts import ShownReceipts, weigh_receipts
from clicooper.disputes.withheld import judge_withheld
from clicooper.errors import ArtifactMalformed, Contradiction, EvidenceUnusable, SealBroken
from clicooper.storage.base import Store
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import ACCUSED_OWNER, Verdict, address_bytes

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

    Only what the evidence's head proof commits to is believed; ``head_check`` tells whether its head is the chain's.

    Args:
        accused: the party that a challenge accuses; by default the one that the evidence accuses.
        store: where to look for what is said to be withheld, and for rows of the release that the evidence leaves out.
        trusted_models: custom models whose code may run here.
        runtime: class of the machine that replays, by default this one's.
        shown: receipts that decide between two neighbours.

    Returns:
        An opinion in every case: an error on the way is "cannot tell" with its message.
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
    except FaultProven as e:
        return conclude(Judged((e.fault,)), about)
    except Contradiction as e:
        fault = Fault(e.party, Check.ARTIFACTS, e.message, expected=e.expected, actual=e.actual)
        return conclude(Judged((fault,)), about)
    except (Exception, SystemExit) as e:  # noqa: BLE001 - a model's code may raise anything, and nobody is at fault
        return Opinion(Answer.CANNOT_TELL, about, could_not_check(e))


def _seat(artifacts: EnclosedArtifacts) -> int:
    return artifacts.evidence.accused or 0


def _repeat(check: CommitmentCheck, artifacts: EnclosedArtifacts) -> Judged:
    """Repeats a check that needs the manifest alone."""
    read_committed_manifest(artifacts, _seat(artifacts))
    return _judge_rows(check(artifacts, artifacts.commitment(artifacts.evidence.round, _seat(artifacts))))


def _judge_boundary(artifacts: EnclosedArtifacts) -> Judged:
    """Where two neighbours committed to different tensors, only a receipt or a replay can tell which of them lies."""
    seat, round_ = _seat(artifacts), artifacts.evidence.round
    read_committed_manifest(artifacts, seat)
    with hold_against(seat, Check.BOUNDARY):
        artifacts.transcript(round_, seat)
    return _judge_rows(check_boundary(artifacts, artifacts.commitment(round_, seat)))


def _judge_mark(artifacts: EnclosedArtifacts) -> Judged:
    seat = _seat(artifacts)
    artifacts.require_committed_key()
    manifest = read_committed_manifest(artifacts, seat)
    with hold_against(seat, Check.STATE):
        open_out(artifacts, artifacts.evidence.round, seat)
        artifacts.state_file(manifest.trained)
    commitment = artifacts.commitment(artifacts.evidence.round, seat)
    return _judge_rows((*check_mark(artifacts, commitment), *check_embed(artifacts, commitment)))


def _judge_seal(artifacts: EnclosedArtifacts) -> Judged:
    seat = _seat(artifacts)
    secret, manifest = artifacts.registered_secret(), read_committed_manifest(artifacts, seat)
    own = {sealed.ciphertext: sealed for sealed in manifest.own_files}
    author = address_bytes(artifacts.commitment(artifacts.evidence.round, seat).trainer)
    for cid in artifacts.evidence.wanted:
        if cid not in own or own[cid].author != author:
            raise EvidenceUnusable(f"file {cid_text(cid)} is none that seat {seat} sealed", hint="ask for another copy")
        try:
            open_bytes(artifacts.store, own[cid], secret)
        except (SealBroken, ArtifactMalformed) as e:
            return Judged((Fault(seat, Check.ARTIFACTS, e.message),))
    return Judged(confirmed=f"all {len(artifacts.evidence.wanted)} files open under the registered secret")


def _judge_labels(artifacts: EnclosedArtifacts) -> Judged:
    confirmed = "the labels open to the spec's digests, exactly m each, and stay within range"
    return Judged(find_label_faults(artifacts), confirmed=confirmed)


def _judge_release(artifacts: EnclosedArtifacts) -> Judged:
    with hold_against(ACCUSED_OWNER, Check.RELEASE):
        return _judge_rows(check_release(artifacts))


def _judge_rows(rows: Iterable[CheckResult]) -> Judged:
    """What the rows of a check came to."""
    kept = tuple(rows)
    unsure = next((row.detail for row in kept if row.verdict is Verdict.INCONCLUSIVE), "")
    return Judged(tuple(find_faults(kept)), unsure, "; ".join(f"{row.check.value}: {row.detail}" for row in kept))


_JUDGES: Mapping[str, Callable[[EnclosedArtifacts], Judged]] = {
    "replay": judge_replay,
    "boundary": _judge_boundary,
    "manifest": partial(_repeat, check_manifest),
    "links": partial(_repeat, check_links),
    "mark": _judge_mark,
    "labels": _judge_labels,
    "release": _judge_release,
    "seal": _judge_seal,
}
