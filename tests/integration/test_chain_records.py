"""A job's events and its record, read from every kind of node."""

import pytest
from chain_world import KEYS, PARAMS, World, account_of, funded, heads

from clicooper.chain.client import Contract
from clicooper.chain.deploy import deploy
from clicooper.chain.events import (
    Committed,
    JobCreated,
    LabelsReleased,
    LoggedEvent,
    RoundAccepted,
    SeatJoined,
)
from clicooper.chain.index.record_index import IN_MEMORY, RecordIndex
from clicooper.chain.keys import account_from_seed
from clicooper.chain.record import JobRecord, record_from_json, record_to_json
from clicooper.chain.rpc.node import Node
from clicooper.errors import UsageError
from clicooper.types import JobId


def test_events_are_ordered_complete_and_placed(world: World) -> None:
    job, other = world.committed_job(), world.open_job()
    world.owner.accept(job, world.owner.job(job).head, KEYS[1])
    events = world.events(job)
    kinds = [type(logged.event) for logged in events]
    assert kinds == [JobCreated, SeatJoined, SeatJoined, LabelsReleased, Committed, Committed, RoundAccepted]
    assert events[0].event == JobCreated(job, account_of(world.owner), PARAMS)
    assert events[1].event == SeatJoined(job, 0, account_of(world.trainers[0]), b"keys of 0")
    assert events[-1].event == RoundAccepted(job, 0, KEYS[1])
    assert [logged.block_number for logged in events] == sorted({logged.block_number for logged in events})
    assert all(logged.event.job != other for logged in events)
    for logged in events:
        block = world.node.block(logged.block_number)
        assert (logged.block_hash, logged.block_timestamp) == (block.hash, block.timestamp)
        assert logged.gas_used == world.node.receipt(logged.tx_hash).gas_used
    assert events[4].tx_from == account_of(world.trainers[0])


def test_events_from_a_block_on(world: World) -> None:
    job = world.filled_job()
    events = world.events(job)
    assert events_from(world, job, events[1].block_number) == events[1:]
    assert events_from(world, job, world.node.block_number() + 1) == ()


def events_from(world: World, job: JobId, first_block: int) -> tuple[LoggedEvent, ...]:
    with RecordIndex(IN_MEMORY, world.node, world.address, first_block) as index:
        index.sync()
        return tuple(index.events(job))


def test_record_round_trips(world: World) -> None:
    record = world.record(world.committed_job())
    assert record_from_json(record_to_json(record)) == record
    assert record.blocks[1] == world.node.block_number()
    assert (record.source, record.chain_id) == (world.node.source, world.node.chain_id)


def test_record_of_an_unknown_job_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="no creation of job 9"):
        world.record(JobId(9))


def test_heads_recomputed_from_the_record_are_the_contracts(world: World) -> None:
    job = world.committed_job()
    recomputed = list(heads(world.record(job)))
    assert recomputed[0] == world.owner.genesis_of(job)
    assert recomputed[-1] == world.owner.job(job).head
    assert len(recomputed) == 1 + PARAMS.seats


def scripted_record(node: Node) -> JobRecord:
    """A job whose accounts all come from one seed."""
    accounts = [funded(node, account_from_seed(b"the same", name)) for name in ("owner", "t0", "t1")]
    address, _ = deploy(node, accounts[0])
    index = RecordIndex(IN_MEMORY, node, address)
    owner, first, second = (Contract(node, address, account) for account in accounts)
    world = World(node, address, index, owner, (first, second), owner)
    return world.record(world.committed_job())


def test_same_accounts_give_same_heads_on_every_node(anvil_url: str) -> None:
    with Node.embedded() as near, Node.connect(anvil_url) as far:
        near_record, far_record = scripted_record(near), scripted_record(far)
    assert near_record.contract == far_record.contract
    assert list(heads(near_record)) == list(heads(far_record))
    assert [logged.event for logged in near_record.events] == [logged.event for logged in far_record.events]


def test_embedded_runs_repeat_to_the_byte(capfd: pytest.CaptureFixture[str]) -> None:
    def run() -> bytes:
        with Node.embedded() as node:
            return record_to_json(scripted_record(node))

    assert run() == run()
    assert capfd.readouterr() == ("", "")
