"""What the owner prepares once, before anyone joins: head, label map, release, sealed labels, spec.

All of it is a function of the configuration, the data and the owner's master secret; nothing is drawn twice.
Publishing the job on chain and running it are the jobs of ``owner`` and ``job``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clicooper.access.identity import recipient_of
from clicooper.access.sealing import encrypt, labels_file_key
from clicooper.commitments.canonical import sha256
from clicooper.commitments.head import label_anchor, label_keys
from clicooper.commitments.manifest import (
    ActivationRelease,
    JobSpec,
    LabelRelease,
    MarkSpec,
    ModelSpec,
    ReleaseSpec,
    ReplaySpec,
    SealedLabels,
    SeedSpec,
    TrainingSpec,
)
from clicooper.config import JobConfig
from clicooper.errors import MarkCapacityError, UsageError
from clicooper.learning.bottom_model import BottomModel
from clicooper.learning.checkpoint import State, state_bytes, state_digest
from clicooper.learning.data import Dataset, Splits
from clicooper.learning.models import build_segments, suggest_cuts
from clicooper.learning.readout import Readout
from clicooper.learning.runtime import runtime_class, use_threads
from clicooper.learning.segments import initial_state
from clicooper.privacy.accounting import sensitivity
from clicooper.privacy.composition import Division
from clicooper.privacy.hiding import MapHiding, measure_hiding
from clicooper.privacy.labels import LabelMap
from clicooper.privacy.ledger import Ledger, ReleaseRequest
from clicooper.privacy.randomised_response import noise_of_rows
from clicooper.privacy.randomness import MasterSecret
from clicooper.privacy.release import Release, clip_rows, release_content, release_context
from clicooper.protocol.defaults import model_shape, model_widths
from clicooper.protocol.job_inputs import JobInputs, make_inputs, release_of
from clicooper.storage.base import Store, put_bytes
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Address, Digest, JobParams
from clicooper.watermark.carriers import MarkParams, check_capacity, required_weights

__all__ = ["HEAD_NAME", "Accuracy", "OwnerSecrets", "PreparedJob", "prepare_job", "restore_job"]

HEAD_NAME = "head.safetensors"
"""The head in the owner's folder."""


@dataclass(frozen=True, eq=False)
class OwnerSecrets:
    """What never leaves the owner, except the label secret to the last seat, the arbiter and chosen auditors.

    Attributes:
        identity: the owner's age identity: every seat's sealing secret is granted to its recipient.
    """

    master: MasterSecret
    label_map: LabelMap = field(repr=False)
    label_secret: bytes = field(repr=False)
    label_keys: tuple[Digest, ...] = field(repr=False)
    identity: str = field(repr=False)


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of the committed segments, read out by the owner.

    Attributes:
        accuracy: of the contrastive readout, in [0, 1].
        naive: of a plain forward pass, in [0, 1].
        draws: noise draws of the readout.
        disagreement: share of records on which its two halves differ, in [0, 1].
        conclusive: whether that share is within the limit.
    """

    accuracy: float
    naive: float
    draws: int
    disagreement: float
    conclusive: bool


@dataclass(frozen=True, eq=False)
class PreparedJob:
    """A job that is ready to be published.

    Attributes:
        release: in shard order; its pseudo-labels and records are secret.
        released_labels: int64 (n,), of the records of ``splits.release``, as the label map was made from them.
        features: clean, clipped activations of every record; they never leave the owner.
    """

    config: JobConfig
    spec: JobSpec
    params: JobParams
    secrets: OwnerSecrets
    release: Release
    dataset: Dataset
    splits: Splits
    released_labels: NDArray[np.int64] = field(repr=False)
    head: BottomModel
    features: NDArray[np.float64] = field(repr=False)

    @property
    def mark_params(self) -> MarkParams:
        """Size and strength of the marks."""
        return MarkParams(self.spec.marks.bits, self.spec.marks.strength)

    @property
    def guessing(self) -> float:
        """The share of the most frequent class among the held-out records: what naming it always would give."""
        labels = self.dataset.labels[self.splits.holdout]
        return max(float((labels == label).mean()) for label in set(labels.tolist()))

    def map_hiding(self) -> MapHiding:
        """How well this release hides its label map; for the owner's eyes."""
        rows = self.secrets.label_map.m // self.config.group
        return measure_hiding(self.features[self.splits.release], self.released_labels, self.release.sigma, rows)

    def read_out(self, states: list[State], records: NDArray[np.int64], draws: int | None = None) -> Accuracy:
        """Accuracy of committed segments on records of the owner's own.

        Args:
            draws: of the readout; None doubles them until its predictions settle.
        """
        readout = Readout(self.spec.model, states, self.secrets.label_map.fold, self.spec.training.input_scale)
        clean, labels = self.features[records], self.dataset.labels[records]
        with use_threads(1):  # batches this small only wait for each other on more
            result = readout.contrastive_scores(clean, self.release.sigma, self.spec.seeds.noise, draws=draws)
            naive = readout.naive_scores(clean).argmax(axis=1)
        return Accuracy(
            float(np.mean(result.predictions == labels)),
            float(np.mean(naive == labels)),
            result.draws,
            result.disagreement,
            result.conclusive,
        )


def prepare_job(
    config: JobConfig,
    master: MasterSecret,
    identity: str,
    arbiter: Address,
    arbiter_keys: Sequence[str],
    store: Store,
    folder: RunFolder,
) -> PreparedJob:
    """Makes everything that the job needs and puts its public artifacts into the store.

    Args:
        identity: the owner's age identity.
        arbiter: its address.
        arbiter_keys: age recipients of its members.

    Raises:
        DataError, SpecError, PrivacyClaimError, MarkCapacityError: a configuration that cannot work, before
            anything is published.
    """
    # A configuration that cannot work leaves no ledger behind.
    inputs = make_inputs(config, master, lambda spending: _ledger(config, folder).reserve_head(spending))
    ledger, content = _ledger(config, folder), _content(inputs)
    model = _model(config, inputs.label_map)
    _check_model(config, model)
    context = _reserve(ledger, inputs, content)
    release, shards = release_of(config, master, inputs, context)
    secrets = _secrets(config, master, identity, inputs.label_map, context)
    spec = _publish(config, store, model, release, shards, secrets, arbiter_keys)
    ledger.publish(ledger.entries()[-1].number, sha256(release.activations.tobytes()))
    return _prepared(config, inputs, spec, _params(config, spec, secrets, arbiter), secrets, release)


def restore_job(
    config: JobConfig, master: MasterSecret, identity: str, spec: JobSpec, params: JobParams, folder: RunFolder
) -> PreparedJob:
    """The prepared job again, from what its owner keeps and what was published; nothing is drawn, spent or put.

    Args:
        spec, params: as they were published.
        folder: with the ledger of the release.

    Raises:
        UsageError: these are the secrets of another job.
        DataError, RunFolderError: the data or the ledger are not what they were.
    """
    ledger = _ledger(config, folder)
    inputs = make_inputs(config, master, ledger.reserve_head, folder.owner / HEAD_NAME, _division(ledger))
    hint = "name the folder that the job was created from, with its data in their place"
    entries = ledger.entries()
    if not entries:
        raise UsageError(f"the ledger in {folder.owner} knows no release", hint=hint)
    if (folder.owner / HEAD_NAME).exists() and _content(inputs) != entries[-1].content:
        raise UsageError(f"head and data are not those of the release that {folder.owner} has made", hint=hint)
    context = release_context(entries[-1].content, entries[-1].number)
    secrets = _secrets(config, master, identity, inputs.label_map, context)
    if label_anchor(secrets.label_keys[0]) != params.label_anchor or recipient_of(identity) != spec.owner_key:
        raise UsageError(f"the secrets in {folder.owner} are of another job than {spec.cid}", hint=hint)
    release, _ = release_of(config, master, inputs, context)
    return _prepared(config, inputs, spec, params, secrets, release)


def _prepared(
    config: JobConfig, inputs: JobInputs, spec: JobSpec, params: JobParams, secrets: OwnerSecrets, release: Release
) -> PreparedJob:
    return PreparedJob(
        config=config,
        spec=spec,
        params=params,
        secrets=secrets,
        release=release,
        dataset=inputs.dataset,
        splits=inputs.splits,
        released_labels=inputs.labels.labels,
        head=inputs.head,
        features=clip_rows(inputs.features, config.clip),
    )


def _ledger(config: JobConfig, folder: RunFolder) -> Ledger:
    """The data set's ledger, with room for one release, its head and, where labels are protected, one response."""
    budget = config.epsilon + (config.label_epsilon or 0.0)
    return Ledger.open(folder.owner / "ledger.json", budget, config.delta)


def _division(ledger: Ledger) -> Division | None:
    """What head and release have spent: another version of the accountant might divide a little differently."""
    heads, entries = ledger.heads(), ledger.entries()
    if not heads or not entries:
        return None
    head, entry = heads[-1], entries[-1]
    return Division(head.mechanism, head.epsilon, head.delta, entry.epsilon, entry.delta)


def _content(inputs: JobInputs) -> Digest:
    head = state_digest(inputs.head.state())
    return release_content(inputs.labels.digest, head, inputs.label_map, inputs.params)


def _reserve(ledger: Ledger, inputs: JobInputs, content: Digest) -> Digest:
    """Reserves the release in the data set's ledger before any noise is drawn; a crash repeats the same bytes."""
    params = inputs.params
    entry = ledger.reserve(
        ReleaseRequest(
            dataset=inputs.labels.source,
            content=content,
            label_map=inputs.label_map.digest,
            sigma=params.noise(math.prod(inputs.features.shape[1:])),
            sensitivity=sensitivity(params.clip, params.group),
            mechanism=params.mechanism,
            epsilon=params.epsilon,
            delta=params.delta,
            label_epsilon=inputs.label_map.label_epsilon,
        )
    )
    return release_context(entry.content, entry.number)


def _secrets(
    config: JobConfig, master: MasterSecret, identity: str, label_map: LabelMap, context: Digest
) -> OwnerSecrets:
    last_key = Digest(master.derive("clicooper.label-keys", context))
    return OwnerSecrets(
        master=master,
        label_map=label_map,
        label_secret=master.derive("clicooper.label-secret", context),
        label_keys=tuple(label_keys(last_key, config.rounds)),
        identity=identity,
    )


def _publish(
    config: JobConfig,
    store: Store,
    model: ModelSpec,
    release: Release,
    shards: tuple[NDArray[np.int64], ...],
    secrets: OwnerSecrets,
    arbiter_keys: Sequence[str],
) -> JobSpec:
    """Puts release, sealed labels and spec into the store."""
    claim = _claim(release)
    activations = put_bytes(store, state_bytes({"activations": release.activations}))
    record = ActivationRelease(
        shape=tuple(release.activations.shape), dtype="float32", activations=activations, release=claim
    )
    spec = JobSpec(
        version=1 if config.publication == "all" else 2,
        model=model,
        training=_training(config, release.sigma, secrets.label_map.mixing),
        seeds=_seeds(config),
        release=claim,
        marks=MarkSpec(bits=config.mark_bits, strength=config.mark_strength),
        replay=ReplaySpec(
            interval=min(config.interval, config.steps), tolerance=config.tolerance, publication=config.publication
        ),
        runtime_class=runtime_class(),
        owner_key=recipient_of(secrets.identity),
        arbiter_keys=tuple(arbiter_keys),
        activation_release=store.put_block(record.to_block()),
        labels=tuple(_sealed(store, round_, release, shards, secrets) for round_ in range(config.rounds)),
    )
    store.put_block(spec.to_block())
    return spec


def _sealed(
    store: Store, round_: int, release: Release, shards: tuple[NDArray[np.int64], ...], secrets: OwnerSecrets
) -> SealedLabels:
    """One round's labels, encrypted under the key that its label key will open."""
    first = sum(len(shard) for shard in shards[:round_])
    labels = release.pseudo_labels[first : first + len(shards[round_])]
    salt = secrets.master.derive("clicooper.label-salt", Digest(secrets.label_keys[round_]))
    plain = LabelRelease(round=round_, salt=salt, pseudo_labels=tuple(int(label) for label in labels)).to_block()
    ciphertext = encrypt(labels_file_key(secrets.label_secret, secrets.label_keys[round_]), plain)
    return SealedLabels(rows=len(labels), plaintext_digest=sha256(plain), ciphertext=put_bytes(store, ciphertext))


def _claim(release: Release) -> ReleaseSpec:
    statement = release.statement
    return ReleaseSpec(
        epsilon=statement.epsilon,
        delta=statement.delta,
        adjacency=statement.adjacency,
        sigma=statement.sigma,
        clip=statement.clip,
        group=statement.group,
        grid=release.grid,
        gamma=statement.gamma,
        m=statement.m,
        records=statement.records,
        secure=statement.secure,
        label_epsilon=statement.label_epsilon,
        mechanism=statement.mechanism,
        head_epsilon=statement.head_epsilon,
    )


def _model(config: JobConfig, label_map: LabelMap) -> ModelSpec:
    whole = ModelSpec(
        kind=config.model,
        input_shape=model_shape(config),
        outputs=label_map.pseudo_labels,
        widths=model_widths(config),
        cuts=(),
    )
    room = required_weights(MarkParams(config.mark_bits, config.mark_strength), config.rounds)
    return whole.model_copy(update={"cuts": suggest_cuts(whole, config.trainers, room=room)})


def _check_model(config: JobConfig, model: ModelSpec) -> None:
    """Refuses a model that cannot run, or a segment that cannot hold its marks, before noise is drawn or coin spent."""
    build_segments(model)
    for seat in range(config.trainers):
        try:
            params = MarkParams(config.mark_bits, config.mark_strength)
            check_capacity(initial_state(model, _seeds(config), seat), params, config.rounds)
        except MarkCapacityError as e:
            raise MarkCapacityError(
                f"seat {seat}: {e.message}", hint="use larger widths or fewer trainers; fewer mark_bits need less"
            ) from e


def _seeds(config: JobConfig) -> SeedSpec:
    return SeedSpec(weights=config.spec_seed, batches=config.spec_seed, noise=config.spec_seed)


def _training(config: JobConfig, sigma: float, mixing: float) -> TrainingSpec:
    return TrainingSpec(
        optimizer=config.optimizer,
        learning_rate=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        steps=config.steps,
        batch=config.batch,
        input_scale=1.0 / sigma,
        input_noise=config.input_noise,
        label_smoothing=config.label_smoothing,
        label_noise=noise_of_rows(mixing, config.group) if config.label_loss == "corrected" else 0.0,
    )


def _params(config: JobConfig, spec: JobSpec, secrets: OwnerSecrets, arbiter: Address) -> JobParams:
    """The terms of the job on chain; silence costs a seat one round's pay, a failed challenge half of that."""
    pay = config.pay_wei
    return JobParams(
        pay_wei=pay,
        stake_wei=2 * pay,
        owner_bond_wei=pay * config.trainers,
        seats=config.trainers,
        rounds=config.rounds,
        arbiter=arbiter,
        spec_digest=spec.digest,
        label_anchor=label_anchor(secrets.label_keys[0]),
        challenge_bond_wei=pay // 2,
        silence_penalty_wei=pay,
    )
