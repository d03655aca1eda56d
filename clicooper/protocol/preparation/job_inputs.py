"""What a job is made of: the owner's records and their division, its bottom model, and the plan of the release.

The one preparation, for a job and for its evaluation. Everything is a function of terms, data and master secret, so
that the owner makes the same of them after a restart. Non-jobs: reserving a release in the ledger, and publishing it
(``prepare``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clicooper.config import JobConfig
from clicooper.errors import DataError
from clicooper.learning.bottom_model import BottomModel, HeadSpec, load_head
from clicooper.learning.bottom_model_kinds import make_head, make_head_claim
from clicooper.learning.data import Dataset, Splits, load_dataset, split_dataset
from clicooper.learning.released import ReleasedLabels, label_records
from clicooper.privacy.composition import Division
from clicooper.privacy.labels import LabelMap, deal_shards
from clicooper.privacy.ledger import HeadSpending
from clicooper.privacy.randomness import MasterSecret
from clicooper.privacy.release import Release, ReleaseParams, clip_rows, make_release
from clicooper.privacy.statement import HeadClaim
from clicooper.protocol.preparation.defaults import choose_shape, make_head_spec
from clicooper.types import Digest

__all__ = [
    "JobInputs",
    "OwnerRecords",
    "ReleasePlan",
    "claim_head",
    "load_records",
    "make_inputs",
    "make_job_release",
    "plan_release",
]


@dataclass(frozen=True, eq=False)
class OwnerRecords:
    """Records, which part each belongs to, and the labels under which some are released."""

    dataset: Dataset
    splits: Splits
    labels: ReleasedLabels


@dataclass(frozen=True, eq=False)
class ReleasePlan:
    """How rows are made of the records: the label map, the noise, and what is claimed of the bottom model."""

    label_map: LabelMap
    params: ReleaseParams
    claim: HeadClaim


@dataclass(frozen=True, eq=False)
class JobInputs(OwnerRecords):
    """Records with the bottom model and what it makes of them.

    Attributes:
        features: float64 (n, *shape) of every record, shaped as the model takes them; they never leave the owner.
    """

    head: BottomModel
    features: NDArray[np.float64] = field(repr=False)

    def clip(self, clip: float) -> JobInputs:
        """The same with features of an L2 norm of at most ``clip``."""
        return replace(self, features=clip_rows(self.features, clip))


def load_records(config: JobConfig, master: MasterSecret) -> OwnerRecords:
    """Loads the records, divides them and labels those that are released.

    Raises:
        DataError: the data cannot be read, or are too few.
        PrivacyClaimError: a label epsilon that leaves nothing of the labels.
    """
    dataset = load_dataset(config.data)
    kept = {"head": config.head_records, "holdout": config.holdout_records, "test": config.test_records}
    n = len(dataset)
    if sum(kept.values()) >= n:
        raise DataError(
            f"{dataset.name} has {n} records, but {sum(kept.values())} are kept from the release",
            hint="lower head_records, holdout_records or test_records",
        )
    shares = {name: count / n for name, count in kept.items()}
    # A label that is protected must not decide which records are released.
    splits = split_dataset(dataset, config.split_seed, by_class=config.label_epsilon is None, **shares)
    return OwnerRecords(dataset, splits, label_records(dataset, splits.release, master, config.label_epsilon))


def claim_head(config: JobConfig, division: Division | None = None) -> HeadClaim:
    """What is said of the bottom model.

    Args:
        division: who spent what of epsilon, if that was settled before.

    Raises:
        PrivacyClaimError: a bottom model that leaves the release nothing of epsilon.
    """
    return make_head_claim(config.head, config.epsilon, config.delta, config.head_epsilon, division, config.mechanism)


def plan_release(
    config: JobConfig, labels: ReleasedLabels, master: MasterSecret, division: Division | None = None
) -> ReleasePlan:
    """The plan of the release of these labels; raises what ``claim_head`` and ``ReleasedLabels.expand`` raise."""
    label_map = labels.expand(master, config.gamma)
    claim = claim_head(config, division)
    own = claim.division or config
    params = ReleaseParams(own.epsilon, own.delta, config.clip, config.group, config.mechanism)
    return ReleasePlan(label_map, params, claim)


def make_inputs(
    config: JobConfig,
    records: OwnerRecords,
    claim: HeadClaim,
    master: MasterSecret,
    reserve: Callable[[HeadSpending], None],
    *,
    kept: Path | None = None,
    spec: HeadSpec | None = None,
) -> JobInputs:
    """Adds the bottom model and the features.

    Args:
        claim: from ``claim_head``.
        reserve: called before DP-SGD trains a bottom model, with what that spends.
        kept: where the same bottom model lies, if it was made before.
        spec: another architecture or training than the job's default.

    Raises:
        DataError: too few records to train a bottom model.
        SpecError: a file that cannot be read, or is for other records or another model.
    """
    dataset, splits = records.dataset, records.splits
    spec = spec or make_head_spec(math.prod(choose_shape(config)), config.spec_seed, claim.kind)
    if kept is not None and kept.exists():
        head = load_head(kept, dataset.shape, spec)
    else:
        file = Path(config.head)
        head = make_head(spec, dataset, splits, records.labels, claim, file=file, secret=master, reserve=reserve)
    features = head.features(dataset.inputs).reshape(len(dataset), *choose_shape(config))
    return JobInputs(dataset, splits, records.labels, head, features)


def make_job_release(
    config: JobConfig, inputs: JobInputs, plan: ReleasePlan, master: MasterSecret, context: Digest
) -> tuple[Release, tuple[NDArray[np.int64], ...]]:
    """The release in shard order, and which rows each round gets; the same for the same context."""
    released = inputs.features[inputs.splits.release]
    release = make_release(released, plan.label_map, plan.params, master, context, plan.claim)
    shards = deal_shards(release.pseudo_labels, config.rounds, secret=master, context=context)
    order = np.concatenate(shards)
    ordered = replace(
        release,
        activations=release.activations[order],
        pseudo_labels=release.pseudo_labels[order],
        record_of_row=release.record_of_row[order],
    )
    return ordered, shards
