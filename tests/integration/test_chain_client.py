"""The contract through the typed client, the same on every kind of node."""

import hashlib
from dataclasses import replace

import pytest
from chain_world import KEYS, MANIFEST, MARK, PARAMS, RETURN_CHAIN_ID, World, account_of, create_raw, funded

from clicooper.chain.client import Contract
from clicooper.chain.deploy import deploy, deployment_gas, verify_code
from clicooper.chain.events import (
    JobAborted,
    JobCancelled,
    LabelsReleased,
    RoundAcceptedByTimeout,
    SeatVacated,
    Withdrawn,
)
from clicooper.chain.keys import random_account
from clicooper.chain.rpc.node import Node
from clicooper.errors import ChainError, RevertError, UsageError
from clicooper.types import AbortReason, Address, Head, JobId, Phase, VacancyReason

# Deployment


def test_deployed_code_is_the_artifacts(world: World) -> None:
    assert verify_code(world.node, world.address)


def test_verify_code_refuses_an_address_without_code(world: World) -> None:
    with pytest.raises(ChainError, match="no contract at"):
        verify_code(world.node, account_of(world.owner))


def test_other_code_at_the_address_is_found(node: Node) -> None:
    receipt = create_raw(node, RETURN_CHAIN_ID)
    assert receipt.contract_address is not None
    assert not verify_code(node, receipt.contract_address)


def test_deployment_gas_covers_the_deployment(node: Node) -> None:
    account = funded(node, random_account())
    estimate = deployment_gas(node, Address(account.address))
    _, receipt = deploy(node, account)
    assert receipt.gas_used <= estimate < 2 * receipt.gas_used


def test_client_refuses_an_address_without_contract(node: Node) -> None:
    with pytest.raises(ChainError, match="no contract at") as caught:
        Contract(node, Address(random_account().address))
    assert caught.value.hint


# Life cycle


def test_whole_life_of_a_job(world: World) -> None:
    job = world.open_job()
    state = world.owner.job(job)
    assert (state.phase, state.owner, state.seats, state.filled) == (Phase.OPEN, account_of(world.owner), 2, 0)
    assert (state.label_key, state.pay_wei, state.arbiter) == (PARAMS.label_anchor, PARAMS.pay_wei, PARAMS.arbiter)
    assert state.head == world.owner.genesis_of(job)

    world.join(job, 0)
    world.join(job, 1)
    seat = world.owner.seat(job, 1)
    assert seat.trainer == account_of(world.trainers[1])
    assert seat.key_record_digest == hashlib.sha256(b"keys of 1").digest()

    world.owner.release_labels(job, KEYS[0])
    for round_ in range(PARAMS.rounds):
        assert world.owner.job(job).phase is Phase.COMMIT
        world.commit(job, 0)
        world.commit(job, 1)
        head = world.owner.job(job).head
        world.owner.accept(job, head, KEYS[round_ + 1])
        assert world.owner.round_head(job, round_) == head
        assert world.owner.seat(job, 0).owed_wei == (round_ + 1) * PARAMS.pay_wei

    state = world.owner.job(job)
    assert (state.phase, state.round, state.label_key) == (Phase.DONE, 2, KEYS[2])


def test_everybody_withdraws_exactly_what_is_owed(world: World) -> None:
    job = world.committed_job()
    world.owner.accept(job, world.owner.job(job).head, KEYS[1])
    world.commit(job, 0)
    world.commit(job, 1)
    world.owner.accept(job, world.owner.job(job).head, KEYS[2])

    due = {world.owner: PARAMS.owner_bond_wei}
    due |= dict.fromkeys(world.trainers, 2 * PARAMS.pay_wei + PARAMS.stake_wei)
    for contract, amount_wei in due.items():
        account = account_of(contract)
        assert contract.owed_to(job, account) == amount_wei
        before = world.node.balance(account)
        receipt = contract.withdraw(job)
        assert world.last_event(job) == Withdrawn(job, account, amount_wei)
        fees_wei = before + amount_wei - world.node.balance(account)
        assert 0 < fees_wei <= receipt.gas_used * 10**11
    assert world.node.balance(world.address) == 0


def test_job_numbers_count_from_one(world: World) -> None:
    assert [world.open_job(), world.open_job()] == [1, 2]
    assert world.owner.job_count() == 2


def test_cancel_refunds_everything(world: World) -> None:
    job = world.filled_job()
    world.owner.cancel(job)
    assert world.last_event(job) == JobCancelled(job)
    assert world.owner.owed_to(job, account_of(world.owner)) == PARAMS.escrow_wei
    assert world.owner.owed_to(job, account_of(world.trainers[0])) == PARAMS.stake_wei


# Time-outs


def test_unfilled_job_is_cancelled_by_timeout(world: World) -> None:
    job = world.open_job()
    world.node.advance_time(PARAMS.join_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == JobCancelled(job)


def test_owner_silent_in_labels_loses_its_bond_to_the_seats(world: World) -> None:
    job = world.filled_job()
    world.node.advance_time(PARAMS.label_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == JobAborted(job, AbortReason.OWNER_SILENT)
    share = PARAMS.owner_bond_wei // 2
    assert world.owner.owed_to(job, account_of(world.trainers[0])) == PARAMS.stake_wei + share


def test_silent_trainer_is_evicted_and_unfilled_seat_aborts(world: World) -> None:
    job = world.started_job()
    evicted = account_of(world.trainers[0])
    world.node.advance_time(PARAMS.train_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == SeatVacated(job, 0, evicted, VacancyReason.SILENT)
    assert world.owner.owed_to(job, evicted) == PARAMS.stake_wei - PARAMS.silence_penalty_wei
    assert world.owner.job(job).phase is Phase.REFILL

    world.node.advance_time(PARAMS.join_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == JobAborted(job, AbortReason.SEAT_UNFILLED)


def test_owner_silent_in_review_accepts_the_round(world: World) -> None:
    job = world.committed_job()
    world.node.advance_time(PARAMS.review_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == RoundAcceptedByTimeout(job, 0)
    world.owner.release_labels(job, KEYS[1])
    assert world.last_event(job) == LabelsReleased(job, 1, KEYS[1])


def test_owner_aborts_a_job_with_a_vacant_seat(world: World) -> None:
    job = world.started_job()
    world.node.advance_time(PARAMS.train_window_s + 1)
    world.stranger.resolve_timeout(job)
    world.owner.abort(job)
    assert world.last_event(job) == JobAborted(job, AbortReason.OWNER_ABORTED)


# Refusals


def refused(name: str) -> "pytest.RaisesExc[RevertError]":
    return pytest.RaisesExc(RevertError, check=lambda e: e.name == name and bool(e.hint) and name in e.message)


def test_stale_head_is_refused_with_both_heads(world: World) -> None:
    job = world.started_job()
    stale = Head(b"\x09" * 32)
    with refused("StaleHead") as caught:
        world.trainers[0].commit(job, stale, MANIFEST, MARK)
    assert caught.value.values == {"given": stale, "current": world.owner.job(job).head}
    assert "read the job again" in caught.value.hint


def test_commit_out_of_turn_is_refused(world: World) -> None:
    job = world.started_job()
    with refused("NotYourTurn"):
        world.trainers[1].commit(job, world.owner.job(job).head, MANIFEST, MARK)


def test_accept_before_review_is_refused_and_names_the_phase(world: World) -> None:
    job = world.started_job()
    with refused("WrongPhase") as caught:
        world.owner.accept(job, world.owner.job(job).head, KEYS[1])
    assert "COMMIT" in caught.value.message


def test_stranger_acting_as_owner_is_refused(world: World) -> None:
    job = world.committed_job()
    with refused("NotOwner"):
        world.stranger.accept(job, world.owner.job(job).head, KEYS[1])
    with refused("NotOwner"):
        world.stranger.cancel(world.open_job())


def test_label_key_off_the_chain_is_refused(world: World) -> None:
    with refused("WrongLabelKey"):
        world.owner.release_labels(world.filled_job(), KEYS[1])


def test_join_is_refused_for_every_wrong_detail(world: World) -> None:
    job = world.open_job()
    first, second = world.trainers
    head, stake = first.genesis_of(job), PARAMS.stake_wei
    with refused("WrongGenesis"):
        first.join(job, Head(bytes(32)), 0, b"", stake)
    with refused("NoSuchSeat"):
        first.join(job, head, 2, b"", stake)
    with refused("KeyRecordTooLong"):
        first.join(job, head, 0, bytes(513), stake)
    with refused("WrongValue"):
        first.join(job, head, 0, b"", stake - 1)
    with refused("NotAllowed"):
        world.owner.join(job, head, 0, b"", stake)
    world.join(job, 0)
    with refused("SeatTaken"):
        second.join(job, head, 0, b"", stake)


def test_allow_list_keeps_others_out(world: World) -> None:
    first, second = world.trainers
    job = world.open_job(replace(PARAMS, allow_list=(account_of(first), account_of(second))))
    with refused("NotAllowed"):
        world.stranger.join(job, first.genesis_of(job), 0, b"", PARAMS.stake_wei)
    world.join(job, 0)


def test_early_and_late_calls_are_refused(world: World) -> None:
    job = world.started_job()
    with refused("TooEarly"):
        world.stranger.resolve_timeout(job)
    world.node.advance_time(PARAMS.train_window_s + 1)
    with refused("TooLate"):
        world.commit(job, 0)


def test_wrong_parameters_are_refused_by_field(world: World) -> None:
    with refused("InvalidParams") as caught:
        world.open_job(replace(PARAMS, rounds=0))
    assert caught.value.values == {"field": "rounds"}


def test_unknown_job_and_empty_withdrawal_are_refused(world: World) -> None:
    with refused("NoSuchJob"):
        world.owner.job(JobId(7))
    with refused("NothingOwed"):
        world.stranger.withdraw(world.open_job())


def test_refusal_costs_nothing(world: World) -> None:
    job = world.started_job()
    before = world.node.balance(account_of(world.trainers[0]))
    with pytest.raises(RevertError):
        world.trainers[0].commit(job, Head(bytes(32)), MANIFEST, MARK)
    assert world.node.balance(account_of(world.trainers[0])) == before


def test_poor_account_is_told_to_be_funded(world: World) -> None:
    poor = Contract(world.node, world.address, random_account())
    with pytest.raises(ChainError) as caught:
        poor.create_job(PARAMS)
    assert "fund" in caught.value.hint


def test_reading_needs_no_account_and_acting_does(world: World) -> None:
    job = world.open_job()
    reader = Contract(world.node, world.address)
    assert reader.job(job).phase is Phase.OPEN
    with pytest.raises(UsageError, match="cancel needs an account"):
        reader.cancel(job)
