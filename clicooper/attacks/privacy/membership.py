"""Was this record among the released ones? The question that differential privacy bounds directly.

The attacker knows the head, the class means and spread, sigma, every candidate's input and class, and how many of them
were released. Its score is the likelihood ratio of Carlini et al. ("Membership inference attacks from first
principles", IEEE S&P 2022): what the observation says of a record, against what it says in simulated releases with
and without that record. Simulated releases cost no training, so there are many; the final model is attacked through its
confidence alone, for it is computed from the release and can say no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from clicooper.attacks.privacy.prototypes import Prototypes, estimate_oracle_prototypes
from clicooper.attacks.privacy.scores import measure_membership_auc, measure_true_positives, square_distances
from clicooper.attacks.release_under_test import Observation, ReleaseUnderTest
from clicooper.attacks.trained import Trained
from clicooper.privacy.privunit import PrivUnit

__all__ = ["FALSE_POSITIVES", "MembershipScore", "infer_from_model", "infer_from_release"]

SHADOWS = 16
FALSE_POSITIVES = 0.01
_CANDIDATES = 1500
"""Members, and others, that are judged at most: two samples large enough for an AUC."""

_CHUNK = 1024


@dataclass(frozen=True)
class MembershipScore:
    """AUC (0.5 by chance), and the share of members found while 1 % of the others are accused."""

    auc: float
    true_positives: float


def infer_from_release(tested: ReleaseUnderTest, seen: Observation, rng: np.random.Generator) -> MembershipScore:
    """The likelihood-ratio attack on released rows."""
    members, others = (rng.permutation(found)[:_CANDIDATES] for found in _candidates(tested))
    pool = np.concatenate([members, others])
    features, labels = tested.features[pool], tested.dataset.labels[pool]
    known = estimate_oracle_prototypes(tested)
    observed = _support(seen.rows, features, labels, seen, known)
    inside, outside = _shadow_scores(features, labels, seen, known, rng)
    score = norm.logpdf(observed, *inside) - norm.logpdf(observed, *outside)
    return _graded(score[: len(members)], score[len(members) :])


def infer_from_model(tested: ReleaseUnderTest, trained: Trained) -> MembershipScore:
    """The final model's confidence in a record's class; knows the fold, which is more than any seat does."""
    members, others = _candidates(tested)
    readout = trained.readout(tested.label_map.fold)
    scores = [
        readout.naive_scores(tested.inputs.features[records])[np.arange(len(records)), tested.dataset.labels[records]]
        for records in (members, others)
    ]
    return _graded(*scores)


def _candidates(tested: ReleaseUnderTest) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Released records, and records of the same kind that were not: those kept for tests and progress."""
    members = tested.splits.release[np.unique(tested.release.record_of_row)]
    return members, np.concatenate([tested.splits.test, tested.splits.holdout])


def _support(
    rows: NDArray[np.float64],
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    seen: Observation,
    known: Prototypes,
) -> NDArray[np.float64]:
    """For each record the log mean likelihood of the rows, were it in one of them; float64 (n,).

    In a group the other records are unknown: their mean is the class's, and their spread adds to the noise.
    """
    if seen.privunit is not None:
        parts = _by_privunit(rows, features, seen.privunit)
    else:
        parts = _by_gaussian(rows, features, labels, seen, known)
    total = np.full(len(features), -np.inf)
    for part in parts:
        total = np.logaddexp(total, logsumexp(part, axis=0))
    return np.asarray(total - np.log(len(rows)))


def _by_privunit(
    rows: NDArray[np.float64], features: NDArray[np.float64], answers: PrivUnit
) -> Iterator[NDArray[np.float64]]:
    """Exact log likelihoods of rows under records, float64 (chunk, n), chunk by chunk."""
    for at in range(0, len(rows), _CHUNK):
        yield answers.log_likelihood(rows[at : at + _CHUNK], features)


def _by_gaussian(
    rows: NDArray[np.float64],
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    seen: Observation,
    known: Prototypes,
) -> Iterator[NDArray[np.float64]]:
    """The same for groups under Gaussian noise, up to a constant."""
    share = 1 / seen.group
    centres = share * features + (1 - share) * known.means[labels]
    covariance = seen.sigma**2 * np.eye(rows.shape[1]) + share * (1 - share) * known.spread
    root = np.linalg.cholesky(covariance)
    points, centres = (np.linalg.solve(root, x.T).T for x in (rows, centres))
    for at in range(0, len(points), _CHUNK):
        yield -square_distances(points[at : at + _CHUNK], centres) / 2


def _shadow_scores(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    seen: Observation,
    known: Prototypes,
    rng: np.random.Generator,
) -> tuple[tuple[NDArray[np.float64], float], tuple[NDArray[np.float64], float]]:
    """Mean per record and common deviation of the score, in simulated releases with it and without it."""
    inside, scores = np.empty((SHADOWS, len(features)), dtype=bool), np.empty((SHADOWS, len(features)))
    for shadow in range(SHADOWS):
        chosen = rng.random(len(features)) < 0.5
        inside[shadow] = chosen
        scores[shadow] = _support(
            _shadow_rows(features[chosen], labels[chosen], seen, rng), features, labels, seen, known
        )
    return _fitted(scores, inside), _fitted(scores, ~inside)


def _fitted(scores: NDArray[np.float64], used: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    counts = np.maximum(used.sum(axis=0), 1)
    means = np.where(used, scores, 0).sum(axis=0) / counts
    spread = np.sqrt(np.square(np.where(used, scores - means, 0)).sum() / max(int(used.sum()) - used.shape[1], 1))
    return means, float(max(spread, 1e-9))


def _shadow_rows(
    features: NDArray[np.float64], labels: NDArray[np.int64], seen: Observation, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A release of these records: random groups within each class, and fresh noise."""
    order = rng.permutation(len(features))
    order = order[np.argsort(labels[order], kind="stable")]
    whole = len(order) // seen.group * seen.group
    means = features[order[:whole]].reshape(-1, seen.group, features.shape[1]).mean(axis=1)
    return seen.simulate(means, rng)


def _graded(members: NDArray[np.float64], others: NDArray[np.float64]) -> MembershipScore:
    return MembershipScore(
        measure_membership_auc(members, others), measure_true_positives(members, others, FALSE_POSITIVES)
    )
