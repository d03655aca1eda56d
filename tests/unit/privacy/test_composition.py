"""DP-SGD and a release as one guarantee: against closed forms, independent integrals, and claims that are refused."""

import math
import warnings

import numpy as np
import pytest
from opacus.accountants import PRVAccountant, RDPAccountant
from scipy.integrate import quad
from scipy.stats import norm

from clicooper.errors import PrivacyClaimError
from clicooper.privacy._loss_curve import zero_out_curve
from clicooper.privacy.accounting import GaussianRelease, compose, gaussian_epsilon, gaussian_sigma
from clicooper.privacy.composition import (
    SampledGaussian,
    divide,
    dpsgd_epsilon,
    joint_epsilon,
    total_epsilon,
    zero_out_epsilon,
)

RUN = SampledGaussian(noise_multiplier=13.4, batches=2, steps=40)


def opacus(kind, run, delta, **precision):
    account = kind()
    account.history = [(run.noise_multiplier, run.sample_rate, run.steps)]
    with warnings.catch_warnings():  # a remark of the Renyi accountant on its range of orders
        warnings.simplefilter("ignore")
        return account.get_epsilon(delta, **precision)


@pytest.mark.parametrize(("noise", "steps"), [(4.0, 1), (15.0, 50), (6.0, 40), (30.0, 10)])
@pytest.mark.parametrize("delta", [1e-5, 1e-7])
def test_without_sampling_the_curve_is_the_gaussian_closed_form(noise, steps, delta):
    """Never below it, and at most 1e-3 above, relative where epsilon is above 1."""
    exact = compose([GaussianRelease(noise, 1.0)] * steps, delta)
    found = zero_out_epsilon([SampledGaussian(noise, 1, steps)], delta)
    assert exact <= found <= exact + 1e-3 * max(1.0, exact)


@pytest.mark.parametrize("run", [RUN, SampledGaussian(2.0, 10, 200), SampledGaussian(4.0, 4, 100)])
def test_curve_agrees_with_opacus_and_stays_below_its_renyi_bound(run):
    """Where removing dominates, the curve is that of Opacus's numerical accountant; Renyi orders are coarser."""
    found = zero_out_epsilon([run], 1e-6)
    assert found == pytest.approx(opacus(PRVAccountant, run, 1e-6, eps_error=5e-4), abs=2e-3)
    assert found < opacus(RDPAccountant, run, 1e-6)


def one_step(epsilon, z, q, *, added):
    """Zero-out delta of one step, by integrating the positive part of the difference of two densities."""

    def mixture(x):
        return (1 - q) * norm.pdf(x, 0, z) + q * norm.pdf(x, 1, z)

    def surplus(x):
        left, right = (norm.pdf(x, 0, z), mixture(x)) if added else (mixture(x), norm.pdf(x, 0, z))
        return max(0.0, left - math.exp(epsilon) * right)

    return quad(surplus, -40 * z, 40 * z, limit=2000, points=np.linspace(-12 * z, 12 * z, 41))[0]


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("epsilon", [0.05, 0.2, 0.5])
def test_both_orders_of_neighbours_are_those_of_an_integral(added, epsilon):
    """The order that Opacus lacks is checked on its own; an upper bound, by no more than its error in epsilon."""
    order = zero_out_curve([SampledGaussian(1.5, 4, 1)], 1e-6).orders[added]
    exact = [one_step(epsilon + shift, 1.5, 0.25, added=added) for shift in (-1e-3, 1e-3)]
    assert exact[1] - 1e-9 <= order.delta(epsilon, 0.0) <= exact[0] + 1e-9


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_a_release_joins_the_curve_as_its_gaussian(epsilon):
    """Without sampling both parts are Gaussians, whose joint curve has a closed form."""
    releases = [GaussianRelease(4.0, 1.0), GaussianRelease(6.0, 1.0)]
    joint = math.hypot(math.sqrt(40) / 20.0, *(release.mu / 2 for release in releases))
    curve = zero_out_curve([SampledGaussian(20.0, 1, 40)], 1e-6)
    exact = [
        norm.cdf(joint / 2 - e / joint) - math.exp(e) * norm.cdf(-joint / 2 - e / joint)
        for e in (epsilon - 1.1e-3, epsilon)
    ]
    found = curve.delta(epsilon, math.hypot(*(release.mu / 2 for release in releases)))
    assert exact[1] <= found <= exact[0] + 1e-9


def test_replacing_a_record_is_two_zero_outs():
    half = dpsgd_epsilon([RUN], 1e-5) / 2
    zero_out = zero_out_epsilon([RUN], 1e-5 / (1 + math.exp(half)))
    assert half == pytest.approx(zero_out, abs=2e-3)
    assert 2 * zero_out_epsilon([RUN], 1e-5) < 2 * half


@pytest.mark.parametrize(("noise", "steps"), [(10.0, 20), (30.0, 40)])
def test_group_privacy_is_never_below_the_exact_replace_one_gaussian(noise, steps):
    """Without sampling a replaced record moves each sum by twice the clip, and the exact epsilon is known."""
    exact = compose([GaussianRelease(noise, 2.0)] * steps, 1e-5)
    assert exact * 0.999 <= dpsgd_epsilon([SampledGaussian(noise, 1, steps)], 1e-5) < 1.35 * exact


def test_total_is_the_lesser_of_sum_and_joint_curve_and_at_least_each_part():
    release = [GaussianRelease(gaussian_sigma(2.0, 5e-6, 1.0), 1.0)]
    total = total_epsilon([RUN], release, 1e-5)
    assert total <= joint_epsilon([RUN], release, 1e-5)
    assert total < dpsgd_epsilon([RUN], 5e-6) + 2.0
    assert total > max(dpsgd_epsilon([RUN], 1e-5), gaussian_epsilon(1e-5, release[0].sigma, 1.0))


def test_releases_alone_compose_exactly():
    releases = [GaussianRelease(2.0, 1.0), GaussianRelease(3.0, 1.0)]
    assert total_epsilon([], releases, 1e-5) == compose(releases, 1e-5)
    assert total_epsilon([], [], 1e-5) == 0.0


def test_where_the_joint_curve_loses_the_sum_counts():
    """Almost no head beside a large release: group privacy of a release costs more than its exact replace-one curve."""
    faint = SampledGaussian(2000.0, 2, 2)
    release = [GaussianRelease(gaussian_sigma(8.0, 1e-5, 1.0), 1.0)]
    assert total_epsilon([faint], release, 1e-5) < joint_epsilon([faint], release, 1e-5)


@pytest.mark.parametrize(("epsilon", "head_epsilon"), [(4.0, 2.0), (1.0, 0.25)])
def test_a_division_keeps_to_its_budget_and_wastes_little(epsilon, head_epsilon):
    division = divide(epsilon, 1e-5, head_epsilon, 2, 40)
    release = [GaussianRelease(gaussian_sigma(division.epsilon, division.delta, 1.0), 1.0)]
    assert dpsgd_epsilon([division.head], division.head_delta) <= head_epsilon
    assert 0.997 * epsilon < total_epsilon([division.head], release, 1e-5) <= epsilon
    less = SampledGaussian(division.head.noise_multiplier * 0.99, 2, 40)
    assert dpsgd_epsilon([less], division.head_delta) > head_epsilon
    assert division.head_delta + division.delta == 1e-5


def test_more_noise_and_fewer_steps_spend_less():
    spent = [dpsgd_epsilon([SampledGaussian(z, 2, steps)], 1e-5) for z, steps in ((20, 40), (13.4, 40), (13.4, 60))]
    assert spent == sorted(spent)


def test_add_remove_epsilon_of_opacus_is_refused_as_replace_one():
    with pytest.raises(PrivacyClaimError, match=r"add/remove record epsilon of DP-SGD refused.*two such steps"):
        dpsgd_epsilon([RUN], 1e-5, "add/remove record")


@pytest.mark.parametrize("claim", ["record with its label", "whole person"])
def test_other_units_are_refused(claim):
    with pytest.raises(PrivacyClaimError, match=f"{claim} epsilon of DP-SGD refused"):
        dpsgd_epsilon([RUN], 1e-5, claim)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: SampledGaussian(0.1, 2, 40),
        lambda: SampledGaussian(math.inf, 2, 40),
        lambda: SampledGaussian(math.nan, 2, 40),
        lambda: SampledGaussian(2.0, 0, 40),
        lambda: SampledGaussian(2.0, 2, 0),
        lambda: dpsgd_epsilon([RUN], 0.0),
        lambda: dpsgd_epsilon([RUN], 1.0),
        lambda: dpsgd_epsilon([], 1e-5),
        lambda: dpsgd_epsilon([SampledGaussian(0.5, 1, 500)], 1e-5),
        lambda: divide(4.0, 1e-5, 4.0, 2, 40),
        lambda: divide(4.0, 1e-5, 0.0, 2, 40),
    ],
)
def test_numbers_out_of_range_are_refused(refused):
    with pytest.raises(PrivacyClaimError):
        refused()
