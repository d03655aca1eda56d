"""How well a release hides which pseudo-labels belong together, against the attacker who knows most.

The attacker knows the true class means and averages the released rows of each pseudo-label, so what counts is the noise
of that average against the distance between class means. For K classes at equal distances the best such attack
(balanced MAP) stays at a Rand index of about 0.03 once the ratio reaches ``needed_ratio``: fewer classes are told apart
more easily. Unequal distances expose the far classes beyond that, which only the attack itself shows. The ratio says
nothing of attackers who use other signals, such as trained weights or gradients, and is no privacy guarantee: that is
the statement's (epsilon, delta).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from clicooper.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "HIDING_RATIO",
    "HidingShape",
    "MapHiding",
    "gamma_that_hides",
    "measure_hiding",
    "needed_ratio",
    "prototype_distance",
    "shape_that_hides",
]

HIDING_RATIO = 1.15
"""Noise-to-prototype ratio from which on the oracle's adjusted Rand index is about 0.03, for ten classes or more."""

MIN_GAMMA = 8
"""Below this many rows of a class, its mean is as noisy as a third of the distance to the next class."""


@dataclass(frozen=True)
class MapHiding:
    """The owner's own measurement; it depends on the class means and must not be published.

    Attributes:
        ratio: noise of a pseudo-label's mean row, over the mean distance between class means.
        classes: K.
    """

    ratio: float
    classes: int

    @property
    def holds(self) -> bool:
        """Whether the map is hidden from the oracle attack."""
        return self.ratio >= needed_ratio(self.classes)

    def text(self) -> str:
        """One sentence for the owner."""
        needed = needed_ratio(self.classes)
        if self.holds:
            return f"Label map: noise-to-prototype ratio {self.ratio:.2f}, at least the {needed:.2f} that hides it."
        return (
            f"Label map: noise-to-prototype ratio {self.ratio:.2f}, where {needed:.2f} would hide it. Whoever knows "
            "the class means can sort these pseudo-labels into classes; no epsilon covers the map."
        )


def needed_ratio(classes: int) -> float:
    """``max(1.15, sqrt(10 / K))``, fitted to simulated oracles on K classes at equal distances.

    Args:
        classes: K, at least 2.
    """
    return max(HIDING_RATIO, sqrt(10 / classes))


def measure_hiding(
    features: NDArray[Any], labels: NDArray[np.int64], sigma: float, rows_per_pseudo_label: int
) -> MapHiding:
    """The ratio ``sigma / (sqrt(rows) x mean prototype distance)``.

    Args:
        features: clean, clipped features (n, ...) of the released records.
        labels: int64 (n,), the classes that the map was made from, at least two of them.
        sigma: noise per coordinate of one released row.
        rows_per_pseudo_label: released rows that carry the same pseudo-label, at least 1.

    Raises:
        DataError: fewer than two classes, or class means that coincide.
    """
    ratio = sigma / (sqrt(rows_per_pseudo_label) * prototype_distance(features, labels))
    return MapHiding(ratio, int(np.unique(labels).size))


def prototype_distance(features: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Mean distance between class means, in the unit of the features.

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
    return distance


@dataclass(frozen=True)
class HidingShape:
    """Gamma and group size that hide the label map at some epsilon.

    Attributes:
        gamma: pseudo-labels of the rarest class.
        group: records in a row.
        ratio: the noise-to-prototype ratio that is reached.
        warning: empty, or what is wrong with it.
    """

    gamma: int
    group: int
    ratio: float
    warning: str


def shape_that_hides(distance: float, classes: int, sigma_of_one: float, rarest_class: int) -> HidingShape:
    """The largest groups that keep the ratio, one row for each pseudo-label.

    With b = m, a pseudo-label's mean row has noise ``sigma_1 / m``, sigma_1 the deviation for rows of single records.
    Of all b <= m with the same ratio, b = m leaves the owner most: a class mean over its rows then has noise
    ``sigma_1 / sqrt(n_c m)``, where rows of single records leave ``sigma_1 / sqrt(n_c)``.

    Args:
        distance: from ``prototype_distance``, measured on records that are never released: on the released ones it
            would be a choice that no epsilon covers.
        classes: K.
        sigma_of_one: noise of a row of one record, at the epsilon in question.
        rarest_class: released records of the smallest class, at least 1.
    """
    needed = needed_ratio(classes)
    group = min(max(1, floor(sigma_of_one / (needed * distance))), rarest_class)
    return _warn(HidingShape(rarest_class // group, group, sigma_of_one / (group * distance), ""), needed)


def gamma_that_hides(distance: float, classes: int, noise: float, rarest_class: int) -> HidingShape:
    """The largest pseudo-labels of single-record rows that keep the ratio: m rows average to noise ``/ sqrt(m)``.

    Args:
        noise: of a coordinate of one row, whatever m is: that of PrivUnit, or of a Gaussian release with b = 1.
        distance, classes, rarest_class: as in ``shape_that_hides``.
    """
    needed = needed_ratio(classes)
    m = min(max(1, floor((noise / (needed * distance)) ** 2)), rarest_class)
    shape = HidingShape(rarest_class // m, 1, noise / (sqrt(m) * distance), "")
    return _warn(shape, needed)


def _warn(shape: HidingShape, needed: float) -> HidingShape:
    if shape.ratio < needed:
        return replace(shape, warning="even single records are exposed at this epsilon: lower it, or use another head")
    if shape.gamma < MIN_GAMMA:
        return replace(shape, warning=f"gamma {shape.gamma}: too few records of the rarest class to learn from")
    return shape
