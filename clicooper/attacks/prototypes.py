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

from clicooper.attacks.grouping import assign_balanced
from clicooper.attacks.scores import Guess
from clicooper.attacks.victim import Observation, Victim

__all__ = ["Prototypes", "draw_examples", "few_shot_prototypes", "name_by_prototypes", "oracle_prototypes"]


@dataclass(frozen=True, eq=False)
class Prototypes:
    """What a class looks like.

    Attributes:
        means: float64 (K, d).
        spread: float64 (d, d), covariance of one record around its class mean, shared by the classes.
    """

    means: NDArray[np.float64]
    spread: NDArray[np.float64]


def oracle_prototypes(victim: Victim) -> Prototypes:
    """The true ones, of the very records that are released, under the labels that the map was made from."""
    return _estimated(victim.released_features, victim.named, victim.dataset.classes)


def few_shot_prototypes(features: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> Prototypes:
    """Estimates from the attacker's own examples under the head.

    Args:
        features: float64 (n, d); labels: int64 (n,), every class present.
    """
    return _estimated(features, labels, classes)


def draw_examples(victim: Victim, shots: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Records that an attacker may own, ``shots`` a class where there are as many: never released, never tested."""
    own = np.concatenate([victim.splits.head, victim.splits.holdout])
    labels = victim.dataset.labels[own]
    chosen = [rng.permutation(own[labels == label])[:shots] for label in range(victim.dataset.classes)]
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
    squares = np.square(points).sum(axis=1)[:, None] - 2 * points @ centres.T + np.square(centres).sum(axis=1)
    joint = -squares / 2 + np.log(np.array(seen.gamma) / seen.count)
    posterior = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    return Guess(assign_balanced(-squares / 2, seen.gamma), posterior=posterior)


def _estimated(features: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> Prototypes:
    means = np.stack([features[labels == label].mean(axis=0) for label in range(classes)])
    centred = features - means[labels]
    return Prototypes(means, centred.T @ centred / max(len(features) - classes, 1))
