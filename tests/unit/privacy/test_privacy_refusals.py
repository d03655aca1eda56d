"""Mistakes that void the guarantee: the library refuses each, and its attack succeeds on the broken variant here."""

import numpy as np
import pytest
from scipy.stats import norm

from clicooper.attacks.privacy.scores import grade
from clicooper.errors import DataError, PrivacyBudgetError, PrivacyClaimError
from clicooper.privacy.accounting import gaussian_sigma, sensitivity
from clicooper.privacy.labels import LabelMap, expand_labels
from clicooper.privacy.ledger import Ledger, ReleaseRequest
from clicooper.privacy.randomness import MasterSecret, bind, normal_noise
from clicooper.privacy.release import ReleaseParams, clip_rows, make_release, release_content, release_context
from tests.distinguish import lower_bound, project
from tests.privacy_leaks import (
    group_by_counts,
    join_maps,
    naive_float32_noise,
    remove_shared_noise,
    reproduces_in_float32,
)

SECRET, CONTEXT = MasterSecret.from_seed(21), bind("test", 1)
COUNTS = np.array([83, 97, 110, 121, 134])
LABELS = np.random.default_rng(1).permutation(np.repeat(np.arange(5), COUNTS))
FEATURES = np.random.default_rng(2).normal(size=(LABELS.size, 8))
TRIALS, ERROR = 20_000, 1e-6


def one_map(secret=SECRET, **options):
    return expand_labels(LABELS, 5, secret=secret, context=CONTEXT, **(options or {"gamma": 8}))


def release(epsilon=2.0, secret=SECRET, context=CONTEXT):
    return make_release(FEATURES, one_map(), ReleaseParams(epsilon, 1e-5, 1.0), secret, context)


def test_one_noise_secret_at_two_epsilons_shows_every_record_on_the_broken_variant():
    clean = clip_rows(FEATURES, 1.0)
    unit = normal_noise(SECRET.derive("broken", CONTEXT), clean.shape, 1.0)
    found = remove_shared_noise(clean + 4.0 * unit, 4.0, clean + 1.5 * unit, 1.5)
    assert np.abs(found - clean).max() < 1e-12


def test_one_noise_secret_at_two_epsilons_is_refused():
    """The key binds epsilon, so what the attack returns is as noisy as ever."""
    one, two = release(2.0), release(4.0)
    order = [np.argsort(made.record_of_row[:, 0]) for made in (one, two)]
    rows = [made.activations[at].astype(np.float64) for made, at in zip((one, two), order, strict=True)]
    found = remove_shared_noise(rows[0], one.sigma, rows[1], two.sigma)
    clean = clip_rows(FEATURES, 1.0)[one.record_of_row[order[0], 0]]
    assert np.std(found - clean) > min(one.sigma, two.sigma)


def test_a_second_release_at_another_epsilon_is_over_budget(tmp_path):
    ledger = Ledger.open(tmp_path / "ledger.json", 2.0, 1e-5)
    ledger.reserve(request(2.0))
    with pytest.raises(PrivacyBudgetError, match="over the budget"):
        ledger.reserve(request(1.0))


def request(epsilon, label_map=None):
    params, label_map = ReleaseParams(epsilon, 1e-5, 1.0), label_map or one_map()
    content = release_content(bind("data"), bind("head"), label_map, params)
    return ReleaseRequest(
        bind("data"), content, label_map.digest, params.sigma, params.gaussian.sensitivity, epsilon, 1e-5
    )


def test_spec_seeded_map_and_noise_are_repeated_by_anybody_on_the_broken_variant():
    """Who knows the seed and the labels makes the same map, and tells neighbours apart by making both releases."""
    owner, thief = MasterSecret.from_seed(2026), MasterSecret.from_seed(2026)
    assert np.array_equal(one_map(owner).class_of_pseudo, one_map(thief).class_of_pseudo)
    params = ReleaseParams(2.0, 1e-5, 1.0)
    made = make_release(FEATURES, one_map(owner), params, owner, CONTEXT)
    neighbour = FEATURES.copy()
    neighbour[0] += 1e-6
    guesses = [make_release(features, one_map(thief), params, thief, CONTEXT) for features in (FEATURES, neighbour)]
    assert [np.array_equal(guess.activations, made.activations) for guess in guesses] == [True, False]


def test_spec_seeded_map_is_refused():
    """A map needs a master; a master from a seed says INSECURE, and one from the system is not the seed's."""
    with pytest.raises((AttributeError, TypeError)):
        expand_labels(LABELS, 5, secret=2026, context=CONTEXT, gamma=8)
    assert "INSECURE" in release(secret=MasterSecret.from_seed(2026)).statement.text()
    secure = MasterSecret.from_os()
    assert "INSECURE" not in release(secret=secure).statement.text()
    assert not np.array_equal(one_map(secure).class_of_pseudo, one_map(MasterSecret.from_seed(2026)).class_of_pseudo)


def round_robin(seed):
    """The mistake: every record is dealt, so that a class's counts are its own."""
    rng = np.random.default_rng(seed)
    gamma, names = 8, rng.permutation(40)
    pseudo = np.empty(LABELS.size, dtype=np.int64)
    for label in range(5):
        records = rng.permutation(np.flatnonzero(label == LABELS))
        pseudo[records] = names[label * gamma + np.arange(records.size) % gamma]
    classes = np.empty(40, dtype=np.int64)
    classes[names] = np.repeat(np.arange(5), gamma)
    return pseudo, classes


def test_count_attack_names_every_pseudo_label_of_a_round_robin_deal():
    pseudo, classes = round_robin(0)
    guess = group_by_counts(np.bincount(pseudo, minlength=40), COUNTS, (8,) * 5)
    assert grade(guess, classes, 5).named > 0.9


def test_round_robin_dealing_is_refused():
    pseudo, classes = round_robin(0)
    with pytest.raises(PrivacyClaimError, match="by their counts"):
        LabelMap(pseudo, classes, 5, 13, (8,) * 5)


def test_a_map_that_does_not_have_the_gamma_that_it_declares_is_refused():
    honest = one_map()
    with pytest.raises(PrivacyClaimError, match="declares"):
        LabelMap(honest.pseudo_of_record, honest.class_of_pseudo, 5, honest.m, honest.gamma[::-1])


def test_count_attack_finds_nothing_under_exact_m():
    """200 maps of 54 pseudo-labels: the share named is chance within 5 standard errors (error rate 6e-7)."""
    maps = [one_map(MasterSecret.from_seed(seed)) for seed in range(200)]
    assert {len(set(np.bincount(made.pseudo_of_record[made.pseudo_of_record >= 0]))) for made in maps} == {1}
    gamma = np.array(maps[0].gamma)
    counts = np.full(gamma.sum(), maps[0].m)
    named = [grade(group_by_counts(counts, COUNTS, tuple(gamma)), made.class_of_pseudo, 5).named for made in maps]
    chance = float(np.square(gamma / gamma.sum()).sum())
    assert abs(np.mean(named) - chance) < 5 * np.sqrt(chance * (1 - chance) / (200 * gamma.sum()))


def explained(released, clean, sigma):
    """Share of rows of which every number is reproduced exactly by some draw of the naive noise."""
    return reproduces_in_float32(released, clean, sigma).all(axis=1)


def test_float32_noise_betrays_its_record_on_the_broken_variant():
    """Of two candidate records only the true one explains a row's sixteen numbers, for nearly all of 500 rows."""
    rng = np.random.default_rng(4)
    present, absent = (rng.uniform(-0.2, 0.2, (500, 16)).astype(np.float32) for _ in range(2))
    released = present + naive_float32_noise((500, 16), 1.0, rng)
    assert explained(released, present, 1.0).mean() > 0.99
    assert explained(released, absent, 1.0).mean() < 0.05


def test_the_grid_of_a_release_is_reached_from_every_record_alike():
    """The same test on the library's release: rounding to a public grid, true and false records are explained alike."""
    made = release()
    rows = made.activations
    clean = clip_rows(FEATURES, 1.0)[made.record_of_row[:, 0]]
    assert np.array_equal(rows, np.rint(rows / made.grid) * made.grid)
    false = np.roll(clean, 1, axis=0)
    shares = [
        reproduces_in_float32(rows, candidate.astype(np.float32), made.sigma).mean() for candidate in (clean, false)
    ]
    # 3,400 numbers: six standard errors of the difference of two shares are at most 0.073.
    assert abs(shares[0] - shares[1]) < 0.073


def test_float32_features_are_refused():
    with pytest.raises(DataError, match="float32"):
        make_release(FEATURES.astype(np.float32), one_map(), ReleaseParams(2.0, 1e-5, 1.0), SECRET, CONTEXT)


def test_m_from_private_counts_tells_one_label_on_the_broken_variant():
    """Neighbours in one label: the public m alone tells which, so no epsilon covers a label."""
    labels = np.repeat(np.arange(3), [40, 41, 60])
    neighbour = labels.copy()
    neighbour[0] = 2
    sizes = [expand_labels(x, 3, secret=SECRET, context=CONTEXT, gamma=40).m for x in (labels, labels)]
    assert sizes == [1, 1]
    with pytest.raises(DataError, match="too few"):
        expand_labels(neighbour, 3, secret=SECRET, context=CONTEXT, gamma=40)
    assert expand_labels(labels, 3, secret=SECRET, context=CONTEXT, gamma=8).m == 5
    assert expand_labels(neighbour, 3, secret=SECRET, context=CONTEXT, gamma=8).m == 4


def test_a_claim_that_covers_labels_is_refused():
    with pytest.raises(PrivacyClaimError, match=r"record with its label.*class counts"):
        sensitivity(1.0, 1, "record with its label")
    assert "labels, class counts" in release().statement.text()


@pytest.mark.parametrize(("share", "least"), [(1.0, 0.999), (0.1, 0.4)])
def test_second_map_joins_the_pseudo_labels_of_a_class_on_the_broken_variant(share, least):
    first, second = one_map(m=20), one_map(MasterSecret.from_seed(22), m=20)
    both = np.flatnonzero((first.pseudo_of_record >= 0) & (second.pseudo_of_record >= 0))
    shared = np.random.default_rng(0).permutation(both)[: int(share * both.size)]
    guess = join_maps(first.pseudo_of_record[shared], second.pseudo_of_record[shared], first.pseudo_labels)
    pairs = [
        (guess.classes[i] == guess.classes[j]) <= (first.class_of_pseudo[i] == first.class_of_pseudo[j])
        for i in range(first.pseudo_labels)
        for j in range(i)
    ]
    assert all(pairs)  # what is joined is of one class, always
    if share == 1.0:
        assert grade(guess, first.class_of_pseudo, 5).ari > least
    else:
        joined = np.unique(guess.classes, return_counts=True)[1]
        assert joined[joined > 1].sum() > least * first.pseudo_labels


def test_second_map_is_refused(tmp_path):
    ledger = Ledger.open(tmp_path / "ledger.json", 100.0, 1e-5)
    ledger.reserve(request(2.0))
    with pytest.raises(PrivacyBudgetError, match="another label map"):
        ledger.reserve(request(2.0, one_map(MasterSecret.from_seed(22))))


def trial(sigma_factor=1.0, epsilon=2.0, secret=SECRET):
    """One release of 40,000 records, C or -C in one direction: 20,000 trials of each, every row its own record."""
    labels = np.arange(2 * TRIALS) % 2
    sign = np.where(np.arange(2 * TRIALS) < TRIALS, 1.0, -1.0)
    features = sign[:, None] * np.array([[1.0, 0.0, 0.0, 0.0]])
    label_map = expand_labels(labels, 2, secret=secret, context=CONTEXT, gamma=10)
    params = ReleaseParams(epsilon, 1e-5, 1.0)
    made = make_release(features, label_map, params, secret, release_context(CONTEXT, 0))
    clean = clip_rows(features, 1.0)[made.record_of_row[:, 0]]
    rows = clean + sigma_factor * (made.activations - clean)
    seen = project(rows, np.array([1.0, 0, 0, 0]))
    present = sign[made.record_of_row[:, 0]] > 0
    return seen[present], seen[~present], made.sigma


@pytest.mark.parametrize("epsilon", [1.0, 2.0, 4.0])
def test_distinguisher_never_proves_more_than_the_claimed_epsilon(epsilon):
    """20,000 trials of each kind, thresholds fixed before: the bound is wrong with probability 4e-6 at most."""
    present, absent, sigma = trial(epsilon=epsilon)
    thresholds = [-1 + sigma * norm.isf(quantile) for quantile in (0.5, 0.1, 0.01, 0.001)]
    found = [lower_bound(present, absent, threshold, 1e-5, ERROR) for threshold in thresholds]
    assert {bound.trials for bound in found} == {TRIALS}
    assert max(bound.epsilon for bound in found) <= epsilon
    # And it is no vacuous attack: a good part of epsilon is proved.
    assert max(bound.epsilon for bound in found) > 0.2 * epsilon


def test_distinguisher_convicts_a_mechanism_with_per_coordinate_sensitivity():
    """Noise for one of sixteen coordinates, a quarter of what is due: claimed 2, proved more."""
    present, absent, sigma = trial(sigma_factor=0.25)
    assert sigma == gaussian_sigma(2.0, 1e-5, 2.0)
    found = lower_bound(present, absent, -1 + 0.25 * sigma * norm.isf(0.001), 1e-5, ERROR)
    assert found.epsilon > 3.0


def test_lower_bound_knows_its_edges():
    ones, zeros = np.ones(100), np.zeros(100)
    assert lower_bound(zeros, ones, 0.5, 1e-5, 0.05).epsilon == 0.0
    assert lower_bound(ones, ones, 0.5, 1e-5, 0.05).epsilon == 0.0
    sure = lower_bound(ones, zeros, 0.5, 1e-5, 0.05)
    # Clopper-Pearson of 100 in 100 and 0 in 100 at 2.5 % each: 0.9638 and 0.0362.
    assert sure.epsilon == pytest.approx(np.log((0.025**0.01 - 1e-5) / (1 - 0.025**0.01)), rel=1e-9)


def test_bound_is_wrong_as_rarely_as_it_says():
    """1,000 audits of a mechanism of epsilon exactly ln 2 at an error of 0.1: wrong 100 times + 6 standard errors."""
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(1000):
        present, absent = rng.random(500) < 2 / 3, rng.random(500) < 1 / 3
        wrong += lower_bound(present.astype(float), absent.astype(float), 0.5, 0.0, 0.1).epsilon > np.log(2)
    assert wrong <= 100 + 6 * np.sqrt(1000 * 0.1 * 0.9)
