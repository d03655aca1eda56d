"""Stealing a classifier: seats that pool all segments, and customers of the owner's prediction service.

The seats have every segment, the release and the pseudo-labels; what they lack is which pseudo-labels belong to which
class. Each attack is a fold that they guess. Attackers with k labelled examples of each class also have the head here,
which is generous; the control is the same attacker with the head and its own examples alone, since a model that is no
better than that was not stolen. Inputs are clean, and read out as the owner reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from clicooper.attacks.privacy.grouping import group_by_balanced_kmeans
from clicooper.attacks.privacy.prototypes import estimate_prototypes, name_by_prototypes
from clicooper.attacks.privacy.scores import choose_best_names, square_distances
from clicooper.attacks.release_under_test import Observation, ReleaseUnderTest
from clicooper.attacks.trained import DRAWS, Trained
from clicooper.learning.runtime import use_threads

__all__ = [
    "combine_with_release",
    "guess_fold",
    "guess_fold_blind",
    "make_fold",
    "measure_own_examples",
    "query_service",
    "read_out",
]


def make_fold(classes: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """The fold that a guess of classes means; a class without pseudo-labels gets an even share of all."""
    fold = np.eye(count)[classes]
    fold[:, fold.sum(axis=0) == 0] = 1e-9
    return np.asarray(fold)


def guess_fold(seen: Observation, rng: np.random.Generator) -> NDArray[np.float64]:
    """The attack that the paper reports: the model without its map, pseudo-labels named at random."""
    return make_fold(rng.permutation(np.repeat(np.arange(seen.classes), seen.gamma)), seen.classes)


def guess_fold_blind(tested: ReleaseUnderTest, seen: Observation, rng: np.random.Generator) -> NDArray[np.float64]:
    """Balanced k-means on the release, clusters named as fits best, which flatters an attacker without examples."""
    clusters = group_by_balanced_kmeans(seen, rng).classes
    return make_fold(choose_best_names(clusters, tested.truth), seen.classes)


def read_out(tested: ReleaseUnderTest, trained: Trained, folds: Sequence[NDArray[np.float64]]) -> list[float]:
    """Accuracies of the stolen segments on the owner's test records, one for each guessed fold.

    The folds stand side by side as one, since the costly part, the network under many noises, is the same for all.
    """
    test, truth = tested.splits.test, tested.dataset.labels[tested.splits.test]
    with use_threads(1):
        scores = trained.readout(np.concatenate(folds, axis=1)).contrastive_scores(
            tested.inputs.features[test], tested.release.sigma, tested.seed, draws=DRAWS
        )
    ends = np.cumsum([fold.shape[1] for fold in folds])[:-1]
    return [float(np.mean(part.argmax(axis=1) == truth)) for part in np.split(scores.scores, ends, axis=1)]


def measure_own_examples(tested: ReleaseUnderTest, examples: NDArray[np.int64]) -> float:
    """The control: head and own examples, the better of nearest class mean and logistic regression."""
    features, labels = tested.features[examples], tested.dataset.labels[examples]
    test, truth = tested.features[tested.splits.test], tested.dataset.labels[tested.splits.test]
    means = estimate_prototypes(features, labels, tested.dataset.classes).means
    fitted = LogisticRegression(max_iter=500).fit(features, labels).predict(test)
    return max(float(np.mean(_nearest(test, means) == truth)), float(np.mean(fitted == truth)))


def combine_with_release(tested: ReleaseUnderTest, seen: Observation, examples: NDArray[np.int64]) -> float:
    """Class means of the own examples and of the release under the guessed map, weighed by what each is worth.

    An example's mean has the class's spread over k; a pseudo-label's the release's noise, and counts by its posterior.
    """
    features, labels = tested.features[examples], tested.dataset.labels[examples]
    known = estimate_prototypes(features, labels, tested.dataset.classes)
    believed = name_by_prototypes(seen, known).posterior
    assert believed is not None  # noqa: S101 - name_by_prototypes always has one
    shots = np.bincount(labels, minlength=seen.classes)
    spread = float(np.trace(known.spread)) / len(known.spread)
    own = shots / max(spread, 1e-9)
    released = believed / (seen.mean_noise**2 + spread / seen.group)
    weights = own + released.sum(axis=0)
    means = (own[:, None] * known.means + released.T @ seen.means) / weights[:, None]
    test = tested.splits.test
    return float(np.mean(_nearest(tested.features[test], means) == tested.dataset.labels[test]))


def query_service(tested: ReleaseUnderTest, trained: Trained, records: NDArray[np.int64]) -> float:
    """A student of the owner's answers to queries: logistic regression on the head's features of unlabelled records.

    Knows the head and the answers alone. Nothing limits what a served prediction gives away; it is a price, not a leak
    of the release.
    """
    fold, test = tested.label_map.fold, tested.splits.test
    with use_threads(1):
        answers = (
            trained.readout(fold)
            .contrastive_scores(tested.inputs.features[records], tested.release.sigma, tested.seed, draws=DRAWS)
            .predictions
        )
    truth = tested.dataset.labels[test]
    if np.unique(answers).size < 2:
        return float(np.mean(truth == answers[0]))
    student = LogisticRegression(max_iter=500).fit(tested.features[records], answers)
    return float(np.mean(student.predict(tested.features[test]) == truth))


def _nearest(points: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(square_distances(points, means).argmin(axis=1))
