"""The zero-out curve of DP-SGD: an upper bound of delta at every epsilon, from numerical composition.

Job: bound delta where a record gives way to one without gradient, for DP-SGD alone and for a Gaussian after it.
Non-jobs: replace-one claims and budgets (``composition``).

The curve is Opacus's: privacy loss variables, discretised and convolved (Gopi, Lee and Wutschitz, "Numerical
composition of differential privacy", NeurIPS 2021), whose delta at epsilon is at most the discrete one at
``epsilon - eps_error`` plus ``delta_error``. Opacus has the loss of removing a record only. Under composition neither
order is known to dominate (Zhu, Dong and Wang, "Optimal accounting of differential privacy via characteristic
function", AISTATS 2022), so the loss of adding one is built here and the worse of both counts.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, log_ndtr, ndtr

from clicooper.errors import PrivacyClaimError

__all__ = ["LEAST_NOISE", "SampledGaussian", "ZeroOutCurve", "beyond", "renyi_epsilon", "zero_out_curve"]

_EPSILON_ERROR = 5e-4
"""Error in epsilon of one curve, spent upwards; more where the curve would need too many cells."""

_CELLS = 1 << 22
_REACH = 100.0
"""Largest loss and number of cells of a discrete curve; what would need more is far beyond any epsilon of use."""

_NO_MASS = 1e-20
"""Less than this in one cell is left to delta's error."""

LEAST_NOISE = 0.5
"""Noise multipliers below this are never chosen."""


@dataclass(frozen=True)
class SampledGaussian:
    """One run of DP-SGD: sums of clipped gradients over Poisson batches, with Gaussian noise.

    Args:
        noise_multiplier: deviation of the noise on a coordinate, in units of the clipping norm, > 0.
        batches: a record enters a step with probability ``1 / batches``, >= 1.
        steps: >= 1.
    """

    noise_multiplier: float
    batches: int
    steps: int

    def __post_init__(self) -> None:
        if not LEAST_NOISE <= self.noise_multiplier < math.inf:
            raise PrivacyClaimError(
                f"noise multiplier {self.noise_multiplier} is not a finite number of at least {LEAST_NOISE}",
                hint="less noise than that protects nobody; raise epsilon's share or lower the steps",
            )
        if self.batches < 1 or self.steps < 1:
            raise PrivacyClaimError(
                f"{self.steps} steps at a sample rate of 1/{self.batches}", hint="choose both at least 1"
            )

    @property
    def sample_rate(self) -> float:
        """Probability with which a record enters a step."""
        return 1.0 / self.batches


@dataclass(frozen=True, eq=False)
class _Order:
    """One order of neighbours: losses of DP-SGD, their mass, two sums from each of them upwards, and an error."""

    losses: NDArray[np.float64]
    mass: NDArray[np.float64]
    above: NDArray[np.float64]
    weighted: NDArray[np.float64]
    rounding: float

    def delta(self, epsilon: float, mu: float) -> float:
        """``E[delta_G(epsilon - loss)]`` over the losses, with ``delta_G`` that of Theorem 8 at ``mu``."""
        if mu:
            left = (epsilon - self.losses) / mu
            return float(self.mass @ (ndtr(mu / 2 - left) - np.exp(mu * left + log_ndtr(-mu / 2 - left))))
        at = int(np.searchsorted(self.losses, epsilon))
        if at == self.losses.size:
            return 0.0
        return max(0.0, float(self.above[at] - math.exp(epsilon) * self.weighted[at]))


@dataclass(frozen=True, eq=False)
class ZeroOutCurve:
    """Upper bound of the zero-out delta at every epsilon."""

    orders: tuple[_Order, _Order]
    epsilon_error: float
    delta_error: float

    def delta(self, epsilon: float, mu: float = 0.0) -> float:
        """Of DP-SGD, and of a Gaussian with zero-out parameter ``mu`` after it."""
        return max(order.delta(epsilon - self.epsilon_error, mu) for order in self.orders) + self.delta_error


def zero_out_curve(mechanisms: Sequence[SampledGaussian], delta: float) -> ZeroOutCurve:
    """The curve of all runs together, accurate enough for claims at ``delta``.

    Raises:
        PrivacyClaimError: no run, delta out of (0, 1), or more loss than a curve can show.
    """
    if not mechanisms:
        raise PrivacyClaimError("no run of DP-SGD to account for", hint="releases alone compose exactly")
    if not 0 < delta < 1:
        raise PrivacyClaimError(f"delta {delta} is not between 0 and 1", hint="choose delta below 1/n")
    return _cached_curve(tuple(mechanisms), 10.0 ** math.floor(math.log10(delta) - 8))


@lru_cache(maxsize=32)
def _cached_curve(mechanisms: tuple[SampledGaussian, ...], delta_error: float) -> ZeroOutCurve:
    # Opacus loads torch, which releases alone have no use for.
    from opacus.accountants.analysis import prv  # noqa: PLC0415
    from opacus.accountants.analysis.prv import prvs  # noqa: PLC0415

    class Added(prvs.PoissonSubsampledGaussianPRV):  # type: ignore[misc]
        """The loss of adding a record: that of ``N(0, z^2)`` against its mixture with ``N(1, z^2)``."""

        def cdf(self, t: Any) -> Any:
            q, z = self.sample_rate, self.noise_multiplier
            inside = t < -np.log(1 - q)
            bound = z * np.log(np.where(inside, (np.exp(-t) + q - 1) / q, 1.0)) + 1 / (2 * z)
            return np.where(inside, erfc(bound / np.sqrt(2)) / 2, 1.0)

    counts = [each.steps for each in mechanisms]
    reach = _reach(mechanisms, delta_error)
    if not reach <= _REACH:
        raise beyond()
    meshes_per_error = math.sqrt(sum(counts) * math.log(12 / delta_error) / 2)
    epsilon_error = max(_EPSILON_ERROR, meshes_per_error * 2 * reach / _CELLS)
    domain = prv.Domain.create_aligned(-reach, reach, epsilon_error / meshes_per_error)

    def order(kind: type[Any]) -> _Order:
        losses = [kind(each.sample_rate, each.noise_multiplier) for each in mechanisms]
        cut = [prvs.TruncatedPrivacyRandomVariable(loss, domain.t_min, domain.t_max) for loss in losses]
        discrete = [prv.discretize(each, domain) for each in cut]
        # A transform errs by log2(n) units of rounding in the 2-norm; powers of numbers below 1 multiply that by steps.
        norm = sum(steps * float(np.linalg.norm(each.pmf)) for steps, each in zip(counts, discrete, strict=True))
        rounding = 8 * float(np.finfo(np.float64).eps) * math.log2(domain.size) * math.sqrt(domain.size) * norm
        composed = prv.compose_heterogeneous(discrete, counts)
        values, mass = np.asarray(composed.domain.ts), np.maximum(np.asarray(composed.pmf), 0.0)
        kept = mass > _NO_MASS
        values, mass = values[kept], mass[kept]
        above, weighted = mass[::-1].cumsum()[::-1], (mass * np.exp(-values))[::-1].cumsum()[::-1]
        return _Order(values, mass, above, weighted, rounding + domain.size * _NO_MASS)

    try:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # formulas take log(1 - sample_rate)
            orders = order(prvs.PoissonSubsampledGaussianPRV), order(Added)
    except (RuntimeError, ValueError) as e:
        raise PrivacyClaimError(f"the accountant finds no curve: {e}", hint="choose ordinary noise and steps") from e
    return ZeroOutCurve(orders, epsilon_error, delta_error + max(order.rounding for order in orders))


def _reach(mechanisms: Sequence[SampledGaussian], delta_error: float) -> float:
    """Losses beyond this are left to ``delta_error`` (Gopi et al., remark 5.6)."""
    total = sum(each.steps for each in mechanisms)
    alone = [renyi_epsilon([replace(each, steps=1)], delta_error / (8 * total)) for each in mechanisms]
    return max(renyi_epsilon(mechanisms, delta_error / 4), *alone) + 3


def renyi_epsilon(mechanisms: Sequence[SampledGaussian], delta: float) -> float:
    """An upper bound of the zero-out epsilon, in both orders, by Renyi divergences of whole orders."""
    from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent  # noqa: PLC0415 - as above

    orders = [*range(2, 64), *range(64, 1025, 32)]
    rdp = sum(
        compute_rdp(q=each.sample_rate, noise_multiplier=each.noise_multiplier, steps=each.steps, orders=orders)
        for each in mechanisms
    )
    with warnings.catch_warnings():  # where epsilon is small the best order is the last one, a bound all the same
        warnings.simplefilter("ignore")
        return float(get_privacy_spent(orders=orders, rdp=rdp, delta=delta)[0])


def beyond() -> PrivacyClaimError:
    """What is said where no epsilon can be shown."""
    hint = "spend less than 20 on a head; else add noise, take fewer steps, or raise delta"
    return PrivacyClaimError("no epsilon can be shown for so much DP-SGD on a replaced record", hint=hint)
