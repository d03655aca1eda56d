"""PrivUnit: a unit vector under pure epsilon, with far less noise than a Gaussian for single records.

Job: choose the mechanism for (epsilon, dimension), answer unit vectors from given random numbers, and say how likely an
answer is. Non-jobs: drawing the numbers (``randomness``), clipping, the grid and the statement (``release``).

Source: Bhowmick, Duchi, Freudiger, Kapoor and Rogers, "Protection Against Reconstruction and Its Applications in
Private Federated Learning", 2018, Algorithm 1; that it is optimal up to its parameters is shown in Asi, Feldman and
Talwar, "Optimal Algorithms for Mean Estimation under Local Differential Privacy", ICML 2022. For a direction u, the
answer V is uniform on the cap ``<V, u> >= t`` with probability p, and uniform on the rest of the sphere otherwise. It
is divided by ``E <V, u>``, which makes it unbiased.

Stated deviation: they calibrate by bounds on the cap's size. Here the cap is named by its exact share q of the sphere,
and the answer is drawn by that share: its density is ``p/q`` within and ``(1 - p)/(1 - q)`` outside, so that

    p (1 - q) = e^epsilon q (1 - p)

is the guarantee itself, whatever is lost in computing t. Any two directions are neighbours, and delta is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv, gammaln

from clicooper.errors import DataError, PrivacyClaimError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PrivUnit"]

_CAPS_PER_OCTAVE = 32
"""Sizes of the cap that are tried: a fixed grid, so that every machine chooses the same one."""

_ROUNDING = 2.0**-51
"""Taken off p, for its rounding and that of the draws that are compared with it: some units of 2^-53."""

MAX_EPSILON = 32.0
"""Beyond it the cap's share is lost in rounding; nobody should call such a number privacy."""


@dataclass(frozen=True)
class PrivUnit:
    """The mechanism of least noise for one epsilon and dimension.

    Args:
        epsilon: in (0, 32].
        dims: d >= 2, numbers in one vector.

    Raises:
        PrivacyClaimError: parameters out of range.
    """

    epsilon: float
    dims: int

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= MAX_EPSILON:
            raise PrivacyClaimError(
                f"epsilon {self.epsilon} is outside (0, {MAX_EPSILON:g}]",
                hint="choose a smaller one, or the Gaussian mechanism",
            )
        if self.dims < 2:
            raise PrivacyClaimError(
                f"a record of {self.dims} number has no direction", hint="use more features, or the Gaussian mechanism"
            )

    @cached_property
    def share(self) -> float:
        """q, the cap's share of the sphere: of the grid of sizes the one with the greatest ``gain``, at most 1/2."""
        octaves = math.ceil(self.epsilon / math.log(2)) + 4
        sizes = 2.0 ** (-1 - np.arange(octaves * _CAPS_PER_OCTAVE) / _CAPS_PER_OCTAVE)
        return float(sizes[int(np.argmax([self._gain(float(size)) for size in sizes]))])

    @property
    def inside(self) -> float:
        """p, the probability of an answer within the cap."""
        return self._inside(self.share)

    @property
    def threshold(self) -> float:
        """t, the least ``<V, u>`` within the cap."""
        return math.sqrt(1 - float(self._off_axis(np.array([self.share]))[0]))

    @cached_property
    def gain(self) -> float:
        """``E <V, u>``, in (0, 1); answers are divided by it and so have norm ``1/gain``."""
        return self._gain(self.share)

    @property
    def sigma(self) -> float:
        """Root mean square of the noise in one coordinate, for unit vectors: ``sqrt((1/gain^2 - 1) / d)``."""
        return math.sqrt((1 / self.gain**2 - 1) / self.dims)

    def answer(
        self, directions: NDArray[np.float64], uniform: NDArray[np.float64], normal: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """One unbiased answer for each direction, float64 (n, d), each of norm ``1/gain``.

        Args:
            directions: float64 (n, d), of any length; a zero vector is answered as the first axis.
            uniform: float64 (n, 2), independent and uniform on (0, 1).
            normal: float64 (n, d), independent standard normal.

        Raises:
            DataError: arrays of other shapes.
        """
        n = len(directions)
        if directions.shape != (n, self.dims) or uniform.shape != (n, 2) or normal.shape != directions.shape:
            raise DataError(f"vectors of shape {list(directions.shape)}", hint=f"(n, {self.dims}), with random numbers")
        axes = _unit(directions)
        within, place = uniform.T
        # The share of the sphere that lies at least as far along u as the answer does.
        tail = np.where(within < self.inside, place * self.share, self.share + place * (1 - self.share))
        off_axis = self._off_axis(tail)
        along = np.where(tail <= 0.5, 1, -1) * np.sqrt(1 - off_axis)
        across = _unit(normal - np.sum(normal * axes, axis=1, keepdims=True) * axes)
        return np.asarray((along[:, None] * axes + np.sqrt(off_axis)[:, None] * across) / self.gain)

    def log_likelihood(self, rows: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density of each answer under each direction, relative to the uniform one; float64 (rows, directions)."""
        within = _unit(rows) @ _unit(directions).T >= self.threshold
        likely, unlikely = math.log(self.inside / self.share), math.log((1 - self.inside) / (1 - self.share))
        return np.where(within, likely, unlikely)

    def _inside(self, share: float) -> float:
        odds = math.exp(self.epsilon) * share / (1 - share)
        return odds / (1 + odds) - _ROUNDING

    def _gain(self, share: float) -> float:
        """``E <V, u>``: the integral of t against its density ``c (1 - t^2)^((d-3)/2)``, weighted by p and 1 - p."""
        inside, off_axis = self._inside(share), float(self._off_axis(np.array([share]))[0])
        constant = math.exp(gammaln(self.dims / 2) - gammaln((self.dims - 1) / 2)) / math.sqrt(math.pi)
        moment: float = constant * off_axis ** ((self.dims - 1) / 2) / (self.dims - 1)
        return moment * (inside / share - (1 - inside) / (1 - share))

    def _off_axis(self, tail: NDArray[np.float64]) -> NDArray[np.float64]:
        """``1 - t^2`` for the t with ``P[<U, u> >= t] = tail``, U uniform on the sphere: it follows a beta law."""
        return np.asarray(betaincinv((self.dims - 1) / 2, 0.5, 2 * np.minimum(tail, 1 - tail)))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions, and the first axis for zero; dividing by the peak first keeps a tiny vector's norm from underflow."""
    vectors = vectors / np.maximum(np.abs(vectors).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    first = np.eye(1, vectors.shape[1])
    return np.where(norms > 0, vectors / np.where(norms > 0, norms, 1), first)
