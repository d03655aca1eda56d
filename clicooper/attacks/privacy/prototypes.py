"""Naming pseudo-labels with knowledge of what the classes look like: the bound on grouping that may be quoted.

The oracle knows the true mean and covariance of every class in the head's output, which nobody outside the owner does.
With exactly-m expansion all assignments that respect the public class sizes are equally likely, so for Gaussian classes
the assignment of greatest likelihood is the best guess there is. The few-shot attacker estimates the means from k
labelled examples of its own, for which it needs the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from clicooper.attacks.privacy.grouping import assign_balanced
from clicooper.attacks.privacy.scores import Guess, square_distances
from clicooper.attacks.release_under_test import Observation, ReleaseUnderTest

__all__ = [
    "Prototypes",
    "draw_examples",
    "estimate_oracle_prototypes",
    "estimate_prototypes",
    "name_by_prototypes",
    "name_by_records",
]


@dataclass(frozen=True, eq=False)
class Prototypes:
    """What a class looks like.

    Attributes:
        means: float64 (K, d).
        spread: float64 (d, d), covariance of one record around its class mean, shared by the classes.
    """

    means: NDArray[np.float64]
    spread: NDArray[np.float64]


def estimate_oracle_prototypes(tested: ReleaseUnderTest) -> Prototypes:
    """The true ones, of the very records that are released, under the labels that the map was made from."""
    return estimate_prototypes(tested.released_features, tested.named, tested.dataset.classes)


def estimate_prototypes(features: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> Prototypes:
    """Estimates from records under the head, such as the attacker's own examples.

    Args:
        features: float64 (n, d); labels: int64 (n,), every class present.
    """
    means = np.stack([features[labels == label].mean(axis=0) for label in range(classes)])
    centred = features - means[labels]
    return Prototypes(means, centred.T @ centred / max(len(features) - classes, 1))


def draw_examples(tested: ReleaseUnderTest, shots: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Records that an attacker may own, ``shots`` a class where there are as many: never released, never tested."""
    own = np.concatenate([tested.splits.head, tested.splits.holdout])
    labels = tested.dataset.labels[own]
    chosen = [rng.permutation(own[labels == label])[:shots] for label in range(tested.dataset.classes)]
    return np.concatenate(chosen)


def name_by_prototypes(seen: Observation, known: Prototypes) -> Guess:
    """The balanced maximum a posteriori assignment of pseudo-labels to classes.

    A pseudo-label's mean row is taken as Gaussian around its class mean, with the spread of as many records as it
    averages, plus the noise. The posterior is that of a pseudo-label on its own, without the sizes.
    """
    records = seen.group * float(seen.rows_per_label.mean())
    covariance = known.spread / records + seen.mean_noise**2 * np.eye(seen.means.shape[1])
    root = np.linalg.cholesky(covariance + 1e-9 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
    points, centres = (np.linalg.solve(root, x.T).T for x in (seen.means, known.means))
    return _named(-square_distances(points, centres) / 2, seen)


def name_by_records(seen: Observation, features: NDArray[np.float64], labels: NDArray[np.int64]) -> Guess:
    """The same for PrivUnit, whose answers are not Gaussian, by whoever knows all records but not their rows.

    A row of class c is an answer to any of its records with equal probability, so its likelihood is their mean: exact.

    Args:
        features: float64 (n, d), of the released records; labels: int64 (n,), every class present.
    """
    told = np.exp(seen.answers.log_likelihood(seen.rows, features))
    classes = np.log(np.stack([told[:, labels == label].mean(axis=1) for label in range(seen.classes)], axis=1))
    scores = np.zeros((seen.count, seen.classes))
    np.add.at(scores, seen.pseudo_labels, classes)
    return _named(scores, seen)


def _named(scores: NDArray[np.float64], seen: Observation) -> Guess:
    """The balanced assignment of greatest likelihood, and each pseudo-label's posterior on its own."""
    joint = scores + np.log(np.array(seen.gamma) / seen.count)
    posterior = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    return Guess(assign_balanced(scores, seen.gamma), posterior=posterior)
