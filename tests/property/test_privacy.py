"""Laws of the privacy floor and of splits over drawn inputs."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clicooper.learning.data import Dataset, split_dataset
from clicooper.privacy.accounting import GaussianRelease, compose, gaussian_delta, gaussian_epsilon, gaussian_sigma
from clicooper.privacy.labels import DROPPED, deal_shards, expand_labels
from clicooper.privacy.randomness import MasterSecret, bind, integers, permutation
from clicooper.privacy.release import ReleaseParams, clip_rows, make_release

EPSILONS = st.floats(1e-3, 100)
DELTAS = st.floats(-30, -1).map(lambda exponent: 10.0**exponent)
SEEDS = st.integers(0, (1 << 64) - 1)
CONTEXT = bind("property")


@given(EPSILONS, DELTAS, st.floats(1e-6, 1e6))
def test_calibration_is_sufficient_tight_and_invertible(epsilon, delta, sensitivity):
    sigma = gaussian_sigma(epsilon, delta, sensitivity)
    assert gaussian_delta(epsilon, sigma, sensitivity) <= delta
    assert gaussian_delta(epsilon, sigma * (1 - 1e-5), sensitivity) > delta
    assert gaussian_delta(gaussian_epsilon(delta, sigma, sensitivity), sigma, sensitivity) <= delta


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=6), DELTAS)
def test_composition_grows_and_ignores_order(sigmas, delta):
    releases = [GaussianRelease(sigma, 1.0) for sigma in sigmas]
    total = compose(releases, delta)
    assert total >= compose(releases[1:], delta)
    assert abs(total - compose(releases[::-1], delta)) <= 1e-9 * max(total, 1e-3)


@given(st.lists(st.integers(3, 40), min_size=2, max_size=6), st.integers(1, 3), SEEDS)
def test_exact_m_and_true_fold_for_all_class_counts(counts, gamma, seed):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    secret = MasterSecret.from_seed(seed)
    label_map = expand_labels(labels, len(counts), secret=secret, context=CONTEXT, gamma=gamma)
    kept = label_map.pseudo_of_record != DROPPED
    sizes = np.bincount(label_map.pseudo_of_record[kept], minlength=label_map.pseudo_labels)
    assert label_map.m == min(counts) // gamma
    assert label_map.gamma == tuple(count // label_map.m for count in counts)
    assert (sizes == label_map.m).all()
    assert np.array_equal(label_map.class_of_pseudo[label_map.pseudo_of_record[kept]], labels[kept])
    assert np.array_equal(label_map.fold.sum(axis=0), label_map.gamma)


@given(st.integers(1, 8), st.integers(1, 12), st.integers(1, 12), SEEDS)
def test_shards_are_disjoint_covering_and_even(pseudo_labels, per_label, rounds, seed):
    assume(rounds <= pseudo_labels * per_label)
    pseudo = np.random.default_rng(1).permutation(np.repeat(np.arange(pseudo_labels), per_label))
    shards = deal_shards(pseudo, rounds, secret=MasterSecret.from_seed(seed), context=CONTEXT)
    assert np.array_equal(np.sort(np.concatenate(shards)), np.arange(pseudo.size))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    counts = np.array([np.bincount(pseudo[shard], minlength=pseudo_labels) for shard in shards])
    assert ((counts == per_label // rounds) | (counts == -(-per_label // rounds))).all()


@given(
    arrays(np.float64, (4, 3), elements=st.floats(-1e300, 1e300, allow_subnormal=True)),
    st.floats(1e-6, 1e6),
)
def test_no_record_exceeds_the_clip(features, clip):
    clipped = clip_rows(features, clip)
    assert (np.linalg.norm(clipped / clip, axis=1) < 1).all()
    assert ((clipped == 0) | (np.sign(clipped) == np.sign(features))).all()


@settings(deadline=None)
@given(st.integers(0, 59), arrays(np.float64, 5, elements=st.floats(-1e9, 1e9)), st.integers(1, 6), SEEDS)
def test_replacing_one_input_moves_the_means_by_at_most_the_sensitivity(record, replacement, group, seed):
    """Rows are recomputed from the secret groups: the rows before noise differ by at most 2C/b in L2."""
    features = np.random.default_rng(2).normal(size=(60, 5))
    neighbour = features.copy()
    neighbour[record] = replacement
    secret = MasterSecret.from_seed(seed)
    label_map = expand_labels(np.arange(60) % 3, 3, secret=secret, context=CONTEXT, gamma=3)
    params = ReleaseParams(2.0, 1e-5, clip=1.5, group=group)
    rows = [make_release(x, label_map, params, secret, CONTEXT).record_of_row for x in (features, neighbour)]
    assert np.array_equal(*rows)
    difference = clip_rows(features, 1.5)[rows[0]].mean(axis=1) - clip_rows(neighbour, 1.5)[rows[0]].mean(axis=1)
    assert np.linalg.norm(difference) <= params.gaussian.sensitivity


@settings(deadline=None)
@given(st.floats(0.05, 500), st.floats(1e-6, 1e6), st.integers(1, 10), SEEDS)
def test_every_release_is_exact_in_float32_on_its_grid(epsilon, clip, group, seed):
    features = np.random.default_rng(3).normal(size=(20, 4)) * clip
    secret = MasterSecret.from_seed(seed)
    label_map = expand_labels(np.arange(20) % 2, 2, secret=secret, context=CONTEXT, gamma=1)
    release = make_release(features, label_map, ReleaseParams(epsilon, 1e-5, clip, group), secret, CONTEXT)
    steps = release.activations.astype(np.float64) / release.grid
    assert np.array_equal(steps, np.rint(steps))
    assert np.abs(steps).max() < 1 << 24
    assert np.isfinite(release.activations).all()


@given(SEEDS, st.integers(0, 200), st.integers(1, 1 << 32))
def test_permutations_permute_and_integers_stay_in_range(seed, n, bound):
    key = MasterSecret.from_seed(seed).derive("property", CONTEXT)
    assert np.array_equal(np.sort(permutation(key, n)), np.arange(n))
    draws = integers(key, n, bound)
    assert draws.size == n
    assert ((draws >= 0) & (draws < bound)).all()


@given(st.integers(0, 2**32), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.3), st.integers(1, 4))
def test_splits_are_disjoint_covering_and_free_of_shared_copies(seed, head, holdout, test, copies):
    inputs = np.repeat(np.arange(60, dtype=np.float32), copies)[:, None]
    labels = np.repeat(np.arange(60) % 3, copies)
    splits = split_dataset(Dataset("drawn", inputs, labels, 3), seed, head=head, holdout=holdout, test=test)
    parts = (splits.head, splits.release, splits.holdout, splits.test)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(60 * copies))
    distinct = [set(inputs[part, 0].tolist()) for part in parts]
    assert sum(map(len, distinct)) == 60
    assert set(labels[splits.release]) == {0, 1, 2}
