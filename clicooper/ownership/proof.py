"""What a trainer puts into an ownership claim: one opened commitment, its files in the clear, a witness of its work.

A bundle holds exactly what ``claims`` needs and nothing of another round, seat or key. Intervals are drawn from the
hash of the block that accepted the round, which nobody knew when the work was committed. Their witness comes out of
replaying all seats together, so it takes a grant that opens the other seats' states and the labels.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from eth_abi import encode as abi_encode
from eth_utils import keccak
from multiformats import CID

from clicooper.access.grants import AuditKeys
from clicooper.access.sealed_files import open_bytes
from clicooper.access.sealing import sealing_secret
from clicooper.access.vault import TrainerSecrets
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.replay.sampling import sample_intervals
from clicooper.chain.events import LoggedEvent
from clicooper.chain.record import JobRecord
from clicooper.commitments.canonical import cid_of_block
from clicooper.commitments.head import PARAMS_TYPE, mark_commitment, params_to_abi
from clicooper.commitments.manifest import SealedFile, SegmentManifest, StateLinks
from clicooper.commitments.ownership import OpenedFile, OpenedInterval, OwnershipBundle, claim_seed, opened_commits
from clicooper.errors import CliCooperError, UsageError
from clicooper.history.follow import follow_record
from clicooper.history.history import Commitment, History, Round
from clicooper.learning.checkpoint import MAX_STATE_BYTES, state_bytes
from clicooper.learning.witness import Witness, take_witness
from clicooper.storage.base import Store
from clicooper.storage.ipld.car import write_car
from clicooper.storage.ipld.cid import build_file
from clicooper.storage.whole_file import whole_file
from clicooper.types import Digest, Head
from clicooper.watermark.keys import MarkKeys

__all__ = ["DEFAULT_SAMPLES", "OwnershipProof", "prove_ownership", "write_proof"]

DEFAULT_SAMPLES = 3
"""Intervals that a claim shows; a trainer that made up a fifth of a round is in none of them with probability 1/2."""


@dataclass(frozen=True)
class OwnershipProof:
    """A bundle with the blocks that it needs.

    Attributes:
        unshown: why no interval's witness is in it; empty where all that were drawn are.
    """

    bundle: OwnershipBundle
    blocks: dict[CID, bytes] = field(repr=False)
    unshown: str = ""


def prove_ownership(
    record: JobRecord,
    store: Store,
    secrets: TrainerSecrets,
    granted: AuditKeys,
    round_: int,
    seat: int,
    suspect_digest: Digest,
    *,
    samples: int = DEFAULT_SAMPLES,
    trusted_models: Collection[str] = frozenset(),
) -> OwnershipProof:
    """Makes the claim of the trainer who committed a seat in an accepted round.

    Args:
        record: of the job.
        store: where the job's artifacts are.
        secrets: the trainer's own.
        granted: what else it may read; without the other seats' states and the labels no interval can be shown.
        suspect_digest: sha2-256 of the suspect's file.
        samples: how many intervals to show.

    Raises:
        RecordError: events that do not follow from each other.
        UsageError: a round that is not accepted, or secrets of somebody else.
        ArtifactMissing, ArtifactCorrupt, SealBroken: the trainer's own files are not there or damaged.
    """
    history = follow_record(record)
    ended, settled, head = _settled(history, round_)
    commitment = Artifacts(history, store, AuditKeys()).commitment(round_, seat)
    keys = _opened_keys(history, commitment, secrets)
    sealing = {commitment.trainer: sealing_secret(secrets.secret, history.genesis)}
    known = granted.for_job(history.genesis).with_more(AuditKeys(sealing=sealing))
    artifacts = Artifacts(history, store, known, trusted_models)
    pack = _Pack(artifacts)
    manifest = pack.manifest(round_, seat)
    previous = tuple(pack.manifest(before, seat).cid for before in reversed(range(round_)))
    for sealed in (manifest.trained, manifest.out, manifest.optimizer, manifest.transcript.leaves):
        pack.open(sealed)
    drawn = sample_intervals(claim_seed(settled.block_hash, head), seat, artifacts.intervals, samples)
    unshown = _show_intervals(artifacts, pack, round_, seat, drawn)
    later = ended.commitments[seat:]
    bundle = OwnershipBundle(
        chain_id=history.chain_id,
        contract=bytes.fromhex(history.contract[2:]),
        job=history.job,
        owner=bytes.fromhex(history.owner[2:]),
        params=abi_encode([PARAMS_TYPE], [params_to_abi(history.params)]),
        created_block=record.events[0].block_number,
        round=round_,
        seat=seat,
        block=commitment.logged.block_number,
        settled_block=settled.block_number,
        settled_hash=settled.block_hash,
        head_before=commitment.head_before,
        commits=opened_commits([(c.trainer, c.manifest_digest, c.mark_commitment) for c in later]),
        progress_key_hash=keccak(keys.progress),
        ownership_key=keys.ownership,
        spec=pack.spec(),
        manifest=manifest.cid,
        previous=previous,
        files=pack.files,
        intervals=tuple(pack.intervals),
        suspect_digest=suspect_digest,
    )
    return OwnershipProof(bundle, {bundle.cid: bundle.to_block(), **pack.blocks}, unshown)


def write_proof(path: Path, proof: OwnershipProof) -> None:
    """Writes a bundle as a CAR file that its owner alone can read: it holds the segment's weights in the clear."""
    with whole_file(path, mode=0o600) as stream:
        write_car(stream, [proof.bundle.cid], proof.blocks.items())


def _settled(history: History, round_: int) -> tuple[Round, LoggedEvent, Head]:
    """A round that was accepted, the event that did it, and the head in which it ended.

    Raises:
        UsageError: it was not.
    """
    if round_ < len(history.rounds):
        ended = history.rounds[round_]
        if ended.accepted and ended.settled is not None and ended.head is not None:
            return ended, ended.settled, ended.head
    raise UsageError(f"round {round_} is not accepted: nothing of it can be claimed", hint="wait for its acceptance")


def _opened_keys(history: History, commitment: Commitment, secrets: TrainerSecrets) -> MarkKeys:
    """The keys behind a commitment; which attempt of the round it was, its mark commitment tells.

    Raises:
        UsageError: no attempt of these secrets gives them.
    """
    for attempt in range(len(history.evicted) + 1):
        keys = secrets.mark_keys(history.job, commitment.round, commitment.seat, attempt)
        if mark_commitment(keys.progress, Digest(keccak(keys.ownership))) == commitment.mark_commitment:
            return keys
    raise UsageError(
        f"these are not the secrets of {commitment.trainer}, who committed seat {commitment.seat} in round "
        f"{commitment.round}",
        hint="only the trainer who committed can claim",
    )


class _Pack:
    """The blocks of a bundle as they come together, each once."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._evidence = artifacts
        self.blocks: dict[CID, bytes] = {}
        self.intervals: list[OpenedInterval] = []
        self._files: dict[bytes, OpenedFile] = {}

    @property
    def files(self) -> tuple[OpenedFile, ...]:
        """The opened files, in the order of their digests."""
        return tuple(self._files[digest] for digest in sorted(self._files))

    def spec(self) -> CID:
        """Takes the job's spec along."""
        return self._record(self._evidence.spec.to_block())

    def manifest(self, round_: int, seat: int) -> SegmentManifest:
        """Takes a manifest along."""
        manifest = self._evidence.manifest(round_, seat)
        self._record(manifest.to_block())
        return manifest

    def open(self, sealed: SealedFile) -> None:
        """Takes the plaintext of a sealed file along."""
        if sealed.plaintext_digest not in self._files:
            secret = self._evidence.secret_of(sealed.author)
            content = open_bytes(self._evidence.store, sealed, secret, MAX_STATE_BYTES)
            opened = OpenedFile(plaintext_digest=sealed.plaintext_digest, content=self._file(content))
            self._files[sealed.plaintext_digest] = opened

    def open_state(self, links: StateLinks) -> None:
        """Takes weights and optimizer state along."""
        for sealed in (links.weights, links.optimizer):
            if sealed is not None:
                self.open(sealed)

    def show(self, index: int, witness: Witness) -> None:
        """Takes an interval's witness along."""
        self.intervals.append(OpenedInterval(index=index, crossings=self._file(state_bytes(witness.to_state()))))

    def _record(self, block: bytes) -> CID:
        cid = cid_of_block(block)
        self.blocks[cid] = block
        return cid

    def _file(self, content: bytes) -> CID:
        named = list(build_file(io.BytesIO(content)))
        self.blocks.update(named)
        return named[-1][0]


def _show_intervals(artifacts: Artifacts, pack: _Pack, round_: int, seat: int, chosen: tuple[int, ...]) -> str:
    """Takes the witness of every chosen interval along, with the states around it; says why where it cannot."""
    seats = range(artifacts.history.params.seats)
    for index in chosen:
        try:
            starts = [artifacts.state(artifacts.start_state(round_, other, index)) for other in seats]
            witness = take_witness(artifacts.spec, artifacts.inputs(round_, index), seat, starts)
            pack.open_state(artifacts.start_state(round_, seat, index))
            if index + 1 < artifacts.intervals:
                pack.open_state(artifacts.start_state(round_, seat, index + 1))
        except CliCooperError as e:
            return f"interval {index} cannot be shown: {e.message}"
        pack.show(index, witness)
    return ""
