"""The analytic Gaussian mechanism against independent numbers, its composition, and refused claims."""

import math

import numpy as np
import pytest
from opacus.accountants import PRVAccountant, RDPAccountant
from scipy.integrate import quad
from scipy.stats import norm

from clicooper.errors import PrivacyClaimError
from clicooper.privacy.accounting import (
    GaussianRelease,
    compose,
    gaussian_delta,
    gaussian_epsilon,
    gaussian_sigma,
    refuse_weak_delta,
    sensitivity,
)

# sigma at sensitivity 1, from the hockey-stick integral of two normal densities at 40 decimal digits.
REFERENCE_SIGMA = [
    (0.1, 1e-5, 30.749566131977449),
    (1.0, 1e-5, 3.7306316348159418),
    (2.0, 1e-5, 1.9938124456435367),
    (4.0, 1e-6, 1.1935185871579852),
    (8.0, 1e-5, 0.60022907219895156),
    (8.0, 1e-7, 0.70211331873856495),
]


def epsilon_by_opacus(releases, delta, accountant="prv"):
    """By independent code, an upper bound. At sample rate 1 its curve depends on sigma over sensitivity alone."""
    account = PRVAccountant() if accountant == "prv" else RDPAccountant()
    for release in releases:
        account.step(noise_multiplier=release.sigma / release.sensitivity, sample_rate=1.0)
    with np.errstate(divide="ignore"):  # its formulas take log(1 - sample_rate)
        return account.get_epsilon(delta=delta, **({"eps_error": 2.5e-4} if accountant == "prv" else {}))


def hockey_stick(epsilon: float, sigma: float) -> float:
    """Delta from its definition: the integral of max(0, p - e^epsilon q) for p = N(1, sigma), q = N(0, sigma)."""
    start = epsilon * sigma**2 + 0.5
    excess = lambda x: norm.pdf(x, 1, sigma) - math.exp(epsilon) * norm.pdf(x, 0, sigma)  # noqa: E731
    return sum(
        quad(excess, start + a * sigma, start + b * sigma, epsrel=1e-11)[0] for a, b in ((0, 1), (1, 4), (4, 40))
    )


@pytest.mark.parametrize(("epsilon", "delta", "expected"), REFERENCE_SIGMA)
def test_sigma_is_the_reference_rounded_up_by_at_most_1e_12(epsilon, delta, expected):
    sigma = gaussian_sigma(epsilon, delta, 1.0)
    assert expected <= sigma <= expected * (1 + 1e-12)


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.0, 3.7])
def test_delta_is_the_hockey_stick_integral(epsilon, sigma):
    assert gaussian_delta(epsilon, sigma, 1.0) == pytest.approx(hockey_stick(epsilon, sigma), rel=1e-8, abs=1e-14)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 1.0, 8.0, 50.0, 1000.0])
@pytest.mark.parametrize("delta", [0.1, 1e-5, 1e-12, 1e-50])
def test_delivered_delta_never_exceeds_the_requested_one_and_wastes_nothing(epsilon, delta):
    sigma = gaussian_sigma(epsilon, delta, 2.5)
    assert gaussian_delta(epsilon, sigma, 2.5) <= delta
    assert gaussian_delta(epsilon, sigma * (1 - 1e-6), 2.5) > delta


@pytest.mark.parametrize(("epsilon", "delta"), [(1e-9, 1e-12), (1e-16, 1e-20), (1e-200, 1e-100)])
def test_tiny_budgets_do_not_lose_their_noise_to_cancellation(epsilon, delta):
    """At epsilon 0, delta is Phi(mu/2) - Phi(-mu/2), about mu / sqrt(2 pi); epsilon > 0 can only lower the noise."""
    at_zero = 1 / (delta * math.sqrt(2 * math.pi))
    sigma = gaussian_sigma(epsilon, delta, 1.0)
    assert sigma <= at_zero * (1 + 1e-11)
    assert sigma >= min(at_zero, 2 / epsilon) / 2


def test_both_branches_of_delta_meet():
    for epsilon in (0.0, 1e-4, 0.01, 0.05):
        below, above = (gaussian_delta(epsilon, 100.0 * factor, 1.0) for factor in (1 + 1e-12, 1 - 1e-12))
        assert below == pytest.approx(above, rel=1e-10)


def test_sigma_is_proportional_to_the_sensitivity():
    assert gaussian_sigma(2.0, 1e-5, 7.0) == pytest.approx(7 * gaussian_sigma(2.0, 1e-5, 1.0), rel=1e-14)


def test_a_delta_of_1e_7_costs_a_fifth_more_noise_than_1e_5():
    ratio = gaussian_sigma(2.0, 1e-7, 1.0) / gaussian_sigma(2.0, 1e-5, 1.0)
    assert 1.17 <= ratio <= 1.25


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 8.0, 100.0])
def test_epsilon_inverts_sigma(epsilon):
    sigma = gaussian_sigma(epsilon, 1e-5, 1.0)
    assert gaussian_epsilon(1e-5, sigma, 1.0) == pytest.approx(epsilon, rel=1e-9)


def test_enormous_noise_costs_no_epsilon_at_all():
    assert gaussian_epsilon(0.1, 100.0, 1.0) == 0.0


def test_composition_of_one_release_is_that_release():
    release = GaussianRelease(gaussian_sigma(2.0, 1e-5, 0.5), 0.5)
    assert compose([release], 1e-5) == pytest.approx(2.0, rel=1e-9)


def test_four_equal_releases_cost_as_much_as_one_with_half_the_noise():
    assert compose([GaussianRelease(2.0, 1.0)] * 4, 1e-5) == pytest.approx(gaussian_epsilon(1e-5, 1.0, 1.0), rel=1e-11)


def test_nothing_released_costs_nothing():
    assert compose([], 1e-5) == 0.0


@pytest.mark.parametrize("accountant", ["prv", "rdp"])
@pytest.mark.parametrize(
    "releases", [[(3.730632, 1.0)], [(1.0, 1.0)], [(0.2, 1.0)], [(2.0, 1.0), (0.5, 0.1), (3.0, 2.0)]]
)
def test_opacus_agrees_from_above(releases, accountant):
    entries = [GaussianRelease(*pair) for pair in releases]
    exact, bound = compose(entries, 1e-5), epsilon_by_opacus(entries, 1e-5, accountant)
    assert exact - 1e-3 <= bound
    assert bound <= (exact + 1e-3 * max(1, exact) if accountant == "prv" else exact * 1.15)


def test_sensitivity_of_a_group_mean():
    assert sensitivity(3.0, 4) == 1.5


@pytest.mark.parametrize(
    "claim", ["per-coordinate", "per-batch", "add/remove record", "record with its label", "per-user"]
)
def test_sensitivity_claims_without_proof_are_refused(claim):
    with pytest.raises(PrivacyClaimError, match=claim) as caught:
        sensitivity(1.0, 1, claim)
    assert "replace-one record" in caught.value.hint


@pytest.mark.parametrize(("factor", "truth"), [(4, 10), (64, 651)])
def test_understated_sensitivity_attack_on_a_claim_of_epsilon_2(factor, truth):
    """What the refusals prevent: noise for one of 16 coordinates, or for a batch of 64, spent on a whole row."""
    sigma = gaussian_sigma(2.0, 1e-5, 1.0)
    assert gaussian_epsilon(1e-5, sigma, factor) == pytest.approx(truth, abs=0.5)


@pytest.mark.parametrize(("delta", "records"), [(1e-3, 1000), (0.5, 10), (1e-5, 200_000), (0.1, 0)])
def test_delta_of_one_whole_record_is_refused(delta, records):
    with pytest.raises(PrivacyClaimError, match="not below 1/n"):
        refuse_weak_delta(delta, records)


def test_delta_below_one_record_passes():
    refuse_weak_delta(1e-5, 50_000)


@pytest.mark.parametrize(("epsilon", "kept"), [(1.0, True), (10.0, False)])
def test_classic_formula_is_void_above_epsilon_1(epsilon, kept):
    """Why sigma is not ``sqrt(2 ln(1.25/delta)) / epsilon``: beyond the end of its proof it delivers a larger delta."""
    classic = math.sqrt(2 * math.log(1.25 / 1e-5)) / epsilon
    assert (gaussian_delta(epsilon, classic, 1.0) <= 1e-5) is kept
    assert (gaussian_sigma(epsilon, 1e-5, 1.0) <= classic) is kept


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_numbers_out_of_range_are_refused(bad):
    for call in (
        lambda: gaussian_sigma(bad, 1e-5, 1.0),
        lambda: gaussian_sigma(1.0, 1e-5, bad),
        lambda: gaussian_sigma(1.0, bad, 1.0),
        lambda: gaussian_delta(1.0, bad, 1.0),
        lambda: gaussian_epsilon(bad, 1.0, 1.0),
        lambda: GaussianRelease(bad, 1.0),
        lambda: sensitivity(bad, 1),
        lambda: compose([], bad),
    ):
        with pytest.raises(PrivacyClaimError):
            call()
    with pytest.raises(PrivacyClaimError):
        gaussian_delta(-1.0, 1.0, 1.0)
    with pytest.raises(PrivacyClaimError):
        sensitivity(1.0, 0)
