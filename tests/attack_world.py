"""A small owner for tests of attacks: records that are easy to tell apart, and a head that nobody had to train."""

from __future__ import annotations

from typing import Any

import numpy as np

from clicooper.attacks.evaluation_inputs import fix_seed, make_master
from clicooper.attacks.release_under_test import ReleaseUnderTest, make_release_under_test
from clicooper.config import JobConfig
from clicooper.learning.bottom_model import BottomModel, HeadSpec, make_random_head
from clicooper.learning.data import Dataset, Splits, load_dataset, split_dataset
from clicooper.learning.released import label_records
from clicooper.protocol.preparation.job_inputs import JobInputs

CLASSES = 4


def blobs(records: int = 480, seed: int = 0) -> Dataset:
    """Images of 8 x 8 in four tight classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(records) % CLASSES
    prototypes = rng.random((CLASSES, 1, 8, 8))
    inputs = np.clip(prototypes[labels] + rng.normal(0, 0.05, (records, 1, 8, 8)), 0, 1)
    return Dataset("blobs", inputs.astype(np.float32), labels, CLASSES)


def terms(epsilon: float = 2.0, gamma: int = 6, group: int = 1, seed: int = 0, **changes: Any) -> JobConfig:
    """The terms of one trial, by default with Gaussian noise."""
    config = JobConfig(epsilon=epsilon, gamma=gamma, group=group, mechanism="gaussian")
    return fix_seed(config.model_copy(update=changes), seed)


def given(dataset: Dataset, splits: Splits, head: BottomModel, config: JobConfig) -> JobInputs:
    """The inputs of an owner with these records and this head."""
    labels = label_records(dataset, splits.release, make_master(config), config.label_epsilon)
    return JobInputs(dataset, splits, labels, head, head.features(dataset.inputs))


def inputs(dataset: Dataset, seed: int = 0, config: JobConfig | None = None) -> JobInputs:
    """Half of the records released, under a random head."""
    splits = split_dataset(dataset, seed, head=0.2, holdout=0.1, test=0.2)
    head = make_random_head(HeadSpec(kind="random", seed=seed), dataset.shape, center=0.3, scale=0.4)
    return given(dataset, splits, head, config or terms(seed=seed))


def digits_inputs() -> JobInputs:
    """Real digits under a random head."""
    return inputs(load_dataset("digits"))


def release_under_test(
    epsilon: float = 2.0,
    gamma: int = 6,
    group: int = 1,
    seed: int = 0,
    source: JobInputs | None = None,
    **changes: Any,
) -> ReleaseUnderTest:
    """An owner with four classes, unless it is given other records."""
    return make_release_under_test(source or inputs(blobs()), terms(epsilon, gamma, group, seed, **changes))
