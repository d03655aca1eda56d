"""Randomised response: class labels that may be counted, because each was drawn at random before anything was counted.

Job: replace labels by noisy ones, once per data set, and undo on average what that did to counts and sums. Non-jobs:
the map of the noisy labels (``labels``), the loss that knows of the noise (``learning.segments``), remembering what was
spent (``ledger``).

Source: Warner, "Randomized Response", JASA 1965; for K classes Kairouz, Bonawitz and Ramage, "Discrete Distribution
Estimation under Local Privacy", ICML 2016. A record keeps its class with probability p and gets each other one with q,

    p = e^epsilon / (e^epsilon + K - 1),    q = 1 / (e^epsilon + K - 1),

so a change of label changes no probability by more than the factor p/q = e^epsilon: (epsilon, 0)-differential privacy
of the label, whatever is computed from the noisy labels afterwards. The same draw in other words: with probability
rho = K q, the ``mixing``, the class is replaced by one drawn uniformly from all K.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from clicooper.errors import DataError, PrivacyClaimError
from clicooper.privacy.randomness import WORDS, bernoulli, bind, integers
from clicooper.types import Digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clicooper.privacy.randomness import MasterSecret

__all__ = ["MAX_EPSILON", "RandomisedResponse", "class_means", "noise_of_rows", "unmix"]

MAX_EPSILON = 64.0
"""Above it no label would ever be replaced: whoever asks for more does not want a response."""

_DOWN, _UP = Context(prec=50, rounding=ROUND_FLOOR), Context(prec=50, rounding=ROUND_CEILING)


@dataclass(frozen=True)
class RandomisedResponse:
    """K-ary randomised response.

    Args:
        epsilon: of one record's label, above 0, at most ``MAX_EPSILON``.
        classes: K, 2 to 2^32; public.

    Raises:
        PrivacyClaimError: numbers out of range, or an epsilon so small that the noisy labels would say nothing.
    """

    epsilon: float
    classes: int

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= MAX_EPSILON or not 2 <= self.classes <= 1 << 32:
            raise PrivacyClaimError(
                f"no response over {self.classes} classes at epsilon {self.epsilon}",
                hint=f"choose a label epsilon above 0, at most {MAX_EPSILON:g}, and at least two classes",
            )
        if self.mixing >= 1:
            raise PrivacyClaimError(
                f"label epsilon {self.epsilon:g} leaves nothing of the labels", hint="choose a larger one"
            )

    @property
    def threshold(self) -> int:
        """rho in units of 2^-64, rounded up, that is to the private side; the same number on every platform."""
        odds = _DOWN.next_minus(_DOWN.exp(Decimal(self.epsilon)))  # exp rounds to nearest, so the next below is below
        mixing = _UP.divide(Decimal(self.classes), _DOWN.add(odds, Decimal(self.classes - 1)))
        return int(_UP.multiply(mixing, Decimal(WORDS)).to_integral_value(ROUND_CEILING))

    @property
    def mixing(self) -> float:
        """rho = K q, the share of labels replaced by a uniform class; public, in (0, 1)."""
        return self.threshold / WORDS

    @property
    def keep(self) -> float:
        """p, the share of labels that stay what they are; nobody names a label better from its noisy one alone."""
        return 1.0 - self.mixing * (self.classes - 1) / self.classes

    def respond(self, labels: NDArray[np.int64], *, secret: MasterSecret, context: Digest) -> NDArray[np.int64]:
        """Noisy labels, int64 (n,): the same for the same secret, context, epsilon and K, every other draw unrelated.

        Replacement has the probability ``threshold / 2^64`` exactly, and the new class is exactly uniform.

        Args:
            labels: int64 (n,), 0..K-1, true.
            secret: the owner's master.
            context: digest of the data set. A second response to the same labels at another epsilon would add to the
                first: the ledger refuses it.

        Raises:
            DataError: labels out of range.
        """
        if labels.ndim != 1 or labels.size == 0 or labels.min() < 0 or labels.max() >= self.classes:
            raise DataError("labels do not fit the classes", hint=f"one of 0..{self.classes - 1} for each record")
        bound = bind("clicooper.label-response", bytes(context), float(self.epsilon), int(self.classes))
        replaced = bernoulli(secret.derive("clicooper.labels.replaced", bound), labels.size, self.threshold)
        drawn = integers(secret.derive("clicooper.labels.replacement", bound), labels.size, self.classes)
        return np.where(replaced, drawn, labels)


def noise_of_rows(mixing: float, group: int) -> float:
    """The share of released *rows* whose pseudo-label was drawn uniformly, for the trainers' loss.

    A row of one record has its record's label, so that share is ``mixing``. A row that averages several records of one
    noisy class has no true label that a replacement could have hidden: its pseudo-label is what it was made for, and
    the mixing is in its features. Nothing is left to correct in its label, and the share is 0.

    Args:
        mixing: rho, 0 where labels are true.
        group: b, records in a row.
    """
    return mixing if group == 1 else 0.0


def unmix(totals: NDArray[Any], mixing: float) -> NDArray[np.float64]:
    """Unbiased totals of the true classes from totals of the noisy ones: the inverse of the mixing matrix.

    The expected totals of the noisy classes are ``(1 - rho) t + rho mean(t)`` in each column, and their sum is that of
    the true ones, always; solving for t gives an estimate whose expectation is t.

    Args:
        totals: (K, ...), counts of records, or sums of whatever the response did not look at.
        mixing: rho, in [0, 1).

    Returns:
        float64 (K, ...); a count may be negative.
    """
    return np.asarray((totals - mixing * totals.mean(axis=0)) / (1.0 - mixing))


def class_means(
    rows: NDArray[np.float64], noisy: NDArray[np.int64], classes: int, mixing: float
) -> NDArray[np.float64]:
    """Means of the true classes from rows under noisy labels: unbiased sums over unbiased counts.

    The quotient itself is consistent, not unbiased. A class of whose rows less than one is estimated to be its own
    keeps the mean of its noisy rows, a class without rows has mean 0.

    Args:
        rows: float64 (n, d).
        noisy: int64 (n,), 0..classes-1.
        mixing: rho, in [0, 1).

    Returns:
        float64 (classes, d).
    """
    found = np.bincount(noisy, minlength=classes).astype(np.float64)
    sums = np.zeros((classes, rows.shape[1]))
    np.add.at(sums, noisy, rows)
    counts = unmix(found, mixing)
    own = counts >= 1
    means = np.where(own[:, None], unmix(sums, mixing), sums)
    return np.asarray(means / np.where(own, counts, np.maximum(found, 1))[:, None])
