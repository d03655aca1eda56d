"""Honest jobs that many tests read and none may change: whoever damages one copies it first, or puts it right again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.scenario import FinishedRun, finished_run, tiny_config

settings.register_profile("clicooper", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clicooper")
# No property fails because the machine is busy.

collect_ignore = ["brownie"]
"""Runs inside Brownie's own environment alone: `make test-brownie`."""


@pytest.fixture(scope="session")
def honest_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Two seats, two rounds, four steps each, on real digits; all identities and secrets follow from seed 1."""
    return finished_run(tmp_path_factory.mktemp("honest") / "run")


@pytest.fixture(scope="session")
def other_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The same job under seed 2."""
    return finished_run(tmp_path_factory.mktemp("other") / "run", tiny_config(seed=2))


@pytest.fixture(scope="session")
def smallest_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """One round of two steps: its audit, with every step replayed, takes a tenth of a second."""
    return finished_run(tmp_path_factory.mktemp("smallest") / "run", tiny_config(rounds=1, steps=2, interval=1))


@pytest.fixture
def run_dir(honest_run: FinishedRun, tmp_path: Path) -> Path:
    """A copy of the honest run to do anything with."""
    return Path(shutil.copytree(honest_run.root, tmp_path / "run"))
