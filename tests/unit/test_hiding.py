"""The measurement of how well a release hides its label map."""

import numpy as np
import pytest

from clicooper.errors import DataError
from clicooper.privacy.hiding import HIDING_RATIO, measure_hiding

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
    hidden = measure_hiding(TWO_CLASSES, LABELS, 5 * HIDING_RATIO, 1)
    assert not exposed.holds and "can sort these pseudo-labels" in exposed.text()
    assert hidden.holds and "can sort" not in hidden.text()


def test_no_ratio_without_distance() -> None:
    with pytest.raises(DataError, match="one class"):
        measure_hiding(TWO_CLASSES, np.zeros(4, dtype=np.int64), 1.0, 1)
    with pytest.raises(DataError, match="coincide"):
        measure_hiding(np.ones((4, 2)), LABELS, 1.0, 1)
