"""Digits below five under a public head: whose records are whose."""

import numpy as np
import pytest

from clicooper.attacks.digit_tasks import BELOW_FIVE, make_below_five
from clicooper.attacks.evaluation_inputs import load_inputs
from clicooper.attacks.privacy.frontier import Point, Row, choose_nearest
from clicooper.learning.data import load_dataset
from clicooper.privacy.hiding import gamma_that_hides, needed_ratio
from tests.attack_world import terms


@pytest.fixture(scope="module")
def below_five():
    return make_below_five(3, 8)


def test_no_public_image_is_the_owners(below_five):
    dataset, splits, _ = below_five
    everything = load_dataset("digits")
    assert len(everything) - len(dataset) == pytest.approx(500, abs=6)
    parts = np.concatenate([splits.head, splits.release, splits.holdout, splits.test])
    assert np.array_equal(np.sort(parts), np.arange(len(dataset)))
    assert (len(splits.head), len(splits.holdout)) == (pytest.approx(40, abs=2), pytest.approx(40, abs=2))


def test_classes_are_digits_below_five_and_the_others(below_five):
    dataset, _, _ = below_five
    digits = load_dataset("digits")
    label_of = {image.tobytes(): label for image, label in zip(digits.inputs, digits.labels, strict=True)}
    true = np.array([label_of[image.tobytes()] for image in dataset.inputs])
    assert dataset.classes == 2 and np.array_equal(dataset.labels, true < 5)


def test_head_tells_digits_apart_that_share_a_class(below_five):
    """It was made for another task, so a class is several clusters in its features."""
    dataset, splits, head = below_five
    features = head.features(dataset.inputs[splits.release])
    inside = [features[dataset.labels[splits.release] == label] for label in (0, 1)]
    spread = [np.linalg.norm(each - each.mean(axis=0), axis=1).mean() for each in inside]
    between = np.linalg.norm(inside[0].mean(axis=0) - inside[1].mean(axis=0))
    assert min(spread) > 1.2 * between


def test_evaluation_loads_it_by_name():
    inputs = load_inputs(terms(seed=3, data=BELOW_FIVE, activation_shape=(8,)))
    assert inputs.dataset.name == BELOW_FIVE and inputs.head.spec.dims == 8


@pytest.mark.parametrize(("noise", "classes"), [(1.24, 10), (2.5, 10), (4.0, 2), (0.4, 10)])
def test_gamma_that_hides_is_the_largest_group_of_rows_that_keeps_the_ratio(noise, classes):
    shape = gamma_that_hides(1.0, classes, noise, 90)
    m = 90 // shape.gamma
    needed = needed_ratio(classes)
    if noise < needed:
        assert (shape.gamma, m) == (90, 1) and "exposed" in shape.warning
    else:
        assert noise / np.sqrt(m) >= needed > noise / np.sqrt(m + 1) and not shape.warning


def point(epsilon, gamma, protected, ari):
    rows = (
        Row("accuracy.protected", protected, 0.0, 0.1, 0.99, 3),
        Row("accuracy.unprotected", 0.98, 0.0, 0.1, None, 3),
        Row("grouping.oracle", ari, 0.0, 0.0, None, 3),
    )
    return Point("digits", epsilon, gamma, 1, rows)


def test_nearest_keeps_accuracy_at_the_least_epsilon_and_then_hides_most():
    poor, open_, hidden, later = (
        *(point(1.0, 4, 0.7, 0.0), point(2.0, 4, 0.97, 1.0)),
        *(point(2.0, 16, 0.965, 0.3), point(4.0, 81, 0.98, 0.1)),
    )
    assert choose_nearest([later, poor, open_, hidden]) is hidden
    assert choose_nearest([poor]) is None
