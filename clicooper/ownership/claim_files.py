"""What an ownership bundle carries: records, and plaintexts of files, each proven by a digest that was committed.

Reads alone; every method raises instead of returning something that it could not check.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from clicooper.commitments.canonical import digest_of_cid, sha256
from clicooper.commitments.manifest import JobSpec, SealedFile, SegmentManifest, StateLinks
from clicooper.commitments.ownership import OwnershipBundle
from clicooper.errors import ArtifactMissing, VerificationFailed
from clicooper.learning.checkpoint import MAX_STATE_BYTES, State, decode_state
from clicooper.learning.models import require_trusted
from clicooper.learning.segments import initial_state
from clicooper.learning.terms import check_spec
from clicooper.learning.transcript import Transcript, interval_count
from clicooper.learning.witness import Witness
from clicooper.storage.base import Store, get_bytes
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Digest, Head, JobId
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.keys import MarkPurpose, mark_seed

__all__ = ["FORGED", "ClaimFiles"]

FORGED = "the claim is forged, or its file is damaged"


class ClaimFiles:
    """Typed access to one bundle.

    Args:
        store: where the bundle's blocks are.
        bundle: the claim.
        trusted_models: custom models whose code may run here.
    """

    def __init__(self, store: Store, bundle: OwnershipBundle, trusted_models: Collection[str] = frozenset()) -> None:
        self.bundle = bundle
        self._store = store
        self._trusted_models = trusted_models
        self._states: dict[bytes, State] = {}

    @cached_property
    def spec(self) -> JobSpec:
        """The job's spec, which the opened terms name.

        Raises:
            VerificationFailed: it is another one, or it is not for this seat and round.
            SpecError: terms that nobody could have trained under.
            UntrustedModel: its model is code that the reader has not agreed to run.
        """
        bundle = self.bundle
        if digest_of_cid(bundle.spec) != bundle.spec_digest:
            raise VerificationFailed("the spec is not the one that the job's terms name", hint=FORGED)
        spec = JobSpec.from_block(self._store.get_block(bundle.spec))
        check_spec(spec)
        require_trusted(spec.model, self._trusted_models)
        if bundle.seat >= self.seats(spec) or bundle.round >= len(spec.labels):
            raise VerificationFailed("the job has no such seat or round", hint=FORGED)
        return spec

    @staticmethod
    def seats(spec: JobSpec) -> int:
        """How many segments a spec has."""
        return len(spec.model.cuts) + 1

    @cached_property
    def manifest(self) -> SegmentManifest:
        """The committed manifest.

        Raises:
            VerificationFailed: it is not the committed one, or is of another job, round, seat or trainer.
        """
        bundle, opened = self.bundle, self.bundle.commits[0]
        manifest = SegmentManifest.from_block(self._store.get_block(bundle.manifest))
        said = manifest.job, manifest.round, manifest.seat, manifest.trainer, manifest.mark_commitment, manifest.digest
        committed = bundle.job, bundle.round, bundle.seat, opened.trainer, opened.mark_commitment
        if said != (*committed, opened.manifest_digest) or manifest.spec != bundle.spec:
            raise VerificationFailed("the manifest is not the committed one", hint=FORGED)
        return manifest

    @cached_property
    def transcript(self) -> Transcript:
        """The seat's transcript of the round.

        Raises:
            VerificationFailed: its root is not the committed one, or it is not over the steps that the spec demands.
        """
        links, spec = self.manifest.transcript, self.spec
        transcript = Transcript.from_bytes(self.plaintext(links.leaves), spec.replay.interval)
        if transcript.root != self.manifest.training_transcript_merkle_root:
            raise VerificationFailed("the transcript is not the committed one", hint=FORGED)
        if len(transcript.steps) != spec.training.steps or len(links.states) != self.intervals - 1:
            raise VerificationFailed(
                "the transcript is not over the round's steps",
                hint="do not accept the claim: it shows other work than what was committed",
            )
        return transcript

    @property
    def intervals(self) -> int:
        """Intervals of the round."""
        return interval_count(self.spec.training.steps, self.spec.replay.interval)

    @property
    def mark_params(self) -> MarkParams:
        """Size and strength of the job's marks."""
        return MarkParams(self.spec.marks.bits, self.spec.marks.strength)

    @property
    def mark_seed(self) -> bytes:
        """Seed of the opened ownership mark: of this head, seat, round, trainer and training alone."""
        bundle, root = self.bundle, Digest(self.manifest.training_transcript_merkle_root)
        key, place = bundle.ownership_key, (JobId(bundle.job), bundle.round, bundle.seat)
        return mark_seed(key, MarkPurpose.OWNERSHIP, self.head_before, *place, bundle.trainer, root)

    @cached_property
    def start(self) -> State:
        """The public weights with which the seat's segment began in round 0."""
        return initial_state(self.spec.model, self.spec.seeds, self.bundle.seat)

    @cached_property
    def previous(self) -> tuple[SegmentManifest, ...]:
        """The seat's manifests of the rounds before, the latest first."""
        return tuple(SegmentManifest.from_block(self._store.get_block(cid)) for cid in self.bundle.previous)

    def plaintext(self, sealed: SealedFile) -> bytes:
        """A file that a manifest names.

        Raises:
            ArtifactMissing: the bundle does not have it.
            VerificationFailed: what it has instead is something else.
        """
        for opened in self.bundle.files:
            if opened.plaintext_digest == sealed.plaintext_digest:
                content = get_bytes(self._store, opened.content, MAX_STATE_BYTES)
                if sha256(content) != sealed.plaintext_digest:
                    raise VerificationFailed("an opened file is not the committed one", hint=FORGED)
                return content
        text = cid_text(sealed.ciphertext)
        raise ArtifactMissing(f"the bundle does not open file {text}", cid=text, hint="make the bundle again")

    def state(self, sealed: SealedFile) -> State:
        """A file of tensors; raises as ``plaintext``."""
        if sealed.plaintext_digest not in self._states:
            self._states[sealed.plaintext_digest] = decode_state(self.plaintext(sealed))
        return self._states[sealed.plaintext_digest]

    def states(self, links: StateLinks) -> tuple[State, State | None]:
        """Weights and optimizer state."""
        return self.state(links.weights), None if links.optimizer is None else self.state(links.optimizer)

    def witness(self, index: int) -> Witness:
        """What crossed the seat's boundaries in an interval.

        Raises:
            ArtifactMissing: the bundle does not show it.
        """
        for shown in self.bundle.intervals:
            if shown.index == index:
                return Witness.from_state(decode_state(get_bytes(self._store, shown.crossings, MAX_STATE_BYTES)))
        raise ArtifactMissing(
            f"interval {index}, which was drawn, is not shown", cid="", hint="ask the claimant for it, with a grant"
        )

    @property
    def head_before(self) -> Head:
        """The head just before the commitment."""
        return Head(self.bundle.head_before)

    def require_consistent(self) -> None:
        """Whether the opened commitment fits the job's terms, the manifest and the key.

        Raises:
            VerificationFailed: it does not.
        """
        bundle = self.bundle
        if not bundle.key_opens:
            raise VerificationFailed("the opened key is not the committed one", hint=FORGED)
        if bundle.seat + len(bundle.commits) != self.seats(self.spec):
            raise VerificationFailed("the claim does not open every later seat", hint=FORGED)
        if self.manifest.cid != bundle.manifest:
            raise VerificationFailed("the manifest is not the committed one", hint=FORGED)
