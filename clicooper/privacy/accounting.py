"""The mathematics of (epsilon, delta): the analytic Gaussian mechanism, its composition, and refusals.

Job: turn (epsilon, delta, sensitivity) into the least sufficient noise, and noise back into epsilon, always
rounding towards more noise and more epsilon. Non-jobs: drawing noise (``randomness``), remembering what was
spent (``ledger``).

Source: Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy: Analytical Calibration and
Optimal Denoising", ICML 2018, Theorem 8: N(0, sigma^2 I) on a query of L2 sensitivity D is (epsilon, delta)-DP
iff, with mu = D / sigma,

    Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu) <= delta.

Stated deviation: their Algorithm 1 bisects two monotone branches; here one bisection runs on the curve itself,
which ``gaussian_delta`` evaluates without cancellation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfcx, ndtr

from clicooper.errors import PrivacyClaimError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "REPLACE_ONE",
    "GaussianRelease",
    "compose",
    "gaussian_delta",
    "gaussian_epsilon",
    "gaussian_sigma",
    "refuse_weak_delta",
    "require_probability",
    "sensitivity",
]

REPLACE_ONE = "replace-one record"

_TOLERANCE = 4e-13
"""Relative width at which bisections stop; the end on the safe side is returned, widened by as much again."""

_ROUNDING = 2e-13
"""Relative error that ``gaussian_delta`` is assumed to make in floating point, always to our disadvantage."""

_REFUSED_CLAIMS = {
    "per-coordinate": "a record moves every coordinate of its row at once, so the L2 norm of the whole row counts",
    "per-batch": "a group's mean moves by 2C/b whatever the batch it is trained in; dividing by a batch size again "
    "counts the same averaging twice",
    "record with its label": "noise on activations hides no label, and m and gamma are computed from the class counts, "
    "which one label changes; labels need a randomised response before anything is counted",
    "add/remove record": "class counts and n are fixed and public, so neighbours cannot differ in size",
}


@dataclass(frozen=True)
class GaussianRelease:
    """One use of the Gaussian mechanism.

    Args:
        sigma: standard deviation of the noise on each coordinate, > 0.
        sensitivity: largest L2 change of the query between neighbours, > 0, same unit.
    """

    sigma: float
    sensitivity: float

    def __post_init__(self) -> None:
        _require_positive(sigma=self.sigma, sensitivity=self.sensitivity)

    @property
    def mu(self) -> float:
        """The mechanism's parameter in Gaussian differential privacy (Dong, Roth and Su 2022)."""
        return self.sensitivity / self.sigma


def sensitivity(clip: float, group: int, claim: str = REPLACE_ONE) -> float:
    """L2 sensitivity of a mean over ``group`` records clipped to norm ``clip``, one record's input replaced: 2C/b.

    Args:
        clip: C > 0, L2 bound of one flattened record.
        group: b >= 1, records averaged into one row.
        claim: the unit that the caller means to protect.

    Raises:
        PrivacyClaimError: a claim other than ``REPLACE_ONE``, or numbers out of range.
    """
    if claim != REPLACE_ONE:
        reason = _REFUSED_CLAIMS.get(claim, f"no proof is known to this program for the unit {claim!r}")
        raise PrivacyClaimError(f"{claim} sensitivity refused: {reason}", hint=f"claim {REPLACE_ONE!r}")
    _require_positive(clip=clip)
    if group < 1:
        raise PrivacyClaimError(f"group of {group} records", hint="average at least one record into a row")
    return 2.0 * clip / group


def gaussian_delta(epsilon: float, sigma: float, sensitivity: float) -> float:
    """The smallest delta of the Gaussian mechanism at ``epsilon``: the left side of Theorem 8.

    With a = mu/2 - epsilon/mu and b = a - mu, b^2 = a^2 + 2 epsilon, so both terms share the factor
    exp(-a^2/2) / 2 and only two scaled complementary error functions are subtracted; below mu = 0.01, where they
    nearly cancel, the integral of their derivative is taken instead.

    Args:
        epsilon: >= 0.
        sigma, sensitivity: > 0, in the same unit.

    Raises:
        PrivacyClaimError: a number out of range.
    """
    _require_positive(sigma=sigma, sensitivity=sensitivity)
    if not 0 <= epsilon < math.inf:
        raise PrivacyClaimError(f"epsilon {epsilon} is not a finite number >= 0", hint="choose epsilon above 0")
    mu = sensitivity / sigma
    a = mu / 2 - epsilon / mu
    shared = math.exp(-a * a / 2) / 2
    if mu < 0.01:
        return shared * _erfcx_drop(-a / math.sqrt(2), mu / math.sqrt(2)) if shared else 0.0
    below = float(erfcx((mu / 2 + epsilon / mu) / math.sqrt(2)))
    if a > 0:  # erfcx overflows for negative arguments, where Phi itself is harmless
        return max(0.0, float(ndtr(a)) - shared * below)
    return max(0.0, shared * (float(erfcx(-a / math.sqrt(2))) - below))


def gaussian_sigma(epsilon: float, delta: float, sensitivity: float) -> float:
    """The least sigma that makes the Gaussian mechanism (epsilon, delta)-DP, rounded up by at most 1e-12 of itself.

    Args:
        epsilon: > 0.
        delta: in (0, 1).
        sensitivity: L2, > 0.

    Returns:
        sigma in the unit of ``sensitivity``; ``gaussian_delta(epsilon, sigma, sensitivity) <= delta``.

    Raises:
        PrivacyClaimError: a number out of range.
    """
    _require_positive(epsilon=epsilon, sensitivity=sensitivity)
    require_probability(delta)
    return sensitivity * _least(lambda ratio: _delivers(epsilon, delta, ratio, 1.0))


def gaussian_epsilon(delta: float, sigma: float, sensitivity: float) -> float:
    """The least epsilon at which the Gaussian mechanism delivers ``delta``, rounded up.

    Raises:
        PrivacyClaimError: a number out of range.
    """
    require_probability(delta)
    if _delivers(0.0, delta, sigma, sensitivity):
        return 0.0
    return _least(lambda epsilon: _delivers(epsilon, delta, sigma, sensitivity))


def compose(releases: Sequence[GaussianRelease], delta: float) -> float:
    """The exact epsilon of several Gaussian releases of the same records, chosen adaptively or not.

    Gaussian mechanisms compose into one: mu = sqrt(sum mu_i^2) (Dong, Roth and Su, "Gaussian Differential
    Privacy", JRSS-B 2022, Corollary 3.3), whose curve is Theorem 8's. All must mean the same adjacency.

    Returns:
        epsilon >= 0; 0 for no releases.
    """
    require_probability(delta)
    if not releases:
        return 0.0
    return gaussian_epsilon(delta, 1.0, math.hypot(*(release.mu for release in releases)))


def require_probability(delta: float) -> None:
    """Refuses a delta outside (0, 1).

    Raises:
        PrivacyClaimError: such a delta.
    """
    if not 0 < delta < 1:
        raise PrivacyClaimError(f"delta {delta} is not between 0 and 1", hint="choose delta below 1/n")


def refuse_weak_delta(delta: float, records: int) -> None:
    """Refuses delta >= 1/n: publishing one whole record at random would satisfy it.

    Raises:
        PrivacyClaimError: delta out of (0, 1/records).
    """
    require_probability(delta)
    if records < 1 or delta >= 1 / records:
        raise PrivacyClaimError(
            f"delta {delta:g} is not below 1/n for n = {records} records",
            hint=f"choose delta below {1 / max(records, 1):.1g}; 1e-7 costs about a fifth more noise than 1e-5",
        )


def _erfcx_drop(x: float, width: float) -> float:
    """erfcx(x) - erfcx(x + width) for small widths: three Gauss-Legendre nodes on -erfcx' = 2/sqrt(pi) - 2 x erfcx."""
    nodes = x + width / 2 * (1 + np.array([-math.sqrt(0.6), 0.0, math.sqrt(0.6)]))
    slopes = 2 / math.sqrt(math.pi) - 2 * nodes * erfcx(nodes)
    return width * float(np.dot(slopes, [5 / 18, 8 / 18, 5 / 18]))


def _delivers(epsilon: float, delta: float, sigma: float, sensitivity: float) -> bool:
    return gaussian_delta(epsilon, sigma, sensitivity) * (1 + _ROUNDING) <= delta


def _least(holds: Callable[[float], bool]) -> float:
    """The least positive number at which a monotone condition holds, from above."""
    high = 1.0
    while not holds(high):
        high *= 2
    while holds(high / 2):
        high /= 2
    low = high / 2
    while high - low > _TOLERANCE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high * (1 + _TOLERANCE)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise PrivacyClaimError(f"{name} {value} is not a finite number above 0", hint=f"choose {name} above 0")
