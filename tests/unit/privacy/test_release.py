"""The release: clipping, realised noise, exact reproduction, and the words of the statement."""

import numpy as np
import pytest
from scipy.stats import kstest

from clicooper.errors import DataError, PrivacyClaimError, UsageError
from clicooper.privacy.accounting import gaussian_sigma
from clicooper.privacy.labels import expand_labels
from clicooper.privacy.randomised_response import RandomisedResponse
from clicooper.privacy.randomness import MAX_DEVIATION, MasterSecret, bind, integers, normal_noise, permutation
from clicooper.privacy.release import ReleaseParams, clip_rows, make_release, release_content, release_context

SECRET = MasterSecret.from_seed(11)
CONTEXT = bind("test", 1)
LABELS = np.repeat(np.arange(4), 100)
FEATURES = np.random.default_rng(3).normal(size=(400, 2, 8))
MAP = expand_labels(LABELS, 4, secret=SECRET, context=CONTEXT, gamma=4)
PARAMS = ReleaseParams(epsilon=2.0, delta=1e-5, clip=1.0, group=5)


def means(features, release, clip):
    return clip_rows(features, clip)[release.record_of_row].mean(axis=1)


def release_with(**changes):
    arguments = {"features": FEATURES, "label_map": MAP, "params": PARAMS, "secret": SECRET, "context": CONTEXT}
    return make_release(**(arguments | changes))


def test_clipping_bounds_every_norm_strictly_and_keeps_small_records():
    features = FEATURES * np.geomspace(1e-3, 1e3, 400)[:, None, None]
    clipped = clip_rows(features, 1.0)
    norms = np.linalg.norm(clipped.reshape(400, -1), axis=1)
    assert norms.max() < 1.0
    small = np.linalg.norm(features.reshape(400, -1), axis=1) < 0.99
    assert 0 < small.sum() < 400
    assert np.array_equal(clipped[small], features[small])
    assert np.allclose(norms[~small], 1.0, atol=2e-6)


@pytest.mark.parametrize("value", [1e-320, 1e300, 0.0])
def test_clipping_survives_extreme_magnitudes(value):
    clipped = clip_rows(np.full((2, 4), value), 1.0)
    assert np.linalg.norm(clipped, axis=1).max() < 1.0
    assert np.array_equal(clipped[0] > 0, np.full(4, value > 0))


@pytest.mark.parametrize(
    "features",
    [np.full((3, 2), np.nan), np.full((3, 2), np.inf), np.ones((3, 2), dtype=np.float32), np.ones(3), np.ones((0, 2))],
)
def test_features_that_are_not_finite_float64_records_are_refused(features):
    with pytest.raises(DataError):
        clip_rows(features, 1.0)


def test_rows_average_records_of_one_pseudo_label_in_disjoint_groups():
    release = release_with()
    members = release.record_of_row
    assert members.shape == (4 * 4 * (25 // 5), 5)
    assert np.unique(members).size == members.size
    assert np.array_equal(MAP.pseudo_of_record[members], np.repeat(release.pseudo_labels[:, None], 5, axis=1))
    assert release.activations.shape == (80, 2, 8)
    assert release.activations.dtype == np.float32


def test_a_group_size_that_does_not_divide_m_drops_the_rest():
    release = release_with(params=ReleaseParams(2.0, 1e-5, 1.0, group=7))
    assert release.record_of_row.shape == (16 * (25 // 7), 7)


def test_realised_noise_is_normal_with_the_stated_sigma():
    """32,000 draws: variance within 5 standard errors (error rate 6e-7), Kolmogorov-Smirnov p above 1e-6."""
    features = np.random.default_rng(5).normal(size=(400, 400))
    release = release_with(features=features)
    noise = (release.activations - means(features, release, 1.0)).ravel() / release.sigma
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert kstest(noise, "norm").pvalue > 1e-6


def test_sigma_is_the_analytic_one_for_2c_over_b():
    assert release_with().sigma == gaussian_sigma(2.0, 1e-5, 2 * 1.0 / 5)


def test_entries_are_exact_multiples_of_the_public_grid():
    release = release_with()
    assert release.grid <= release.sigma / 1024 < 2 * release.grid
    steps = release.activations.astype(np.float64) / release.grid
    assert np.array_equal(steps, np.rint(steps))
    assert np.abs(steps).max() < 1 << 24


def test_grid_coarsens_where_float32_could_not_hold_it():
    labels = np.repeat([0, 1], 10_000)
    label_map = expand_labels(labels, 2, secret=SECRET, context=CONTEXT, gamma=1)
    params = ReleaseParams(1000.0, 1e-5, 1.0, group=10_000)
    release = make_release(np.ones((20_000, 1)), label_map, params, SECRET, CONTEXT)
    assert release.grid > release.sigma / 1024
    steps = release.activations.astype(np.float64) / release.grid
    assert np.array_equal(steps, np.rint(steps))


def test_same_arguments_give_the_same_bytes():
    one, two = release_with(), release_with()
    assert one.activations.tobytes() == two.activations.tobytes()
    assert one.record_of_row.tobytes() == two.record_of_row.tobytes()


def normalised_noise(release, features=FEATURES, clip=1.0):
    """Noise over sigma by source group, so that two releases can be compared group by group."""
    noise = (release.activations - means(features, release, clip)).reshape(len(release.activations), -1)
    return noise / release.sigma


def test_same_secret_at_another_epsilon_gives_unrelated_noise():
    """With one noise for two sigmas the difference of two releases is noise-free; here correlation is chance.

    1,280 coordinates, bound at 6 standard errors: error rate below 1e-8.
    """
    one, two = release_with(), release_with(params=ReleaseParams(8.0, 1e-5, 1.0, group=5))
    correlation = np.corrcoef(normalised_noise(one).ravel(), normalised_noise(two).ravel())[0, 1]
    assert abs(correlation) < 6 / np.sqrt(1280)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": FEATURES + 1e-9},
        {"context": bind("test", 2)},
        {"secret": MasterSecret.from_seed(12)},
        {"params": ReleaseParams(2.0, 1e-6, 1.0, group=5)},
        {"params": ReleaseParams(2.0, 1e-5, 1.5, group=5)},
        {"label_map": expand_labels(LABELS, 4, secret=SECRET, context=CONTEXT, gamma=5)},
    ],
)
def test_reused_context_attack_meets_unrelated_noise(changes):
    """Whatever differs between two releases, even an error in the context, their noise is unrelated."""
    one, two = release_with(), release_with(**changes)
    clip = changes.get("params", PARAMS).clip
    other = normalised_noise(two, changes.get("features", FEATURES), clip)
    size = min(one.activations.size, other.size)
    correlation = np.corrcoef(normalised_noise(one).ravel()[:size], other.ravel()[:size])[0, 1]
    assert abs(correlation) < 6 / np.sqrt(size)


def test_order_of_rows_does_not_follow_records_or_pseudo_labels():
    release = release_with()
    assert not np.array_equal(release.pseudo_labels, np.sort(release.pseudo_labels))
    assert abs(np.corrcoef(release.record_of_row.min(axis=1), np.arange(80))[0, 1]) < 6 / np.sqrt(80)


def test_groups_are_chosen_without_looking_at_features():
    assert np.array_equal(release_with().record_of_row, release_with(features=-3 * FEATURES).record_of_row)


def test_context_names_content_and_number():
    content = release_content(bind("d"), bind("h"), MAP, PARAMS)
    assert content != release_content(bind("d"), bind("h2"), MAP, PARAMS)
    assert content != release_content(bind("d"), bind("h"), MAP, ReleaseParams(2.0, 1e-5, 1.0, group=1))
    assert release_context(content, 0) != release_context(content, 1)


def test_impossible_releases_are_refused():
    with pytest.raises(PrivacyClaimError, match="not below 1/n"):
        release_with(params=ReleaseParams(2.0, 1 / 400, 1.0, group=5))
    with pytest.raises(PrivacyClaimError, match="group of 26"):
        release_with(params=ReleaseParams(2.0, 1e-5, 1.0, group=26))
    with pytest.raises(DataError, match="399 feature records"):
        release_with(features=FEATURES[:-1])


@pytest.mark.parametrize(
    "values",
    [(0.0, 1e-5, 1.0, 1), (2.0, 1.0, 1.0, 1), (2.0, 1e-5, 0.0, 1), (2.0, 1e-5, 1.0, 0), (1e-200, 1e-100, 1.0, 1)],
)
def test_release_parameters_out_of_range_are_refused(values):
    with pytest.raises(PrivacyClaimError):
        ReleaseParams(*values)


def test_statement_says_all_that_the_protocol_demands():
    statement = release_with().statement
    text = statement.text()
    assert (
        "Neighbours differ in one record's input; its label, all class counts, n, m, gamma, C, b and the head" in text
    )
    assert "fixed and not protected" in text
    assert "computational" in text
    assert "Void if the owner's master secret leaks" in text
    for excluded in (
        "labels",
        "records that trained the head",
        "held-out records",
        "accept bits",
        "published accuracy",
        "predictions served to others",
        "choices tuned on the released records",
    ):
        assert any(excluded in item for item in statement.excludes)
        assert excluded in text
    assert "copy spends epsilon again" in text
    assert (statement.records, statement.released_rows, statement.m, statement.gamma) == (400, 80, 25, (4, 4, 4, 4))


def test_statement_over_randomised_labels_covers_them_and_adds_what_they_cost():
    response = RandomisedResponse(1.5, 4)
    noisy = expand_labels(LABELS, 4, secret=SECRET, context=CONTEXT, gamma=4, response=response)
    plain, statement = release_with().statement, release_with(label_map=noisy).statement
    text = statement.text()
    assert (statement.epsilon, statement.label_epsilon, plain.label_epsilon) == (2.0, 1.5, None)
    assert statement.adjacency == "replace-one record: its input, its label, or both"
    assert "(3.5, 1e-05)-differential privacy per source record, input and label, computational" in text
    assert "its input alone costs (2, 1e-05), its label alone (1.5, 0)" in text
    assert "class counts, m and gamma are those of the noisy labels" in text
    assert any("label of any one released record" in item for item in statement.covers)
    assert not any("class counts" in item for item in statement.excludes)
    assert set(plain.excludes[1:]) < set(statement.excludes)


def test_seeded_statement_says_insecure_and_a_secure_one_does_not():
    assert release_with().statement.text().startswith("INSECURE: derived from a seed")
    secure = release_with(secret=MasterSecret.from_os())
    assert secure.statement.secure
    assert "INSECURE" not in secure.statement.text()


def test_secrets_are_never_printed():
    release = release_with()
    assert "record_of_row" not in repr(release)
    assert "pseudo_labels=" not in repr(release)
    assert SECRET.material.hex() not in repr(SECRET)
    assert str(SECRET.material) not in repr(SECRET)


def test_master_secrets():
    assert MasterSecret.from_os().material != MasterSecret.from_os().material
    assert MasterSecret.from_seed(1) == MasterSecret.from_seed(1) != MasterSecret.from_seed(2)
    assert not MasterSecret.from_seed(1).secure
    for seed in (-1, 1 << 64):
        with pytest.raises(UsageError, match="outside"):
            MasterSecret.from_seed(seed)
    with pytest.raises(UsageError, match="32 bytes"):
        MasterSecret(b"short", secure=True)


def test_derivation_is_hkdf_sha256_of_purpose_and_context():
    """RFC 5869 by hand: extract with 32 zero bytes, one block of expand."""
    import hashlib
    import hmac

    extracted = hmac.new(bytes(32), SECRET.material, hashlib.sha256).digest()
    expected = hmac.new(extracted, b"purpose" + CONTEXT + b"\x01", hashlib.sha256).digest()
    assert SECRET.derive("purpose", CONTEXT) == expected
    for purpose, context in (("", CONTEXT), ("é", CONTEXT), ("purpose", b"short")):
        with pytest.raises(UsageError):
            SECRET.derive(purpose, context)


def test_noise_follows_the_documented_stream():
    """AES-256-CTR by a second library, one word at a time, against the vectorised reader."""
    from Crypto.Cipher import AES
    from scipy.special import ndtri

    key = SECRET.derive("noise", CONTEXT)
    stream = AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=0).encrypt(bytes(8 * 50))
    noise = normal_noise(key, (5, 10), 2.0).ravel()
    for index, value in enumerate(noise):
        word = int.from_bytes(stream[8 * index : 8 * index + 8], "little")
        tail = (word % 2**63 + 0.5) * 2.0**-64
        assert value == pytest.approx((2.0 if word >= 2**63 else -2.0) * ndtri(tail), rel=1e-12)
    assert np.array_equal(normal_noise(key, (3,), 2.0), noise[:3])


def test_noise_tails_are_populated_and_bounded():
    """A million draws: the share beyond 4 sigma (6.3e-5) within 6 standard errors, none beyond the stated bound."""
    noise = normal_noise(SECRET.derive("tails", CONTEXT), ((1 << 20) + 5,), 1.0)
    expected = 6.334e-5 * noise.size
    assert abs(np.count_nonzero(np.abs(noise) > 4) - expected) < 6 * np.sqrt(expected)
    assert np.abs(noise).max() < MAX_DEVIATION
    assert np.unique(noise).size == noise.size


def test_permutations_and_integers():
    key = SECRET.derive("order", CONTEXT)
    assert np.array_equal(np.sort(permutation(key, 1000)), np.arange(1000))
    assert permutation(key, 0).size == 0
    draws = integers(key, 60_000, 6)
    assert (draws.min(), draws.max(), draws.size) == (0, 5, 60_000)
    assert np.abs(np.bincount(draws) - 10_000).max() < 6 * np.sqrt(10_000 * 5 / 6)
    assert integers(key, 4, 1).tolist() == [0, 0, 0, 0]
    for bound in (0, (1 << 32) + 1):
        with pytest.raises(UsageError):
            integers(key, 1, bound)
    with pytest.raises(UsageError, match="32 bytes"):
        permutation(b"short", 3)


def test_bound_contexts_are_injective_over_types_and_boundaries():
    contexts = [bind("t"), bind("t", ""), bind("t", b""), bind("t", "ab"), bind("t", "a", "b"), bind("t", b"ab")]
    contexts += [bind("t", 1), bind("t", 1.0), bind("t", -1), bind("t", 255), bind("t", 256), bind("t1")]
    assert len(set(contexts)) == len(contexts)
    with pytest.raises(UsageError, match="int64"):
        bind("t", np.int64(1))
