"""The records of the artifact plane: what each block says.

Links are CIDs, so a job is one IPLD graph that starts at any manifest.

Sealing, storing and fetching are the job of ``clicooper.storage``.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from clicooper.commitments.records import (
    AgeRecipient,
    Bytes20,
    Bytes32,
    Count,
    Ints,
    Link,
    Number,
    Part,
    Positive,
    PositiveNumber,
    Record,
)

__all__ = [
    "ActivationRelease",
    "BoundaryDigests",
    "JobSpec",
    "KeyRecord",
    "LabelRelease",
    "MarkSpec",
    "ModelSpec",
    "ReleaseSpec",
    "ReplaySpec",
    "SealedFile",
    "SealedLabels",
    "SeedSpec",
    "SegmentManifest",
    "StateLinks",
    "TrainingSpec",
    "TranscriptLinks",
]


class ModelSpec(Part):
    """A model as a list of blocks with cut points.

    Attributes:
        kind: ``mlp``, ``cnn``, ``resnet18``, ``vit``, or ``package.module:function`` returning a list of ``nn.Module``.
        input_shape: shape of one released activation.
        outputs: number of pseudo-labels.
        widths: kind-specific sizes (hidden widths of an MLP, channels of a CNN).
        cuts: block indices at which a new segment starts; ``seats - 1`` of them, increasing.
        code: of a model of one's own, ``learning.model_code.code_digest`` of its sources; None, which is not written,
            for a built-in kind.
    """

    kind: str
    input_shape: Ints
    outputs: Positive
    widths: Ints
    cuts: Ints
    code: Bytes32 | None = None

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        if self.code is None:
            del fields["code"]
        return fields


class TrainingSpec(Part):
    """Hyper-parameters that every seat trains with.

    Attributes:
        steps: optimizer steps of a round.
        batch: records of a step.
        input_scale: factor on released activations before they enter seat 0.
        input_noise: standard deviation of the Gaussian noise added per step after scaling, public and seeded.
        label_smoothing: in [0, 1).
        label_noise: share of rows whose pseudo-label was drawn uniformly, in [0, 1), for the forward correction of the
            loss. 0 is not written, so that specs without it keep their bytes.
    """

    optimizer: Literal["sgd", "adamw"]
    learning_rate: PositiveNumber
    momentum: Number
    weight_decay: Number
    steps: Positive
    batch: Positive
    input_scale: PositiveNumber
    input_noise: Number
    label_smoothing: Number
    label_noise: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        if not self.label_noise:
            del fields["label_noise"]
        return fields


class SeedSpec(Part):
    """Public seeds of the NumPy generators for initial weights, data order and input noise."""

    weights: Count
    batches: Count
    noise: Count


class ReleaseSpec(Part):
    """What is claimed of the activation release; see ``privacy.release.Statement`` for the words.

    Attributes:
        epsilon, delta: of the release and a head that was trained on the same records, together.
        sigma: root mean square of the noise on a coordinate.
        label_epsilon: of the randomised response behind the labels; None, which is not written, where they are true.
        mechanism: what made the noise; ``gaussian`` is not written.
        head_epsilon: of a head by DP-SGD, a part of ``epsilon``; None, which is not written, for other heads.
    """

    epsilon: PositiveNumber
    delta: PositiveNumber
    adjacency: str
    sigma: PositiveNumber
    clip: PositiveNumber
    group: Positive
    grid: PositiveNumber
    gamma: Ints
    m: Positive
    records: Positive
    secure: bool
    label_epsilon: Annotated[float, Field(gt=0, le=64)] | None = None
    mechanism: Literal["gaussian", "privunit"] = "gaussian"
    head_epsilon: PositiveNumber | None = None

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        unsaid = {"label_epsilon": None, "mechanism": "gaussian", "head_epsilon": None}
        return {name: value for name, value in fields.items() if name not in unsaid or value != unsaid[name]}


class MarkSpec(Part):
    """Watermark parameters: ``bits`` carriers a purpose, margin ``strength`` in units of the weights' rms."""

    bits: Positive
    strength: PositiveNumber


class ReplaySpec(Part):
    """How the work is replayed.

    Attributes:
        interval: steps between two committed states.
        tolerance: relative L2 difference across runtime classes.
        publication: ``all``: every state between intervals is published with its manifest; ``sampled``: those that are
            drawn are, once they are drawn. ``all`` is not written, so that specs of version 1 keep their bytes.
    """

    interval: Positive
    tolerance: PositiveNumber
    publication: Literal["all", "sampled"] = "all"

    @model_serializer(mode="wrap")
    def _leave_out_all(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        if self.publication == "all":
            del fields["publication"]
        return fields


class SealedLabels(Part):
    """Labels of one round: how many rows they cover, digest of the salted plaintext, link to the ciphertext.

    Shard r is the block of release rows that follows the rows of shards 0..r-1; which row belongs to which
    shard is public, what its pseudo-label is, is not.
    """

    rows: Positive
    plaintext_digest: Bytes32
    ciphertext: Link


class SealedFile(Part):
    """A confidential file: who sealed it, a link to its ciphertext, sha2-256 of its plaintext.

    The key is that of ``storage.seal.content_key`` under the author's sealing secret of the job. Equal plaintexts of
    one author are equal ``SealedFile``s.
    """

    author: Bytes20
    ciphertext: Link
    plaintext_digest: Bytes32


class JobSpec(Record):
    """Everything about the work that is agreed before anyone joins.

    Attributes:
        owner_key: age recipient of the owner, to whom every seat grants its sealing secret at ``join``.
        arbiter_keys: age recipients of the arbiter, one for each of its members, who get the same grants.
        version: 2 where interval states are published on demand, which a reader of version 1 must not overlook.
    """

    kind: ClassVar[str] = "JobSpec"
    versions: ClassVar[frozenset[int]] = frozenset({1, 2})
    model: ModelSpec
    training: TrainingSpec
    seeds: SeedSpec
    release: ReleaseSpec
    marks: MarkSpec
    replay: ReplaySpec
    runtime_class: str
    owner_key: AgeRecipient
    arbiter_keys: Annotated[tuple[AgeRecipient, ...], Field(strict=False)]
    activation_release: Link
    labels: Annotated[tuple[SealedLabels, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _version_fits(self) -> Self:
        if self.version != (1 if self.replay.publication == "all" else 2):
            raise ValueError(f"version {self.version} does not go with publication {self.replay.publication!r}")
        return self

    def rows_until(self, round_: int) -> int:
        """Number of release rows that rounds 0 to ``round_`` may train on."""
        return sum(labels.rows for labels in self.labels[: round_ + 1])


class ActivationRelease(Record):
    """The private activations, released once; ``activations`` links a safetensors file."""

    kind: ClassVar[str] = "ActivationRelease"
    shape: Ints
    dtype: Literal["float32"]
    activations: Link
    release: ReleaseSpec


class LabelRelease(Record):
    """Plaintext of one round's labels: the pseudo-label of each row of the round's shard, in row order."""

    kind: ClassVar[str] = "LabelRelease"
    round: Count
    salt: Bytes32
    pseudo_labels: Ints


class KeyRecord(Record):
    """What a trainer registers at ``join``; at most 512 bytes, which the contract stores by their digest.

    Attributes:
        transport: compressed secp256k1 key.
        sealing: the trainer's age recipient, for grants to it.
        grant: the Grant block that wraps its sealing secret of this job for owner and arbiter.
        secret_digest: ``storage.seal.secret_digest`` of that secret: whoever is granted a secret for this trainer's
            files can tell whether it is the registered one.
        endpoint: where its peers reach it.
    """

    kind: ClassVar[str] = "KeyRecord"
    transport: Annotated[bytes, Field(min_length=33, max_length=33)]
    sealing: AgeRecipient
    grant: Link
    secret_digest: Bytes32
    endpoint: str


class StateLinks(Part):
    """A segment's state: weights, and the optimizer's state unless training starts afresh."""

    weights: SealedFile
    optimizer: SealedFile | None

    @property
    def files(self) -> tuple[SealedFile, ...]:
        """Its sealed files, one or two."""
        return (self.weights,) if self.optimizer is None else (self.weights, self.optimizer)


class TranscriptLinks(Part):
    """The transcript's steps, its file of leaf rows, and the states at interval ends before the last."""

    steps: Positive
    interval: Positive
    leaves: SealedFile
    states: Annotated[tuple[StateLinks, ...], Field(strict=False)]

    @property
    def intervals(self) -> int:
        """Number of replayable intervals."""
        return -(-self.steps // self.interval)


class BoundaryDigests(Part):
    """Running digests of everything that crossed the segment's two boundaries, 32 zero bytes where nothing did."""

    input: Bytes32
    output: Bytes32
    grad_received: Bytes32
    grad_sent: Bytes32


class SegmentManifest(Record):
    """What one seat did in one round. Links between records are plain, links to what the seat made lead to ciphertext.

    ``training_transcript_merkle_root`` has the longest key, so DAG-CBOR puts its 32 bytes last in the block,
    where the contract can check them against ``manifestDigest``.
    """

    kind: ClassVar[str] = "SegmentManifest"
    spec: Link
    job: Positive
    round: Count
    seat: Count
    trainer: Bytes20
    previous: Link | None
    predecessor: Link | None
    state_in: StateLinks
    trained: SealedFile
    out: SealedFile
    optimizer: SealedFile
    transcript: TranscriptLinks
    boundary: BoundaryDigests
    mark_commitment: Bytes32
    metrics: dict[str, Number]
    runtime_class: str
    training_transcript_merkle_root: Bytes32

    @property
    def own_start(self) -> tuple[StateLinks, ...]:
        """The initial weights, which anybody can derive and the seat seals itself; nothing after round 0."""
        return (self.state_in,) if self.previous is None else ()

    @property
    def own_files(self) -> tuple[SealedFile, ...]:
        """What the seat sealed itself: all its files but the state that it took over."""
        states = (file for state in (*self.transcript.states, *self.own_start) for file in state.files)
        return (self.trained, self.out, self.optimizer, self.transcript.leaves, *states)

    def state_after(self, interval: int) -> StateLinks:
        """The committed state in which an interval ends; the last one ends in the trained weights."""
        states = self.transcript.states
        if interval < len(states):
            return states[interval]
        return StateLinks(weights=self.trained, optimizer=self.optimizer)
