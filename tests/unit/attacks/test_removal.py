"""Attacks on the marks of a real job do what they say, and take from marks what they are known to take."""

from functools import partial

import numpy as np
import pytest

from clicooper.attacks.marks import removal
from clicooper.attacks.marks.marked_job import MarkedJob, load_marked_job, merge_segments
from clicooper.attacks.marks.rehearsal import train_again
from clicooper.attacks.marks.removal_suite import make_removal_suite
from clicooper.attacks.marks.survival import MarkReader
from clicooper.attacks.marks.tuning import (
    Tuning,
    average_path,
    distil,
    fine_tune,
    take_owner_records,
    take_released_rows,
)
from clicooper.errors import RunFolderError, SpecError, UsageError
from clicooper.learning.segments import initial_state
from clicooper.watermark.embed import embed_both
from clicooper.watermark.keys import MarkPurpose
from tests.learning_jobs import diff_states
from tests.scenario import tiny_config


@pytest.fixture(scope="module")
def job(honest_run) -> MarkedJob:
    return load_marked_job(honest_run.root, tiny_config())


@pytest.fixture(scope="module")
def reader(job) -> MarkReader:
    return MarkReader(job)


@pytest.fixture(scope="module")
def release(job):
    return take_released_rows(job)


def rng():
    return np.random.default_rng(7)


def distance(a, b):
    """Relative L2 distance of two models."""
    one, other = merge_segments(a), merge_segments(b)
    names = [name for name in one if one[name].ndim >= 2]
    moved = sum(float(np.square(one[name] - other[name]).sum()) for name in names)
    return (moved / sum(float(np.square(other[name]).sum()) for name in names)) ** 0.5


def test_run_folder_gives_the_job_with_its_marks_and_data(job, honest_run):
    assert len(job.marks) == 2 * 2 * 2
    assert job.prepared.spec.cid == honest_run.rehearsal.opened.owner.prepared.spec.cid
    assert job.accuracy(job.states) > 0.3


def test_run_with_other_data_is_refused(honest_run):
    with pytest.raises(UsageError, match="not those of the job"):
        load_marked_job(honest_run.root, tiny_config(head_records=130))


def test_run_without_the_secrets_of_a_role_is_refused(run_dir):
    (run_dir / "trainers" / "seat-1" / "secret.key").unlink()
    with pytest.raises(RunFolderError, match=r"secret\.key"):
        load_marked_job(run_dir, tiny_config())


def test_run_whose_trainer_holds_another_secret_is_refused(run_dir):
    (run_dir / "trainers" / "seat-1" / "secret.key").write_text("11" * 32 + "\n")
    with pytest.raises(RunFolderError, match="round 0, seat 1"):
        load_marked_job(run_dir, tiny_config())


def test_training_again_with_the_marks_repeats_the_job_bit_by_bit(job):
    seeds = {(mark.round, mark.seat, mark.purpose): mark.seed for mark in job.marks}

    def embed(round_, seat, raw):
        both = (seeds[round_, seat, purpose] for purpose in (MarkPurpose.PROGRESS, MarkPurpose.OWNERSHIP))
        return dict(embed_both(raw, *both, job.params))

    assert all(not diff_states(a, b) for a, b in zip(train_again(job, embed).states, job.states, strict=True))


def test_model_trained_without_marks_shows_none(job, reader):
    found = reader.read(train_again(job).states)
    assert (found.blind, found.informed, found.trainer, found.joint) == (0, 0, 0, 0)


def test_own_marks_are_shown_every_way_and_marks_of_nobody_in_none(job, reader):
    found = reader.read(job.states)
    assert (found.blind, found.informed, found.trainer, found.joint, found.detectable) == (1, 1, 1, 1, 1)
    wrong = MarkReader(job, seed_of=lambda mark: bytes(31) + bytes([2 * mark.round + mark.seat])).read(job.states)
    assert (wrong.detectable, wrong.joint) == (0, 0)


def test_cleaning_the_update_hides_marks_from_blind_readings_but_not_from_informed_ones(job, reader, release):
    found = reader.read(removal.clean_update(job.states, release, rng(), rank=10))
    assert (found.blind, found.informed) == (0, 1)


def test_owner_who_subtracts_what_embedding_added_leaves_no_mark(job, reader, release):
    pairs = {seat: [(m.raw, m.out) for m in job.marks_for(MarkPurpose.OWNERSHIP) if m.seat == seat] for seat in (0, 1)}
    found = reader.read(removal.strip_differences(job.states, release, rng(), rounds=pairs))
    assert (found.detectable, found.joint) == (0, 0)
    spared = removal.strip_differences(job.states, release, rng(), rounds={0: pairs[0]})
    assert reader.read(spared, {1}).blind == 1


def test_erasure_with_the_right_key_kills_the_progress_mark_and_spares_ownership(job, reader, release):
    progress = MarkReader(job, MarkPurpose.PROGRESS)
    seeds = {seat: [m.seed for m in job.marks_for(MarkPurpose.PROGRESS) if m.seat == seat] for seat in (0, 1)}
    erased = removal.erase_known(job.states, release, rng(), seeds=seeds, bits=job.params.bits)
    assert progress.read(erased).blind == 0
    assert reader.read(erased).blind == 1


def test_erasure_with_wrong_keys_kills_nothing(job, release):
    progress = MarkReader(job, MarkPurpose.PROGRESS)
    wrong = {0: [bytes(32)], 1: [bytes(31) + b"\x01"]}
    erased = removal.erase_known(job.states, release, rng(), seeds=wrong, bits=job.params.bits)
    assert progress.read(erased).blind == 1


def test_permuted_and_rescaled_model_answers_alike_and_its_marks_are_found(job, reader, release):
    moved = removal.permute_and_rescale(job.states, release, rng())
    assert distance(moved, job.states) > 0.5
    test = job.prepared.inputs.splits.test
    scores = [job.prepared.read_out(list(states), test, 8).accuracy for states in (moved, job.states)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)
    assert reader.read(moved).detectable == 1


def test_permutation_of_other_models_than_perceptrons_is_refused(job, release):
    other = release.model.model_copy(update={"kind": "cnn"})
    with pytest.raises(SpecError, match="cnn"):
        removal.permute_and_rescale(job.states, type(release)(**{**vars(release), "model": other}), rng())


@pytest.mark.parametrize(
    ("attack", "low", "high"),
    [
        (partial(removal.prune, share=0.5), 0.1, 0.4),
        (partial(removal.quantise, bits=16), 1e-6, 1e-3),
        (partial(removal.quantise, bits=8), 1e-3, 0.05),
        (partial(removal.quantise, bits=4), 0.05, 0.4),
        (partial(removal.add_noise, level=0.3), 0.28, 0.32),
        (partial(removal.shift_weights, share=1.0), 0.01, 0.3),
        (partial(removal.truncate_weights, rank=64), 0.2, 0.9),
    ],
    ids=["prune", "fp16", "int8", "int4", "noise", "shift", "low-rank"],
)
def test_attack_without_data_moves_weights_as_far_as_it_says(job, release, reader, attack, low, high):
    changed = attack(job.states, release, rng())
    assert low < distance(changed, job.states) < high
    assert reader.read(changed).detectable == 1


def test_pruned_weights_stay_zero_through_fine_tuning(job, release):
    tuned = merge_segments(removal.fine_prune(job.states, release, rng(), share=0.5, tuning=Tuning(0.01, 0.5)))
    assert all((tuned[name] == 0).mean() >= 0.49 for name in tuned if tuned[name].ndim >= 2)


def test_overwriting_adds_marks_of_the_thief_and_leaves_the_trainers_own(job, release, reader):
    changed = removal.overwrite(job.states, release, rng(), params=job.params, times=2)
    assert 0.05 < distance(changed, job.states) < 0.25
    assert reader.read(changed).blind == 1


def test_fine_tuning_of_the_last_layer_changes_nothing_else(job):
    tuned = fine_tune(job.states, take_owner_records(job), rng(), Tuning(0.05, 1.0, layers="last"))
    changed = {
        name for name, array in merge_segments(tuned).items() if (array != merge_segments(job.states)[name]).any()
    }
    assert {name.partition(".")[0] for name in changed} == {"block4"}


def test_fine_tuning_on_the_owners_records_learns_their_classes(job):
    records = take_owner_records(job)
    start = tuple(initial_state(job.spec.model, job.spec.seeds, seat) for seat in range(len(job.states)))
    before, after = (job.accuracy(states) for states in (start, fine_tune(start, records, rng(), Tuning(0.05, 5.0))))
    assert after > before + 0.3


def test_equal_seeds_make_equal_attacks(job, release):
    first, second = (fine_tune(job.states, release, rng(), Tuning(0.01, 0.5, "adam")) for _ in range(2))
    assert all(not diff_states(a, b) for a, b in zip(first, second, strict=True))


def test_averaged_path_lies_between_start_and_end(job, release):
    tuning = Tuning(0.05, 2.0)
    mean = average_path(job.states, release, rng(), tuning, every=2)
    end = fine_tune(job.states, release, rng(), tuning)
    assert 0 < distance(mean, job.states) < distance(end, job.states)


def test_retrained_last_layer_forgets_the_old_one(job, release):
    changed = removal.retrain_last(job.states, release, rng(), tuning=Tuning(0.01, 0.2, layers="last"))
    old, new = (merge_segments(states)["block4.linear.weight"].ravel() for states in (job.states, changed))
    assert abs(np.corrcoef(old, new)[0, 1]) < 0.2


def test_distilled_student_resembles_its_teacher_in_answers_and_not_in_marks(job, release, reader):
    student = distil(job.states, release, rng(), Tuning(0.05, 4.0))
    assert reader.read(student).detectable == 0
    assert job.accuracy(student) > 0.3


def test_combined_attack_is_one_after_the_other(job, release):
    parts = (partial(removal.prune, share=0.3), partial(removal.quantise, bits=8))
    both = removal.run_in_turn(job.states, release, rng(), parts=parts)
    one = removal.quantise(removal.prune(job.states, release, rng(), share=0.3), release, rng(), bits=8)
    assert all(not diff_states(a, b) for a, b in zip(both, one, strict=True))


def test_suite_names_every_attack_once_and_says_what_it_knows(job):
    suite = make_removal_suite(job)
    assert len({(attack.name, attack.setting) for attack in suite}) == len(suite)
    assert all(attack.knows for attack in suite)
    assert {"prune", "fine-tune", "distil", "collusion", "owner as remover"} <= {attack.name for attack in suite}
