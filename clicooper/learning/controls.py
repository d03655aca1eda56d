"""What accuracy is worth paying for: the ones that need no trainers, and the one without protection.

Each is a share of correctly classified held-out records in [0, 1]. A job whose accuracy is not above the best of
``head_only``, ``release_only`` and ``chance`` bought nothing (protocol, section 5). All run at the owner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.manifest import ModelSpec, SeedSpec, TrainingSpec
from clicooper.errors import DataError
from clicooper.extras import extra
from clicooper.learning.readout import Readout
from clicooper.learning.runtime import use_threads
from clicooper.learning.schedule import batch_rows, round_batches
from clicooper.learning.segments import Segment, initial_state
from clicooper.privacy.randomised_response import class_means

__all__ = [
    "ReadAccuracy",
    "ReleaseOnly",
    "measure_chance",
    "measure_head_only",
    "measure_release_only",
    "measure_unprotected",
    "read_accuracy",
    "train_alone",
]


@dataclass(frozen=True)
class ReadAccuracy:
    """Accuracy of trained segments, read out by the owner.

    Attributes:
        accuracy: of the contrastive readout, in [0, 1].
        naive: of a plain forward pass, in [0, 1].
        draws: noise draws of the readout.
        disagreement: share of records on which its two halves differ, in [0, 1].
        conclusive: whether that share is within the limit.
    """

    accuracy: float
    naive: float
    draws: int
    disagreement: float
    conclusive: bool


def read_accuracy(
    readout: Readout,
    clean: NDArray[Any],
    labels: NDArray[np.int64],
    sigma: float,
    seed: int,
    draws: int | None = None,
) -> ReadAccuracy:
    """Accuracy on records of the owner's own.

    Args:
        clean: float (n, *input_shape), clipped; labels: int64 (n,), true classes.
        sigma: standard deviation of the release's noise on a coordinate.
        seed: public seed of the draws.
        draws: of the readout; None doubles them until its predictions settle.
    """
    with use_threads(1):  # batches this small only wait for each other on more
        result = readout.contrastive_scores(clean, sigma, seed, draws=draws)
        naive = readout.naive_scores(clean).argmax(axis=1)
    right, plain = float(np.mean(result.predictions == labels)), float(np.mean(naive == labels))
    return ReadAccuracy(right, plain, result.draws, result.disagreement, result.conclusive)


def train_alone(
    segments: Sequence[Segment],
    activations: NDArray[Any],
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    seeds: SeedSpec,
    round_: int,
    training: TrainingSpec,
) -> None:
    """One round of all seats in one hand: the same steps as in a job, with nothing recorded and nothing committed.

    Args:
        segments: of all seats, in order; they are changed.
        activations: float (r, *input_shape); labels: int64 (r,).
        rows: int64 (steps, batch), from ``batch_rows``.
    """
    with use_threads(1):
        for step, x in round_batches(activations, rows, seeds, round_, training):
            for segment in segments:
                x = segment.forward(x)  # noqa: PLW2901 - a batch on its way through the seats
            _, gradient = segments[-1].loss_backward(labels[rows[step]])
            for segment in reversed(segments[:-1]):
                gradient = None if gradient is None else segment.backward(gradient)
            for segment in segments:
                segment.step()


@dataclass(frozen=True)
class ReleaseOnly:
    """Accuracies of classifiers that the owner fits on the folded release alone.

    Where labels are noisy each is fitted with and without the class means debiased, and the better counts: a control
    that errs, errs on the side of those who would not pay.

    Attributes:
        class_means: nearest class mean.
        lda: linear discriminant analysis with shrinkage (Ledoit and Wolf, 2004).
    """

    class_means: float
    lda: float

    @property
    def best(self) -> float:
        """The better of both: what training has to beat."""
        return max(self.class_means, self.lda)


def measure_chance(labels: NDArray[np.int64]) -> float:
    """Accuracy of always naming the most frequent class of ``labels``, int64 (n,), n at least 1."""
    if not len(labels):
        raise DataError("no held-out records", hint="keep some records out of the release")
    return float(np.bincount(labels).max() / len(labels))


def measure_unprotected(
    model: ModelSpec,
    training: TrainingSpec,
    seeds: SeedSpec,
    features: NDArray[Any],
    labels: NDArray[np.int64],
    test_features: NDArray[Any],
    test_labels: NDArray[np.int64],
) -> float:
    """The same model, in one piece, on clean features and true labels: no clipping, groups, noise or label map.

    Args:
        model: the job's model; its outputs become the true classes.
        training: the job's; features are scaled to mean square 1 instead of by ``input_scale``, no noise is added.
        features: float (n, *input_shape), labels int64 (n,): every record of the owner, before the release.
    """
    _check(features, labels)
    _check(test_features, test_labels)
    classes = int(max(labels.max(), test_labels.max())) + 1
    whole = model.model_copy(update={"outputs": max(classes, 2), "cuts": ()})
    scale = 1.0 / (float(np.sqrt(np.mean(np.square(features, dtype=np.float64)))) or 1.0)
    plain = training.model_copy(update={"input_scale": scale, "input_noise": 0.0, "label_noise": 0.0})
    segment = Segment(whole, plain, 0, initial_state(whole, seeds, 0))
    train_alone([segment], features, labels, batch_rows(seeds, 0, len(features), plain), seeds, 0, plain)
    with use_threads(1):
        scores = Readout(whole, [segment.state()], np.eye(whole.outputs), scale).naive_scores(test_features)
    return float(np.mean(scores.argmax(axis=1) == test_labels))


def measure_head_only(
    features: NDArray[Any], labels: NDArray[np.int64], test_features: NDArray[Any], test_labels: NDArray[np.int64]
) -> float:
    """A logistic regression on clean head features of the records that the owner labelled for its head.

    Args:
        features: float (n, dims); labels: int64 (n,), with at least two classes.
    """
    _check(features, labels)
    _check(test_features, test_labels)
    if np.unique(labels).size < 2:
        raise DataError("the head's records are of one class", hint="label records of every class")
    with extra("evaluate"):
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - an extra

    fitted = LogisticRegression(max_iter=2000).fit(_flat(features), labels)
    return float(np.mean(fitted.predict(_flat(test_features)) == test_labels))


def measure_release_only(
    release: NDArray[Any],
    pseudo_labels: NDArray[np.int64],
    fold: NDArray[Any],
    test_features: NDArray[Any],
    test_labels: NDArray[np.int64],
    mixing: float = 0.0,
) -> ReleaseOnly:
    """Classifiers on the release with its pseudo-labels folded to classes by the owner, without any trainer.

    Args:
        release: float (m, ...), the released activations; pseudo_labels: int64 (m,).
        fold: (outputs, classes), a pseudo-label's class is its row's maximum.
        test_features: float (n, ...), clean; test_labels: int64 (n,), true classes.
        mixing: rho of the randomised response behind the folded labels, 0 where they are true.
    """
    _check(release, pseudo_labels)
    _check(test_features, test_labels)
    labels = np.asarray(fold).argmax(axis=1)[pseudo_labels]
    train, test = _flat(release), _flat(test_features)
    present = np.unique(labels)
    means = np.stack([train[labels == label].mean(axis=0) for label in present])
    distances = np.square(means).sum(axis=1) - 2 * test @ means.T
    nearest = float(np.mean(present[distances.argmin(axis=1)] == test_labels))
    if not 2 <= present.size < len(labels):
        # With one record a class, or one class, there is no covariance to estimate: LDA is the nearest mean.
        return ReleaseOnly(nearest, nearest)
    with extra("evaluate"):
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # noqa: PLC0415 - an extra

    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(train, labels)
    found = ReleaseOnly(nearest, float(np.mean(lda.predict(test) == test_labels)))
    if not mixing:
        return found
    debiased = class_means(train, labels, fold.shape[1], mixing)[present]
    plain, within = (_nearest_mean(test, debiased, spread) for spread in (np.eye(train.shape[1]), lda.covariance_))
    return ReleaseOnly(
        max(found.class_means, float(np.mean(present[plain] == test_labels))),
        max(found.lda, float(np.mean(present[within] == test_labels))),
    )


def _nearest_mean(
    points: NDArray[np.float64], means: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Index of the nearest mean, int64 (n,), in the metric of a covariance: linear discriminants of equal priors."""
    weights = np.linalg.solve(covariance, means.T)
    scores = points @ weights - np.einsum("kd,dk->k", means, weights) / 2
    return np.asarray(scores.argmax(axis=1), dtype=np.int64)


def _flat(features: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(features, dtype=np.float64).reshape(len(features), -1)


def _check(features: NDArray[Any], labels: NDArray[np.int64]) -> None:
    if not len(features) or labels.shape != (len(features),):
        raise DataError(f"{len(features)} records with labels {list(labels.shape)}", hint="one label for each record")
