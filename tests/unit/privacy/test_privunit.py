"""PrivUnit: what it guarantees, that it is unbiased, and what a release by it may claim."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, kstest, norm

from clicooper.errors import DataError, PrivacyBudgetError, PrivacyClaimError
from clicooper.privacy.labels import expand_labels
from clicooper.privacy.ledger import Ledger, ReleaseRequest
from clicooper.privacy.privunit import PrivUnit
from clicooper.privacy.randomness import MasterSecret, bind, uniform_draws
from clicooper.privacy.release import ReleaseParams, make_release, release_content
from tests.distinguish import lower_bound

SECRET, CONTEXT = MasterSecret.from_seed(31), bind("test", 7)
TRIALS, ERROR = 20_000, 1e-6
LABELS = np.repeat(np.arange(4), 100)
FEATURES = np.random.default_rng(3).normal(size=(400, 2, 8))
MAP = expand_labels(LABELS, 4, secret=SECRET, context=CONTEXT, gamma=4)
PARAMS = ReleaseParams(2.0, 1e-5, 1.0, mechanism="privunit")


def answers(mechanism, directions, seed=0):
    rng = np.random.default_rng(seed)
    return mechanism.answer(directions, rng.random((len(directions), 2)), rng.normal(size=directions.shape))


def first_axis(dims, count=TRIALS):
    return np.repeat(np.eye(1, dims), count, axis=0)


@given(st.floats(0.05, 32), st.integers(2, 4000))
def test_density_ratio_is_at_most_e_to_the_epsilon_and_nearly_that(epsilon, dims):
    mechanism = PrivUnit(epsilon, dims)
    p, q = mechanism.inside, mechanism.share
    ratio = math.log(p) + math.log1p(-q) - math.log(q) - math.log1p(-p)
    assert 0 < q <= 0.5 <= p < 1 or p > q
    # Two units in p for the draws, which are multiples of 2^-53, and what the logarithms above lose.
    realised = ratio + 2.0**-52 / (1 - p)
    assert epsilon * (1 - 1e-6) <= ratio < realised <= epsilon + 1e-13
    assert 0 < mechanism.gain <= 1 and 0 <= mechanism.threshold < 1


def test_the_cap_is_the_best_of_its_grid():
    mechanism = PrivUnit(2.0, 16)
    near = [mechanism._gain(mechanism.share * 2.0 ** (step / 32)) for step in (-1, 0, 1)]
    assert near[1] == mechanism.gain == max(near)


@pytest.mark.parametrize(("epsilon", "dims"), [(0.5, 2), (1.0, 3), (2.0, 16), (8.0, 64), (20.0, 5)])
def test_answers_are_unbiased_of_one_length_and_as_noisy_as_stated(epsilon, dims):
    mechanism = PrivUnit(epsilon, dims)
    told = answers(mechanism, first_axis(dims))
    assert np.allclose(np.linalg.norm(told, axis=1), 1 / mechanism.gain)
    error = told.std(axis=0) / math.sqrt(TRIALS)
    bound = norm.isf(ERROR / dims)
    assert (np.abs(told.mean(axis=0) - np.eye(1, dims)[0]) < bound * error).all()
    noise = np.square(told - np.eye(1, dims)).sum(axis=1).mean() / dims
    assert noise == pytest.approx(mechanism.sigma**2, rel=0.05)


@pytest.mark.parametrize(("epsilon", "dims"), [(1.0, 3), (2.0, 16), (6.0, 200)])
def test_cap_is_hit_as_often_as_stated_and_holds_the_stated_share_of_the_sphere(epsilon, dims):
    mechanism = PrivUnit(epsilon, dims)
    along = answers(mechanism, first_axis(dims))[:, 0] * mechanism.gain
    hits = int(np.sum(along >= mechanism.threshold))
    low, high = beta.ppf(ERROR, hits, TRIALS - hits + 1), beta.ppf(1 - ERROR, hits + 1, TRIALS - hits)
    assert low <= mechanism.inside <= high
    # A coordinate t of a uniform point has (t + 1) / 2 of law beta((d-1)/2, (d-1)/2).
    law = beta((dims - 1) / 2, (dims - 1) / 2)
    assert law.sf((mechanism.threshold + 1) / 2) == pytest.approx(mechanism.share, rel=1e-9)
    within = (along[along >= mechanism.threshold] + 1) / 2
    assert kstest(law.sf(within) / mechanism.share, "uniform").pvalue > ERROR


def test_no_attacker_proves_more_than_the_claimed_epsilon():
    """Thresholds below, at and above the cap's edge: the likelihood ratio's own attack is among them."""
    mechanism = PrivUnit(2.0, 16)
    along = [answers(mechanism, sign * first_axis(16), seed)[:, 0] * mechanism.gain for seed, sign in ((1, 1), (2, -1))]
    found = [lower_bound(*along, at, 0.0, ERROR).epsilon for at in (0.0, mechanism.threshold, 0.3, 0.5)]
    assert 1.0 < max(found) <= 2.0


def test_the_same_attacker_catches_a_cap_for_twice_the_claim():
    """The mistake: epsilon taken for either step of a replacement, removal and addition, instead of for both."""
    broken = PrivUnit(4.0, 16)
    along = [answers(broken, sign * first_axis(16), seed)[:, 0] * broken.gain for seed, sign in ((3, 1), (4, -1))]
    assert lower_bound(*along, broken.threshold, 0.0, ERROR).epsilon > 2.0


def test_noise_is_that_of_the_documentation():
    """A third of the Gaussian's on single records, and more than its means of over ten."""
    single, gaussian = PrivUnit(2.0, 16).sigma, ReleaseParams(2.0, 1e-5, 1.0).sigma
    assert (round(single, 2), round(gaussian, 2)) == (1.24, 3.99)
    means = {b: ReleaseParams(2.0, 1e-5, 1.0, group=b).sigma for b in (10, 11)}
    assert means[10] > single / math.sqrt(10) and means[11] < single / math.sqrt(11)


@pytest.mark.parametrize("length", [1e-200, 1e-3, 1e200])
def test_the_length_of_a_record_changes_nothing(length):
    mechanism = PrivUnit(2.0, 4)
    axes = first_axis(4, 50)
    assert np.allclose(answers(mechanism, length * axes), answers(mechanism, axes), rtol=1e-12)


def test_a_zero_record_is_answered_like_any_other():
    mechanism = PrivUnit(2.0, 4)
    told = answers(mechanism, np.zeros((TRIALS, 4)))
    assert np.array_equal(told, answers(mechanism, first_axis(4)))


@pytest.mark.parametrize(("epsilon", "dims"), [(0.0, 4), (-1.0, 4), (33.0, 4), (math.nan, 4), (1.0, 1)])
def test_parameters_out_of_range_are_refused(epsilon, dims):
    with pytest.raises(PrivacyClaimError):
        PrivUnit(epsilon, dims)


def test_random_numbers_of_another_shape_are_refused():
    with pytest.raises(DataError, match="vectors of shape"):
        PrivUnit(1.0, 4).answer(np.zeros((3, 4)), np.zeros((3, 1)), np.zeros((3, 4)))


def test_uniform_draws_are_uniform_and_repeat():
    draws = uniform_draws(bytes(32), (5000, 4))
    assert np.array_equal(draws, uniform_draws(bytes(32), (5000, 4)))
    assert draws.min() > 0 and draws.max() < 1 and kstest(draws.ravel(), "uniform").pvalue > ERROR


def test_release_holds_one_answer_for_each_record_on_the_grid():
    release = make_release(FEATURES, MAP, PARAMS, SECRET, CONTEXT)
    again = make_release(FEATURES, MAP, PARAMS, SECRET, CONTEXT)
    assert np.array_equal(release.activations, again.activations)
    assert release.activations.shape == (400, 2, 8) and release.record_of_row.shape == (400, 1)
    cells = release.activations.astype(np.float64) / release.grid
    assert np.array_equal(cells, np.rint(cells))
    mechanism = PrivUnit(2.0, 16)
    rows = release.activations.reshape(400, -1).astype(np.float64)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1 / mechanism.gain, atol=4 * release.grid)
    units = FEATURES.reshape(400, -1)[release.record_of_row[:, 0]]
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    along = np.sum(rows * units, axis=1)
    assert abs(along.mean() - 1) < norm.isf(ERROR) * along.std() / 20


def test_release_depends_on_directions_alone():
    """Records are scaled to one length before they are answered, so a norm has nowhere to leak from."""
    plain = make_release(FEATURES, MAP, PARAMS, SECRET, CONTEXT)
    assert plain.sigma == pytest.approx(PrivUnit(2.0, 16).sigma)
    doubled = make_release(FEATURES, MAP, ReleaseParams(2.0, 1e-5, 2.0, mechanism="privunit"), SECRET, CONTEXT)
    lengths = [np.linalg.norm(made.activations.reshape(400, -1), axis=1).mean() for made in (plain, doubled)]
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=1e-3)


def test_statement_says_pure_and_names_the_mechanism():
    text = make_release(FEATURES, MAP, PARAMS, SECRET, CONTEXT).statement.text()
    assert "PrivUnit" in text and "delta 0" in text and "sensitivity 2C/b" not in text


def test_groups_are_refused():
    with pytest.raises(PrivacyClaimError, match="single records"):
        ReleaseParams(2.0, 1e-5, 1.0, group=2, mechanism="privunit")


def request(params, number=0):
    content = release_content(bind("data"), bind("head", number), MAP, params)
    noise = 1.0 if params.mechanism == "gaussian" else params.noise(16)
    return ReleaseRequest(
        bind("data"),
        content,
        MAP.digest,
        params.sigma if params.mechanism == "gaussian" else noise,
        2.0,
        params.epsilon,
        params.delta,
        mechanism=params.mechanism,
    )


def test_ledger_adds_pure_epsilons_to_the_gaussian_composition(tmp_path):
    path = tmp_path / "ledger.json"
    ledger = Ledger.open(path, 5.0, 1e-5)
    ledger.reserve(request(PARAMS))
    assert ledger.spent_epsilon() == pytest.approx(2.0)
    ledger.reserve(request(ReleaseParams(2.0, 1e-5, 1.0)))
    assert Ledger.open(path, 5.0, 1e-5).spent_epsilon() == pytest.approx(4.0, rel=1e-6)
    with pytest.raises(PrivacyBudgetError, match="over the budget"):
        ledger.reserve(request(PARAMS, 1))
    assert '"mechanism": "privunit"' in path.read_text()
