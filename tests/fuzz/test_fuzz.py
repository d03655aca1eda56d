"""A few cases of every kind; ``make fuzz`` runs them at length."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clicooper.types import Verdict
from tests.fuzz.cases import KINDS, MEMORY_LIMIT_BYTES, Material, peak_bytes, run_case
from tests.fuzz.material import gathered

CASES = 24
SEED = 1_000_000
"""Far from the seeds of ``make fuzz``, which begin at 0."""


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Material]:
    with gathered(tmp_path_factory.mktemp("fuzz") / "run") as found:
        yield found


def test_the_job_that_cases_start_from_is_honest(material: Material) -> None:
    """Nothing means anything unless what was not changed passes, put together by the same hands."""
    job = material.job.copy().committed()
    assert {row.verdict for row in job.check(replayed=True)} == {Verdict.PASS}
    again = job.with_spec(job.spec)
    assert {row.verdict for row in again.check(replayed=True)} == {Verdict.PASS}


@pytest.mark.parametrize("kind", KINDS)
def test_no_input_breaks_a_check_or_accuses_an_honest_party(kind: str, material: Material) -> None:
    before = peak_bytes()
    for case in range(CASES):
        run_case(material, kind, SEED + case)
    assert peak_bytes() - before < MEMORY_LIMIT_BYTES
