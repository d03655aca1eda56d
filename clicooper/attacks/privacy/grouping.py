"""Grouping pseudo-labels into classes without knowing what a class looks like.

Every attacker here knows what the last seat knows: the rows, their pseudo-labels, gamma, sigma. Those that know class
means, or labelled examples, are in ``prototypes``; theirs is the bound to quote. Sources: Lloyd's k-means, capacities
met by an optimal assignment; denoising by the known noise covariance (the eigenvectors of the means' covariance that
rise above ``sigma^2 / rows``); spectral clustering (Ng, Jordan and Weiss, 2001); EM for a Gaussian mixture whose
covariance and weights are known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.cluster import KMeans, SpectralClustering

from clicooper.attacks.privacy.scores import Guess, square_distances
from clicooper.attacks.release_under_test import Observation

__all__ = [
    "assign_balanced",
    "cluster_vectors",
    "group_by_balanced_kmeans",
    "group_by_denoised_kmeans",
    "group_by_em",
    "group_by_record_kmeans",
    "group_by_spectrum",
]

_RESTARTS = 4
_ROUNDS = 15
_EM_ROUNDS = 60


def assign_balanced(scores: NDArray[np.float64], gamma: tuple[int, ...]) -> NDArray[np.int64]:
    """The assignment of greatest total score that gives class c exactly ``gamma[c]`` pseudo-labels.

    Args:
        scores: float64 (P, K), such as log-likelihoods; P is the sum of gamma.

    Returns:
        int64 (P,), classes.
    """
    places = np.repeat(np.arange(len(gamma)), gamma)
    rows, columns = linear_sum_assignment(-scores[:, places])
    classes = np.empty(len(scores), dtype=np.int64)
    classes[rows] = places[columns]
    return classes


def group_by_record_kmeans(seen: Observation, rng: np.random.Generator) -> Guess:
    """K-means on single rows, the attack that the paper reports; a pseudo-label joins the cluster of most of its rows.

    Knows the rows; pseudo-labels only to vote.
    """
    clusters = _kmeans(seen.rows, seen.classes, rng).labels_
    votes = np.zeros((seen.count, seen.classes))
    np.add.at(votes, (seen.pseudo_labels, clusters), 1)
    return Guess(votes.argmax(axis=1).astype(np.int64), anonymous=True)


def group_by_balanced_kmeans(seen: Observation, rng: np.random.Generator) -> Guess:
    """K-means on the means of pseudo-labels, every cluster with its class's known number of them."""
    return cluster_vectors(seen.means, seen.gamma, rng)


def group_by_denoised_kmeans(seen: Observation, rng: np.random.Generator) -> Guess:
    """Balanced k-means in the directions in which means vary by more than the known noise, scaled by that excess."""
    centred = seen.means - seen.means.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    signal = np.maximum(values - seen.mean_noise**2, 0)
    kept = np.argsort(signal)[::-1][: seen.classes - 1]
    shrunk = signal[kept] / np.maximum(values[kept], np.finfo(np.float64).tiny)
    return cluster_vectors(centred @ vectors[:, kept] * np.sqrt(shrunk), seen.gamma, rng)


def group_by_spectrum(seen: Observation, rng: np.random.Generator) -> Guess:
    """Spectral clustering of the means under a Gaussian kernel as wide as the median distance."""
    distances = cdist(seen.means, seen.means)
    width = float(np.median(distances[np.triu_indices(seen.count, k=1)])) or 1.0
    kernel = np.exp(-np.square(distances / width) / 2)
    model = SpectralClustering(seen.classes, affinity="precomputed", random_state=_seed(rng), n_init=_RESTARTS)
    return Guess(np.asarray(model.fit(kernel).labels_, dtype=np.int64), anonymous=True)


def group_by_em(seen: Observation, rng: np.random.Generator) -> Guess:
    """EM for a mixture of K Gaussians with the known noise and class weights, then the balanced assignment."""
    weights = np.log(np.array(seen.gamma) / seen.count)
    best, best_score = np.zeros((seen.count, seen.classes)), -np.inf
    for _ in range(_RESTARTS):
        centres = np.asarray(_kmeans(seen.means, seen.classes, rng, starts=1).cluster_centers_)
        for _ in range(_EM_ROUNDS):
            joint = _log_likelihood(seen.means, centres, seen.mean_noise) + weights
            share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
            centres = share.T @ seen.means / np.maximum(share.sum(axis=0), 1e-9)[:, None]
        score = float(logsumexp(joint, axis=1).sum())
        if score > best_score:
            best, best_score = joint, score
    return Guess(assign_balanced(best, seen.gamma), anonymous=True)


def _log_likelihood(points: NDArray[np.float64], centres: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Log density of each point around each centre under N(0, noise^2 I), up to a constant; float64 (P, K)."""
    return -square_distances(points, centres) / (2 * max(noise, 1e-9) ** 2)


def cluster_vectors(points: NDArray[np.float64], gamma: tuple[int, ...], rng: np.random.Generator) -> Guess:
    """Balanced k-means on any vectors, one for each pseudo-label: sizes are met, largest cluster to the largest class.

    Args:
        points: float64 (P, d), P the sum of gamma.
    """
    clustered = _kmeans(points, len(gamma), rng)
    centres = np.asarray(clustered.cluster_centers_)
    sizes = np.bincount(clustered.labels_, minlength=len(gamma))
    capacity = np.empty(len(gamma), dtype=np.int64)
    capacity[np.argsort(sizes)] = np.sort(gamma)
    classes = np.full(len(points), -1, dtype=np.int64)
    for _ in range(_ROUNDS):
        moved = assign_balanced(_log_likelihood(points, centres, 1.0), tuple(int(size) for size in capacity))
        if np.array_equal(moved, classes):
            break
        classes = moved
        centres = np.stack([points[classes == number].mean(axis=0) for number in range(len(gamma))])
    return Guess(classes, anonymous=True)


def _kmeans(points: NDArray[np.float64], clusters: int, rng: np.random.Generator, starts: int = _RESTARTS) -> KMeans:
    return KMeans(clusters, n_init=starts, random_state=_seed(rng)).fit(points)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))
