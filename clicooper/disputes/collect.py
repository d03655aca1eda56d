"""Collecting evidence from a job's record and artifacts: the least that its claim can be judged by.

What goes in is an ``Excerpt``: the evidence gives away no secret that opens more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eth_utils import to_bytes
from multiformats import CID

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.excerpt import Excerpt
from clicooper.chain.record import JobRecord
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import SegmentManifest
from clicooper.commitments.merkle import merkle_proof
from clicooper.disputes.evidence import Claim, Evidence, RevealedKey, RevealedSecret, SeatRows
from clicooper.disputes.evidence_file import evidence_bytes
from clicooper.disputes.head_proof import pack_params, prove_head
from clicooper.disputes.opinion import party_name
from clicooper.disputes.release_rows import RowPlaces
from clicooper.disputes.subject import OWNERS, Subject, check_subject
from clicooper.disputes.withheld import find_missing, list_owed
from clicooper.errors import ArtifactMalformed, EvidenceUnusable, SealBroken, SealError, UsageError
from clicooper.learning.checkpoint import MAX_STATE_BYTES
from clicooper.learning.schedule import batch_rows
from clicooper.learning.transcript import ROW_BYTES, interval_bounds
from clicooper.storage.ipld.graph import walk
from clicooper.storage.ipld.slices import file_parts
from clicooper.types import ACCUSED_OWNER, Address, address_bytes

__all__ = ["PackedEvidence", "make_evidence"]


@dataclass(frozen=True)
class PackedEvidence:
    """Evidence and its plaintext."""

    evidence: Evidence
    plaintext: bytes


def make_evidence(record: JobRecord, artifacts: Artifacts, subject: Subject, challenger: Address) -> PackedEvidence:
    """Collects what the subject needs.

    Args:
        record: the record that ``artifacts`` follows.
        artifacts: with the keys of the challenger.
        challenger: whose evidence it will be; no other party can use it.

    Raises:
        UsageError: a subject that makes no sense for the job.
        ArtifactMissing, ArtifactCorrupt, SealError, SealBroken: something that it needs cannot be had or opened.
        SpecError: a manifest or transcript so wrong that another claim has to be made of it.
    """
    check_subject(artifacts, subject)
    parts = _Parts(artifacts)
    if subject.claim != "withheld":
        parts.take(cid_of_digest(artifacts.history.params.spec_digest))
    _COLLECT[subject.claim](parts, subject)
    history = artifacts.history
    evidence = Evidence(
        chain_id=history.chain_id,
        contract=to_bytes(hexstr=history.contract),
        job=history.job,
        owner=to_bytes(hexstr=history.owner),
        params=pack_params(history.params),
        challenger=to_bytes(hexstr=challenger),
        claim=subject.claim,
        accused=ACCUSED_OWNER if subject.claim in OWNERS else subject.accused,
        round=subject.round,
        interval=subject.interval,
        label_key=history.rounds[subject.round].label_key,
        head_proof=prove_head(record, history, subject.round),
        head=history.rounds[subject.round].commitments[-1].head,
        rows=tuple(parts.rows),
        files=parts.files,
        progress=parts.progress,
        sealing=parts.sealing,
        wanted=parts.wanted,
    )
    return PackedEvidence(evidence, evidence_bytes(evidence, parts.blocks))


class _Parts(Excerpt):
    """What has been collected so far."""

    def __init__(self, artifacts: Artifacts) -> None:
        super().__init__(artifacts)
        self.rows: list[CID] = []
        self.progress: RevealedKey | None = None
        self.sealing: RevealedSecret | None = None
        self.wanted: tuple[CID, ...] = ()

    def add_labels(self, round_: int) -> None:
        """The opened labels of all rounds up to one: their digests in the spec are of whole rounds."""
        for earlier in range(round_ + 1):
            self.add_record(self.artifacts.labels(earlier))


def _replay(parts: _Parts, subject: Subject) -> None:
    artifacts, round_, interval = parts.artifacts, subject.round, subject.interval or 0
    seats = range(artifacts.history.params.seats)
    parts.add_labels(round_)
    first, last = interval_bounds(interval, artifacts.spec.training.steps, artifacts.spec.replay.interval)
    for seat in seats:
        manifest = parts.take_manifest(round_, seat)
        parts.rows.append(parts.add_record(_seat_rows(artifacts, round_, seat, first, last)))
        parts.open(*artifacts.start_state(round_, seat, interval).files)
        if subject.end_states:
            parts.open(*manifest.state_after(interval).files)
    parts.take(artifacts.spec.activation_release)
    if subject.release:
        _release_rows(parts, round_, first, last)


def _seat_rows(artifacts: Artifacts, round_: int, seat: int, first: int, last: int) -> SeatRows:
    manifest, transcript = artifacts.manifest(round_, seat), artifacts.transcript(round_, seat)
    if transcript.root != manifest.training_transcript_merkle_root:
        raise EvidenceUnusable(
            f"the transcript of seat {seat} does not have the root in its manifest",
            hint=f"that is a fault of its own: evidence make --claim boundary --seat {seat}",
        )
    proofs = tuple(b"".join(merkle_proof(transcript.leaves, step)) for step in range(first, last))
    rows = transcript.to_bytes()[first * ROW_BYTES : last * ROW_BYTES]
    return SeatRows(seat=seat, first=first, rows=rows, proofs=proofs)


def _release_rows(parts: _Parts, round_: int, first: int, last: int) -> None:
    """The leaves of the release that hold the rows of some steps, and what proves that they are of the release."""
    artifacts, spec = parts.artifacts, parts.artifacts.spec
    rows = batch_rows(spec.seeds, round_, spec.rows_until(round_), spec.training)[first:last]
    leaves = RowPlaces.of(artifacts.release).leaves(rows)
    for part in file_parts(artifacts.release.activations, artifacts.store.get_block, leaves):
        parts.blocks[part.cid] = part.block


def _boundary(parts: _Parts, subject: Subject) -> None:
    """Whole transcripts of the seat and the one below it: boundary digests run over all steps."""
    seat = subject.accused or 0
    for one in range(max(0, seat - 1), seat + 1):
        parts.open(parts.take_manifest(subject.round, one).transcript.leaves)


def _manifest(parts: _Parts, subject: Subject) -> None:
    parts.take_commitment(subject.round, subject.accused or 0)


def _links(parts: _Parts, subject: Subject) -> None:
    for round_ in range(max(0, subject.round - 1), subject.round + 1):
        parts.take_commitment(round_, subject.accused or 0)


def _mark(parts: _Parts, subject: Subject) -> None:
    seat = subject.accused or 0
    manifest = parts.take_manifest(subject.round, seat)
    granted = parts.artifacts.keys.progress.get((subject.round, seat))
    if granted is None:
        hint = "the trainer grants it to the owner each round; one that does not withholds it"
        raise SealError(f"the progress key of seat {seat} is not at hand", hint=hint)
    parts.progress = RevealedKey(key=granted.key, ownership_key_hash=granted.ownership_key_hash)
    parts.open(manifest.trained, manifest.out)


def _labels(parts: _Parts, subject: Subject) -> None:
    parts.add_labels(subject.round)


def _release(parts: _Parts, _subject: Subject) -> None:
    artifacts = parts.artifacts
    parts.blocks |= dict(walk(artifacts.store.get_block, [artifacts.spec.activation_release]))


def _seal(parts: _Parts, subject: Subject) -> None:
    """The first file of the seat that does not open, and the secret that it registered, which should open it."""
    artifacts, seat = parts.artifacts, subject.accused or 0
    manifest, trainer = parts.take_manifest(subject.round, seat), artifacts.commitment(subject.round, seat).trainer
    secret, broken = artifacts.secret_of(address_bytes(trainer)), _first_broken(artifacts, manifest)
    parts.blocks |= dict(walk(artifacts.store.get_block, [broken]))
    parts.wanted = (broken,)
    key_record = next(one.key_record for one in artifacts.history.holders if one.trainer == trainer)
    parts.sealing = RevealedSecret(secret=secret, key_record=key_record)


def _first_broken(artifacts: Artifacts, manifest: SegmentManifest) -> CID:
    for sealed in manifest.own_files:
        try:
            artifacts.read_sealed(sealed, MAX_STATE_BYTES)
        except (SealBroken, ArtifactMalformed):
            return sealed.ciphertext
    raise UsageError("every file of that seat opens", hint="make evidence of another claim with --claim")


def _withheld(parts: _Parts, subject: Subject) -> None:
    """What is missing here, and the records that show that it is owed, as far as they can be had themselves."""
    artifacts, accused = parts.artifacts, subject.accused or 0
    owed = list_owed(artifacts, accused, subject.round)
    parts.wanted = find_missing(artifacts.store, owed)
    if not parts.wanted:
        raise UsageError(
            f"nothing is missing of what {party_name(accused)} owes", hint="make evidence of another claim with --claim"
        )
    for cid in owed:
        if cid.codec.name == "dag-cbor" and cid not in parts.wanted:
            parts.take(cid)


_COLLECT: Mapping[Claim, Callable[[_Parts, Subject], None]] = {
    "replay": _replay,
    "boundary": _boundary,
    "manifest": _manifest,
    "links": _links,
    "mark": _mark,
    "labels": _labels,
    "release": _release,
    "seal": _seal,
    "withheld": _withheld,
}
