"""One job's parties on Brownie's development chain; every test starts from the same snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from job import Job


@pytest.fixture(scope="module")
def contract(CliCooper: Any, accounts: Any) -> Any:
    """The contract, freshly compiled and deployed by Brownie."""
    return accounts[0].deploy(CliCooper)


@pytest.fixture(autouse=True)
def isolation(fn_isolation: None) -> None:
    """Takes the chain back after every test."""


@pytest.fixture
def arbiter(accounts: Any) -> Any:
    """Who rules on challenges."""
    return accounts[5]


@pytest.fixture
def stranger(accounts: Any) -> Any:
    """Somebody with no part in the job."""
    return accounts[9]


@pytest.fixture
def job(contract: Any, accounts: Any, arbiter: Any) -> Job:
    """A new job: two seats, two rounds."""
    # Brownie fills its names, which this module imports, only after conftest.py is loaded.
    from job import Job, escrow, parameters

    owner = accounts[1]
    made = contract.createJob(parameters(arbiter), {"from": owner, "value": escrow()})
    return Job(contract, int(made.return_value or contract.jobCount()), owner, (accounts[2], accounts[3]))


@pytest.fixture
def started(job: Job) -> Job:
    """The same job with its seats filled and its first labels out."""
    job.start()
    return job
