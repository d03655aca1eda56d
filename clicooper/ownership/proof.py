"""What a trainer puts into an ownership claim: one opened commitment, its files in the clear, a witness of its work.

A bundle holds exactly what ``claims`` needs and nothing of another round, seat or key. Intervals are drawn from the
hash of the block that accepted the round, which was unknown when the work was committed. Their witness comes out of
replaying all seats together, so it takes a grant that opens the other seats' states and the labels.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from eth_abi import encode as abi_encode
from eth_utils import keccak
from multiformats import CID

from clicooper.access.grants import AuditKeys
from clicooper.access.sealing import sealing_secret
from clicooper.access.vault import TrainerSecrets
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.committed_states import open_start
from clicooper.audit.excerpt import Excerpt
from clicooper.audit.replay.sampling import sample_intervals
from clicooper.chain.events import LoggedEvent
from clicooper.chain.record import JobRecord
from clicooper.commitments.head import PARAMS_TYPE, mark_commitment, params_to_abi
from clicooper.commitments.manifest import SegmentManifest
from clicooper.commitments.ownership import OpenedInterval, OwnershipBundle, claim_seed, opened_commits
from clicooper.errors import CliCooperError, UsageError
from clicooper.files import whole_file
from clicooper.history.follow import follow_record
from clicooper.history.history import Commitment, History, Round
from clicooper.learning.checkpoint import state_bytes
from clicooper.learning.witness import take_witness
from clicooper.storage.base import Store
from clicooper.storage.ipld.car import write_car
from clicooper.types import Digest, Head, address_bytes
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
        record, store: the job's events, and where its artifacts are.
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
    keys = _keys_behind(history, commitment, secrets)
    known = _with_own_secret(granted, history, commitment, secrets)
    excerpt = Excerpt(Artifacts(history, store, known, trusted_models))
    manifest, previous = _take_seat(excerpt, round_, seat)
    seed = claim_seed(settled.block_hash, head)
    drawn = sample_intervals(seed, seat, excerpt.artifacts.intervals, samples)
    shown, unshown = _show_intervals(excerpt, round_, seat, drawn)
    bundle = OwnershipBundle(
        chain_id=history.chain_id,
        contract=address_bytes(history.contract),
        job=history.job,
        owner=address_bytes(history.owner),
        params=abi_encode([PARAMS_TYPE], [params_to_abi(history.params)]),
        created_block=record.events[0].block_number,
        round=round_,
        seat=seat,
        block=commitment.logged.block_number,
        settled_block=settled.block_number,
        settled_hash=settled.block_hash,
        head_before=commitment.head_before,
        commits=opened_commits([(c.trainer, c.manifest_digest, c.mark_commitment) for c in ended.commitments[seat:]]),
        progress_key_hash=keccak(keys.progress),
        ownership_key=keys.ownership,
        spec=excerpt.add_record(excerpt.artifacts.spec),
        manifest=manifest.cid,
        previous=previous,
        files=excerpt.files,
        intervals=shown,
        suspect_digest=suspect_digest,
    )
    return OwnershipProof(bundle, {bundle.cid: bundle.to_block(), **excerpt.blocks}, unshown)


def _with_own_secret(
    granted: AuditKeys, history: History, commitment: Commitment, secrets: TrainerSecrets
) -> AuditKeys:
    sealing = {commitment.trainer: sealing_secret(secrets.secret, history.genesis)}
    return granted.for_job(history.genesis).with_more(AuditKeys(sealing=sealing))


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


def _keys_behind(history: History, commitment: Commitment, secrets: TrainerSecrets) -> MarkKeys:
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


def _take_seat(excerpt: Excerpt, round_: int, seat: int) -> tuple[SegmentManifest, tuple[CID, ...]]:
    """Takes a seat's manifest with its files, and its manifests of the rounds before, the latest first."""
    manifest = excerpt.take_manifest(round_, seat)
    previous = tuple(excerpt.take_manifest(before, seat).cid for before in reversed(range(round_)))
    excerpt.open(manifest.trained, manifest.out, manifest.optimizer, manifest.transcript.leaves)
    return manifest, previous


def _show_intervals(
    excerpt: Excerpt, round_: int, seat: int, chosen: tuple[int, ...]
) -> tuple[tuple[OpenedInterval, ...], str]:
    """Takes the witness of every chosen interval with the states around it; says why where it cannot."""
    artifacts, shown = excerpt.artifacts, list[OpenedInterval]()
    for index in chosen:
        try:
            states = [open_start(artifacts, round_, other, index) for other in range(artifacts.history.params.seats)]
            witness = take_witness(artifacts.spec, artifacts.inputs(round_, index), seat, states)
            start = artifacts.start_state(round_, seat, index)
            excerpt.open(*start.files, *artifacts.manifest(round_, seat).state_after(index).files)
        except CliCooperError as e:
            return tuple(shown), f"interval {index} cannot be shown: {e.message}"
        crossings = excerpt.add_file(state_bytes(witness.to_state()))
        shown.append(OpenedInterval(index=index, crossings=crossings))
    return tuple(shown), ""
