"""What the owner states in public before a job: specification, release and sealed labels, and the terms on chain.

Every function takes what was prepared and draws nothing. Non-jobs: preparing it (``prepare``), the chain (``owner``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clicooper.access.identity import recipient_of
from clicooper.access.sealing import encrypt, labels_file_key
from clicooper.commitments.canonical import sha256
from clicooper.commitments.head import label_anchor
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
from clicooper.errors import MarkCapacityError
from clicooper.learning.checkpoint import state_bytes
from clicooper.learning.models import build_segments, suggest_cuts
from clicooper.learning.runtime import runtime_class
from clicooper.learning.segments import initial_state
from clicooper.privacy.labels import LabelMap
from clicooper.privacy.randomised_response import noise_of_rows
from clicooper.privacy.release import Release
from clicooper.protocol.preparation.defaults import choose_shape, choose_widths
from clicooper.protocol.preparation.owner_secrets import OwnerSecrets
from clicooper.storage.base import Store, put_bytes
from clicooper.types import Address, Digest, JobParams
from clicooper.watermark.carriers import MarkParams, check_capacity, required_weights

__all__ = ["check_model", "cut_model", "make_model", "make_params", "make_seeds", "make_training", "publish_spec"]


def publish_spec(
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
        training=make_training(config, release.sigma, secrets.label_map.mixing),
        seeds=make_seeds(config),
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
    said = {name: getattr(release.statement, name) for name in ReleaseSpec.model_fields if name != "grid"}
    return ReleaseSpec(grid=release.grid, **said)


def make_model(config: JobConfig, label_map: LabelMap) -> ModelSpec:
    """The job's model in one piece."""
    return ModelSpec(
        kind=config.model,
        input_shape=choose_shape(config),
        outputs=label_map.pseudo_labels,
        widths=choose_widths(config),
        cuts=(),
    )


def cut_model(config: JobConfig, model: ModelSpec) -> ModelSpec:
    """The same model with a segment for each trainer, if possible with room for its marks."""
    room = required_weights(MarkParams(config.mark_bits, config.mark_strength), config.rounds)
    return model.model_copy(update={"cuts": suggest_cuts(model, config.trainers, room=room)})


def check_model(config: JobConfig, model: ModelSpec) -> None:
    """Refuses a model that cannot run, or a segment that cannot hold its marks, before noise is drawn or coin spent.

    Raises:
        SpecError, MarkCapacityError: such a model.
    """
    build_segments(model)
    for seat in range(config.trainers):
        try:
            params = MarkParams(config.mark_bits, config.mark_strength)
            check_capacity(initial_state(model, make_seeds(config), seat), params, config.rounds)
        except MarkCapacityError as e:
            raise MarkCapacityError(
                f"seat {seat}: {e.message}", hint="use larger widths or fewer trainers; fewer mark_bits need less"
            ) from e


def make_seeds(config: JobConfig) -> SeedSpec:
    """The public seeds."""
    return SeedSpec(weights=config.spec_seed, batches=config.spec_seed, noise=config.spec_seed)


def make_training(config: JobConfig, sigma: float, mixing: float) -> TrainingSpec:
    """How one round trains on a release with this noise.

    Args:
        sigma: standard deviation of the release's noise on a coordinate.
        mixing: share of the labels that randomised response drew uniformly.
    """
    return TrainingSpec(
        **config.model_dump(include=set(TrainingSpec.model_fields)),
        input_scale=1.0 / sigma,
        label_noise=noise_of_rows(mixing, config.group) if config.label_loss == "corrected" else 0.0,
    )


def make_params(config: JobConfig, spec: JobSpec, secrets: OwnerSecrets, arbiter: Address) -> JobParams:
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
