"""The measurement of how well a release hides its label map."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from clicooper.attacks.privacy.grouping import assign_balanced
from clicooper.errors import DataError
from clicooper.privacy.accounting import gaussian_sigma
from clicooper.privacy.hiding import HIDING_RATIO, measure_hiding, needed_ratio, shape_that_hides

TWO_CLASSES = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])
LABELS = np.array([0, 0, 1, 1])


def test_ratio_is_noise_of_a_mean_row_over_the_distance_of_class_means() -> None:
    assert measure_hiding(TWO_CLASSES, LABELS, sigma=2.0, rows_per_pseudo_label=4).ratio == pytest.approx(0.2)


def test_mean_runs_over_all_pairs_of_classes() -> None:
    features = np.array([[0.0], [1.0], [3.0]])
    hiding = measure_hiding(features, np.arange(3), sigma=2.0, rows_per_pseudo_label=1)
    assert hiding.ratio == pytest.approx(1.0)


def test_words_say_whether_the_map_is_hidden() -> None:
    exposed = measure_hiding(TWO_CLASSES, LABELS, 1.0, 1)
    hidden = measure_hiding(TWO_CLASSES, LABELS, 5 * needed_ratio(2) + 1e-9, 1)
    assert not exposed.holds and "can sort these pseudo-labels" in exposed.text()
    assert hidden.holds and "can sort" not in hidden.text()


def test_no_ratio_without_distance() -> None:
    with pytest.raises(DataError, match="one class"):
        measure_hiding(TWO_CLASSES, np.zeros(4, dtype=np.int64), 1.0, 1)
    with pytest.raises(DataError, match="coincide"):
        measure_hiding(np.ones((4, 2)), LABELS, 1.0, 1)


@pytest.mark.parametrize(("epsilon", "group", "gamma"), [(0.5, 10, 8), (1.0, 5, 16), (2.0, 2, 40), (4.0, 1, 81)])
def test_rule_takes_the_largest_group_that_hides(epsilon: float, group: int, gamma: int) -> None:
    """One more record in each row would fall below the ratio."""
    sigma = gaussian_sigma(epsilon, 1e-5, 2.0)
    shape = shape_that_hides(1.2, 10, sigma, rarest_class=81)
    assert (shape.group, shape.gamma, shape.warning) == (group, gamma, "")
    assert sigma / ((group + 1) * 1.2) < HIDING_RATIO <= shape.ratio == pytest.approx(sigma / (group * 1.2))


def test_rule_says_where_nothing_hides_and_where_records_are_too_few() -> None:
    exposed = shape_that_hides(1.2, 10, 0.5, rarest_class=81)
    assert (exposed.group, exposed.gamma) == (1, 81) and "exposed" in exposed.warning
    assert "too few records" in shape_that_hides(1.2, 10, 14.0, rarest_class=20).warning
    assert shape_that_hides(1.2, 10, 1000.0, rarest_class=5).group == 5


@pytest.mark.parametrize("classes", [2, 3, 5, 10, 20])
def test_oracle_attack_stays_small_at_the_needed_ratio(classes: int) -> None:
    """Classes at equal distances, 600 pseudo-labels, 6 simulated releases: Rand index below 0.05.

    The standard error of the mean is at most 0.01 (two classes).
    """
    rng = np.random.default_rng(5)
    prototypes = np.eye(classes) / np.sqrt(2)  # at distance 1
    gamma = (600 // classes,) * classes
    truth = np.repeat(np.arange(classes), gamma)

    def oracle(ratio: float) -> float:
        means = prototypes[truth] + rng.normal(0, ratio, (truth.size, classes))
        return float(adjusted_rand_score(truth, assign_balanced(means @ prototypes.T, gamma)))

    assert np.mean([oracle(needed_ratio(classes)) for _ in range(6)]) < 0.05
    if classes == 2:
        assert np.mean([oracle(HIDING_RATIO) for _ in range(6)]) > 0.09
