"""The artifacts behind a history: fetched by digest, parsed strictly, kept only while they are small.

Reads alone; every method raises instead of returning something that it could not check. Genuine bytes that are not
what the protocol has in their place raise ``Contradiction`` of who committed them; every other error says that this
machine, its store or the terms keep something from being read. What the artifacts mean is judged in ``checks``.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
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
from clicooper.errors import (
    ArtifactMalformed,
    ArtifactMissing,
    CliCooperError,
    Contradiction,
    SealBroken,
    SealError,
    SpecError,
)
from clicooper.history.history import Commitment, History
from clicooper.learning.checkpoint import MAX_STATE_BYTES, State, decode_state
from clicooper.learning.models import require_trusted
from clicooper.learning.replay import IntervalInputs, interval_inputs
from clicooper.learning.runtime import numpy_of, runtime_class
from clicooper.learning.schedule import batch_rows
from clicooper.learning.state_domain import state_domain, state_size_limit
from clicooper.learning.terms import check_terms
from clicooper.learning.transcript import ROW_BYTES, Transcript, interval_count
from clicooper.storage.base import Store, get_bytes
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import ACCUSED_OWNER, Address, Digest, address_bytes

__all__ = ["MALFORMED", "Artifacts", "committed_by"]

MAX_LABELS_BYTES = 1 << 28
HEADER_BYTES = 1 << 16
"""Room for what a safetensors file says of its one tensor before the numbers begin."""
NO_GRANT = "ask the job's owner for a grant, and pass the identity that it is for: --identity FILE"


MALFORMED = (ArtifactMalformed, SealBroken)
"""What a reader of genuine bytes raises where they are no file of this protocol."""


@contextmanager
def committed_by(
    party: int, what: str, round_: int | None = None, errors: tuple[type[CliCooperError], ...] = (SpecError,)
) -> Iterator[None]:
    """Holds genuine bytes that cannot be used against who committed them.

    Only what reads such bytes belongs in the block: an error of anything else is nobody's fault.

    Args:
        party: a seat, or ``ACCUSED_OWNER``.
        what: the bytes, put before the message.
        round_: in which they were committed; None for what stands before every round.
        errors: those of a decoder; ``MALFORMED`` where bytes are read, for then a store may raise all others.

    Raises:
        Contradiction: in the place of every error that says what is wrong with the bytes.
    """
    try:
        yield
    except errors as e:
        message, expected = f"{what}: {e.message}", "as the protocol writes it"
        raise Contradiction(
            message, party=party, round_=round_, expected=expected, actual=e.message, hint=e.hint
        ) from e


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
        self._sealed_in: dict[SealedFile, tuple[int, int | None]] = {}

    @cached_property
    def spec(self) -> JobSpec:
        """The JobSpec that the contract's parameters name.

        Raises:
            Contradiction: of the owner: it is no spec, breaks a limit, or does not fit the contract's parameters.
            UntrustedModel: its model is code that the auditor has not agreed to run.
        """
        params = self.history.params
        block = self.store.get_block(cid_of_digest(params.spec_digest))
        with committed_by(ACCUSED_OWNER, "the job's specification"):
            spec = JobSpec.from_block(block)
            check_terms(spec, params)
        require_trusted(spec.model, self.trusted)
        return spec

    @property
    def same_class(self) -> bool:
        """Whether the machine that replays is of the class that the job was trained in, so that digests compare."""
        return self.spec.runtime_class == self.runtime

    @property
    def draws_alike(self) -> bool:
        """Whether this machine draws the public random numbers of the job: NumPy may change its streams in a release.

        Where it does not, a difference in initial weights or batches says nothing about who committed them.
        """
        return numpy_of(self.spec.runtime_class) == numpy_of(self.runtime)

    @property
    def intervals(self) -> int:
        """Replayable intervals of a round, as the spec demands them; manifests only claim a number."""
        return interval_count(self.spec.training.steps, self.spec.replay.interval)

    @cached_property
    def release(self) -> ActivationRelease:
        """The ActivationRelease that the spec links."""
        block = self.store.get_block(self.spec.activation_release)
        with committed_by(ACCUSED_OWNER, "the release"):
            return ActivationRelease.from_block(block)

    @cached_property
    def activations(self) -> NDArray[np.float32]:
        """The released activations, float32 (rows, *input_shape).

        Raises:
            Contradiction: of the owner: the release's file holds something else, or numbers that are not finite.
        """
        cid, hint = self.release.activations, "the owner has to make a job with another release"
        shape, rows = self.spec.model.input_shape, self.spec.rows_until(len(self.spec.labels) - 1)
        with committed_by(ACCUSED_OWNER, f"release {cid_text(cid)}", errors=MALFORMED):
            data = get_bytes(self.store, cid, HEADER_BYTES + 4 * rows * math.prod(shape))
        with committed_by(ACCUSED_OWNER, f"release {cid_text(cid)}"):
            try:
                state = decode_state(data)
            except SpecError as e:
                raise SpecError(e.message, hint=hint) from e
            found = {name: array.dtype.name for name, array in state.items()}
            if found != {"activations": "float32"}:
                raise SpecError(f"it holds {found}, not float32 activations", hint=hint)
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
        """The manifest that a seat committed in a round.

        Raises:
            Contradiction: of the seat: what it committed is no manifest.
        """
        commitment = self.commitment(round_, seat)
        block = self.store.get_block(cid_of_digest(commitment.manifest_digest))
        with committed_by(seat, f"what seat {seat} committed in round {round_} is no manifest", round_):
            manifest = SegmentManifest.from_block(block)
        self._note_author(manifest, commitment)
        return manifest

    def _note_author(self, manifest: SegmentManifest, commitment: Commitment) -> None:
        """Notes which seat answers for a file: the one that committed it as its own, under its own secret."""
        author = address_bytes(commitment.trainer)
        for sealed in manifest.own_files:
            if sealed.author == author:
                round_ = commitment.round if sealed not in self._sealed_in else None
                self._sealed_in[sealed] = commitment.seat, round_

    def _transcript(self, round_: int, seat: int) -> Transcript:
        """The transcript that a manifest links.

        Raises:
            Contradiction: of the seat: it is no transcript over the steps and intervals that the spec demands.
        """
        links, spec = self.manifest(round_, seat).transcript, self.spec
        demanded = spec.training.steps, spec.replay.interval, self.intervals - 1
        claimed = links.steps, links.interval, len(links.states)
        with committed_by(seat, f"the transcript of seat {seat}", round_):
            if claimed != demanded:
                raise SpecError(
                    "its manifest has {} steps, intervals of {} and {} states between them, the spec demands {}, {} "
                    "and {}".format(*claimed, *demanded),
                    hint="the trainer did other work than the job's",
                )
        data = self.open_file(links.leaves, ROW_BYTES * links.steps)
        with committed_by(seat, f"the transcript of seat {seat}", round_):
            transcript = Transcript.from_bytes(data, links.interval)
            if len(transcript.steps) != links.steps:
                raise SpecError(
                    f"it has {len(transcript.steps)} steps, where its manifest says {links.steps}",
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
            Contradiction: of who committed it: it does not open under that secret, or is no file of this protocol.
            SealBroken, ArtifactMalformed: likewise, of a file that no manifest read so far names as its author's.
        """
        with self._held_against_author(sealed, MALFORMED):
            return self.read_sealed(sealed, max_bytes)

    def read_sealed(self, sealed: SealedFile, max_bytes: int) -> bytes:
        """As ``open_file``, held against nobody yet.

        Raises:
            SealError: its author's secret is not at hand.
            SealBroken, ArtifactMalformed: whoever committed the file is answerable for it.
        """
        return open_bytes(self.store, sealed, self.secret_of(sealed.author), max_bytes)

    def state_file(self, sealed: SealedFile) -> State:
        """A sealed safetensors file as arrays by name; raises as ``open_file``, likewise for other content."""
        data = self.open_file(sealed, self.most_state_bytes)
        with self._held_against_author(sealed):
            return decode_state(data)

    @cached_property
    def most_state_bytes(self) -> int:
        """The size of the largest state file that any seat of the job can have; a larger one is not read."""
        model, training = self.spec.model, self.spec.training
        domains = [state_domain(model, training, seat) for seat in range(self.history.params.seats)]
        return max(state_size_limit(forms) for one in domains for forms in (one.weights, one.moments))

    @contextmanager
    def _held_against_author(
        self, sealed: SealedFile, errors: tuple[type[CliCooperError], ...] = (SpecError,)
    ) -> Iterator[None]:
        """As ``committed_by``, of the seat that is known to have committed the file as its own, if there is one."""
        if sealed not in self._sealed_in:
            yield
            return
        seat, round_ = self._sealed_in[sealed]
        with committed_by(seat, f"file {cid_text(sealed.ciphertext)} of seat {seat}", round_, errors):
            yield

    def state(self, links: StateLinks) -> tuple[State, State | None]:
        """Weights and optimizer state."""
        return self.state_file(links.weights), None if links.optimizer is None else self.state_file(links.optimizer)

    def start_state(self, round_: int, seat: int, interval: int) -> StateLinks:
        """Links to the committed state that an interval starts from.

        Raises:
            Contradiction: of the seat: it committed no such state.
        """
        manifest = self.manifest(round_, seat)
        if interval == 0:
            return manifest.state_in
        with committed_by(seat, f"the manifest of seat {seat}", round_):
            if interval > len(manifest.transcript.states):
                raise SpecError(
                    f"it names no state at the start of interval {interval}",
                    hint="the trainer did other work than the job's",
                )
        return manifest.transcript.states[interval - 1]

    def _labels(self, round_: int) -> LabelRelease:
        """The opened labels of a round.

        Raises:
            SealError: the label secret was not granted, or does not open them.
            Contradiction: of the owner: what they open to are no labels.
        """
        if self.keys.label_secret is None:
            raise SealError("the label secret was not granted", hint=NO_GRANT)
        if not 0 <= round_ < min(len(self.history.rounds), len(self.spec.labels)):
            raise ArtifactMissing(f"the labels of round {round_} are not released", cid=f"labels of round {round_}")
        sealed = self.spec.labels[round_]
        key = labels_file_key(self.keys.label_secret, self.history.rounds[round_].label_key)
        what = f"the labels of round {round_}"
        with committed_by(ACCUSED_OWNER, what, round_, MALFORMED):
            ciphertext = get_bytes(self.store, sealed.ciphertext, max_bytes=MAX_LABELS_BYTES)
        block = open_labels(ciphertext, key, Digest(sealed.plaintext_digest))
        with committed_by(ACCUSED_OWNER, what, round_):
            return LabelRelease.from_block(block)

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
