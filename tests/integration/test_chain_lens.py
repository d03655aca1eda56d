"""The lens against the contract's own views, on every kind of node."""

import pytest
from chain_world import ETHER, KEYS, World

from clicooper.chain.deploy import deploy
from clicooper.chain.keys import random_account
from clicooper.chain.lens import Lens
from clicooper.errors import ChainError, RevertError
from clicooper.types import ZERO_ADDRESS, Address, JobId


@pytest.fixture
def lens(world: World) -> Lens:
    account = random_account()
    world.node.fund(Address(account.address), ETHER)
    address, _ = deploy(world.node, account, "CliCooperLens")
    return Lens(world.node, address, world.address)


def test_pages_hold_what_the_views_say_and_end_where_the_jobs_end(world: World, lens: Lens) -> None:
    jobs = [world.open_job(), world.filled_job(), world.started_job()]
    expected = tuple(world.owner.job(job) for job in jobs)
    assert lens.jobs(JobId(1), 100) == expected
    assert lens.jobs(JobId(1), 2) + lens.jobs(JobId(3), 2) == expected
    assert lens.jobs(JobId(4), 10) == lens.jobs(JobId(0), 10) == ()


def test_seats_and_debts(world: World, lens: Lens) -> None:
    job = world.committed_job()
    world.owner.accept(job, world.owner.job(job).head, KEYS[1])
    assert lens.seats(job) == tuple(world.owner.seat(job, seat) for seat in range(2))
    trainer = lens.seats(job)[0].trainer
    owed = lens.owed(job, [trainer, ZERO_ADDRESS])
    assert owed == {trainer: world.owner.owed_to(job, trainer), ZERO_ADDRESS: 0}
    assert owed[trainer] > 0
    assert lens.round_heads(job, 0, 10) == (world.owner.round_head(job, 0),)
    assert lens.round_heads(job, 1, 10) == ()


def test_refusals_carry_the_name_that_the_contract_gives_them(world: World, lens: Lens) -> None:
    with pytest.raises(RevertError, match="NoSuchJob"):
        lens.seats(JobId(99))


def test_an_address_without_code_is_no_lens(world: World) -> None:
    with pytest.raises(ChainError, match="no lens at"):
        Lens(world.node, Address(random_account().address), world.address)
