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

The curve of DP-SGD is that of ``_loss_curve``. Everything is rounded towards more epsilon and more noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from clicooper.errors import PrivacyClaimError
from clicooper.privacy._loss_curve import (
    LEAST_NOISE,
    SampledGaussian,
    ZeroOutCurve,
    beyond,
    renyi_epsilon,
    zero_out_curve,
)
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

_MAX_EPSILON = 40.0
"""Beyond this no replace-one claim is looked for; the curve's own error ends it before, at about 20."""

_SHARES = tuple(share / 20 for share in range(1, 20))
"""Shares of delta that are tried for the head in a sum."""

_TRIES = 8
_STEP = 1e-3
"""Noise multipliers are rounded up, and the release's epsilon down, to a multiple of this."""

_REFUSED_CLAIMS = {
    "add/remove record": "that is the epsilon which Opacus prints; n is public here and neighbours differ in one "
    "record's input, which is two such steps: epsilon doubles and delta grows by 1 + e^epsilon",
    "record with its label": "DP-SGD alone would cover a label, but the release after it fixes labels and counts",
}


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
    curve = zero_out_curve(mechanisms, delta)
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
    alone = zero_out_curve(mechanisms, delta * _SHARES[0])
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
        return multiplier > LEAST_NOISE and zero_out_curve([run(multiplier)], share).delta(half) <= share

    # Without sampling it would be a Gaussian's; Renyi orders, which are quick, come down to nearly what is due.
    high = math.sqrt(steps) * gaussian_sigma(half, share, 1.0)
    low = LEAST_NOISE
    while high - low > 0.001 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if renyi_epsilon([run(middle)], share) <= half else (middle, high)
    for _ in range(_TRIES):
        if kept(high):
            break
        high *= 1.05
    else:
        raise beyond()
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

    curve = zero_out_curve([head], delta)
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


def _joint(mechanisms: Sequence[SampledGaussian], releases: Sequence[GaussianRelease], delta: float) -> float:
    return _replaced(zero_out_curve(mechanisms, delta), delta, math.hypot(*(release.mu for release in releases)) / 2)


def _replaced(curve: ZeroOutCurve, delta: float, mu: float = 0.0) -> float:
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
        raise beyond()
    return epsilon
