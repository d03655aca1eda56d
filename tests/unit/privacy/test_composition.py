"""DP-SGD and a release as one guarantee: against closed forms, independent integrals, and claims that are refused."""

import math
import warnings

import numpy as np
import pytest
from opacus.accountants import PRVAccountant, RDPAccountant
from scipy.integrate import quad
from scipy.stats import norm

from clicooper.errors import PrivacyClaimError
from clicooper.privacy.accounting import GaussianRelease, compose, gaussian_epsilon, gaussian_sigma
from clicooper.privacy.composition import (
    SampledGaussian,
    divide,
    dpsgd_epsilon,
    total_epsilon,
)
from tests.zero_out import zero_out_epsilon

RUN = SampledGaussian(noise_multiplier=13.4, batches=2, steps=40)


def opacus(kind, run, delta, **precision):
    account = kind()
    account.history = [(run.noise_multiplier, run.sample_rate, run.steps)]
    with warnings.catch_warnings():  # a remark of the Renyi accountant on its range of orders
        warnings.simplefilter("ignore")
        return account.get_epsilon(delta, **precision)


def group_privacy(runs, releases, delta):
    """An older bound of independent proof: replacing is two zero-outs, which keep (2e, (1 + e^e) d)."""

    def kept(half):
        return zero_out_epsilon(runs, delta / (1 + math.exp(half)), releases) <= half

    low, high = 0.0, total_epsilon(runs, releases, delta)
    assert kept(high)
    while high - low > 1e-3:
        half = (low + high) / 2
        low, high = (low, half) if kept(half) else (half, high)
    return 2 * high


@pytest.mark.parametrize(("noise", "steps"), [(4.0, 1), (15.0, 50), (6.0, 40), (30.0, 10), (60.0, 2000)])
@pytest.mark.parametrize("delta", [1e-5, 1e-7])
@pytest.mark.parametrize(("epsilon_of", "moved"), [(zero_out_epsilon, 1.0), (dpsgd_epsilon, 2.0)])
def test_without_sampling_the_curve_is_the_gaussian_closed_form(noise, steps, delta, epsilon_of, moved):
    """Never below it, and at most 1e-3 above, relative where epsilon is above 1; a replaced record moves a sum by 2."""
    exact = compose([GaussianRelease(noise, moved)] * steps, delta)
    found = epsilon_of([SampledGaussian(noise, 1, steps)], delta)
    assert exact <= found <= exact + 1e-3 * max(1.0, exact)


@pytest.mark.parametrize("run", [RUN, SampledGaussian(2.0, 10, 200), SampledGaussian(4.0, 4, 100)])
def test_curve_agrees_with_opacus_and_stays_below_its_renyi_bound(run):
    """Where removing dominates, the curve is that of Opacus's numerical accountant; Renyi orders are coarser."""
    found = zero_out_epsilon([run], 1e-6)
    assert found == pytest.approx(opacus(PRVAccountant, run, 1e-6, eps_error=5e-4), abs=2e-3)
    assert found < opacus(RDPAccountant, run, 1e-6)
    assert found < dpsgd_epsilon([run], 1e-6) < group_privacy([run], (), 1e-6)


def one_step(epsilon, z, q, left, right):
    """Delta of one step, by integrating the positive part of the difference of two densities: a record at left, right.

    ``(0, 1)`` adds a record, ``(1, 0)`` removes one, ``(-1, 1)`` replaces one.
    """

    def mixture(x, at):
        return (1 - q) * norm.pdf(x, 0, z) + q * norm.pdf(x, at, z)

    def surplus(x):
        return max(0.0, mixture(x, left) - math.exp(epsilon) * mixture(x, right))

    return quad(surplus, -40 * z, 40 * z, limit=2000, points=np.linspace(-12 * z, 12 * z, 41))[0]


@pytest.mark.parametrize(
    ("epsilon_of", "orders"), [(zero_out_epsilon, [(0, 1), (1, 0)]), (dpsgd_epsilon, [(-1, 1), (1, -1)])]
)
@pytest.mark.parametrize("epsilon", [0.05, 0.2, 0.5])
def test_both_orders_of_neighbours_are_those_of_an_integral(epsilon_of, orders, epsilon):
    """The worse order counts where they differ; an upper bound, by no more than the curve's error in epsilon."""
    exact = max(one_step(epsilon, 1.5, 0.25, *order) for order in orders)
    assert epsilon - 1e-6 <= epsilon_of([SampledGaussian(1.5, 4, 1)], exact) <= epsilon + 1e-3


def positive_part(order, z, q, left, right):
    """``integral of (P - order Q)_+`` on a grid of the plane, for a replaced record at two points of it."""
    axis = np.arange(-8 * z, 8 * z, z / 10)
    density = [np.exp(-((axis[:, None] - x) ** 2 + (axis[None, :] - y) ** 2) / (2 * z * z)) for x, y in (left, right)]
    nobody = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * z * z))
    one, other = ((1 - q) * nobody + q * each for each in density)
    return np.maximum(one - order * other, 0).sum() / (2 * np.pi * 100)


@pytest.mark.parametrize(("z", "q"), [(0.6, 0.1), (1.0, 0.5), (3.0, 0.9)])
def test_no_pair_of_gradients_in_the_plane_is_told_apart_better_than_opposite_ones(z, q):
    """The lemma behind the curve, by a search over pairs within the clipping norm and orders on both sides of 1."""
    rng = np.random.default_rng(27)
    angles, lengths = rng.uniform(0, 2 * np.pi, (24, 2)), rng.choice([0.0, 0.5, 0.9, 1.0], (24, 2))
    for order in (0.5, 0.9, 1.0, 1.2, 3.0):
        worst = positive_part(order, z, q, (-1.0, 0.0), (1.0, 0.0))
        assert worst == pytest.approx(one_step(math.log(order), z, q, -1, 1), abs=5e-4)
        for (a, b), (r, s) in zip(angles, lengths, strict=True):
            pair = (r * math.cos(a), r * math.sin(a)), (s * math.cos(b), s * math.sin(b))
            assert positive_part(order, z, q, *pair) <= worst + 1e-4


@pytest.mark.parametrize("side", [-1, 1])
def test_composed_curve_is_that_of_sampled_losses(side):
    """200,000 trainings of RUN on the worst pair, drawn from either side; wrong with probability below 1e-6."""
    rng, z = np.random.default_rng(5), RUN.noise_multiplier
    loss = np.zeros(200_000)
    for _ in range(RUN.steps):
        seen = side * (rng.random(loss.size) < RUN.sample_rate) + z * rng.standard_normal(loss.size)
        left, right = (np.log1p(np.exp((2 * at * seen - 1) / (2 * z * z))) for at in (side, -side))  # rate 1/2 cancels
        loss += left - right
    for delta in (0.1, 0.01, 0.001):
        share = np.maximum(0.0, -np.expm1(dpsgd_epsilon([RUN], delta) - loss))
        assert abs(share.mean() - delta) < 5 * share.std() / math.sqrt(loss.size) + 0.01 * delta


@pytest.mark.parametrize("delta", [1e-3, 1e-6])
def test_a_release_joins_the_curve_as_its_gaussian(delta):
    """Without sampling both parts are Gaussians, whose joint curve has a closed form."""
    releases = [GaussianRelease(4.0, 1.0), GaussianRelease(6.0, 1.0)]
    exact = compose([GaussianRelease(20.0, 2.0)] * 40 + releases, delta)
    assert exact <= total_epsilon([SampledGaussian(20.0, 1, 40)], releases, delta) <= exact + 1.1e-3


def test_two_trainings_are_one_with_the_steps_of_both():
    halves = [SampledGaussian(13.4, 2, 30), SampledGaussian(13.4, 2, 10)]
    assert dpsgd_epsilon(halves, 1e-5) == pytest.approx(dpsgd_epsilon([RUN], 1e-5), abs=1e-4)


def test_replacing_a_record_costs_more_than_two_zero_outs_at_its_delta_and_less_than_group_privacy():
    replaced = dpsgd_epsilon([RUN], 1e-5)
    assert 2 * zero_out_epsilon([RUN], 1e-5) < replaced < group_privacy([RUN], (), 1e-5)


@pytest.mark.parametrize(("noise", "steps"), [(10.0, 20), (30.0, 40)])
def test_group_privacy_is_never_below_the_exact_replace_one_gaussian(noise, steps):
    """Without sampling a replaced record moves each sum by twice the clip, and the exact epsilon is known."""
    exact = compose([GaussianRelease(noise, 2.0)] * steps, 1e-5)
    assert exact <= dpsgd_epsilon([SampledGaussian(noise, 1, steps)], 1e-5) < exact * 1.001
    assert exact < group_privacy([SampledGaussian(noise, 1, steps)], (), 1e-5) < 1.35 * exact


def test_total_is_below_both_older_bounds_and_at_least_each_part():
    release = [GaussianRelease(gaussian_sigma(2.0, 5e-6, 1.0), 1.0)]
    total = total_epsilon([RUN], release, 1e-5)
    assert total < group_privacy([RUN], release, 1e-5)
    assert total < dpsgd_epsilon([RUN], 5e-6) + 2.0
    assert total > max(dpsgd_epsilon([RUN], 1e-5), gaussian_epsilon(1e-5, release[0].sigma, 1.0))


def test_releases_alone_compose_exactly():
    releases = [GaussianRelease(2.0, 1.0), GaussianRelease(3.0, 1.0)]
    assert total_epsilon([], releases, 1e-5) == compose(releases, 1e-5)
    assert total_epsilon([], [], 1e-5) == 0.0


def test_almost_no_head_costs_almost_nothing_beside_a_large_release():
    """Where group privacy of the whole lost most: a release costs more by it than by its exact replace-one curve."""
    faint = SampledGaussian(2000.0, 2, 2)
    release = [GaussianRelease(gaussian_sigma(8.0, 1e-5, 1.0), 1.0)]
    assert total_epsilon([faint], release, 1e-5) < group_privacy([faint], release, 1e-5)
    assert 8.0 <= total_epsilon([faint], release, 1e-5) < 8.0 + 2e-3


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
