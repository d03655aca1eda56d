"""The artifacts behind a history: fetched by digest, parsed strictly, kept only while they are small.

Reads alone; every method raises ``ArtifactMissing``, ``ArtifactCorrupt`` or ``SpecError`` instead of
returning something it could not check. What the artifacts mean is judged in ``checks``.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from functools import cached_property, lru_cache

import numpy as np
from eth_utils import to_checksum_address
from numpy.typing import NDArray

from clicooper.access.grants import AuditKeys
from clicooper.access.sealed_files import open_bytes
from clicooper.access.sealing import labels_file_key, open_labels, secret_digest
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import (
    ActivationRelease,
    JobSpec,
    KeyRecord,
    LabelRelease,
    SealedFile,
    SegmentManifest,
    StateLinks,
)
from clicooper.errors import ArtifactMissing, CliCooperError, SealError, SpecError
from clicooper.history.history import Commitment, History
from clicooper.learning.checkpoint import MAX_STATE_BYTES, State, decode_state
from clicooper.learning.models import require_trusted
from clicooper.learning.replay import IntervalInputs, interval_inputs
from clicooper.learning.runtime import runtime_class
from clicooper.learning.schedule import batch_rows
from clicooper.learning.transcript import Transcript, interval_count
from clicooper.storage.base import Store, get_bytes
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Address, Digest

__all__ = ["Artifacts"]

MAX_LEAVES_BYTES = 1 << 30
MAX_LABELS_BYTES = 1 << 28
NO_GRANT = "ask the job's owner for a grant, and pass the identity that it is for: --identity FILE"


class Artifacts:
    """Typed access to everything that a job's history names.

    Args:
        history: the followed record.
        store: where the artifacts are.
        keys: what the auditor was granted; keys of another job count as none.
        trusted_models: custom models whose code may run here.
        runtime: class of the machine that replays, by default this one's.
    """

    def __init__(
        self,
        history: History,
        store: Store,
        keys: AuditKeys,
        trusted_models: Collection[str] = frozenset(),
        runtime: str = "",
    ) -> None:
        self.runtime = runtime or runtime_class()
        self.trusted = frozenset(trusted_models)
        self.history = history
        self.store = store
        self.keys = keys.for_job(history.genesis)
        self.manifest = lru_cache(maxsize=None)(self._manifest)
        self.transcript = lru_cache(maxsize=64)(self._transcript)
        self.labels = lru_cache(maxsize=None)(self._labels)
        self.schedule = lru_cache(maxsize=1)(self._schedule)

    @cached_property
    def spec(self) -> JobSpec:
        """The JobSpec that the contract's parameters name.

        Raises:
            SpecError: it is for another number of seats or rounds than the contract's.
            UntrustedModel: its model is code that the auditor has not agreed to run.
        """
        params = self.history.params
        spec = JobSpec.from_block(self.store.get_block(cid_of_digest(params.spec_digest)))
        require_trusted(spec.model, self.trusted)
        plan_audit = len(spec.model.cuts) + 1, len(spec.labels)
        if plan_audit != (params.seats, params.rounds):
            raise SpecError(
                f"the spec is for {plan_audit[0]} seats and {plan_audit[1]} rounds, the job has {params.seats} and "
                f"{params.rounds}",
                hint="do not take part in this job: its owner published a spec that does not fit its terms",
            )
        return spec

    @property
    def same_class(self) -> bool:
        """Whether the machine that replays is of the class that the job was trained in, so that digests compare."""
        return self.spec.runtime_class == self.runtime

    @property
    def intervals(self) -> int:
        """Replayable intervals of a round, as the spec demands them; manifests only claim a number."""
        return interval_count(self.spec.training.steps, self.spec.replay.interval)

    @cached_property
    def release(self) -> ActivationRelease:
        """The ActivationRelease that the spec links."""
        return ActivationRelease.from_block(self.store.get_block(self.spec.activation_release))

    @cached_property
    def activations(self) -> NDArray[np.float32]:
        """The released activations, float32 (rows, *input_shape).

        Raises:
            SpecError: the release's file holds something else, or numbers that are not finite.
        """
        cid, hint = cid_text(self.release.activations), "the owner has to make a job with another release"
        try:
            state = decode_state(get_bytes(self.store, self.release.activations, MAX_STATE_BYTES))
        except SpecError as e:
            raise SpecError(f"release {cid}: {e.message}", hint=hint) from e
        found = {name: array.dtype.name for name, array in state.items()}
        if found != {"activations": "float32"}:
            raise SpecError(f"release {cid} holds {found}, not float32 activations", hint=hint)
        return state["activations"]

    def commitment(self, round_: int, seat: int) -> Commitment:
        """The commitment of a seat in a round.

        Raises:
            ArtifactMissing: the record has none.
        """
        if round_ < len(self.history.rounds):
            for commitment in self.history.rounds[round_].commitments:
                if commitment.seat == seat:
                    return commitment
        raise ArtifactMissing(f"seat {seat} committed nothing in round {round_}", cid=f"round {round_} seat {seat}")

    def _manifest(self, round_: int, seat: int) -> SegmentManifest:
        """The manifest that a seat committed in a round."""
        block = self.store.get_block(cid_of_digest(self.commitment(round_, seat).manifest_digest))
        return SegmentManifest.from_block(block)

    def _transcript(self, round_: int, seat: int) -> Transcript:
        """The transcript that a manifest links.

        Raises:
            SpecError: it is not over the steps and intervals that the spec demands.
        """
        links, spec = self.manifest(round_, seat).transcript, self.spec
        demanded = spec.training.steps, spec.replay.interval, self.intervals - 1
        claimed = links.steps, links.interval, len(links.states)
        if claimed != demanded:
            raise SpecError(
                "the manifest has {} steps, intervals of {} and {} states between them, the spec demands {}, {} "
                "and {}".format(*claimed, *demanded),
                hint="the trainer did other work than the job's",
            )
        transcript = Transcript.from_bytes(self.open_file(links.leaves, MAX_LEAVES_BYTES), links.interval)
        if len(transcript.steps) != links.steps:
            raise SpecError(
                f"a transcript of {len(transcript.steps)} steps, where its manifest says {links.steps}",
                hint="the trainer published another transcript than it committed",
            )
        return transcript

    @cached_property
    def registered(self) -> dict[Address, Digest]:
        """By trainer, the digest of the sealing secret that it registered; without those whose records are damaged."""
        found: dict[Address, Digest] = {}
        for seat in self.history.holders:
            try:
                found[seat.trainer] = Digest(KeyRecord.from_block(seat.key_record).secret_digest)
            except SpecError:
                continue
        return found

    def secret_of(self, author: bytes) -> bytes:
        """The sealing secret of an author, known to be the one that it registered.

        Only then does a file that does not open convict its author, who has no part in a wrong grant.

        Raises:
            SealError: it was not granted, or something else was.
        """
        address = Address(to_checksum_address(author))
        secret = self.keys.sealing.get(address)
        if secret is None:
            raise SealError(f"the sealing secret of {address} was not granted", hint=NO_GRANT)
        if not hmac.compare_digest(secret_digest(secret), self.registered.get(address, b"")):
            raise SealError(
                f"what was granted as the sealing secret of {address} is not what it registered",
                hint="ask the owner for another grant; this proves nothing against the trainer",
            )
        return secret

    def open_file(self, sealed: SealedFile, max_bytes: int = MAX_STATE_BYTES) -> bytes:
        """The plaintext of a sealed file.

        Raises:
            SealError: its author's secret is not at hand.
            SealBroken: it does not open under that secret.
        """
        return open_bytes(self.store, sealed, self.secret_of(sealed.author), max_bytes)

    def state_file(self, sealed: SealedFile) -> State:
        """A sealed safetensors file as arrays by name; raises as ``open_file``, and SpecError for other content."""
        return decode_state(self.open_file(sealed))

    def state(self, links: StateLinks) -> tuple[State, State | None]:
        """Weights and optimizer state."""
        return self.state_file(links.weights), None if links.optimizer is None else self.state_file(links.optimizer)

    def start_state(self, round_: int, seat: int, interval: int) -> StateLinks:
        """Links to the committed state that an interval starts from.

        Raises:
            SpecError: the seat committed no such state.
        """
        manifest = self.manifest(round_, seat)
        if interval == 0:
            return manifest.state_in
        if interval > len(manifest.transcript.states):
            raise SpecError(
                f"seat {seat} committed no state at the start of interval {interval}",
                hint="the trainer did other work than the job's",
            )
        return manifest.transcript.states[interval - 1]

    def _labels(self, round_: int) -> LabelRelease:
        """The opened labels of a round.

        Raises:
            SealError: the label secret was not granted, or does not open them.
        """
        if self.keys.label_secret is None:
            raise SealError("the label secret was not granted", hint=NO_GRANT)
        if not 0 <= round_ < min(len(self.history.rounds), len(self.spec.labels)):
            raise ArtifactMissing(f"the labels of round {round_} are not released", cid=f"labels of round {round_}")
        sealed = self.spec.labels[round_]
        ciphertext = get_bytes(self.store, sealed.ciphertext, max_bytes=MAX_LABELS_BYTES)
        key = labels_file_key(self.keys.label_secret, self.history.rounds[round_].label_key)
        return LabelRelease.from_block(open_labels(ciphertext, key, Digest(sealed.plaintext_digest)))

    def intervals_or(self, otherwise: int) -> int:
        """Intervals of a round, ``otherwise`` where the spec cannot be read."""
        try:
            return self.intervals
        except CliCooperError:
            return otherwise

    def spec_steps(self) -> int:
        """Steps of a round, 0 where the spec cannot be read."""
        try:
            return self.spec.training.steps
        except CliCooperError:
            return 0

    def pseudo_labels_until(self, round_: int) -> NDArray[np.int64]:
        """Pseudo-labels of all rows that a round may train on, in row order."""
        opened = [label for r in range(round_ + 1) for label in self.labels(r).pseudo_labels]
        return np.asarray(opened, dtype=np.int64)

    def _schedule(self, round_: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pseudo-labels of the rows of a round, and which rows each of its steps trains on, int64 (steps, batch)."""
        labels = self.pseudo_labels_until(round_)
        return labels, batch_rows(self.spec.seeds, round_, labels.size, self.spec.training)

    def inputs(self, round_: int, interval: int, count: int = 1) -> IntervalInputs:
        """What ``count`` intervals in a row train on, by release, opened labels and schedule."""
        labels, rows = self.schedule(round_)
        return interval_inputs(self.spec, round_, interval, self.activations, labels, rows, count)
