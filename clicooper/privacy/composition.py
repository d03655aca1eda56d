"""A head by DP-SGD and the release as one guarantee: one adjacency for both, then the least epsilon that covers them.

Job: the replace-one epsilon of DP-SGD, of DP-SGD together with releases, and the noise that a budget leaves to each.
Non-jobs: training (``dpsgd``), remembering (``ledger``), Gaussian releases alone (``accounting``, exact).

Opacus accounts for Poisson sampling and for a record that is added or removed. That is the *zero-out* adjacency: a
record gives way to one without gradient and without features, so that n and every count stay what they are. Two facts
bring it to replace-one, which is what a statement is about:

1. *Group privacy.* From a record to nothing and from nothing to another record are two zero-outs. Where each keeps
   (e, d), ``P <= e^e (e^e P' + d) + d``, so replacing a record keeps ``(2e, (1 + e^e) d)``.
2. *Composition*, the lesser of two bounds: (a) the sum of both replace-one guarantees, delta divided between them;
   (b) group privacy of the joint zero-out curve. A zeroed record moves a row by C/b, half of the release's replace-one
   sensitivity, so the release joins as a Gaussian of half its replace-one parameter: its delta is averaged over the
   losses of DP-SGD. The release depends on the head; curves hold for mechanisms that are chosen one after the other.

The curve is Opacus's: privacy loss variables, discretised and convolved (Gopi, Lee and Wutschitz, "Numerical
composition of differential privacy", NeurIPS 2021), whose delta at epsilon is at most the discrete one at
``epsilon - eps_error`` plus ``delta_error``. Opacus has the loss of removing a record only. Under composition neither
order is known to dominate (Zhu, Dong and Wang, "Optimal accounting of differential privacy via characteristic
function", AISTATS 2022), so the loss of adding one is built here and the worse of both counts. Everything is rounded
towards more epsilon and more noise.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, log_ndtr, ndtr

from clicooper.errors import PrivacyClaimError
from clicooper.privacy.accounting import REPLACE_ONE, GaussianRelease, compose, gaussian_sigma

__all__ = [
    "Division",
    "SampledGaussian",
    "divide",
    "dpsgd_epsilon",
    "joint_epsilon",
    "total_epsilon",
    "zero_out_epsilon",
]

_EPSILON_ERROR = 5e-4
"""Error in epsilon of one curve, spent upwards; more where the curve would need too many cells."""

_CELLS = 1 << 22
_REACH = 100.0
"""Largest loss and number of cells of a discrete curve; what would need more is far beyond any epsilon of use."""

_MAX_EPSILON = 40.0
"""Beyond this no replace-one claim is looked for; the curve's own error ends it before, at about 20."""

_NO_MASS = 1e-20
"""Less than this in one cell is left to delta's error."""

_SHARES = tuple(share / 20 for share in range(1, 20))
"""Shares of delta that are tried for the head in a sum."""

_TRIES = 8
_STEP = 1e-3
"""Noise multipliers are rounded up, and the release's epsilon down, to a multiple of this."""

_LEAST_NOISE = 0.5
"""Noise multipliers below this are never chosen."""

_REFUSED_CLAIMS = {
    "add/remove record": "that is the epsilon which Opacus prints; n is public here and neighbours differ in one "
    "record's input, which is two such steps: epsilon doubles and delta grows by 1 + e^epsilon",
    "record with its label": "DP-SGD alone would cover a label, but the release after it fixes labels and counts",
}


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
        if not _LEAST_NOISE <= self.noise_multiplier < math.inf:
            raise PrivacyClaimError(
                f"noise multiplier {self.noise_multiplier} is not a finite number of at least {_LEAST_NOISE}",
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


@dataclass(frozen=True)
class Division:
    """One budget, divided between a head and the release.

    Attributes:
        head: what trains the head.
        head_epsilon, head_delta: the head's replace-one guarantee alone.
        epsilon, delta: the release's replace-one guarantee alone; it fixes its noise.
    """

    head: SampledGaussian
    head_epsilon: float
    head_delta: float
    epsilon: float
    delta: float


def zero_out_epsilon(mechanisms: Sequence[SampledGaussian], delta: float) -> float:
    """Epsilon for a record that gives way to one without gradient: what Opacus calls add/remove, in both orders.

    Raises:
        PrivacyClaimError: delta out of (0, 1), or no epsilon that the numerical curve can show.
    """
    curve = _curve(mechanisms, delta)
    return _found(_least_epsilon(lambda epsilon: curve.delta(epsilon) <= delta, _MAX_EPSILON))


def dpsgd_epsilon(mechanisms: Sequence[SampledGaussian], delta: float, claim: str = REPLACE_ONE) -> float:
    """Replace-one epsilon of DP-SGD by group privacy.

    Args:
        claim: the unit that the caller means to protect.

    Raises:
        PrivacyClaimError: a claim other than ``REPLACE_ONE``, or as ``zero_out_epsilon``.
    """
    if claim != REPLACE_ONE:
        reason = _REFUSED_CLAIMS.get(claim, f"no proof is known to this program for the unit {claim!r}")
        raise PrivacyClaimError(f"{claim} epsilon of DP-SGD refused: {reason}", hint=f"claim {REPLACE_ONE!r}")
    return joint_epsilon(mechanisms, (), delta)


def joint_epsilon(mechanisms: Sequence[SampledGaussian], releases: Sequence[GaussianRelease], delta: float) -> float:
    """Bound (b): group privacy of the joint zero-out curve.

    Args:
        releases: with their replace-one sensitivities.

    Raises:
        PrivacyClaimError: as ``zero_out_epsilon``.
    """
    return _found(_joint(mechanisms, releases, delta))


def total_epsilon(mechanisms: Sequence[SampledGaussian], releases: Sequence[GaussianRelease], delta: float) -> float:
    """Replace-one epsilon of everything that was computed from the same records: the lesser of (a) and (b).

    Without DP-SGD it is the exact composition of the releases.

    Raises:
        PrivacyClaimError: as ``zero_out_epsilon``.
    """
    if not mechanisms:
        return compose(releases, delta)
    joint = _joint(mechanisms, releases, delta)
    if not releases:
        return _found(joint)
    alone = _curve(mechanisms, delta * _SHARES[0])
    sums = [_replaced(alone, share * delta) + compose(releases, (1 - share) * delta) for share in _SHARES]
    return _found(min(joint, *sums))


@lru_cache(maxsize=64)
def divide(
    epsilon: float, delta: float, head_epsilon: float, batches: int, steps: int, *, pure: bool = False
) -> Division:
    """The least noise of a head that keeps ``head_epsilon`` at half of delta, and what is left for the release.

    Args:
        epsilon, delta: of both together, replace-one.
        head_epsilon: of the head alone, in (0, epsilon).
        batches, steps: as ``SampledGaussian``.
        pure: the release keeps its epsilon at delta 0, so that the two epsilons add up.

    Returns:
        A division whose ``total_epsilon`` is at most ``epsilon``.

    Raises:
        PrivacyClaimError: numbers out of range, or a head that leaves nothing.
    """
    if not 0 < head_epsilon < epsilon < math.inf:
        raise PrivacyClaimError(
            f"head epsilon {head_epsilon:g} of {epsilon:g} in total", hint="leave the release a part of epsilon"
        )
    head = _least_noise(head_epsilon, delta / 2, batches, steps)
    left = epsilon - head_epsilon if pure else _most_left(epsilon, delta, head)
    return Division(head, head_epsilon, delta / 2, left, delta / 2)


def _least_noise(epsilon: float, delta: float, batches: int, steps: int) -> SampledGaussian:
    """The least noise multiplier that keeps replace-one epsilon, rounded up by at most a 400th of itself."""
    half = epsilon / 2
    share = delta / (1 + math.exp(half))

    def run(multiplier: float) -> SampledGaussian:
        return SampledGaussian(round(math.ceil(round(multiplier / _STEP, 6)) * _STEP, 6), batches, steps)

    def kept(multiplier: float) -> bool:
        return multiplier > _LEAST_NOISE and _curve([run(multiplier)], share).delta(half) <= share

    # Without sampling it would be a Gaussian's; Renyi orders, which are quick, come down to nearly what is due.
    high = math.sqrt(steps) * gaussian_sigma(half, share, 1.0)
    low = _LEAST_NOISE
    while high - low > 0.001 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _renyi_epsilon([run(middle)], share) <= half else (middle, high)
    for _ in range(_TRIES):
        if kept(high):
            break
        high *= 1.05
    else:
        raise _beyond()
    while kept(high / 1.2):
        high /= 1.2
    low = high / 1.2
    while high - low > high / 400:
        middle = (low + high) / 2
        low, high = (low, middle) if kept(middle) else (middle, high)
    return run(high)


def _most_left(epsilon: float, delta: float, head: SampledGaussian) -> float:
    """The largest release epsilon at half of delta, a multiple of ``_STEP``, under which the total is kept."""

    def release(steps: int) -> list[GaussianRelease]:
        return [GaussianRelease(gaussian_sigma(steps * _STEP, delta / 2, 1.0), 1.0)]

    curve = _curve([head], delta)
    heads = [(share, _replaced(curve, share * delta)) for share in _SHARES]

    def kept(steps: int) -> bool:
        chosen = release(steps)
        joint = (1 + math.exp(epsilon / 2)) * curve.delta(epsilon / 2, chosen[0].mu / 2) <= delta
        return joint or any(spent + compose(chosen, (1 - share) * delta) <= epsilon for share, spent in heads)

    low, high = 0, math.ceil(epsilon / _STEP)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    while low and total_epsilon([head], release(low), delta) > epsilon:
        low -= 1
    if not low:
        raise PrivacyClaimError(
            f"the head leaves nothing of epsilon {epsilon:g}", hint="lower head_epsilon or raise epsilon"
        )
    return round(low * _STEP, 6)


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
class _Curve:
    """Upper bound of the zero-out delta at every epsilon."""

    orders: tuple[_Order, _Order]
    epsilon_error: float
    delta_error: float

    def delta(self, epsilon: float, mu: float = 0.0) -> float:
        """Of DP-SGD, and of a Gaussian with zero-out parameter ``mu`` after it."""
        return max(order.delta(epsilon - self.epsilon_error, mu) for order in self.orders) + self.delta_error


def _curve(mechanisms: Sequence[SampledGaussian], delta: float) -> _Curve:
    if not mechanisms:
        raise PrivacyClaimError("no run of DP-SGD to account for", hint="releases alone compose exactly")
    if not 0 < delta < 1:
        raise PrivacyClaimError(f"delta {delta} is not between 0 and 1", hint="choose delta below 1/n")
    return _cached_curve(tuple(mechanisms), 10.0 ** math.floor(math.log10(delta) - 8))


@lru_cache(maxsize=32)
def _cached_curve(mechanisms: tuple[SampledGaussian, ...], delta_error: float) -> _Curve:
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
        raise _beyond()
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
    return _Curve(orders, epsilon_error, delta_error + max(order.rounding for order in orders))


def _reach(mechanisms: Sequence[SampledGaussian], delta_error: float) -> float:
    """Losses beyond this are left to ``delta_error`` (Gopi et al., remark 5.6)."""
    total = sum(each.steps for each in mechanisms)
    alone = [_renyi_epsilon([replace(each, steps=1)], delta_error / (8 * total)) for each in mechanisms]
    return max(_renyi_epsilon(mechanisms, delta_error / 4), *alone) + 3


def _renyi_epsilon(mechanisms: Sequence[SampledGaussian], delta: float) -> float:
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


def _joint(mechanisms: Sequence[SampledGaussian], releases: Sequence[GaussianRelease], delta: float) -> float:
    return _replaced(_curve(mechanisms, delta), delta, math.hypot(*(release.mu for release in releases)) / 2)


def _replaced(curve: _Curve, delta: float, mu: float = 0.0) -> float:
    """Group privacy: twice the least epsilon at which ``(1 + e^epsilon)`` times the zero-out delta is at most delta."""

    def holds(epsilon: float) -> bool:
        return (1 + math.exp(epsilon)) * curve.delta(epsilon, mu) <= delta

    return 2 * _least_epsilon(holds, _MAX_EPSILON / 2)


def _least_epsilon(holds: Callable[[float], bool], limit: float) -> float:
    """The least epsilon on the way up from 0 at which a claim holds, rounded up by 1e-6 of itself; infinite if none."""
    low, high = 0.0, 0.01
    while not holds(high):
        low, high = high, high * 1.3
        if low >= limit:
            return math.inf
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _found(epsilon: float) -> float:
    if epsilon == math.inf:
        raise _beyond()
    return epsilon


def _beyond() -> PrivacyClaimError:
    hint = "spend less than 20 on a head; else add noise, take fewer steps, or raise delta"
    return PrivacyClaimError("no epsilon can be shown for so much DP-SGD on a replaced record", hint=hint)
