"""What an evaluation works on: a data set, its division, and a head, for one seed.

Job: the owner's side before any release. Every seed divides the records anew and makes a head of its own, so that
errors over seeds count all of it. Non-jobs: releases (``release under test``) and attacks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clicooper.attacks.digit_halves import digit_halves
from clicooper.attacks.digit_pairs import digit_pairs
from clicooper.attacks.privacy.inversion import Auxiliary, foreign_records
from clicooper.config import DISJOINT
from clicooper.errors import DataError
from clicooper.learning.bottom_model import BottomModel
from clicooper.learning.bottom_model_kinds import make_head
from clicooper.learning.data import Dataset, Splits, load_dataset, split_dataset
from clicooper.learning.released import label_records
from clicooper.privacy.ledger import HeadSpending
from clicooper.privacy.randomness import MasterSecret
from clicooper.privacy.release import clip_rows
from clicooper.privacy.statement import NO_SPENDING, HeadClaim
from clicooper.protocol.defaults import head_spec

__all__ = ["HALVES", "PAIRS", "EvaluationInputs", "Kept", "load_inputs"]

PAIRS, HALVES = "pairs", "halves"
"""Names of the data sets that are made of the digits."""

_HEAD_STEPS = 2500
_FOREIGN = 800


@dataclass(frozen=True)
class Kept:
    """Records that are kept from the release, as in a job's configuration."""

    head: int = 500
    holdout: int = 100
    test: int = 360


@dataclass(frozen=True, eq=False)
class EvaluationInputs:
    """One seed's records, division and head."""

    dataset: Dataset
    splits: Splits
    head: BottomModel
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


def load_inputs(
    source: str,
    seed: int,
    kept: Kept,
    *,
    dims: int = 16,
    clip: float = 1.0,
    head: str = DISJOINT,
    claim: HeadClaim = NO_SPENDING,
    label_epsilon: float | None = None,
) -> EvaluationInputs:
    """Loads and divides the records and makes a head; the seed is the master of one that DP-SGD trains.

    Args:
        source: ``digits``, ``pairs``, ``halves``, or what ``load_dataset`` takes.
        seed: of the division and the head, in [0, 2^32).
        kept: ignored for ``pairs`` and ``halves``, whose images are divided first.
        dims: features of the head.
        head: its kind, or the file that it is read from; ``halves`` has a public one of its own.
        claim: from ``head_claim``, of the setting that the head is for.
        label_epsilon: of that setting; DP-SGD sees no label but the released ones.

    Raises:
        DataError: records that cannot be read, or are too few.
        SpecError: a head's file that cannot be read, or is for other records.
    """
    if source == HALVES:
        dataset, splits, public = digit_halves(seed, dims)
        return EvaluationInputs(dataset, splits, public, seed, foreign_records(public, _FOREIGN, clip))
    dataset, splits = digit_pairs(seed) if source == PAIRS else _loaded(source, seed, kept)
    epochs = max(4, min(80, _HEAD_STEPS * 64 // max(1, len(splits.head))))
    spec = replace(head_spec(dims, seed, claim.kind), epochs=epochs)
    secret = MasterSecret.from_seed(seed)
    labels = label_records(dataset, splits.release, secret, label_epsilon)
    file = Path(head)
    made = make_head(spec, dataset, splits, labels, claim, file=file, secret=secret, reserve=_costs_nothing)
    return EvaluationInputs(dataset, splits, made, seed, foreign_records(made, _FOREIGN, clip))


def _costs_nothing(_: HeadSpending) -> None:
    """A rehearsal publishes nothing, so it spends nothing."""


def _loaded(source: str, seed: int, kept: Kept) -> tuple[Dataset, Splits]:
    dataset = load_dataset(source)
    n, taken = len(dataset), kept.head + kept.holdout + kept.test
    if taken >= n:
        raise DataError(
            f"{dataset.name} has {n} records, but {taken} are kept from the release",
            hint="lower head_records, holdout_records or test_records",
        )
    return dataset, split_dataset(dataset, seed, head=kept.head / n, holdout=kept.holdout / n, test=kept.test / n)
