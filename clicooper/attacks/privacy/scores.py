"""How attacks are graded: pure functions of a guess and the truth, each with its own idea of chance.

Non-jobs: attacking, and deciding what is good enough (``frontier``). A raw score means little where an attacker without
any observation already scores well, so ``excess`` reads it against that floor (protocol, section 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, roc_auc_score, roc_curve

__all__ = [
    "GroupingScore",
    "Guess",
    "average_over_seeds",
    "choose_best_names",
    "grade",
    "measure_excess",
    "measure_membership_auc",
    "measure_psnr",
    "measure_true_positives",
    "square_distances",
]


@dataclass(frozen=True, eq=False)
class Guess:
    """What a grouping attack says about pseudo-labels (or rows).

    Attributes:
        classes: int64 (P,), a class or, where ``anonymous``, the number of a cluster.
        anonymous: the attacker knows no class names; its clusters are named for it in the way that fits best, which
            flatters it.
        posterior: float64 (P, K), the attacker's probabilities; None where it has none.
    """

    classes: NDArray[np.int64]
    anonymous: bool = False
    posterior: NDArray[np.float64] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class GroupingScore:
    """How much of a partition was found.

    Attributes:
        ari: adjusted Rand index, 0 on average for a guess at random, 1 for the truth.
        named: share of pseudo-labels given their true class.
        gain_bits: mean log2 of posterior over prior of the true class; 0 without knowledge, negative for an attacker
            that is sure of wrong answers; NaN where the attack gives no posterior.
    """

    ari: float
    named: float
    gain_bits: float


def grade(guess: Guess, truth: NDArray[np.int64], classes: int) -> GroupingScore:
    """Grades a guess.

    Args:
        truth: int64 (P,), true classes in [0, classes).
    """
    named = choose_best_names(guess.classes, truth) if guess.anonymous else guess.classes
    gain = math.nan
    if guess.posterior is not None:
        prior = np.bincount(truth, minlength=classes) / len(truth)
        believed = np.maximum(guess.posterior[np.arange(len(truth)), truth], 1e-12)
        gain = float(np.mean(np.log2(believed / prior[truth])))
    return GroupingScore(
        float(adjusted_rand_score(truth, guess.classes)), float(np.mean(named == truth)), round(gain, 12)
    )


def choose_best_names(clusters: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Clusters named one to one so that most records agree with the truth; clusters left over get -1."""
    seen, number = np.unique(clusters, return_inverse=True)
    kinds, kind = np.unique(truth, return_inverse=True)
    overlap = np.zeros((seen.size, kinds.size))
    np.add.at(overlap, (number, kind), 1)
    rows, columns = linear_sum_assignment(-overlap)
    names = np.full(seen.size, -1, dtype=np.int64)
    names[rows] = kinds[columns]
    return names[number]


def measure_excess(score: float, floor: float) -> float:
    """``(score - floor) / (1 - floor)``: the part of what the floor left open; 0 for a floor of 1."""
    return 0.0 if floor >= 1 else (score - floor) / (1 - floor)


def measure_psnr(guess: NDArray[Any], truth: NDArray[Any], data_range: float) -> float:
    """Mean peak signal-to-noise ratio over records, in dB; a perfect copy counts as 100 dB."""
    error = np.square(guess - truth, dtype=np.float64).reshape(len(truth), -1).mean(axis=1)
    floor = data_range**2 * 1e-10
    return float(np.mean(10 * np.log10(data_range**2 / np.maximum(error, floor))))


def measure_membership_auc(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Probability that a member scores above another record, ties half; 0.5 by chance."""
    truth = np.repeat([1, 0], [members.size, others.size])
    return float(roc_auc_score(truth, np.concatenate([members, others])))


def measure_true_positives(members: NDArray[np.float64], others: NDArray[np.float64], false_positives: float) -> float:
    """Share of members found by the best threshold that accuses at most that share of the others."""
    truth = np.repeat([1, 0], [members.size, others.size])
    wrong, right, _ = roc_curve(truth, np.concatenate([members, others]))
    return float(right[wrong <= false_positives].max(initial=0.0))


def square_distances(points: NDArray[Any], centres: NDArray[Any]) -> NDArray[np.float64]:
    """float64 (n, k): squared Euclidean distances of points (n, d) from centres (k, d), up to rounding."""
    inner = 2 * points @ centres.T
    return np.asarray(np.square(points).sum(axis=1)[:, None] - inner + np.square(centres).sum(axis=1))


def average_over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and their standard deviation; 0 for a single seed, of which nothing is known."""
    numbers = np.asarray(values, dtype=np.float64)
    return float(numbers.mean()), float(numbers.std(ddof=1)) if numbers.size > 1 else 0.0
