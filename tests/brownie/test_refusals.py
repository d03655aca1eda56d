"""What the contract refuses, by the name of its error."""

from __future__ import annotations

from typing import Any

import pytest
from job import KEYS, MANIFEST, MARK, STAKE, Job, escrow, parameters, refused


@pytest.mark.parametrize(
    ("field", "value"), [("seats", 1), ("rounds", 0), ("ownerBond", 0), ("challengeBond", 0), ("joinWindow", 0)]
)
def test_wrong_parameters(field: str, value: int, contract: Any, arbiter: Any, stranger: Any) -> None:
    with refused("InvalidParams"):
        contract.createJob(parameters(arbiter, **{field: value}), {"from": stranger, "value": escrow()})


def test_wrong_escrow(contract: Any, arbiter: Any, stranger: Any) -> None:
    with refused("WrongValue"):
        contract.createJob(parameters(arbiter), {"from": stranger, "value": escrow() - 1})


def test_join_with_too_little_stake_or_of_another_genesis(job: Job, stranger: Any) -> None:
    genesis = job.contract.genesisOf(job.number)
    with refused("WrongValue"):
        job.contract.join(job.number, genesis, 0, b"", {"from": stranger, "value": STAKE - 1})
    with refused("WrongGenesis"):
        job.contract.join(job.number, bytes(32), 0, b"", {"from": stranger, "value": STAKE})


def test_commit_on_a_stale_head_and_out_of_turn(started: Job) -> None:
    first, second = started.trainers
    with refused("StaleHead"):
        started.contract.commit(started.number, bytes(32), MANIFEST, MARK, {"from": first})
    with refused("NotYourTurn"):
        started.contract.commit(started.number, started.head, MANIFEST, MARK, {"from": second})


def test_accept_too_soon_by_a_stranger_or_with_a_wrong_key(started: Job, stranger: Any) -> None:
    with refused("WrongPhase"):
        started.accept(0)
    started.commit_all()
    with refused("NotOwner"):
        started.contract.accept(started.number, started.head, KEYS[1], {"from": stranger})
    with refused("WrongLabelKey"):
        started.contract.accept(started.number, started.head, KEYS[2], {"from": started.owner})


def test_second_withdrawal(job: Job) -> None:
    job.contract.cancel(job.number, {"from": job.owner})
    job.contract.withdraw(job.number, {"from": job.owner})
    with refused("NothingOwed"):
        job.contract.withdraw(job.number, {"from": job.owner})
