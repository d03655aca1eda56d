"""What the owner states in public before a job: specification, release and sealed labels, and the terms on chain.

Every function takes what was prepared and draws nothing. Non-jobs: preparing it (``prepare``), the chain (``owner``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from multiformats import CID
from numpy.typing import NDArray

from clicooper.access.identity import recipient_of
from clicooper.access.sealing import encrypt, labels_file_key
from clicooper.commitments.canonical import cid_of_digest, sha256
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
from clicooper.errors import DataError
from clicooper.learning.checkpoint import state_bytes
from clicooper.learning.model_code import code_digest
from clicooper.learning.model_sizes import is_code
from clicooper.learning.models import suggest_cuts
from clicooper.learning.runtime import runtime_class
from clicooper.learning.segments import try_model
from clicooper.learning.terms import check_spec
from clicooper.privacy.accounting import REPLACE_ONE
from clicooper.privacy.labels import LabelMap
from clicooper.privacy.randomised_response import noise_of_rows
from clicooper.privacy.release import Release
from clicooper.protocol.preparation.defaults import choose_shape, choose_widths
from clicooper.protocol.preparation.job_inputs import ReleasePlan
from clicooper.protocol.preparation.owner_secrets import OwnerSecrets
from clicooper.storage.base import Store, put_bytes
from clicooper.types import ZERO_DIGEST, Address, Digest, JobParams
from clicooper.watermark.carriers import MarkParams, required_weights

__all__ = ["check_plan", "cut_model", "make_model", "make_params", "make_seeds", "make_training", "publish_spec"]

_NOWHERE = cid_of_digest(ZERO_DIGEST)
"""The link to what is not made yet."""


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
    claim, labels = _claim(release), tuple(_sealed(store, r, release, shards, secrets) for r in range(config.rounds))
    activations = put_bytes(store, state_bytes({"activations": release.activations}))
    record = ActivationRelease(
        shape=tuple(release.activations.shape), dtype="float32", activations=activations, release=claim
    )
    link, keys = store.put_block(record.to_block()), (recipient_of(secrets.identity), *arbiter_keys)
    spec = _make_spec(config, model, claim, secrets.label_map.mixing, link, labels, keys)
    store.put_block(spec.to_block())
    return spec


def check_plan(
    config: JobConfig, model: ModelSpec, plan: ReleasePlan, records: int, identity: str, arbiter_keys: Sequence[str]
) -> None:
    """Refuses terms that nobody could train under, before noise is drawn, a ledger is written or coin is spent.

    They are judged in the specification that the job would have, over a release that does not exist yet.

    Args:
        records: that are released.

    Raises:
        SpecError, MarkCapacityError: terms beyond the limits, or segments that cannot hold their marks.
        DataError: more rounds than rows.
        ModelUnusable: a model of the owner's own that fails.
    """
    params, label_map = plan.params, plan.label_map
    group = min(params.group, label_map.m)
    rows = label_map.pseudo_labels * (label_map.m // group)
    if rows < config.rounds:
        raise DataError(f"{rows} released rows cannot be dealt to {config.rounds} rounds", hint="use fewer rounds")
    claim = ReleaseSpec(
        epsilon=config.epsilon,
        delta=config.delta,
        adjacency=REPLACE_ONE,
        sigma=params.noise(math.prod(model.input_shape)),
        clip=params.clip,
        group=group,
        grid=1.0,
        gamma=label_map.gamma,
        m=label_map.m,
        records=records,
        secure=False,
        label_epsilon=config.label_epsilon,
        mechanism=params.mechanism,
    )
    shares = (-(-(rows - round_) // config.rounds) for round_ in range(config.rounds))
    labels = tuple(SealedLabels(rows=share, plaintext_digest=bytes(32), ciphertext=_NOWHERE) for share in shares)
    keys = (recipient_of(identity), *arbiter_keys)
    check_spec(_make_spec(config, model, claim, label_map.mixing, _NOWHERE, labels, keys))
    try_model(model, _marks(config), config.rounds)


def _make_spec(
    config: JobConfig,
    model: ModelSpec,
    claim: ReleaseSpec,
    mixing: float,
    release: CID,
    labels: tuple[SealedLabels, ...],
    keys: Sequence[str],
) -> JobSpec:
    """The specification.

    Args:
        keys: the owner's age recipient, and those of the arbiter's members.
    """
    return JobSpec(
        version=1 if config.publication == "all" else 2,
        model=model,
        training=make_training(config, claim.sigma, mixing),
        seeds=make_seeds(config),
        release=claim,
        marks=_marks(config),
        replay=ReplaySpec(
            interval=min(config.interval, config.steps), tolerance=config.tolerance, publication=config.publication
        ),
        runtime_class=runtime_class(),
        owner_key=keys[0],
        arbiter_keys=tuple(keys[1:]),
        activation_release=release,
        labels=labels,
    )


def _marks(config: JobConfig) -> MarkSpec:
    return MarkSpec(bits=config.mark_bits, strength=config.mark_strength)


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
    """The job's model in one piece; one of the owner's own with the digest of the code that this machine has.

    Raises:
        ModelUnusable: that code is not here, or not all of it has sources.
    """
    return ModelSpec(
        kind=config.model,
        input_shape=choose_shape(config),
        outputs=label_map.pseudo_labels,
        widths=choose_widths(config),
        cuts=(),
        code=code_digest(config.model) if is_code(config.model) else None,
    )


def cut_model(config: JobConfig, model: ModelSpec) -> ModelSpec:
    """The same model with a segment for each trainer, if possible with room for its marks."""
    room = required_weights(MarkParams(config.mark_bits, config.mark_strength), config.rounds)
    return model.model_copy(update={"cuts": suggest_cuts(model, config.trainers, room=room)})


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
