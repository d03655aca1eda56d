"""Claims that a forger makes on the model of a real job: most read, none stands."""

import numpy as np
import pytest

from clicooper.attacks.marks import forgery
from clicooper.attacks.marks.marked_job import MarkedJob, load_marked_job
from clicooper.watermark.keys import MarkPurpose
from tests.scenario import tiny_config


@pytest.fixture(scope="module")
def job(honest_run) -> MarkedJob:
    return load_marked_job(honest_run.root, tiny_config())


@pytest.fixture(scope="module")
def tested(job):
    return job.marks_for(MarkPurpose.OWNERSHIP)[-1]


def rng():
    return np.random.default_rng(11)


def test_key_drawn_after_the_fact_reads_perfectly_and_is_on_no_record(job, tested):
    forged = forgery.claim_key_after_the_fact(job, tested, rng())
    assert (forged.reads, forged.refused_by) == (True, "a")


def test_ground_keys_come_nowhere_near(job, tested):
    forged = forgery.grind_keys(job, tested, rng(), tries=20)
    assert (forged.reads, forged.refused_by) == (False, "b")
    assert "best of 20 keys" in forged.measured


def test_copied_commitment_opens_to_other_carriers(job, tested):
    forged = forgery.copy_commitment(job, tested)
    assert (forged.reads, forged.refused_by) == (False, "b")


def test_back_dated_key_opens_to_other_carriers(job, tested):
    forged = forgery.back_date_key(job, tested)
    assert (forged.reads, forged.refused_by) == (False, "b")


def test_mark_transferred_to_another_model_reads_there_but_the_models_differ(job, tested):
    forged = forgery.transfer_mark(job, tested, rng())
    assert (forged.reads, forged.refused_by) == (True, "d")


@pytest.mark.parametrize("own_start", [True, False], ids=["own-start", "stolen-start"])
def test_key_of_a_junk_job_reads_in_the_stolen_model_and_loses_on_likeness(job, tested, own_start):
    forged = forgery.run_junk_job(job, tested, rng(), own_start=own_start)
    assert (forged.reads, forged.refused_by) == (True, "d")


def test_checkpoint_steered_for_an_informed_reading_reads_and_does_not_replay(job, tested):
    forged = forgery.steer_checkpoint(job, tested, rng())
    assert (forged.reads, forged.refused_by) == (True, "c")


def test_every_forgery_is_made_and_none_stands(job):
    made = forgery.make_forgeries(job, rng(), tries=5)
    assert len(made) == forgery.FORGERIES == len({(one.name, one.setting) for one in made})
    assert not any(one.stands for one in made)
