"""How well a release hides which pseudo-labels belong together, against the attacker who knows most.

The attacker knows the true class means and averages the released rows of each pseudo-label, so what counts is the noise
of that average against the distance between class means. In experiments on digits the best such attack (balanced MAP)
stays at a Rand index of 0.03 once the ratio reaches 1.15. The ratio says nothing of attackers who use other signals,
such as trained weights or gradients, and is no privacy guarantee: that is the statement's (epsilon, delta).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from clicooper.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HIDING_RATIO", "MapHiding", "measure_hiding"]

HIDING_RATIO = 1.15
"""Noise-to-prototype ratio from which on the oracle attack's adjusted Rand index is at most 0.03."""


@dataclass(frozen=True)
class MapHiding:
    """The owner's own measurement; it depends on the class means and must not be published.

    Attributes:
        ratio: noise of a pseudo-label's mean row, over the mean distance between class means.
    """

    ratio: float

    @property
    def holds(self) -> bool:
        """Whether the map is hidden from the oracle attack."""
        return self.ratio >= HIDING_RATIO

    def text(self) -> str:
        """One sentence for the owner."""
        if self.holds:
            return f"Label map: noise-to-prototype ratio {self.ratio:.2f}, at least the {HIDING_RATIO} that hides it."
        return (
            f"Label map: noise-to-prototype ratio {self.ratio:.2f}, where {HIDING_RATIO} would hide it. Whoever knows "
            "the class means can sort these pseudo-labels into classes; (epsilon, delta) covers inputs, not labels."
        )


def measure_hiding(
    features: NDArray[Any], labels: NDArray[np.int64], sigma: float, rows_per_pseudo_label: int
) -> MapHiding:
    """The ratio ``sigma / (sqrt(rows) x mean prototype distance)``.

    Args:
        features: clean, clipped features (n, ...) of the released records.
        labels: int64 (n,), true classes, at least two of them.
        sigma: noise per coordinate of one released row.
        rows_per_pseudo_label: released rows that carry the same pseudo-label, at least 1.

    Raises:
        DataError: fewer than two classes, or class means that coincide.
    """
    flat = np.asarray(features, dtype=np.float64).reshape(len(features), -1)
    means = np.stack([flat[labels == label].mean(axis=0) for label in np.unique(labels)])
    if len(means) < 2:
        raise DataError("one class has no prototype distance", hint="pass records of every class")
    pairs = np.triu_indices(len(means), k=1)
    distance = float(np.linalg.norm(means[pairs[0]] - means[pairs[1]], axis=1).mean())
    if distance == 0:
        raise DataError("all class means coincide", hint="this head separates nothing; choose another")
    return MapHiding(sigma / (sqrt(rows_per_pseudo_label) * distance))
