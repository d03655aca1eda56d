"""How much epsilon an attacker can prove: a lower bound from guesses that were right too often.

A record is replaced by its opposite and the release tells which it was, over many independent rows of one release: rows
share no record, so one release gives as many trials as it has rows (in the spirit of Steinke, Nasr and Jagielski,
"Privacy auditing with one (1) training run", NeurIPS 2023). A mechanism that keeps (epsilon, delta) cannot let true
positives exceed ``e^epsilon`` times false ones plus delta; both shares get exact binomial bounds (Clopper and Pearson).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

__all__ = ["Distinguished", "lower_bound", "project"]


@dataclass(frozen=True)
class Distinguished:
    """A bound that a correct mechanism exceeds with probability at most ``error``.

    Attributes:
        epsilon: at least this much, at the given delta.
        true_positives, false_positives: observed shares.
        trials: rows of each kind.
    """

    epsilon: float
    true_positives: float
    false_positives: float
    trials: int
    error: float


def project(rows: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The likelihood ratio's statistic for a record that is ``direction`` or its opposite: float64 (r,)."""
    return np.asarray(rows @ (direction / np.linalg.norm(direction)))


def lower_bound(
    present: NDArray[np.float64], absent: NDArray[np.float64], threshold: float, delta: float, error: float
) -> Distinguished:
    """Epsilon proved by saying "present" above a threshold that was fixed before.

    Args:
        present, absent: the statistic with and without the record, one number a trial.
        delta: of the claim.
        error: probability with which the bound may be wrong, in (0, 1), shared by its two sides.
    """
    hits, alarms = int(np.sum(present > threshold)), int(np.sum(absent > threshold))
    low = float(beta.ppf(error / 2, hits, present.size - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - error / 2, alarms + 1, absent.size - alarms)) if alarms < absent.size else 1.0
    epsilon = max(0.0, math.log((low - delta) / high)) if low > delta else 0.0
    return Distinguished(epsilon, hits / present.size, alarms / absent.size, present.size, error)
