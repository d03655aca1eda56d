"""Extraction, whole cells, the grid that resumes, and what is said of it in words."""

import json
from dataclasses import replace

import numpy as np
import pytest

from clicooper.attacks.privacy import extraction, frontier, prototypes, trial
from clicooper.attacks.privacy.catalogue import CATALOGUE
from clicooper.attacks.privacy.frontier import Grid, Point, Row, evaluate, recommend
from clicooper.attacks.privacy.paper import compare_with_paper
from clicooper.attacks.privacy.results_cache import FolderCache
from clicooper.attacks.privacy.scores import grade
from clicooper.attacks.privacy.trial import Figure, measure_trial
from clicooper.attacks.release_under_test import Setting, make_release_under_test
from clicooper.attacks.trained import TrainingPlan, measure, train
from clicooper.errors import DataError, RunFolderError
from clicooper.privacy.randomised_response import RandomisedResponse
from tests.attack_world import blobs, inputs, release_under_test

PLAN = TrainingPlan(widths=(32, 32, 32), rounds=2, steps=40, batch=32)


@pytest.fixture(scope="module")
def stolen():
    owner = release_under_test(epsilon=30.0, gamma=4)
    return owner, train(owner, PLAN)


def test_extraction_attack_with_the_true_map_is_the_owner_and_without_it_chance(stolen):
    owner, model = stolen
    rngs = [np.random.default_rng(seed) for seed in range(8)]
    folds = [owner.label_map.fold, *(extraction.guess_fold(owner.observation(), rng) for rng in rngs)]
    true, *guessed = extraction.read_out(owner, model, folds)
    assert true == measure(owner, model, PLAN).protected > 0.9
    # Eight random maps, of which each class's accuracy is all or nothing: six standard errors of the mean.
    assert np.mean(guessed) < 0.25 + 6 * 0.25 / np.sqrt(8)


def test_folds_read_together_are_read_as_if_alone(stolen):
    owner, model = stolen
    folds = [extraction.guess_fold(owner.observation(), np.random.default_rng(seed)) for seed in range(2)]
    together = extraction.read_out(owner, model, folds)
    assert together == [extraction.read_out(owner, model, [fold])[0] for fold in folds]


def test_blind_extraction_attack_works_where_grouping_does(stolen):
    owner, model = stolen
    fold = extraction.blind_fold(owner, owner.bare(), np.random.default_rng(0))
    assert np.array_equal(fold.argmax(axis=1), owner.truth)
    assert extraction.read_out(owner, model, [fold])[0] > 0.9


def test_examples_alone_are_the_control_of_few_shot_extraction(stolen):
    owner, _ = stolen
    examples = prototypes.draw_examples(owner, 3, np.random.default_rng(0))
    assert extraction.own_examples(owner, examples) > 0.9
    assert extraction.combine_with_release(owner, owner.observation(), examples) > 0.9


def test_served_predictions_give_the_model_away(stolen):
    owner, model = stolen
    asked = owner.splits.head
    assert extraction.query_service(owner, model, asked) > 0.9


def test_a_class_that_no_pseudo_label_was_given_still_has_a_fold():
    fold = extraction.fold_of(np.array([0, 0, 2]), 3)
    assert (fold.sum(axis=0) > 0).all()
    assert fold.argmax(axis=1).tolist() == [0, 0, 2]


@pytest.fixture(scope="module")
def cell():
    return measure_trial(inputs(blobs()), Setting(2.0, 4, 2, 0), PLAN)


def test_a_cell_measures_the_whole_catalogue_in_its_order(cell):
    assert [figure.name for figure in cell] == [name for name in CATALOGUE if not name.startswith("labels")]
    for figure in cell:
        assert (figure.control is None) == (CATALOGUE[figure.name].control == "none"), figure.name
        assert np.isfinite([figure.value, figure.floor, figure.control or 0.0]).all()


def test_who_has_the_whole_map_of_randomised_labels_names_as_many_records_as_the_response_allows():
    """Eight releases of about 240 records: the share is within six standard errors of p."""
    owners = [
        make_release_under_test(owned.dataset, owned.splits, owned.head, Setting(2.0, 4, 1, seed, label_epsilon=1.5))
        for seed in range(8)
        for owned in [inputs(blobs(), seed)]
    ]
    figures = [figure for owner in owners for figure in trial._labels(owner)]
    assert {figure.name for figure in figures} == {"labels.named"}
    allowed = RandomisedResponse(1.5, 4).keep
    assert {figure.control for figure in figures} == {allowed}
    named = np.mean([figure.value for figure in figures])
    records = sum(owner.release.record_of_row.size for owner in owners)
    assert abs(named - allowed) < 6 * np.sqrt(allowed * (1 - allowed) / records)
    assert list(trial._labels(release_under_test())) == []


def test_training_on_randomised_labels_is_corrected_where_rows_are_single_records():
    noise = RandomisedResponse(3.0, 4).mixing
    for group, expected in ((1, noise), (2, 0.0)):
        owned = inputs(blobs())
        setting = Setting(30.0, 4, group, 0, label_epsilon=3.0)
        owner = make_release_under_test(owned.dataset, owned.splits, owned.head, setting)
        assert train(owner, PLAN).training.label_noise == 0.0
        model = train(owner, replace(PLAN, label_loss="corrected"))
        assert model.training.label_noise == expected
        assert measure(owner, model, PLAN).protected > 0.9


def test_every_attack_says_what_its_attacker_knows():
    for name, note in CATALOGUE.items():
        assert note.words and note.floor and note.control
        assert bool(note.knows) != name.startswith("accuracy")


class Counting(FolderCache):
    """A results cache that counts what was measured."""

    def put(self, name, figures):
        measured.append(name)
        super().put(name, figures)


measured: list[str] = []


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "blobs.npz"
    data = blobs(240)
    np.savez(path, inputs=data.inputs.reshape(240, -1), labels=data.labels)
    kept = frontier.Kept(head=60, holdout=20, test=40)
    measured.clear()
    return Grid(str(path), (8.0,), ((4, 1), (1000, 1)), seeds=2, kept=kept, plan=replace(PLAN, steps=5))


def test_an_interrupted_evaluation_goes_on_where_it_stopped(small, tmp_path):
    """Also: records that are no images have no SSIM, and nothing is said of it."""
    cache, told = Counting(tmp_path / "results"), []

    def interrupt(what, done, total):
        told.append((what, done, total))
        if len(measured) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(small, cache, interrupt)
    assert len(measured) == 1
    trials = evaluate(small, cache, lambda *_: None)
    assert len(measured) == len(set(measured)) == 2
    assert evaluate(small, cache, lambda *_: None) == trials
    assert len(measured) == 2
    (found,) = trials.points
    assert found.words.split(", ", 1)[1] == "eps 8, gamma 4, b 1"
    assert all(row.seeds == 2 for row in found.rows)
    assert len(trials.impossible) == 1 and "too few for gamma = 1000" in trials.impossible[0]
    assert {total for _, _, total in told} == {0, 4}
    assert not found.has("inversion.network.ssim") and found.has("inversion.network.psnr")
    claims = compare_with_paper(found)
    assert len(claims) == 3 and not any("SSIM" in claim.published for claim in claims)
    assert not any("SSIM" in line for line in recommend(trials.points))


def test_every_setting_is_another_cell(small):
    owned, one = inputs(blobs()), Setting(8.0, 4, 1, 0)
    names = [frontier._name(owned, replace(one, **{field: value}), small) for field, value in (
        ("seed", 0), ("epsilon", 8.000001), ("gamma", 3), ("group", 2), ("seed", 1), ("delta", 1e-6), ("clip", 0.5)
    )]  # fmt: skip
    names.append(frontier._name(owned, replace(one, label_epsilon=2.0), small))
    names.append(frontier._name(owned, one, replace(small, plan=replace(small.plan, steps=6))))
    names.append(frontier._name(inputs(blobs(seed=1)), one, small))
    names.append(frontier._name(inputs(blobs(), seed=1), one, small))
    assert len(set(names)) == len(names)


def test_cells_without_randomised_labels_keep_their_names(small):
    """A finished cell of an earlier version is found again: nothing of the setting's digest speaks of labels."""
    one = Setting(8.0, 4, 1, 0)
    assert list(one.numbers()) == ["epsilon", "gamma", "group", "seed", "delta", "clip"]
    assert list(replace(one, label_epsilon=2.0).numbers())[-1] == "label_epsilon"


def test_a_grid_over_randomised_labels_says_so_in_every_setting(small):
    grid = replace(small, label_epsilon=2.0)
    owned = inputs(blobs())
    assert {setting.label_epsilon for setting in grid.settings(owned)} == {2.0}
    assert grid.settings(owned)[0].words() == "eps 8, gamma 4, b 1, label eps 2"
    assert replace(point(8.0), label_epsilon=2.0).words == "made up, eps 8, gamma 8, b 1, label eps 2"
    plain, noisy = (frontier.hiding_shape(owned, 2.0, chosen) for chosen in (small, replace(small, label_epsilon=0.5)))
    assert noisy[1] > plain[1], "classes that lie closer together are hidden by larger groups"


def test_shapes_that_hide_are_added_to_the_grid_once(small):
    owned = inputs(blobs())
    rule = frontier.hiding_shape(owned, 2.0, small)
    grid = replace(small, epsilons=(2.0,), shapes=((4, 1), rule), hiding=True)
    assert [(setting.gamma, setting.group) for setting in grid.settings(frontier.Heads(grid, 0, {0.0: owned}))] == [
        (4, 1),
        rule,
    ]
    hidden = release_under_test(2.0, *rule, source=owned)
    assert hidden.label_map.m == hidden.setting.group
    known = prototypes.oracle_prototypes(hidden)
    found = grade(prototypes.name_by_prototypes(hidden.observation(), known), hidden.truth, 4)
    assert found.ari < 0.2  # of some eighty pseudo-labels of one release, at distances that are not equal


def test_a_damaged_cell_counts_as_not_measured(tmp_path):
    cache, whole = FolderCache(tmp_path / "results"), (Figure("x", 1.0, 0.0, None), Figure("y", 0.5, 0.1, 1.0))
    assert cache.get("cell") is None
    cache.put("cell", whole)
    assert cache.get("cell") == whole
    assert (tmp_path / "results").stat().st_mode & 0o777 == 0o700
    text = {"name": "x", "value": "1", "floor": 0, "control": None}
    for damage in ("", "{", "[]", "{}", "7", '[{"name": "x"}]', json.dumps([text])):
        (tmp_path / "results" / "cell.json").write_text(damage)
        assert cache.get("cell") is None


def test_a_grid_without_a_possible_setting_says_why(small, tmp_path):
    with pytest.raises(DataError, match="too few for gamma"):
        evaluate(replace(small, shapes=((1000, 1),)), FolderCache(tmp_path), lambda *_: None)
    with pytest.raises(DataError, match="kept from the release"):
        evaluate(replace(small, kept=frontier.Kept(head=300)), FolderCache(tmp_path), lambda *_: None)


def test_an_unwritable_shelf_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot keep"):
        FolderCache(tmp_path / "file" / "results").put("name", [Figure("x", 0, 0, None)])


def point(epsilon, **values):
    """A point whose figures are all good enough, but for those given as (value, std)."""
    good = {
        "accuracy.protected": (0.95, 0.0, 0.8),
        "accuracy.unprotected": (0.96, 0.0, 0.8),
        "grouping.oracle": (0.0, 0.0, 1.0),
        "inversion.network": (0.0, 0.0, 1.0),
        "extraction.ten_shot": (0.7, 0.0, 0.7),
        "extraction.ten_shot_means": (0.7, 0.0, 0.7),
    }
    for name, (value, std) in values.items():
        key = name.replace("__", ".")
        good[key] = (value, std, good[key][2])
    rows = [Row(name, value, std, 0.0, control, 4) for name, (value, std, control) in good.items()]
    return Point("made up", epsilon, 8, 1, tuple(rows))


def test_the_smallest_epsilon_that_has_everything_is_recommended():
    lines = recommend([point(4.0), point(2.0), point(1.0, accuracy__protected=(0.5, 0.0))])
    assert lines[-1] == "Recommended: made up, eps 2, gamma 8, b 1, where all of this holds."
    assert (
        "The smallest epsilon at which training beats every control that needs no trainers: 2 (gamma 8, b 1)." in lines
    )
    assert any(line.startswith("The largest epsilon at which no decoder") and ": 4 " in line for line in lines)


@pytest.mark.parametrize(
    "weakness",
    [
        {"accuracy__protected": (0.955, 0.02)},
        {"grouping__oracle": (0.02, 0.02)},
        {"inversion__network": (0.005, 0.01)},
        {"extraction__ten_shot": (0.72, 0.0)},
        {"extraction__ten_shot_means": (0.705, 0.01)},
    ],
)
def test_nothing_is_recommended_within_two_standard_errors_of_a_limit(weakness):
    lines = recommend([point(2.0, **weakness)])
    assert lines[-1].startswith("No setting here has all of this at once")
    assert sum(line.startswith("Nowhere in this grid") for line in lines) == 1


def test_training_that_no_control_loses_to_is_not_recommended():
    assert recommend([point(2.0, accuracy__protected=(0.8, 0.0))])[-1].startswith("No setting is recommended")


def test_one_pseudo_label_a_class_hides_nothing():
    exposed = replace(point(2.0), gamma=1)
    assert not recommend([exposed])[-1].startswith("Recommended")


def test_the_papers_claims_stand_beside_what_is_found(cell):
    rows = tuple(Row(f.name, f.value, 0.0, f.floor, f.control, 1) for f in cell)
    claims = compare_with_paper(Point("blobs", 2.0, 4, 2, rows))
    assert [claim.published for claim in claims] == [
        "preserved",
        "success 0 %",
        "SSIM 0.50 -> 0.03 at epsilon 2",
        "about 1 %",
    ]
    assert all("(blobs, eps 2, gamma 4, b 2)" in claim.claim for claim in claims)
