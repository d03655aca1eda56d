"""Honest work that was done on one machine and judged on another: nobody is accused, whatever differs between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.other_machines import ENVIRONMENTS, audit_elsewhere, make_elsewhere

SMALL = {
    **{"TRAINERS": "2", "ROUNDS": "1", "STEPS": "8", "INTERVAL": "2", "BATCH": "32", "MARK_BITS": "64"},
    **{"LEARNING_RATE": "0.05", "SEED": "20261130"},
}
SAME_CLASS = {"one thread", "four threads"}
"""Segments train on one thread, whatever the process is given."""


@pytest.fixture(scope="module", params=["one thread", "no vector instructions"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("elsewhere")
    return request.param, make_elsewhere(folder, request.param, SMALL)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_other_machine_accuses_honest_work(environment: str, made: tuple[str, Path]) -> None:
    by, run = made
    found = audit_elsewhere(run, by, environment)
    assert found.accused == ()
    assert found.code in (0, 4)
    if {by, environment} <= SAME_CLASS or by == environment:
        assert (found.code, found.intervals) == (0, 4), "the same class replays bit for bit"
