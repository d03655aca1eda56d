"""A job from its creation to the last withdrawal."""

from __future__ import annotations

from typing import Any

from job import CHALLENGE_BOND, KEYS, OWNER_BOND, PAY, ROUNDS, STAKE, Job, escrow


def test_job_is_opened_with_its_escrow(job: Job) -> None:
    assert (job.view["phase"], job.view["owner"], job.view["filled"]) == ("Open", job.owner, 0)
    assert job.contract.balance() == escrow()
    assert job.head == job.contract.genesisOf(job.number)


def test_whole_job_pays_everybody_to_the_last_wei(started: Job) -> None:
    for round_ in range(ROUNDS):
        assert (started.view["phase"], started.view["round"]) == ("Commit", round_)
        started.commit_all()
        head = started.head
        accepted = started.accept(round_)
        assert accepted.events["RoundAccepted"]["labelKey"] == "0x" + KEYS[round_ + 1].hex()
        assert started.contract.roundHead(started.number, round_) == head
    assert started.view["phase"] == "Done"

    due = dict.fromkeys(started.trainers, ROUNDS * PAY + STAKE) | {started.owner: OWNER_BOND}
    for account, amount in due.items():
        assert started.owed(account) == amount
        before = account.balance()
        paid = started.contract.withdraw(started.number, {"from": account})
        assert account.balance() == before + amount - paid.gas_used * paid.gas_price
    assert started.contract.balance() == 0


def test_every_commitment_moves_the_head(started: Job) -> None:
    heads = [str(started.head)]
    for seat in range(2):
        event = started.commit(seat).events["Committed"]
        assert (event["round"], event["seat"]) == (0, seat)
        heads.append(str(started.head))
    assert len(set(heads)) == 3


def test_cancelled_job_refunds_everything(job: Job) -> None:
    job.join(0)
    job.contract.cancel(job.number, {"from": job.owner})
    assert job.view["phase"] == "Cancelled"
    assert (job.owed(job.owner), job.owed(job.trainers[0])) == (escrow(), STAKE)


def test_guilty_seat_pays_its_challenger_and_is_vacated(started: Job, arbiter: Any, stranger: Any) -> None:
    bond = {"from": stranger, "value": CHALLENGE_BOND}
    opened = started.contract.challenge(started.number, started.head, 0, 0, b"\x0e" * 32, bond)
    ruled = started.contract.rule(started.number, opened.events["Challenged"]["challengeId"], True, {"from": arbiter})
    assert ruled.events["SeatVacated"]["trainer"] == started.trainers[0]
    assert started.view["phase"] == "Refill"
    assert started.owed(stranger) == 2 * CHALLENGE_BOND
    assert started.owed(started.trainers[0]) == 0
