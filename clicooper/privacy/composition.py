"""A head by DP-SGD and the release as one guarantee: the least epsilon that covers both, for a replaced record.

Job: the replace-one epsilon of DP-SGD, of DP-SGD together with releases, and the noise that a budget leaves to each.
Non-jobs: training (``dpsgd``), remembering (``ledger``), Gaussian releases alone (``accounting``, exact).

Adjacency. Neighbours differ in the input of one record; n and every label stay. Given all that came before, a step of
DP-SGD is ``(1-q) N(0, z^2 I) + q N(x, z^2 I)`` against the same with y: x and y are the two clipped gradients, of norm
at most 1. In one dimension, x = -1 against y = 1 *dominates* every such pair: its delta is the largest at every epsilon
(ADR 27 has the proof, by Kahane's inequality). Pairs that dominate every step dominate their composition, also where
each step depends on the ones before (Zhu, Dong and Wang, "Optimal accounting of differential privacy via characteristic
function", AISTATS 2022, Theorem 10). A Gaussian release of the same records is one more step, without sampling.
Swapping the neighbours mirrors every pair, so that one order is both.

Curve. ``dp_accounting`` discretises the privacy loss upwards (Doroshenko et al., "Connect the Dots", PETS 2022) and
convolves it, so that its delta is an upper bound but for rounding, for which ``_ROUNDING`` is taken off delta. Noise is
rounded up, the release's epsilon down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dp_accounting import NeighboringRelation
from dp_accounting.pld import privacy_loss_distribution as pld

from clicooper.errors import PrivacyClaimError
from clicooper.privacy.accounting import (
    REPLACE_ONE,
    GaussianRelease,
    compose,
    gaussian_epsilon,
    gaussian_sigma,
    require_probability,
)

__all__ = ["Division", "SampledGaussian", "divide", "dpsgd_epsilon", "total_epsilon"]

LEAST_NOISE = 0.5
"""Noise multipliers below this are never chosen."""

_MAX_EPSILON = 40.0
"""Beyond this no claim is made."""

_MAX_LOSS = 100.0
"""Mean privacy loss beyond which no curve is computed: its epsilon is far above ``_MAX_EPSILON``."""

_FINEST, _COARSEST = 1e-4, 1e-2
"""Bounds of the interval between two discrete losses, which is else ``q / (60 z)``, a hundredth of a step's deviation.
The curve then lies less than 5e-4 above the true epsilon; at the finest interval, which bounds the work, up to 2e-3."""

_ROUNDING = 1e-13
"""Taken off delta for every step. Against closed forms the curve falls short by 1e-15 a step; the rest is reserve."""

_STEP = 1e-3
"""Noise multipliers and the release's epsilon are multiples of this."""

_TRIES = 8

_REFUSED_CLAIMS = {
    "add/remove record": "that is the epsilon which accountants print by default; n is public here and neighbours "
    "differ in one record's input, which is two such steps at once",
    "record with its label": "DP-SGD alone would cover a label, but the release after it fixes labels and counts",
}


@dataclass(frozen=True)
class SampledGaussian:
    """One run of DP-SGD: sums of clipped gradients over Poisson batches, with Gaussian noise.

    Args:
        noise_multiplier: deviation of the noise on a coordinate, in units of the clipping norm, >= ``LEAST_NOISE``.
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


def dpsgd_epsilon(mechanisms: Sequence[SampledGaussian], delta: float, claim: str = REPLACE_ONE) -> float:
    """Replace-one epsilon of DP-SGD.

    Args:
        claim: the unit that the caller means to protect.

    Raises:
        PrivacyClaimError: a claim other than ``REPLACE_ONE``, no run, delta out of (0, 1), or no epsilon to show.
    """
    if claim != REPLACE_ONE:
        reason = _REFUSED_CLAIMS.get(claim, f"no proof is known to this program for the unit {claim!r}")
        raise PrivacyClaimError(f"{claim} epsilon of DP-SGD refused: {reason}", hint=f"claim {REPLACE_ONE!r}")
    return _refuse_infinite(_find_epsilon(mechanisms, (), delta))


def total_epsilon(mechanisms: Sequence[SampledGaussian], releases: Sequence[GaussianRelease], delta: float) -> float:
    """Replace-one epsilon of everything that was computed from the same records; exact for releases alone.

    Args:
        releases: with their replace-one sensitivities.

    Raises:
        PrivacyClaimError: delta out of (0, 1), or no epsilon that can be shown.
    """
    return _refuse_infinite(_find_epsilon(mechanisms, releases, delta)) if mechanisms else compose(releases, delta)


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
    """The least noise multiplier, a multiple of ``_STEP``, that keeps epsilon."""

    def run(multiple: int) -> SampledGaussian:
        return SampledGaussian(round(multiple * _STEP, 6), batches, steps)

    def kept(multiple: int) -> bool:
        return _find_epsilon([run(multiple)], (), delta) <= epsilon

    low = math.ceil(LEAST_NOISE / _STEP)
    # Sampling never costs more than taking every record, whose closed form is known; the rest is the curve's error.
    high = max(low + 1, math.ceil(math.sqrt(steps) * gaussian_sigma(epsilon, delta, 2.0) / _STEP))
    for _ in range(_TRIES):
        if kept(high):
            return run(_find_first(kept, low, high))
        high *= 2
    raise _make_refusal()


def _most_left(epsilon: float, delta: float, head: SampledGaussian) -> float:
    """The largest release epsilon at half of delta, a multiple of ``_STEP``, under which the total is kept."""

    def exceeded(multiple: int) -> bool:
        sigma = gaussian_sigma(multiple * _STEP, delta / 2, 1.0)
        return _find_epsilon([head], [GaussianRelease(sigma, 1.0)], delta) > epsilon

    # No more than a release that spends the whole by itself says at half of delta.
    alone = gaussian_epsilon(delta / 2, gaussian_sigma(epsilon, delta, 1.0), 1.0)
    left = _find_first(exceeded, 0, math.ceil(alone / _STEP)) - 1
    if not left:
        raise PrivacyClaimError(
            f"the head leaves nothing of epsilon {epsilon:g}", hint="lower head_epsilon or raise epsilon"
        )
    return round(left * _STEP, 6)


def _find_first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first number in (low, high] at which a monotone condition holds, if only at ``high``."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _find_epsilon(mechanisms: Sequence[SampledGaussian], releases: Sequence[GaussianRelease], delta: float) -> float:
    """Epsilon at delta of all runs and releases together, rounded up; infinite where none can be shown."""
    if not mechanisms:
        raise PrivacyClaimError("no run of DP-SGD to account for", hint="releases alone compose exactly")
    require_probability(delta)
    proved = delta - _ROUNDING * (1 + sum(run.steps for run in mechanisms))
    interval = min(run.sample_rate / run.noise_multiplier for run in mechanisms) / 60
    interval = min(max(interval, _FINEST), _COARSEST)
    losses = _compose_runs(tuple(mechanisms), interval)
    if proved <= 0 or losses is None:
        return math.inf
    if releases:
        mu = math.hypot(*(release.mu for release in releases))
        losses = losses.compose(_make_step(2 / mu, 1.0, interval))
    epsilon = float(losses.get_epsilon_for_delta(proved))
    return epsilon if epsilon <= _MAX_EPSILON else math.inf


@lru_cache(maxsize=64)
def _compose_runs(mechanisms: tuple[SampledGaussian, ...], interval: float) -> Any:
    """The loss of all runs, or None where it is beyond use."""
    total, mean = pld.identity(interval), 0.0
    for run in mechanisms:
        step = _make_step(run.noise_multiplier, run.sample_rate, interval)
        # Pinsker: a step's mean loss is at least twice its squared total variation, which is delta at epsilon 0.
        mean += 2 * step.get_delta_for_epsilon(0.0) ** 2 * run.steps
        if mean > _MAX_LOSS:
            return None
        total = total.compose(step.self_compose(run.steps))
    return total


@lru_cache(maxsize=8)
def _make_step(noise: float, sample_rate: float, interval: float) -> Any:
    """The loss of one step: noise of this deviation on a sum to which one record adds at most 1 in norm."""
    return pld.from_gaussian_mechanism(
        noise,
        value_discretization_interval=interval,
        sampling_prob=sample_rate,
        neighboring_relation=NeighboringRelation.REPLACE_ONE,
    )


def _refuse_infinite(epsilon: float) -> float:
    if epsilon == math.inf:
        raise _make_refusal()
    return epsilon


def _make_refusal() -> PrivacyClaimError:
    """What is said where no epsilon can be shown."""
    hint = f"spend less than {_MAX_EPSILON:g} on a head; else add noise, take fewer steps, or raise delta"
    return PrivacyClaimError("no epsilon can be shown for so much DP-SGD on a replaced record", hint=hint)
