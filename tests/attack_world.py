"""A small owner for tests of attacks: records that are easy to tell apart, and a head that nobody had to train."""

from __future__ import annotations

import numpy as np

from clicooper.attacks.evaluation_inputs import EvaluationInputs
from clicooper.attacks.privacy.inversion import foreign_records
from clicooper.attacks.release_under_test import ReleaseUnderTest, Setting, make_release_under_test
from clicooper.learning.bottom_model import HeadSpec, random_head
from clicooper.learning.data import Dataset, Splits, load_dataset, split_dataset

CLASSES = 4


def blobs(records: int = 480, seed: int = 0) -> Dataset:
    """Images of 8 x 8 in four tight classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(records) % CLASSES
    prototypes = rng.random((CLASSES, 1, 8, 8))
    inputs = np.clip(prototypes[labels] + rng.normal(0, 0.05, (records, 1, 8, 8)), 0, 1)
    return Dataset("blobs", inputs.astype(np.float32), labels, CLASSES)


def inputs(dataset: Dataset, seed: int = 0) -> EvaluationInputs:
    """Half of the records released, under a random head."""
    splits: Splits = split_dataset(dataset, seed, head=0.2, holdout=0.1, test=0.2)
    head = random_head(HeadSpec(kind="random", seed=seed), dataset.shape, center=0.3, scale=0.4)
    return EvaluationInputs(dataset, splits, head, seed, foreign_records(head, 60, 1.0))


def digits_material() -> EvaluationInputs:
    """Real digits under a random head."""
    return inputs(load_dataset("digits"))


def release_under_test(
    epsilon: float = 2.0, gamma: int = 6, group: int = 1, seed: int = 0, source: EvaluationInputs | None = None
) -> ReleaseUnderTest:
    """An owner with four classes, unless it is given other records."""
    given = source or inputs(blobs())
    return make_release_under_test(given.dataset, given.splits, given.head, Setting(epsilon, gamma, group, seed))
