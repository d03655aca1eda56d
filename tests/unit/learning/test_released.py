"""Labels that are released: once randomised, a true label reaches nothing but its own response."""

import numpy as np
import pytest

from clicooper.attacks.release_under_test import make_release_under_test
from clicooper.errors import DataError, PrivacyClaimError
from clicooper.learning.data import Dataset, digest_dataset, split_dataset
from clicooper.learning.released import label_records
from clicooper.privacy.randomised_response import RandomisedResponse
from clicooper.privacy.randomness import MasterSecret
from tests.attack_world import CLASSES, blobs, given, inputs, terms

SECRET, RECORDS = MasterSecret.from_seed(3), np.arange(400)
DATA = blobs()


def relabelled(dataset: Dataset, record: int) -> Dataset:
    """The neighbour in which one record has another class."""
    labels = dataset.labels.copy()
    labels[record] = (labels[record] + 1) % CLASSES
    return Dataset(dataset.name, dataset.inputs, labels, CLASSES)


def test_without_a_response_the_labels_are_the_true_ones():
    released = label_records(DATA, RECORDS, SECRET, None)
    assert np.array_equal(released.labels, DATA.labels[RECORDS])
    part = Dataset("part", DATA.inputs[RECORDS], DATA.labels[RECORDS], CLASSES)
    assert released.source == released.digest == digest_dataset(part)
    assert released.mixing == 0.0
    assert released.expand(SECRET, 4).response is None


def test_with_one_they_are_noisy_and_named_by_what_they_became():
    released, again = (label_records(DATA, RECORDS, SECRET, 2.0) for _ in range(2))
    plain = label_records(DATA, RECORDS, SECRET, None)
    assert np.array_equal(released.labels, again.labels)
    assert 0.1 < np.mean(released.labels != plain.labels) < 0.6
    assert released.source == plain.source != released.digest
    assert released.expand(SECRET, 4).label_epsilon == 2.0
    assert released.mixing == RandomisedResponse(2.0, CLASSES).mixing


@pytest.mark.parametrize("record", [7, 211])
def test_changed_label_with_the_same_response_changes_nothing_else(monkeypatch, record):
    """Map, groups, order, noise and public counts follow from the noisy labels: the release is equal to the bit."""
    owned, config = inputs(DATA), terms(2.0, 4, 2, 0, label_epsilon=2.0)
    splits = split_dataset(DATA, 0, head=0.2, holdout=0.1, test=0.2, by_class=False)
    noisy = label_records(DATA, splits.release, SECRET, 2.0).labels
    monkeypatch.setattr(RandomisedResponse, "respond", lambda *_, **__: noisy)
    neighbour = relabelled(DATA, int(splits.release[record]))
    one, other = (
        make_release_under_test(given(data, splits, owned.head, config), config) for data in (DATA, neighbour)
    )
    assert not np.array_equal(one.released_labels, other.released_labels)
    assert one.label_map.digest == other.label_map.digest
    assert one.release.activations.tobytes() == other.release.activations.tobytes()
    assert np.array_equal(one.release.pseudo_labels, other.release.pseudo_labels)
    assert one.release.statement == other.release.statement
    labels = [label_records(data, splits.release, SECRET, 2.0) for data in (DATA, neighbour)]
    assert labels[0].digest == labels[1].digest
    assert labels[0].source != labels[1].source


def test_true_labels_decide_more_than_that_where_they_are_not_protected():
    owned, config = inputs(DATA), terms(2.0, 4, 2, 0)
    neighbour = relabelled(DATA, int(owned.splits.release[7]))
    one, other = (
        make_release_under_test(given(data, owned.splits, owned.head, config), config) for data in (DATA, neighbour)
    )
    assert one.label_map.digest != other.label_map.digest
    assert one.release.activations.tobytes() != other.release.activations.tobytes()


def test_split_that_looks_at_no_label_is_the_same_for_neighbours():
    def parts(data, **options):
        splits = split_dataset(data, 5, head=0.2, holdout=0.1, test=0.2, **options)
        return splits.head, splits.holdout, splits.test, splits.release

    blind = parts(DATA, by_class=False)
    assert [part.size for part in blind] == [96, 48, 96, 240]
    assert np.array_equal(np.sort(np.concatenate(blind)), np.arange(480))
    changed = [False, False]
    for record in range(0, 480, 40):
        for at, options in enumerate(({"by_class": False}, {"by_class": True})):
            pairs = zip(parts(DATA, **options), parts(relabelled(DATA, record), **options), strict=True)
            changed[at] |= not all(np.array_equal(one, other) for one, other in pairs)
    assert changed == [False, True]


def test_split_of_too_few_records_says_so_without_naming_a_class():
    few = Dataset("few", DATA.inputs[:4], DATA.labels[:4], CLASSES)
    with pytest.raises(DataError, match="few: the data set has 4 records"):
        split_dataset(few, 0, head=0.4, holdout=0.4, test=0.15, by_class=False)


def test_label_epsilon_out_of_range_is_refused():
    with pytest.raises(PrivacyClaimError, match="no response"):
        label_records(DATA, RECORDS, SECRET, 65.0)
