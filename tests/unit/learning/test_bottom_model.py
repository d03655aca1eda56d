"""The owner's head, and the controls measured with it."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from clicooper.errors import DataError, SpecError
from clicooper.learning.bottom_model import BottomModel, HeadSpec, make_random_head, train_head
from clicooper.learning.controls import measure_chance, measure_head_only, measure_release_only, measure_unprotected
from clicooper.privacy.randomised_response import RandomisedResponse
from clicooper.privacy.randomness import MasterSecret, bind
from tests.learning_jobs import MLP, SEEDS, diff_states, training_spec

SPEC = HeadSpec(hidden=(16,), dims=6, epochs=30, batch=7)
FOLD = np.eye(3)[[0, 1, 2, 0, 1, 2]]


def blobs(n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Three classes of 2 x 4 records around fixed centers, 4 standard deviations apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centers = np.random.default_rng(77).normal(size=(3, 2, 4)) * 2
    return centers[labels] + rng.normal(size=(n, 2, 4)) * 0.5, labels


def test_head_separates_records_that_it_never_saw() -> None:
    head = train_head(*blobs(150, 1), classes=3, spec=SPEC)
    x, y = blobs(90, 2)
    means = np.stack([head.features(blobs(150, 1)[0])[blobs(150, 1)[1] == c].mean(axis=0) for c in range(3)])
    nearest = np.linalg.norm(head.features(x)[:, None] - means, axis=2).argmin(axis=1)
    assert (nearest == y).mean() > 0.95


def test_features_have_unit_norm() -> None:
    x, y = blobs(150, 1)
    features = train_head(x, y, classes=3, spec=SPEC).features(x)
    assert features.dtype == np.float64 and features.shape == (150, 6)
    assert np.allclose(np.linalg.norm(features, axis=1), 1)


def test_state_restores_the_head_exactly() -> None:
    x, y = blobs(50, 1)
    head = train_head(x, y, classes=3, spec=SPEC)
    again = BottomModel(SPEC, (2, 4), head.state())
    assert np.array_equal(head.features(x), again.features(x))
    assert diff_states(head.state(), again.state()) == ()
    assert diff_states(head.state(), train_head(x, y, classes=3, spec=SPEC).state()) == ()
    assert diff_states(head.state(), train_head(x, y, classes=3, spec=replace(SPEC, seed=1)).state()) != ()


def test_random_head_depends_on_its_seed_alone() -> None:
    spec = replace(SPEC, kind="random")
    x, _ = blobs(9, 1)
    first = make_random_head(spec, (2, 4), center=0.5, scale=2.0)
    assert np.array_equal(first.features(x), make_random_head(spec, (2, 4), center=0.5, scale=2.0).features(x))
    assert not np.array_equal(first.features(x), make_random_head(replace(spec, seed=3), (2, 4)).features(x))
    assert first.features(x[:0]).shape == (0, 6)


def test_heads_are_not_made_from_the_wrong_kind_or_data() -> None:
    x, y = blobs(9, 1)
    with pytest.raises(SpecError):
        train_head(x, y, 3, replace(SPEC, kind="random"))
    with pytest.raises(SpecError):
        make_random_head(SPEC, (2, 4))
    with pytest.raises(DataError):
        make_random_head(replace(SPEC, kind="random"), (2, 4), scale=0.0)
    for inputs, labels, classes in ((x, y[:8], 3), (x[:0], y[:0], 3), (x, y, 1), (x, y, 2)):
        with pytest.raises(DataError):
            train_head(inputs, labels, classes, SPEC)
    head = train_head(x, y, 3, SPEC)
    with pytest.raises(DataError, match="shape"):
        head.features(x[:, :1])
    with pytest.raises(SpecError):
        BottomModel(SPEC, (2, 4), {name: array for name, array in head.state().items() if name != "input.scale"})
    with pytest.raises(SpecError):
        BottomModel(SPEC, (2, 5), head.state())


def test_chance_is_the_best_constant_guess() -> None:
    assert measure_chance(np.array([2, 2, 0, 1])) == 0.5
    with pytest.raises(DataError):
        measure_chance(np.array([], dtype=np.int64))


def test_controls_reach_what_the_data_allows() -> None:
    x, y = blobs(300, 1)
    held, truth = blobs(90, 2)
    assert measure_head_only(x, y, held, truth) > 0.95
    flat, held_flat = x.reshape(300, 8)[:, :6], held.reshape(90, 8)[:, :6]
    training = training_spec(steps=120, batch=20)
    model = MLP.model_copy(update={"widths": (32, 32), "cuts": (1, 2)})
    assert measure_unprotected(model, training, SEEDS, flat, y, held_flat, truth) > 0.95
    pseudo = y + 3 * (np.arange(300) % 2)
    release = measure_release_only(x, pseudo, FOLD, held, truth)
    assert release.class_means > 0.95
    assert release.best == max(release.class_means, release.lda) > 0.95


def test_release_alone_finds_nothing_in_noise() -> None:
    noise = np.random.default_rng(0).normal(size=(300, 8))
    held, truth = blobs(900, 2)
    result = measure_release_only(noise, np.arange(300) % 6, FOLD, held.reshape(900, 8), truth)
    assert result.best < 0.75


def test_release_under_randomised_labels_is_read_with_its_class_means_debiased() -> None:
    """Unequal classes pull every noisy mean towards the largest; the control takes that out and loses little."""
    counts, means = np.array([900, 60, 40]), np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    labels = np.repeat(np.arange(3), counts)
    rng = np.random.default_rng(6)
    response = RandomisedResponse(2.0, 3)
    noisy = response.respond(labels, secret=MasterSecret.from_seed(1), context=bind("rows"))
    rows = means[labels] + rng.normal(0, 0.2, (1000, 2))
    held, truth = means[np.arange(300) % 3] + rng.normal(0, 0.2, (300, 2)), np.arange(300) % 3
    blind = measure_release_only(rows, noisy, np.eye(3), held, truth)
    known = measure_release_only(rows, noisy, np.eye(3), held, truth, response.mixing)
    assert blind.class_means < 0.9
    assert known.class_means > 0.95
    assert known.lda >= blind.lda


def test_release_of_one_record_a_class_or_of_one_class() -> None:
    x, _ = blobs(3, 1)
    held, truth = blobs(90, 2)
    tiny = measure_release_only(x, np.arange(3), FOLD, held, truth)
    assert tiny.lda == tiny.class_means
    one = measure_release_only(x, np.zeros(3, np.int64), FOLD, held, truth)
    assert one.best == pytest.approx(1 / 3)


def test_controls_refuse_data_without_labels_or_classes() -> None:
    x, y = blobs(9, 1)
    with pytest.raises(DataError, match="one class"):
        measure_head_only(x, np.zeros(9, np.int64), x, y)
    with pytest.raises(DataError):
        measure_head_only(x, y[:3], x, y)
    with pytest.raises(DataError):
        measure_release_only(x[:0], y[:0], FOLD, x, y)
