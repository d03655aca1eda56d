"""What a job is made of: the owner's data, its head and label map, and the release that noise makes of them.

A function of settings, data and master secret, so that the owner makes the same of them after a restart. Reserving a
release in the ledger and publishing it are the business of ``prepare``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clicooper.config import JobConfig
from clicooper.errors import DataError
from clicooper.learning.bottom_model import BottomModel, load_head
from clicooper.learning.bottom_model_kinds import head_claim, make_head
from clicooper.learning.data import Dataset, Splits, load_dataset, split_dataset
from clicooper.learning.released import ReleasedLabels, label_records
from clicooper.privacy.composition import Division
from clicooper.privacy.labels import LabelMap, deal_shards
from clicooper.privacy.ledger import HeadSpending
from clicooper.privacy.randomness import MasterSecret
from clicooper.privacy.release import Release, ReleaseParams, make_release
from clicooper.privacy.statement import HeadClaim
from clicooper.protocol.defaults import head_spec, model_shape
from clicooper.types import Digest

__all__ = ["JobInputs", "make_inputs", "release_of"]


@dataclass(frozen=True, eq=False)
class JobInputs:
    """What a job is made of before any noise on activations: the owner's data, its head, and the label map."""

    dataset: Dataset
    splits: Splits
    labels: ReleasedLabels
    head: BottomModel
    features: NDArray[np.float64]
    label_map: LabelMap
    params: ReleaseParams
    claim: HeadClaim


def make_inputs(
    config: JobConfig,
    master: MasterSecret,
    reserve: Callable[[HeadSpending], None],
    kept: Path | None = None,
    division: Division | None = None,
) -> JobInputs:
    """Everything of it is a function of settings, data, a head's file and master secret.

    Args:
        reserve: called before DP-SGD trains a head, with what that spends.
        kept: where the same head lies, if it was made before.
        division: who spent what of epsilon, if that was settled before.

    Raises:
        DataError: the data cannot be read, or are too few.
        SpecError: a head's file cannot be read, or is for other records or another model.
        PrivacyClaimError: a head that leaves the release nothing of epsilon, or a label epsilon that leaves nothing of
            the labels.
    """
    dataset = load_dataset(config.data)
    splits = _split(config, dataset)
    labels = label_records(dataset, splits.release, master, config.label_epsilon)
    label_map = labels.expand(master, config.gamma)
    claim = head_claim(config.head, config.epsilon, config.delta, config.head_epsilon, division, config.mechanism)
    own = claim.division or config
    params = ReleaseParams(own.epsilon, own.delta, config.clip, config.group, config.mechanism)
    spec = head_spec(math.prod(model_shape(config)), config.spec_seed, claim.kind)
    if kept is not None and kept.exists():
        head = load_head(kept, dataset.shape, spec)
    else:
        file = Path(config.head)
        head = make_head(spec, dataset, splits, labels, claim, file=file, secret=master, reserve=reserve)
    return JobInputs(dataset, splits, labels, head, _features(config, dataset, head), label_map, params, claim)


def release_of(
    config: JobConfig, master: MasterSecret, inputs: JobInputs, context: Digest
) -> tuple[Release, tuple[NDArray[np.int64], ...]]:
    """The release in shard order, and which rows each round gets; the same for the same context."""
    features = inputs.features[inputs.splits.release]
    release = make_release(features, inputs.label_map, inputs.params, master, context, inputs.claim)
    shards = deal_shards(release.pseudo_labels, config.rounds, secret=master, context=context)
    return _in_shard_order(release, shards), shards


def _split(config: JobConfig, dataset: Dataset) -> Splits:
    """Disjoint parts: records that train the head, hold-out, test, and the rest, which is released."""
    kept = {"head": config.head_records, "holdout": config.holdout_records, "test": config.test_records}
    n = len(dataset)
    if sum(kept.values()) >= n:
        raise DataError(
            f"{dataset.name} has {n} records, but {sum(kept.values())} are kept from the release",
            hint="lower head_records, holdout_records or test_records",
        )
    shares = {name: count / n for name, count in kept.items()}
    # A label that is protected must not decide which records are released.
    return split_dataset(dataset, config.split_seed, by_class=config.label_epsilon is None, **shares)


def _features(config: JobConfig, dataset: Dataset, head: BottomModel) -> NDArray[np.float64]:
    return head.features(dataset.inputs).reshape(len(dataset), *model_shape(config))


def _in_shard_order(release: Release, shards: tuple[NDArray[np.int64], ...]) -> Release:
    """The same release with the rows of shard 0 first, then those of shard 1, and so on."""
    order = np.concatenate(shards)
    return Release(
        activations=release.activations[order],
        pseudo_labels=release.pseudo_labels[order],
        record_of_row=release.record_of_row[order],
        sigma=release.sigma,
        grid=release.grid,
        statement=release.statement,
    )
