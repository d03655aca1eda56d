"""The secret label map and the dealing of shards: exact sizes, true folds, secrecy of names and groups."""

import numpy as np
import pytest

from clicooper.errors import DataError, UsageError
from clicooper.privacy.labels import DROPPED, LabelMap, deal_shards, expand_labels
from clicooper.privacy.randomised_response import RandomisedResponse
from clicooper.privacy.randomness import MasterSecret, bind

SECRET = MasterSecret.from_seed(7)
CONTEXT = bind("test", 1)
LABELS = np.repeat(np.arange(3), [20, 31, 47])


def expand(**options):
    return expand_labels(
        LABELS, 3, secret=options.pop("secret", SECRET), context=options.pop("context", CONTEXT), **options
    )


def test_gamma_sets_m_by_the_smallest_class():
    label_map = expand(gamma=4)
    assert (label_map.m, label_map.gamma, label_map.pseudo_labels) == (5, (4, 6, 9), 19)


def test_every_pseudo_label_has_exactly_m_records_of_one_class_and_the_surplus_is_dropped():
    label_map = expand(m=6)
    for pseudo in range(label_map.pseudo_labels):
        members = np.flatnonzero(label_map.pseudo_of_record == pseudo)
        assert members.size == 6
        assert set(LABELS[members]) == {label_map.class_of_pseudo[pseudo]}
    assert np.count_nonzero(label_map.pseudo_of_record == DROPPED) == 20 % 6 + 31 % 6 + 47 % 6


def test_fold_is_the_inverse_of_expansion():
    label_map = expand(gamma=4)
    kept = label_map.pseudo_of_record != DROPPED
    one_hot = np.eye(label_map.pseudo_labels)[label_map.pseudo_of_record[kept]]
    assert np.array_equal(label_map.fold_scores(one_hot), np.eye(3)[LABELS[kept]])
    assert np.array_equal(label_map.fold.sum(axis=1), np.ones(label_map.pseudo_labels))
    assert label_map.fold.dtype == np.float64


def test_same_secret_gives_the_same_map_and_every_other_input_another():
    reference = expand(gamma=4)
    assert expand(gamma=4).digest == reference.digest
    assert np.array_equal(expand(gamma=4).pseudo_of_record, reference.pseudo_of_record)
    others = [expand(gamma=4, secret=MasterSecret.from_seed(8)), expand(gamma=4, context=bind("test", 2)), expand(m=6)]
    assert len({reference.digest, *(other.digest for other in others)}) == 4


def test_names_and_groups_do_not_follow_the_order_of_records():
    """Consecutive names share a class, and consecutive records a pseudo-label, no more often than by chance.

    1,000 pairs at chance 1/10 and 1/100: bounds at 6 standard deviations, error rate below 1e-8.
    """
    labels = np.repeat(np.arange(10), 1000)
    label_map = expand_labels(labels, 10, secret=SECRET, context=CONTEXT, gamma=100)
    same_class = np.mean(np.diff(label_map.class_of_pseudo) == 0)
    assert abs(same_class - 0.099) < 6 * np.sqrt(0.1 * 0.9 / 999)
    same_group = np.mean(np.diff(label_map.pseudo_of_record) == 0)
    assert abs(same_group - 9 / 999) < 6 * np.sqrt(0.009 / 9990)


def test_round_robin_attack_finds_nothing_in_the_counts():
    """Dealing surplus out would mark a class by its pseudo-labels' size; here all sizes are one number."""
    label_map = expand(gamma=4)
    counts = np.bincount(label_map.pseudo_of_record[label_map.pseudo_of_record >= 0])
    assert set(counts) == {label_map.m}


def test_map_knows_the_response_behind_its_labels_and_is_another_one_for_it():
    response = RandomisedResponse(2.0, 3)
    plain, noisy = expand(gamma=4), expand(gamma=4, response=response)
    assert np.array_equal(plain.pseudo_of_record, noisy.pseudo_of_record)
    assert plain.digest != noisy.digest
    assert (plain.label_epsilon, plain.mixing) == (None, 0.0)
    assert (noisy.label_epsilon, noisy.mixing) == (2.0, response.mixing)


def test_noisy_class_that_is_too_small_or_empty_says_what_made_it_so():
    for labels in (np.repeat([0, 1], [20, 30]), np.repeat([0, 1, 2], [20, 30, 1])):
        with pytest.raises(DataError, match=r"class 2 has [01] records after randomised response, too few for gamma"):
            expand_labels(labels, 3, secret=SECRET, context=CONTEXT, gamma=2, response=RandomisedResponse(2.0, 3))


def test_map_is_frozen_and_never_printed():
    label_map = expand(gamma=4)
    with pytest.raises(ValueError, match="read-only"):
        label_map.pseudo_of_record[0] = 1
    assert "array" not in repr(label_map)
    assert label_map.digest.hex() not in repr(label_map)


def test_map_keeps_its_own_copy_of_the_arrays():
    pseudo, classes = np.array([0, 1]), np.array([1, 0])
    label_map = LabelMap(pseudo, classes, 2, 1, (1, 1))
    pseudo[0] = 1
    assert label_map.pseudo_of_record[0] == 0


@pytest.mark.parametrize(("options", "message"), [({"gamma": 21}, "class 0 has 20"), ({"m": 21}, "class 0 has 20")])
def test_too_few_records_name_the_class(options, message):
    with pytest.raises(DataError, match=message):
        expand(**options)


@pytest.mark.parametrize("options", [{}, {"gamma": 2, "m": 2}, {"gamma": 0}, {"m": -1}])
def test_gamma_and_m_are_checked(options):
    with pytest.raises(UsageError):
        expand(**options)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([0, 1, 3]), 3),
        (np.array([-1, 0, 1]), 3),
        (np.array([0.0, 1.0]), 2),
        (np.array([], dtype=np.int64), 2),
        (np.array([0, 0]), 1),
        (np.array([0, 0, 1]), 3),
    ],
)
def test_impossible_labels_are_refused(labels, classes):
    with pytest.raises(DataError):
        expand_labels(labels, classes, secret=SECRET, context=CONTEXT, gamma=1)


def test_shards_take_the_same_number_of_rows_of_every_pseudo_label_where_rounds_divide():
    pseudo = np.tile(np.arange(5), 12)
    shards = deal_shards(pseudo, 4, secret=SECRET, context=CONTEXT)
    for shard in shards:
        assert np.array_equal(np.bincount(pseudo[shard]), np.full(5, 3))
        assert np.array_equal(shard, np.sort(shard))


def test_shards_depend_on_the_secret():
    pseudo = np.tile(np.arange(5), 12)
    one = deal_shards(pseudo, 4, secret=SECRET, context=CONTEXT)
    again = deal_shards(pseudo, 4, secret=SECRET, context=CONTEXT)
    other = deal_shards(pseudo, 4, secret=MasterSecret.from_seed(8), context=CONTEXT)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("rounds", [0, -1, 7])
def test_more_rounds_than_rows_are_refused(rounds):
    with pytest.raises(DataError, match="cannot be dealt"):
        deal_shards(np.arange(6), rounds, secret=SECRET, context=CONTEXT)
