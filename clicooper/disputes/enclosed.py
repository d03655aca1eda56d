"""The artifacts in evidence, by the same typed access as those in a store; nothing else is asked.

Sealed files are there as plaintext and believed by the digest in their manifest; opened labels by the digest in the
spec; transcript steps by their proofs; rows of the release by the leaves that hang below its name.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clicooper.access.grants import AuditKeys, ProgressKey
from clicooper.access.sealing import secret_digest
from clicooper.audit.artifacts import Artifacts, committed_by
from clicooper.chain.client import TranscriptStep
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.head import mark_commitment
from clicooper.commitments.manifest import KeyRecord, LabelRelease, SealedFile
from clicooper.commitments.merkle import merkle_verify, transcript_leaf
from clicooper.disputes.evidence import SeatRows
from clicooper.disputes.evidence_file import OpenedEvidence
from clicooper.disputes.head_proof import history_of
from clicooper.disputes.release_rows import ReleaseRows
from clicooper.errors import ArtifactMalformed, ArtifactMissing, EvidenceUnusable, SpecError
from clicooper.learning.transcript import ROW_BYTES, StepDigests, interval_bounds, rows_from_bytes
from clicooper.storage.base import Store, get_bytes
from clicooper.storage.ipld.cid import read_file
from clicooper.types import ACCUSED_OWNER, Digest

__all__ = ["EnclosedArtifacts", "ProvenStep"]

HASH_BYTES = 32


@dataclass(frozen=True)
class ProvenStep:
    """One step of a seat's transcript with the proof that its manifest contains it, as the contract takes both."""

    number: int
    digests: StepDigests
    proof: tuple[Digest, ...]

    @property
    def step(self) -> TranscriptStep:
        """The step as the contract takes it."""
        return TranscriptStep(self.number, **vars(self.digests))

    def leads_to(self, root: bytes) -> bool:
        """Whether the proof ends in ``root``."""
        return merkle_verify(Digest(root), transcript_leaf(self.number, *vars(self.digests).values()), self.proof)


class EnclosedArtifacts(Artifacts):
    """Typed access to what evidence holds.

    Args:
        opened: the evidence.
        trusted_models: custom models whose code may run here.
        runtime: class of the machine that replays, by default this one's.
        public: where rows of the release are read that the evidence leaves out, since everybody can have them.

    Raises:
        EvidenceUnusable: its head proof, terms and keys do not fit together.
    """

    def __init__(
        self,
        opened: OpenedEvidence,
        trusted_models: Collection[str] = frozenset(),
        runtime: str = "",
        public: Store | None = None,
    ) -> None:
        evidence = opened.evidence
        revealed = evidence.progress
        keys = AuditKeys()
        if revealed is not None and evidence.accused is not None:
            key = ProgressKey(revealed.key, revealed.ownership_key_hash)
            keys = AuditKeys(progress={(evidence.round, evidence.accused): key})
        super().__init__(history_of(evidence), opened.blocks, keys, trusted_models, runtime)
        self.evidence = evidence
        self._with_public = opened.blocks.before(public)
        self._contents = {file.plaintext_digest: file.content for file in evidence.files}

    def read_sealed(self, sealed: SealedFile, max_bytes: int) -> bytes:
        """The plaintext of a sealed file; its author is answerable for what it holds.

        Raises:
            ArtifactMissing: it is not in the evidence.
            EvidenceUnusable: what is there is not what its manifest says.
            ArtifactMalformed: it is, and is larger than it may be.
        """
        name, cid = f"0x{sealed.plaintext_digest.hex()}", self._contents.get(sealed.plaintext_digest)
        if cid is None:
            hint = "ask its maker for evidence that holds it"
            raise ArtifactMissing(f"the evidence does not hold file {name}", cid=name, hint=hint)
        # Before anything is held against the author, its size too: the maker of the evidence chose what is here.
        running = hashlib.sha256()
        try:
            for piece in read_file(cid, self.store.get_block):
                running.update(piece)
        except ArtifactMalformed as e:
            raise _unusable(f"no file under {name}: {e.message}") from e
        if not hmac.compare_digest(running.digest(), sealed.plaintext_digest):
            raise _unusable(f"another file than {name}")
        return get_bytes(self.store, cid, max_bytes)

    def proven_steps(self, seat: int) -> tuple[ProvenStep, ...]:
        """The steps of the evidence's interval in one seat's transcript.

        Raises:
            EvidenceUnusable: they are other steps, or not proven.
        """
        evidence, training = self.evidence, self.spec.training
        first, last = interval_bounds(evidence.interval or 0, training.steps, self.spec.replay.interval)
        if len(evidence.rows) != self.history.params.seats:
            raise _unusable(f"transcript steps of {len(evidence.rows)} seats instead of {self.history.params.seats}")
        try:
            held = SeatRows.from_block(self.store.get_block(evidence.rows[seat]))
        except SpecError as e:
            raise _unusable(e.message) from e
        sizes = held.seat, held.first, len(held.rows), len(held.proofs)
        if sizes != (seat, first, (last - first) * ROW_BYTES, last - first):
            raise _unusable(f"other transcript steps of seat {seat} than those of its interval")
        steps = tuple(_proven(held, step) for step in range(first, last))
        root = self.manifest(evidence.round, seat).training_transcript_merkle_root
        for proven in steps:
            if not proven.leads_to(root):
                raise _unusable(f"step {proven.number} of seat {seat} is not proven to be in its transcript")
        return steps

    def release_rows(self, wanted: NDArray[np.int64]) -> ReleaseRows:
        """Rows of the release, for their numbers."""
        return ReleaseRows(self.release, self._with_public, wanted)

    def require_committed_key(self) -> None:
        """Raises EvidenceUnusable unless the progress key is the one that the accused committed to."""
        evidence, revealed = self.evidence, self.evidence.progress
        committed = self.commitment(evidence.round, evidence.accused or 0).mark_commitment
        if revealed is None or mark_commitment(revealed.key, Digest(revealed.ownership_key_hash)) != committed:
            raise _unusable("the progress key is not the one that was committed, which proves nothing against anybody")

    def registered_secret(self) -> bytes:
        """The accused trainer's sealing secret; that its key record is the registered one, the chain has to say.

        Raises:
            EvidenceUnusable: there is none, or another one than the key record names.
        """
        revealed = self.evidence.sealing
        if revealed is None:
            raise _unusable("no sealing secret")
        try:
            named = KeyRecord.from_block(revealed.key_record).secret_digest
        except SpecError as e:
            raise _unusable(f"a key record that cannot be read: {e.message}") from e
        if secret_digest(revealed.secret) != named:
            raise _unusable("another sealing secret than the trainer registered, which proves nothing against it")
        return revealed.secret

    def _labels(self, round_: int) -> LabelRelease:
        """The opened labels of a round, whose digest the spec names."""
        digest = Digest(self.spec.labels[round_].plaintext_digest)
        block = self.store.get_block(cid_of_digest(digest))
        with committed_by(ACCUSED_OWNER, f"the labels of round {round_}", round_):
            return LabelRelease.from_block(block)


def _proven(held: SeatRows, step: int) -> ProvenStep:
    at = step - held.first
    row, proof = held.rows[at * ROW_BYTES : (at + 1) * ROW_BYTES], held.proofs[at]
    if len(proof) % HASH_BYTES:
        raise _unusable(f"the proof of step {step} has {len(proof)} bytes")
    siblings = tuple(Digest(proof[i : i + HASH_BYTES]) for i in range(0, len(proof), HASH_BYTES))
    return ProvenStep(step, rows_from_bytes(row)[0], siblings)


def _unusable(problem: str) -> EvidenceUnusable:
    return EvidenceUnusable(f"the evidence holds {problem}", hint="ask its maker for another copy")
