"""The programs in examples/, each run as a user runs it, and the names that the package's front door gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from chain_world import PARAMS, new_world

import clicooper
from clicooper.audit.bundle import pack_job
from clicooper.chain.record import read_record
from clicooper.chain.rpc.node import Node
from clicooper.storage.local import LocalStore

ROOT = Path(__file__).parents[2]


def run_example(name: str, *arguments: object, code: int = 0) -> str:
    """What an example prints."""
    command = [sys.executable, ROOT / "examples" / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that an example made."""
    folder = tmp_path_factory.mktemp("example") / "run"
    assert "audit: pass" in run_example("run_job.py", folder)
    return folder


def test_a_job_is_audited_from_its_car_file(run: Path, tmp_path: Path) -> None:
    car = tmp_path / "job.car"
    pack_job(read_record(run / "record.json"), LocalStore(run / "store"), car)
    assert run_example("audit_car.py", car, run / "auditor" / "identity.txt").endswith("verdict: pass\n")
    assert run_example("audit_car.py", car, code=4).endswith("verdict: inconclusive\n")


def test_a_contract_is_watched_from_where_the_last_call_stopped(anvil_url: str, tmp_path: Path) -> None:
    with Node.connect(anvil_url) as node:
        world = new_world(node)
        assert "job" not in run_example("watch_contract.py", anvil_url, world.address, tmp_path / "index.sqlite")
        world.open_job()
        told = run_example("watch_contract.py", anvil_url, world.address, tmp_path / "index.sqlite")
    assert f"job 1: OPEN, 0 of {PARAMS.rounds} rounds accepted" in told


def test_every_name_of_the_front_door_is_there() -> None:
    assert sorted(clicooper._MODULES) == clicooper.__all__
    found = {name: getattr(clicooper, name) for name in clicooper.__all__}
    assert all(one.__module__ == f"clicooper.{clicooper._MODULES[name]}" for name, one in found.items())
    with pytest.raises(AttributeError, match="has no attribute 'audit_everything'"):
        _ = clicooper.audit_everything


def test_the_front_door_loads_nothing_before_it_is_used() -> None:
    code = "import sys, clicooper; sys.exit(any(name.startswith('clicooper.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
