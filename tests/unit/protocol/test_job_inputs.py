"""One preparation: a job and the evaluation of its terms divide the same records and release the same of them."""

import numpy as np
import pytest

from clicooper.access.sealing import new_identity
from clicooper.attacks.evaluation_inputs import fix_seed, load_inputs, make_master
from clicooper.attacks.release_under_test import make_release_under_test
from clicooper.protocol.preparation.prepare import PreparedJob, prepare_job
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Address
from tests.scenario import tiny_config

PARTS = ("head", "release", "holdout", "test")


def prepare(folder, config) -> PreparedJob:
    """The job with these terms, as its owner prepares it."""
    run = RunFolder.create(folder)
    owner = make_master(config), new_identity()[0], Address("0x" + "11" * 20)
    return prepare_job(config, *owner, (), LocalStore(run.store), run)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"label_epsilon": 4.0, "group": 1},
        {"label_epsilon": 4.0, "mechanism": "privunit", "group": 1, "epsilon": 8.0},
        {"label_epsilon": 6.0, "head": "dp-sgd", "head_records": 0, "epsilon": 8.0},
    ],
    ids=["true labels", "protected labels", "privunit", "dp-sgd"],
)
def test_job_and_evaluation_divide_and_release_alike(tmp_path, changes):
    config = fix_seed(tiny_config(**changes), 5)
    job, tested = prepare(tmp_path / "run", config), make_release_under_test(load_inputs(config), config)
    for part in PARTS:
        assert np.array_equal(getattr(job.inputs.splits, part), getattr(tested.splits, part)), part
    assert np.array_equal(job.inputs.labels.labels, tested.named)
    assert job.inputs.labels.digest == tested.inputs.labels.digest
    assert job.secrets.label_map.digest == tested.label_map.digest
    assert np.array_equal(job.inputs.features, tested.inputs.features)
    assert job.release.statement == tested.release.statement
    assert (job.release.sigma, job.release.grid) == (tested.release.sigma, tested.release.grid)
    # The noise is another, for the evaluation's is drawn from a seed; the records and their labels are the same.
    for rows in (job.release, tested.release):
        pseudo_of_record = job.secrets.label_map.pseudo_of_record[rows.record_of_row]
        assert (pseudo_of_record == rows.pseudo_labels[:, None]).all()
    assert np.array_equal(np.bincount(job.release.pseudo_labels), np.bincount(tested.release.pseudo_labels))
    if config.group == 1:
        assert {*job.release.record_of_row[:, 0]} == {*tested.release.record_of_row[:, 0]}


def test_protected_labels_do_not_decide_which_records_the_evaluation_releases():
    plain, noisy = (load_inputs(fix_seed(tiny_config(label_epsilon=epsilon), 5)) for epsilon in (None, 4.0))
    again = load_inputs(fix_seed(tiny_config(label_epsilon=2.0), 5))
    assert np.array_equal(noisy.splits.release, again.splits.release)
    assert not np.array_equal(noisy.splits.release, plain.splits.release)
