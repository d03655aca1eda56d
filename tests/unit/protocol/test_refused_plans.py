"""Terms that nobody could train under are refused before a record is used, a ledger is written or noise is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clicooper.access.identity import recipient_of
from clicooper.access.sealing import new_identity
from clicooper.errors import CliCooperError, MarkCapacityError, ModelUnusable, SpecError
from clicooper.learning.model_code import code_digest
from clicooper.privacy.randomness import MasterSecret
from clicooper.protocol.preparation.prepare import PreparedJob, prepare_job
from clicooper.storage.run_folder import RunFolder
from clicooper.types import ZERO_ADDRESS
from tests.scenario import tiny_config
from tests.simulators import MemoryStore

OWN = "tests.custom_model:blocks"


def prepare(folder: RunFolder, store: MemoryStore, **changes: Any) -> PreparedJob:
    identity, _ = new_identity()
    config = tiny_config(**changes)
    master = MasterSecret.from_seed(1)
    return prepare_job(config, master, identity, ZERO_ADDRESS, (recipient_of(identity),), store, folder)


@pytest.mark.parametrize(
    ("changes", "error", "what"),
    [
        ({"steps": 2**50, "interval": 2**50}, SpecError, "training.steps"),
        ({"batch": 2**50}, SpecError, "training.batch"),
        ({"learning_rate": 1e300}, SpecError, "training.learning_rate"),
        ({"weight_decay": 1e300}, SpecError, "training.weight_decay"),
        ({"input_noise": 1e300}, SpecError, "training.input_noise"),
        ({"tolerance": 1e9}, SpecError, "replay.tolerance"),
        ({"widths": (30_000,) * 5}, SpecError, "parameters of a model"),
        ({"activation_shape": (2**20, 2**20)}, SpecError, "numbers of one activation"),
        ({"model": "transformer"}, SpecError, "model.kind"),
        ({"steps": 5000, "interval": 1}, SpecError, "intervals of a round"),
        ({"widths": (16, 16, 16)}, MarkCapacityError, "carrying weights"),
        ({"model": "absent_package.model:blocks"}, ModelUnusable, "not on this machine"),
        ({"model": "tests.learning_jobs:raises"}, ModelUnusable, "no model for"),
        ({"model": "tests.learning_jobs:tied_blocks"}, ModelUnusable, "used twice"),
        ({"head": "dp-sgd", "head_records": 0, "tolerance": 1e9}, SpecError, "replay.tolerance"),
    ],
)
def test_plan_that_nobody_could_keep_leaves_no_ledger(
    changes: dict[str, Any], error: type[CliCooperError], what: str, tmp_path: Path
) -> None:
    folder, store = RunFolder.create(tmp_path / "run"), MemoryStore()
    before = {path for path in folder.root.rglob("*") if path.is_file()}
    with pytest.raises(error, match=what) as caught:
        prepare(folder, store, **changes)
    assert caught.value.hint
    assert {path for path in folder.root.rglob("*") if path.is_file()} == before
    assert list(store.cids()) == []


def test_maker_of_a_job_writes_the_digest_of_its_code(tmp_path: Path) -> None:
    prepared = prepare(RunFolder.create(tmp_path / "run"), MemoryStore(), model=OWN, widths=())
    assert prepared.spec.model.code == code_digest(OWN)


def test_built_in_model_names_no_code(tmp_path: Path) -> None:
    prepared = prepare(RunFolder.create(tmp_path / "run"), MemoryStore())
    assert prepared.spec.model.code is None
    assert b"code" not in prepared.spec.to_block()
