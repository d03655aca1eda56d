"""What an evaluation works on: a data set, its division, and a head, for one seed.

Job: the owner's side before any release. Every seed divides the records anew and trains a head of its own, so that
errors over seeds count all of it. Non-jobs: releases (``victim``) and attacks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clicooper.attacks.inversion import Auxiliary, foreign_records
from clicooper.attacks.pairs import digit_pairs
from clicooper.errors import DataError
from clicooper.learning.data import Dataset, Splits, load_dataset, split_dataset
from clicooper.learning.head import Head, HeadSpec, train_head
from clicooper.privacy.release import clip_rows

__all__ = ["PAIRS", "Kept", "Material", "load_material"]

PAIRS = "pairs"
"""The name of the data set of digit pairs."""

_HEAD_STEPS = 2500
_FOREIGN = 800


@dataclass(frozen=True)
class Kept:
    """Records that are kept from the release, as in a job's configuration."""

    head: int = 500
    holdout: int = 100
    test: int = 360


@dataclass(frozen=True, eq=False)
class Material:
    """One seed's records, division and head."""

    dataset: Dataset
    splits: Splits
    head: Head
    seed: int
    foreign: Auxiliary = field(repr=False)

    def own(self, clip: float) -> Auxiliary:
        """Records of the same kind that an attacker may have: those that were never released, but for the test's."""
        return self._auxiliary(np.concatenate([self.splits.head, self.splits.holdout]), clip)

    def everyone(self, clip: float) -> Auxiliary:
        """The released records and those of the test: the candidates of re-identification."""
        return self._auxiliary(np.concatenate([self.splits.release, self.splits.test]), clip)

    def _auxiliary(self, records: NDArray[np.int64], clip: float) -> Auxiliary:
        inputs = self.dataset.inputs[records]
        features = clip_rows(self.head.features(inputs), clip)
        return Auxiliary(inputs.reshape(len(records), -1).astype(np.float64), features, self.dataset.labels[records])


def load_material(source: str, seed: int, kept: Kept, *, dims: int = 16, clip: float = 1.0) -> Material:
    """Loads and divides the records and trains the head on the part that is never released.

    Args:
        source: ``digits``, ``pairs``, or what ``load_dataset`` takes.
        seed: of the division and the head, in [0, 2^32).
        kept: ignored for ``pairs``, whose images are divided first.
        dims: features of the head.

    Raises:
        DataError: records that cannot be read, or are too few.
    """
    dataset, splits = digit_pairs(seed) if source == PAIRS else _loaded(source, seed, kept)
    epochs = max(4, min(80, _HEAD_STEPS * 64 // len(splits.head)))
    spec = HeadSpec(dims=dims, seed=seed, epochs=epochs)
    head = train_head(dataset.inputs[splits.head], dataset.labels[splits.head], dataset.classes, spec)
    foreign = foreign_records(head, _FOREIGN, clip)
    return Material(dataset, splits, head, seed, foreign)


def _loaded(source: str, seed: int, kept: Kept) -> tuple[Dataset, Splits]:
    dataset = load_dataset(source)
    n, taken = len(dataset), kept.head + kept.holdout + kept.test
    if taken >= n:
        raise DataError(
            f"{dataset.name} has {n} records, but {taken} are kept from the release",
            hint="lower head_records, holdout_records or test_records",
        )
    return dataset, split_dataset(dataset, seed, head=kept.head / n, holdout=kept.holdout / n, test=kept.test / n)
