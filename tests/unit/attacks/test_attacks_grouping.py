"""Grouping attacks: each finds everything where nothing hides it, nothing where nothing is there, and cannot cheat."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.attacks.privacy import grouping, prototypes, seats
from clicooper.attacks.privacy.scores import (
    Guess,
    average_over_seeds,
    grade,
    measure_excess,
    measure_membership_auc,
    measure_psnr,
    measure_true_positives,
)
from clicooper.attacks.release_under_test import Observation
from clicooper.attacks.trained import list_boundaries, measure_trained, train_on_release
from tests.attack_world import CLASSES, release_under_test

BLIND = [
    grouping.group_by_record_kmeans,
    grouping.group_by_balanced_kmeans,
    grouping.group_by_denoised_kmeans,
    grouping.group_by_spectrum,
    grouping.group_by_em,
]
PLAN = {"widths": (48, 48, 48), "rounds": 2, "steps": 60, "batch": 32}


def rng(seed=0):
    return np.random.default_rng(seed)


def test_an_attacker_sees_no_secret():
    """What is known only to the owner: which records are in a row, their features, the map."""
    assert {field.name for field in fields(Observation)} == {
        "rows", "pseudo_labels", "gamma", "sigma", "group", "clip", "privunit"
    }  # fmt: skip
    owner = release_under_test()
    assert np.array_equal(owner.observation().rows, owner.release.activations.astype(np.float64))


@pytest.mark.parametrize("attack", BLIND)
def test_blind_grouping_attack_finds_all_classes_without_noise_and_none_in_noise(attack):
    """On noise the mean over 12 releases is chance: |ARI| < 0.05, six standard errors of a random partition of 24."""
    owners = [release_under_test(seed=seed) for seed in range(12)]
    assert grade(attack(owners[0].bare(), rng()), owners[0].truth, CLASSES).ari == 1.0
    lost = [grade(attack(owner.blank(), rng(seed)), owner.truth, CLASSES).ari for seed, owner in enumerate(owners)]
    assert abs(np.mean(lost)) < 0.05


def test_oracle_attack_names_everything_without_noise_and_gains_nothing_from_noise():
    owners = [release_under_test(seed=seed) for seed in range(12)]
    known = prototypes.estimate_oracle_prototypes(owners[0])
    found = grade(prototypes.name_by_prototypes(owners[0].bare(), known), owners[0].truth, CLASSES)
    assert (found.ari, found.named) == (1.0, 1.0)
    assert found.gain_bits == pytest.approx(2.0, abs=1e-6)
    lost = [
        grade(
            prototypes.name_by_prototypes(owner.blank(), prototypes.estimate_oracle_prototypes(owner)),
            owner.truth,
            CLASSES,
        )
        for owner in owners
    ]
    # 288 namings at chance 1/4: six standard errors are 0.15.
    assert abs(np.mean([score.named for score in lost]) - 0.25) < 0.15
    assert np.mean([score.gain_bits for score in lost]) < 0.05


def test_oracle_attack_is_the_strongest():
    """At a noise that hides part: means over 12 releases, and no blind attack is better than the oracle."""
    owners = [release_under_test(epsilon=5.0, seed=seed) for seed in range(12)]

    def mean(attack):
        return np.mean([grade(attack(owner), owner.truth, CLASSES).ari for owner in owners])

    oracle = mean(
        lambda owner: prototypes.name_by_prototypes(owner.observation(), prototypes.estimate_oracle_prototypes(owner))
    )
    assert 0.05 < oracle < 0.95
    for attack in BLIND:
        assert mean(lambda owner, attack=attack: attack(owner.observation(), rng())) < oracle + 0.02


def test_few_shot_attack_uses_only_records_that_are_never_released_or_tested():
    owner = release_under_test()
    examples = prototypes.draw_examples(owner, 5, rng())
    assert np.array_equal(np.bincount(owner.dataset.labels[examples]), [5] * CLASSES)
    assert not np.isin(examples, np.concatenate([owner.splits.release, owner.splits.test])).any()
    known = prototypes.estimate_prototypes(owner.features[examples], owner.dataset.labels[examples], CLASSES)
    assert grade(prototypes.name_by_prototypes(owner.bare(), known), owner.truth, CLASSES).named == 1.0


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.integers(0, 1 << 30))
def test_balanced_assignment_meets_every_size_and_beats_every_swap(gamma, seed):
    scores = rng(seed).normal(size=(sum(gamma), len(gamma)))
    classes = grouping.assign_balanced(scores, tuple(gamma))
    assert np.array_equal(np.bincount(classes, minlength=len(gamma)), gamma)
    own = scores[np.arange(len(scores)), classes]
    other = scores[:, classes]  # what i would score in the place of j
    assert (own[:, None] + own[None] >= other + other.T - 1e-9).all()


def test_scores_know_names_chance_and_priors():
    truth = np.array([0, 0, 1, 1])
    anonymous = grade(Guess(np.array([7, 7, 3, 3]), anonymous=True), truth, 2)
    assert (anonymous.ari, anonymous.named) == (1.0, 1.0)
    assert grade(Guess(np.array([1, 1, 0, 0])), truth, 2).named == 0.0
    assert grade(Guess(np.array([5, 6, 7, 8]), anonymous=True), truth, 2).named == 0.5
    assert np.isnan(anonymous.gain_bits)
    assert grade(Guess(truth, posterior=np.full((4, 2), 0.5)), truth, 2).gain_bits == 0.0
    assert grade(Guess(truth, posterior=np.eye(2)[truth]), truth, 2).gain_bits == 1.0
    assert measure_excess(0.64, 0.64) == 0 and measure_excess(1.0, 0.64) == 1.0 and measure_excess(1.0, 1.0) == 0.0
    assert measure_psnr(np.zeros((1, 4)), np.full((1, 4), 0.1), 1.0) == pytest.approx(20.0)
    assert measure_psnr(np.ones((2, 4)), np.ones((2, 4)), 1.0) == pytest.approx(100.0)
    assert measure_membership_auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert measure_true_positives(np.array([5.0, 0.5]), np.arange(100) / 100, 0.01) == 0.5
    assert average_over_seeds([1.0]) == (1.0, 0.0)
    assert average_over_seeds([1.0, 3.0]) == (2.0, pytest.approx(np.sqrt(2)))


@pytest.fixture(scope="module")
def trained():
    owner = release_under_test(epsilon=40.0, group=2, **PLAN)
    return owner, train_on_release(owner)


def test_training_is_the_jobs_and_its_controls_are_measured(trained):
    owner, model = trained
    accuracy = measure_trained(owner, model)
    assert accuracy.protected > 0.9
    assert accuracy.unprotected == accuracy.head_only == accuracy.release_only == 1.0
    assert accuracy.best_control[1] == 1.0
    assert accuracy.chance == pytest.approx(0.25, abs=0.01)


def test_confusions_and_output_layer_of_a_model_that_learnt_classes_tell_them():
    """The control of both attacks: next to no noise, means over 12 owners.

    On a partition of 24 at random the mean is 0 with a standard error of 0.01. Confusions tell all classes of every
    owner; the output layer has a mean of 0.57 with a standard error of 0.07 over owners, so 0.3 is far from either.
    """
    owners = [release_under_test(epsilon=40.0, group=2, seed=seed, **PLAN) for seed in range(12)]
    models = [train_on_release(owner) for owner in owners]

    def mean(attack):
        guesses = [attack(model, owner.observation(), rng()) for owner, model in zip(owners, models, strict=True)]
        return np.mean([grade(guess, owner.truth, CLASSES).ari for guess, owner in zip(guesses, owners, strict=True)])

    assert mean(seats.group_by_confusions) > 0.8
    assert mean(seats.group_by_weight_rows) > 0.3


def test_gradient_direction_attack_tells_which_rows_share_a_pseudo_label(trained):
    owner, model = trained
    seen = owner.observation()
    last = list_boundaries(model)[-1]
    received = seats.read_boundary_gradients(model, seen, last, start=True)
    assert received.rows.shape == (len(seen.rows), 48)
    assert seats.measure_direction_auc(received, seen.pseudo_labels, rng()) > 0.95
    shuffled = rng().permutation(seen.pseudo_labels)
    assert abs(seats.measure_direction_auc(received, shuffled, rng()) - 0.5) < 0.05


def test_gradients_are_those_that_the_next_seat_would_send(trained):
    """Against the derivative of the loss by finite differences at one number of one row."""
    import torch

    owner, model = trained
    seen, boundary = owner.observation(), 2
    received = seats.read_boundary_gradients(model, seen, boundary).rows
    blocks = list(model.blocks())
    crossing = torch.from_numpy((seen.rows[:1] * model.training.input_scale).astype(np.float32))
    for block in blocks[:boundary]:
        crossing = block(crossing)
    label = torch.from_numpy(seen.pseudo_labels[:1])
    place = int(np.abs(received[0]).argmax())
    losses = []
    with torch.no_grad():
        for step in (-1e-2, 1e-2):
            moved = crossing.clone()
            moved[0, place] += step
            for block in blocks[boundary:]:
                moved = block(moved)
            losses.append(float(torch.nn.functional.cross_entropy(moved, label)))
    assert (losses[1] - losses[0]) / 2e-2 == pytest.approx(received[0, place], rel=0.05)


def test_gradients_of_a_corrected_loss_keep_their_directions_and_shrink(trained):
    owner, model = trained
    seen = owner.observation()
    corrected = replace(model, training=model.training.model_copy(update={"label_noise": 0.3}))
    plain, shrunk = (seats.read_boundary_gradients(one, seen, 2, start=True).rows for one in (model, corrected))
    norms = [np.linalg.norm(rows, axis=1) for rows in (plain, shrunk)]
    assert (norms[1] < norms[0]).all()
    assert np.allclose(plain / norms[0][:, None], shrunk / norms[1][:, None], atol=1e-4)


def test_gradient_norm_attack_needs_norms_that_differ():
    classes = np.arange(400) % CLASSES
    plain = rng().normal(size=(400, 6))
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)
    marked = seats.BoundaryGradients(plain * (1 + classes[:, None]), classes)
    # Of four ordered classes the outer two are told fully, the inner two at max(AUC, 1 - AUC) = 2/3.
    assert seats.measure_norm_auc(marked, classes) == pytest.approx((1 + 1 + 2 / 3 + 2 / 3) / 4, abs=1e-9)
    assert seats.measure_norm_auc(seats.BoundaryGradients(rng(1).normal(size=(400, 6)), classes), classes) < 0.56


def test_two_seats_together_group_by_gradients_where_classes_share_directions():
    owner = release_under_test()
    seen = owner.observation()
    directions = np.eye(6)[owner.truth[seen.pseudo_labels]]
    received = seats.BoundaryGradients(directions + rng().normal(0, 0.01, directions.shape), seen.pseudo_labels)
    assert grade(seats.group_by_gradient_means(received, seen, rng()), owner.truth, CLASSES).ari == 1.0
