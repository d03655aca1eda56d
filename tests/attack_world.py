"""A small owner for tests of attacks: records that are easy to tell apart, and a head that nobody had to train."""

from __future__ import annotations

import numpy as np

from clicooper.attacks.inversion import foreign_records
from clicooper.attacks.material import Material
from clicooper.attacks.victim import Setting, Victim, make_victim
from clicooper.learning.data import Dataset, Splits, load_dataset, split_dataset
from clicooper.learning.head import HeadSpec, random_head

CLASSES = 4


def blobs(records: int = 480, seed: int = 0) -> Dataset:
    """Images of 8 x 8 in four tight classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(records) % CLASSES
    prototypes = rng.random((CLASSES, 1, 8, 8))
    inputs = np.clip(prototypes[labels] + rng.normal(0, 0.05, (records, 1, 8, 8)), 0, 1)
    return Dataset("blobs", inputs.astype(np.float32), labels, CLASSES)


def material(dataset: Dataset, seed: int = 0) -> Material:
    """Half of the records released, under a random head."""
    splits: Splits = split_dataset(dataset, seed, head=0.2, holdout=0.1, test=0.2)
    head = random_head(HeadSpec(kind="random", seed=seed), dataset.shape, center=0.3, scale=0.4)
    return Material(dataset, splits, head, seed, foreign_records(head, 60, 1.0))


def digits_material() -> Material:
    """Real digits under a random head."""
    return material(load_dataset("digits"))


def victim(
    epsilon: float = 2.0, gamma: int = 6, group: int = 1, seed: int = 0, source: Material | None = None
) -> Victim:
    """An owner with four classes, unless it is given other records."""
    given = source or material(blobs())
    return make_victim(given.dataset, given.splits, given.head, Setting(epsilon, gamma, group, seed))
