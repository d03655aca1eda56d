"""Jobs whose labels were randomised: the demo says what that covers, audits replay the corrected loss to the bit."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clicooper.audit.verdict import Check
from clicooper.cli.main import main
from clicooper.commitments.manifest import TrainingSpec
from clicooper.errors import DataError, PrivacyBudgetError
from clicooper.privacy.ledger import Ledger
from clicooper.privacy.randomised_response import RandomisedResponse
from clicooper.protocol.owner import Owner
from clicooper.protocol.owner_folder import read_settings
from clicooper.protocol.preparation.prepare import prepare_job, restore_job
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Address, Verdict
from tests.adversaries.work import WorkerCheat
from tests.scenario import Rehearsal, audit_command, failures, rehearsal, seating, tiny_config

LABEL_EPSILON = 3.0
RESPONSE = RandomisedResponse(LABEL_EPSILON, 10)
SETTINGS = """
seed = 3
trainers = 2
rounds = 2
steps = 4
interval = 2
batch = 32
learning_rate = 0.05
epsilon = 50.0
mechanism = "gaussian"
gamma = 4
label_loss = "corrected"
mark_bits = 64
widths = [256, 256, 256, 256]
test_records = 100
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("noisy")
    (folder / "clicooper.toml").write_text(SETTINGS, encoding="utf-8")
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with redirect_stdout(out):
            main(["demo", "--json", "--quiet", "--label-epsilon", str(LABEL_EPSILON), "--out", str(folder / "run")])
        yield dict(json.loads(out.getvalue()))


def test_demo_over_randomised_labels_runs_and_says_what_it_covers(demo: dict[str, Any]) -> None:
    assert (demo["ok"], demo["audit"]["failed"], demo["audit"]["inconclusive"]) == (True, 0, 0)
    privacy = demo["privacy"]
    assert (privacy["epsilon"], privacy["label_epsilon"]) == (50.0, LABEL_EPSILON)
    assert privacy["adjacency"] == "replace-one record: its input, its label, or both"
    assert "(53, 1e-05)-differential privacy per source record, input and label" in privacy["text"]


def test_full_audit_replays_the_corrected_loss_to_the_bit(demo: dict[str, Any]) -> None:
    code, printed = audit_command(Path(demo["run_dir"]))
    assert (code, printed["verdict"]) == (0, "pass")
    assert printed["replayed"] == {"intervals": 4, "steps": 8, "share": 1.0}


def test_ledger_of_the_demo_holds_the_response(demo: dict[str, Any]) -> None:
    folder = RunFolder(Path(demo["run_dir"]))
    assert read_settings(folder).label_epsilon == LABEL_EPSILON
    ledger = Ledger.open(folder.owner / "ledger.json", 50.0 + LABEL_EPSILON, 1e-5)
    (entry,) = ledger.entries()
    assert entry.label_epsilon == LABEL_EPSILON
    assert ledger.spent_epsilon() == pytest.approx(53.0, rel=1e-9)


def noisy_config(**changes: Any) -> Any:
    return tiny_config(
        **(
            {"rounds": 1, "group": 1, "epsilon": 50.0, "label_epsilon": LABEL_EPSILON, "label_loss": "corrected"}
            | changes
        )
    )


class IgnoresLabelNoise(WorkerCheat):
    """Trains with the plain loss, as if every label were true."""

    def terms(self, training: TrainingSpec) -> TrainingSpec:
        return training.model_copy(update={"label_noise": 0.0})


def test_seat_that_does_not_correct_for_the_noise_is_caught_by_replay(tmp_path: Path) -> None:
    with rehearsal(tmp_path, noisy_config(), seating({1: IgnoresLabelNoise})) as job:
        job.train_and_commit()
        report = job.audit()
    assert report.verdict is Verdict.FAIL
    assert (Check.REPLAY, 1) in failures(report.results)
    assert {seat for _, seat in failures(report.results)} == {1}


@pytest.mark.parametrize(("group", "noise"), [(1, RESPONSE.mixing), (4, 0.0)])
def test_spec_carries_what_the_loss_needs_and_the_claim(tmp_path: Path, group: int, noise: float) -> None:
    with rehearsal(tmp_path, noisy_config(group=group)) as job:
        spec, prepared = job.opened.owner.prepared.spec, job.opened.owner.prepared
        assert spec.training.label_noise == noise
        assert (spec.release.label_epsilon, spec.version) == (LABEL_EPSILON, 1)
        true = prepared.inputs.dataset.labels[prepared.inputs.splits.release]
        assert not np.array_equal(prepared.inputs.labels.labels, true)
        assert spec.release.gamma == prepared.secrets.label_map.gamma
        counts = np.bincount(prepared.inputs.labels.labels, minlength=10)
        assert spec.release.gamma == tuple(counts // spec.release.m)


def restored(job: Rehearsal, **changes: Any) -> Any:
    owner: Owner = job.opened.owner
    kept, secrets = owner.prepared, owner.prepared.secrets
    config = kept.config.model_copy(update=changes)
    return restore_job(config, secrets.master, secrets.identity, kept.spec, kept.params, job.folder)


def prepared_again(job: Rehearsal, **changes: Any) -> Any:
    secrets = job.opened.owner.prepared.secrets
    config = job.opened.owner.prepared.config.model_copy(update=changes)
    arbiter = Address(job.parties.arbiter.address)
    return prepare_job(config, secrets.master, secrets.identity, arbiter, (), job.store, job.folder)


def test_restarted_owner_has_the_same_response_and_release(tmp_path: Path) -> None:
    with rehearsal(tmp_path, noisy_config()) as job:
        before, after = job.opened.owner.prepared, restored(job)
        assert np.array_equal(before.inputs.labels.labels, after.inputs.labels.labels)
        assert before.release.activations.tobytes() == after.release.activations.tobytes()
        again = prepared_again(job)
        assert again.release.activations.tobytes() == before.release.activations.tobytes()


@pytest.mark.parametrize("other", [None, 2.0])
def test_owner_cannot_release_the_same_records_under_other_labels(tmp_path: Path, other: float | None) -> None:
    with rehearsal(tmp_path, noisy_config()) as job:
        total = 50.0 + LABEL_EPSILON - (other or 0.0)
        with pytest.raises(PrivacyBudgetError, match="another data set" if other is None else "labels were released"):
            prepared_again(job, label_epsilon=other, epsilon=total)


def few_records(folder: Path) -> Any:
    """A configuration whose pseudo-labels need more of a class than so strong a response leaves."""
    path = folder / "few.npz"
    inputs = np.random.default_rng(0).random((400, 64)).astype(np.float32)
    np.savez(path, inputs=inputs, labels=np.arange(400) % 10)
    kept = {"head_records": 200, "holdout_records": 50, "test_records": 50}
    return noisy_config(data=str(path), label_epsilon=0.1, gamma=9, **kept)


def test_class_that_the_response_left_too_small_stops_the_job_before_anything_is_published(tmp_path: Path) -> None:
    config = few_records(tmp_path)
    with (
        pytest.raises(DataError, match="after randomised response, too few for gamma"),
        rehearsal(tmp_path / "run", config),
    ):
        pass
    assert not (tmp_path / "run" / "owner" / "ledger.json").exists()
