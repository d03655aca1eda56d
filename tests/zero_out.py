"""What accountants print by default: epsilon for a record that gives way to one without gradient, in both orders."""

import math

from dp_accounting import NeighboringRelation
from dp_accounting.pld import privacy_loss_distribution as pld


def zero_out_epsilon(runs, delta, releases=()):
    """Of runs of DP-SGD and releases; a zeroed record moves a row by half of what a replaced one does."""
    total = pld.identity(5e-4)
    for run in runs:
        total = total.compose(step(run.noise_multiplier, run.sample_rate).self_compose(run.steps))
    if releases:
        total = total.compose(step(2 / math.hypot(*(release.mu for release in releases)), 1.0))
    return total.get_epsilon_for_delta(delta)


def step(noise, sample_rate):
    return pld.from_gaussian_mechanism(
        noise,
        value_discretization_interval=5e-4,
        sampling_prob=sample_rate,
        neighboring_relation=NeighboringRelation.REPLACE_SPECIAL,
    )
