"""Inversion, re-identification and membership: what they find without noise, and nothing in noise alone."""

import numpy as np
import pytest

from clicooper.attacks.digit_tasks import RELEASED_PER_CLASS, make_two_digits
from clicooper.attacks.privacy import inversion, membership
from clicooper.attacks.privacy.scores import measure_excess
from clicooper.attacks.trained import train_on_release
from clicooper.errors import DataError
from clicooper.learning.data import load_dataset
from tests.attack_world import blobs, digits_inputs, inputs, release_under_test


@pytest.fixture(scope="module")
def digits():
    return digits_inputs()


@pytest.fixture(scope="module")
def owner(digits):
    return release_under_test(gamma=4, source=digits)


def decoded(name, view, own, rows, head):
    if name == "linear":
        return inversion.invert_linearly(view, own, rows)
    if name == "network":
        return inversion.invert_by_network(view, own, rows, 0)
    return inversion.invert_by_optimisation(view, own, rows, head)


@pytest.mark.parametrize("name", ["linear", "network", "optimised"])
def test_inversion_attack_rebuilds_digits_without_noise_and_nothing_from_noise(digits, owner, name):
    """300 records: the standard error of SSIM is about 0.01; noise stays below 0.05, a rebuilt digit above 0.2."""
    own = inversion.take_own_records(digits.clip(1.0))
    gained = {}
    for kind, view in (("bare", owner.bare()), ("blank", owner.blank())):
        target = inversion.choose_target(owner, view)
        floor = inversion.grade_inversion(inversion.guess_constant(own, target), target).ssim
        score = inversion.grade_inversion(decoded(name, view, own, target.rows, digits.head), target).ssim
        gained[kind] = measure_excess(score, floor)
    assert gained["bare"] > 0.2
    assert gained["blank"] < 0.05


def test_plain_ssim_is_high_without_any_observation(digits, owner):
    """Why SSIM is read against its floor: the mean digit, sent for every record, already looks alike."""
    target = inversion.choose_target(owner, owner.observation())
    own = inversion.take_own_records(digits.clip(1.0))
    assert inversion.grade_inversion(inversion.guess_constant(own, target), target).ssim > 0.4


def test_records_of_another_domain_are_photographs_and_help_less(digits, owner):
    bare = owner.bare()
    target = inversion.choose_target(owner, bare)
    foreign = inversion.make_foreign_records(digits.head, 60, 1.0)
    assert foreign.inputs.shape == (60, 64)
    assert 0 <= foreign.inputs.min() < foreign.inputs.max() <= 1
    far, near = (
        inversion.grade_inversion(inversion.invert_linearly(bare, records, target.rows), target).ssim
        for records in (foreign, inversion.take_own_records(digits.clip(1.0)))
    )
    assert far < near


def test_a_perfect_copy_and_records_that_are_no_images():
    records = np.random.default_rng(0).random((5, 1, 64))
    target = inversion.Target(np.zeros((5, 3)), records, (1, 8, 8))
    score = inversion.grade_inversion(records[:, 0], target)
    assert (score.ssim, score.psnr_db) == (pytest.approx(1.0), pytest.approx(100.0))
    flat = inversion.Target(np.zeros((5, 3)), records, (64,))
    assert np.isnan(inversion.grade_inversion(records[:, 0], flat).ssim)


def test_reidentification_attack_traces_every_bare_row_and_no_noise(digits, owner):
    everyone = inversion.take_candidates(digits.clip(1.0))
    traced = {}
    for kind, view in (("bare", owner.bare()), ("blank", owner.blank())):
        traced[kind], chance = inversion.reidentify(inversion.choose_target(owner, view), everyone, view)
        assert chance == 1 / len(everyone.inputs)
    assert traced["bare"] > 0.95
    assert traced["blank"] < 0.03


def test_membership_attack_finds_members_of_a_bare_release_and_none_in_noise(owner):
    """About 1,400 records: an AUC at chance has a standard error of 0.016."""
    bare = membership.infer_from_release(owner, owner.bare(), np.random.default_rng(0))
    blank = membership.infer_from_release(owner, owner.blank(), np.random.default_rng(0))
    assert bare.auc > 0.95 and bare.true_positives > 0.5
    assert abs(blank.auc - 0.5) < 0.1
    assert blank.true_positives < 0.05


def test_membership_attack_stays_within_what_epsilon_allows(digits):
    """(1, 1e-5) bounds true positives by e x false alarms + delta; three releases, 720 members each, 6 errors slack."""
    found = []
    for seed in range(3):
        hidden = release_under_test(epsilon=1.0, gamma=4, seed=seed, source=digits)
        score = membership.infer_from_release(hidden, hidden.observation(), np.random.default_rng(seed))
        found.append(score.true_positives)
    bound = np.e * membership.FALSE_POSITIVES + 1e-5
    assert np.mean(found) < bound + 6 * np.sqrt(bound / (3 * 720))


def test_confidence_of_a_model_of_noise_tells_nobody_apart(digits):
    hidden = release_under_test(epsilon=0.5, gamma=4, source=digits, widths=(32, 32), rounds=1, steps=20)
    model = train_on_release(hidden)
    assert abs(membership.infer_from_model(hidden, model).auc - 0.5) < 0.1


def test_a_group_larger_than_a_pseudo_label_is_refused():
    with pytest.raises(DataError, match="fewer than a group of 20"):
        release_under_test(gamma=6, group=20, source=inputs(blobs()))


def test_pairs_share_no_image_between_parts_and_release_each_image_once():
    dataset, splits = make_two_digits(0)
    sides = {
        part: np.concatenate([dataset.inputs[getattr(splits, part)][..., side] for side in (slice(0, 8), slice(8, 16))])
        for part in ("head", "release", "holdout", "test")
    }
    images = {part: {image.tobytes() for image in found} for part, found in sides.items()}
    digits = [image.tobytes() for image in load_dataset("digits").inputs]
    copies = len(digits) - len(set(digits))
    for part in ("head", "holdout", "test"):
        assert len(images["release"] & images[part]) <= copies
    assert len(images["release"]) >= 1000 - copies
    assert np.array_equal(np.bincount(dataset.labels[splits.release]), [RELEASED_PER_CLASS] * 100)
    assert dataset.shape == (1, 8, 16)
