"""Randomised response: exact probabilities, what an attacker can prove of it, and estimates that undo it on average."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom

from clicooper.errors import DataError, PrivacyClaimError, UsageError
from clicooper.privacy.randomised_response import MAX_EPSILON, RandomisedResponse, class_means, noise_of_rows, unmix
from clicooper.privacy.randomness import MasterSecret, bernoulli, bind
from tests.distinguish import lower_bound

SECRET, CONTEXT = MasterSecret.from_seed(31), bind("records")
CLASSES, EPSILON, DRAWS, ERROR = 5, 1.2, 20_000, 1e-6
RESPONSE = RandomisedResponse(EPSILON, CLASSES)
LABELS = np.repeat(np.arange(CLASSES), DRAWS)


def of_class(labels, own):
    """What became of the records of a true class."""
    return labels[own * DRAWS : (own + 1) * DRAWS]


def noisy(response=RESPONSE, labels=LABELS, secret=SECRET, context=CONTEXT):
    return response.respond(labels, secret=secret, context=context)


def mixing_matrix(response):
    """Row: true class, column: noisy class."""
    uniform = np.full((response.classes, response.classes), response.mixing / response.classes)
    return (1 - response.mixing) * np.eye(response.classes) + uniform


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("epsilon", [1e-6, 0.1, math.log(2), 1.0, 2.0, 4.0, 20.0, MAX_EPSILON])
def test_drawn_probabilities_are_private_exactly_and_tight_to_two_words(epsilon, classes):
    share = Fraction(RandomisedResponse(epsilon, classes).threshold, 1 << 64)
    kept, other = 1 - share + share / classes, share / classes
    with localcontext() as context:
        context.prec = 80
        allowed = Decimal(epsilon).exp()
        needed = Fraction(*(Decimal(classes) / (allowed + classes - 1)).as_integer_ratio())
        assert kept / other <= Fraction(*(allowed * (1 + Decimal("1e-70"))).as_integer_ratio())
    assert 0 <= share - needed + Fraction(1, 10**70) <= Fraction(2, 1 << 64)


@pytest.mark.parametrize("own", range(CLASSES))
def test_realised_shares_lie_in_their_binomial_intervals(own):
    """25 shares of 20,000 draws each, at an error rate of 1e-6 for each."""
    counts = np.bincount(of_class(noisy(), own), minlength=CLASSES)
    for label, count in enumerate(counts):
        share = RESPONSE.keep if label == own else RESPONSE.mixing / CLASSES
        low, high = binom.interval(1 - ERROR, DRAWS, share)
        assert low <= count <= high
    assert math.isclose(RESPONSE.keep, math.exp(EPSILON) / (math.exp(EPSILON) + CLASSES - 1), rel_tol=1e-12)


def proved(labels):
    """The largest epsilon that naming one class proves against another, of all pairs."""
    shown = [(of_class(labels, own) == own).astype(float) for own in range(CLASSES)]
    hidden = {
        (own, other): (of_class(labels, other) == own).astype(float)
        for own in range(CLASSES)
        for other in range(CLASSES)
        if own != other
    }
    return max(lower_bound(shown[own], alarms, 0.5, 0.0, ERROR).epsilon for (own, _), alarms in hidden.items())


def test_an_attacker_proves_nearly_epsilon_and_never_more():
    """20 pairs at an error rate of 1e-6 each."""
    assert 0.8 * EPSILON < proved(noisy()) <= EPSILON


def test_the_two_class_probability_over_more_classes_leaks_more_on_the_broken_variant():
    """Keeping with e^eps / (1 + e^eps) whatever K is a factor K - 1 off: the attack proves it."""
    rng = np.random.default_rng(0)
    kept = rng.random(LABELS.size) < math.exp(EPSILON) / (1 + math.exp(EPSILON))
    others = (LABELS + rng.integers(1, CLASSES, LABELS.size)) % CLASSES
    assert proved(np.where(kept, LABELS, others)) > EPSILON + 1


def test_uniform_over_the_other_classes_with_probability_rho_leaks_more_on_the_broken_variant():
    rng = np.random.default_rng(0)
    moved = (LABELS + rng.integers(1, CLASSES, LABELS.size)) % CLASSES
    kept = rng.random(LABELS.size) >= RESPONSE.mixing / CLASSES
    assert proved(np.where(kept, LABELS, moved)) > EPSILON + 1


def test_a_response_is_drawn_once_and_every_other_input_draws_anew():
    first = noisy()
    assert np.array_equal(first, noisy())
    assert first.dtype == np.int64
    others = [
        noisy(secret=MasterSecret.from_seed(32)),
        noisy(context=bind("other records")),
        noisy(RandomisedResponse(np.nextafter(EPSILON, 2), CLASSES)),
    ]
    matrix = mixing_matrix(RESPONSE)
    alike = float(np.square(matrix).sum(axis=1).mean())
    for other in others:
        agreed = int((other == first).sum())
        low, high = binom.interval(1 - ERROR, LABELS.size, alike)
        assert low <= agreed <= high


def test_expected_totals_are_undone_exactly():
    """Linear in the noisy totals, so their expectation decides: unbiased counts and sums, whatever the classes."""
    rng = np.random.default_rng(3)
    matrix = mixing_matrix(RESPONSE)
    for totals in (rng.integers(0, 500, CLASSES).astype(float), rng.normal(size=(CLASSES, 7))):
        assert np.allclose(unmix(matrix.T @ totals, RESPONSE.mixing), totals, atol=1e-9)
    assert np.array_equal(unmix(np.array([3.0, 4.0]), 0.0), [3.0, 4.0])


def test_debiased_counts_and_means_are_right_on_average():
    """400 responses to the same 1,000 labels: means within six standard errors of the truth."""
    rng = np.random.default_rng(4)
    labels = rng.choice(CLASSES, 1000, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    features = rng.normal(size=(1000, 3)) + labels[:, None]
    truth = np.bincount(labels, minlength=CLASSES)
    sums = np.stack([features[labels == label].sum(axis=0) for label in range(CLASSES)])
    counts, totals = [], []
    for number in range(400):
        drawn = noisy(labels=labels, context=bind("repeat", number))
        counts.append(unmix(np.bincount(drawn, minlength=CLASSES), RESPONSE.mixing))
        found = np.stack([features[drawn == label].sum(axis=0) for label in range(CLASSES)])
        totals.append(unmix(found, RESPONSE.mixing))
    for estimates, exact in ((np.array(counts), truth), (np.array(totals), sums)):
        error = estimates.std(axis=0) / np.sqrt(len(estimates))
        assert (np.abs(estimates.mean(axis=0) - exact) < 6 * error).all()


def test_class_means_come_back_where_noisy_means_are_drawn_together():
    rng = np.random.default_rng(5)
    means = np.array([[0.0, 4.0], [4.0, 0.0], [0.0, 0.0], [-4.0, 0.0], [0.0, -4.0]])
    rows, drawn = means[LABELS] + rng.normal(size=(LABELS.size, 2)), noisy()
    naive = np.stack([rows[drawn == label].mean(axis=0) for label in range(CLASSES)])
    assert np.abs(class_means(rows, drawn, CLASSES, RESPONSE.mixing) - means).max() < 0.2
    assert np.abs(naive - means).max() > 2
    assert np.allclose(class_means(rows, drawn, CLASSES, 0.0), naive)


def test_classes_that_seem_to_have_no_record_of_their_own_keep_a_finite_mean():
    rows, drawn = np.array([[1.0], [1.0], [1.0], [1.0], [7.0]]), np.array([0, 0, 0, 0, 1])
    assert np.array_equal(class_means(rows, drawn, 3, 0.9)[1:], [[7.0], [0.0]])


def test_only_rows_of_one_record_leave_label_noise_to_the_loss():
    assert noise_of_rows(0.3, 1) == 0.3
    assert noise_of_rows(0.3, 2) == 0.0


@pytest.mark.parametrize(
    ("epsilon", "classes"),
    [(0.0, 3), (-1.0, 3), (MAX_EPSILON + 1, 3), (math.nan, 3), (math.inf, 3), (1.0, 1), (1.0, 2**33), (1e-18, 2)],
)
def test_impossible_responses_are_refused(epsilon, classes):
    with pytest.raises(PrivacyClaimError):
        RandomisedResponse(epsilon, classes)


@pytest.mark.parametrize("labels", [[0, 5], [-1], [], [[0, 1]]])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(DataError, match="labels"):
        noisy(labels=np.array(labels, dtype=np.int64))


def test_certain_and_nearly_impossible_draws():
    key = SECRET.derive("test", CONTEXT)
    assert bernoulli(key, 1000, 1 << 64).all()
    assert not bernoulli(key, 1000, 1).any()
    assert bernoulli(key, 0, 1).size == 0
    long = bernoulli(key, (1 << 20) + 5, 1 << 63)
    assert np.array_equal(long[:1000], bernoulli(key, 1000, 1 << 63))
    for threshold in (0, (1 << 64) + 1):
        with pytest.raises(UsageError):
            bernoulli(key, 1, threshold)
