"""The index of a contract's history: what it holds, how it resumes, and what it does when chain or node err."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chain_world import new_world, read_plainly
from conftest import PROGRAMS, _running
from record_indexes import FINALITY, index_of, mined, without_source

from clicooper.audit.checks.record import check_on_chain
from clicooper.chain.index.confirm import confirm_record
from clicooper.chain.rpc.node import Node
from clicooper.errors import ChainError, RecordError, StorageError, UsageError
from clicooper.types import JobId, Verdict


@pytest.fixture
def anvil(tmp_path: Path) -> Iterator[Node]:
    """An Anvil of this test's own, which may replace its blocks."""
    command = [PROGRAMS / "anvil", "--host", "127.0.0.1", "--port", "0"]
    with _running(command, tmp_path / "anvil.log") as url, Node.connect(url) as node:
        yield node


def test_index_gives_the_record_that_the_plainest_calls_give(node: Node, tmp_path: Path) -> None:
    world = new_world(node)
    jobs = [world.committed_job(), world.filled_job()]
    with index_of(tmp_path, node, world) as index:
        coverage = index.sync()
        assert (coverage.last, coverage.final) == (node.block_number(), node.block_number() - FINALITY)
        assert index.jobs() == tuple(jobs)
        for job in jobs:
            read = read_plainly(world, job)
            assert without_source(index.record(job)) == without_source(read)
            assert list(index.bare_events(job)) == [logged.event for logged in read.events]
        with pytest.raises(UsageError, match="no creation of job 9"):
            index.record(JobId(9))


def test_index_follows_a_reorganisation(anvil: Node, tmp_path: Path) -> None:
    world = new_world(anvil)
    job = world.filled_job()
    mined(anvil, FINALITY)
    world.owner.cancel(job)
    with index_of(tmp_path, anvil, world) as index:
        before = index.sync()
        assert len(list(index.bare_events(job))) == 4
        anvil.ask("anvil_reorg", 2, [])
        mined(anvil, 1)
        after = index.sync()
        assert after.last > before.last
        assert len(list(index.bare_events(job))) == 3
        assert without_source(index.record(job)) == without_source(read_plainly(world, job))


def test_record_of_replaced_blocks_fails_and_leads_to_no_confirmation(anvil: Node, tmp_path: Path) -> None:
    world = new_world(anvil)
    job = world.filled_job()
    mined(anvil, FINALITY)
    world.owner.cancel(job)
    reorged = read_plainly(world, job)
    anvil.ask("anvil_reorg", 2, [])
    mined(anvil, 3)
    with index_of(tmp_path, anvil, world) as index:
        rows, confirmed = check_on_chain(reorged, index, world.owner)
        assert confirmed is None
        assert [row.verdict for row in rows] == [Verdict.FAIL]
        assert "the chain does not have JobCancelled" in rows[0].detail
        rows, confirmed = check_on_chain(read_plainly(world, job), index, world.owner)
        assert confirmed is not None
        assert {row.verdict for row in rows} == {Verdict.PASS}


def test_index_goes_back_with_a_reverted_snapshot(anvil: Node, tmp_path: Path) -> None:
    world = new_world(anvil)
    snapshot = anvil.ask("evm_snapshot")
    dropped = world.open_job()
    with index_of(tmp_path, anvil, world) as index:
        index.sync()
        assert index.jobs() == (dropped,)
        assert anvil.ask("evm_revert", snapshot) is True
        assert index.sync().last == anvil.block_number()
        assert index.jobs() == ()


def test_index_rejects_a_reorganisation_of_final_blocks(anvil: Node, tmp_path: Path) -> None:
    world = new_world(anvil)
    world.filled_job()
    mined(anvil, 20)
    with index_of(tmp_path, anvil, world) as index:
        before = index.sync()
        anvil.ask("anvil_reorg", FINALITY + 3, [])
        with pytest.raises(ChainError, match=f"does not have block {before.final} as it was final"):
            index.sync()
        assert index.coverage == before


def test_index_survives_a_restart_of_the_node(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    command = [
        PROGRAMS / "anvil",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--state",
        state,
        "--preserve-historical-states",
    ]
    with _running(command, tmp_path / "first.log") as url, Node.connect(url) as node:
        world = new_world(node)
        job = world.committed_job()
        expected = read_plainly(world, job)
        with index_of(tmp_path, node, world) as index:
            first = index.sync()
    with _running(command, tmp_path / "second.log") as url, Node.connect(url) as node:
        mined(node, 2)
        with index_of(tmp_path, node, world) as index:
            assert index.sync().last == first.last + 2
            assert without_source(index.record(job)) == replace(without_source(expected), blocks=(0, first.last + 2))


KILLED = """
import os, signal, sys
from pathlib import Path
from clicooper.chain.index import database
from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.rpc.node import Node

whole = database.IndexDb.add_page
pages = 0

def killed_in_the_middle(self, first, last, headers, logs, final):
    global pages
    pages += 1
    if pages == 3:
        def dying():
            yield from list(logs)
            os.kill(os.getpid(), signal.SIGKILL)
        whole(self, first, last, headers, dying(), final)
    whole(self, first, last, headers, logs, final)

database.IndexDb.add_page = killed_in_the_middle
with Node.connect(sys.argv[1]) as node, RecordIndex(Path(sys.argv[2]), node, sys.argv[3], finality=5) as index:
    index.sync()
"""


def test_index_killed_in_the_middle_of_a_page_resumes(anvil: Node, tmp_path: Path) -> None:
    world = new_world(anvil)
    mined(anvil, 60)
    job = world.filled_job()
    mined(anvil, 60)
    path = tmp_path / "index.sqlite"
    command = [sys.executable, "-c", KILLED, anvil.source, path, world.address]
    killed = subprocess.run(command, check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    with index_of(tmp_path, anvil, world) as index:
        left = index.coverage
        assert 0 < left.last < anvil.block_number()
        index.sync()
        assert without_source(index.record(job)) == without_source(read_plainly(world, job))


def test_index_with_a_gap_is_refused(anvil: Node, tmp_path: Path) -> None:
    world = new_world(anvil)
    mined(anvil, 60)
    with index_of(tmp_path, anvil, world) as index:
        index.sync()
    with sqlite3.connect(tmp_path / "index.sqlite") as db:
        with pytest.raises(sqlite3.IntegrityError, match="gap"):
            db.execute("DELETE FROM pages WHERE first = 0")
        with pytest.raises(sqlite3.IntegrityError, match="gap"):
            db.execute("INSERT INTO pages VALUES (9000, 9001)")
        db.execute("DROP TRIGGER pages_go_from_the_end")
        db.execute("DELETE FROM pages WHERE first = (SELECT MIN(first) FROM pages)")
    with pytest.raises(StorageError, match="has a gap before block"):
        index_of(tmp_path, anvil, world)


def test_index_of_another_contract_and_a_damaged_one_are_refused(anvil: Node, tmp_path: Path) -> None:
    first, second = new_world(anvil), new_world(anvil)
    index_of(tmp_path, anvil, first).close()
    with pytest.raises(StorageError, match=f"is of contract {first.address}"):
        index_of(tmp_path, anvil, second)
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 999)
    with pytest.raises(StorageError, match="cannot be used"):
        index_of(tmp_path, anvil, first)


def test_record_is_confirmed_by_the_chain_and_its_forgeries_are_not(anvil: Node, tmp_path: Path) -> None:
    world = new_world(anvil)
    job = world.filled_job()
    record = read_plainly(world, job)
    world.owner.cancel(job)
    created, *joined = record.events
    forgeries = {
        "leaves out SeatJoined": (created, joined[1]),
        "the chain does not have SeatJoined": (created, *joined, replace(joined[1], log_index=7)),
        "has another gas_used": (created, joined[0], replace(joined[1], gas_used=1)),
        "has another tx_hash, tx_from": (
            replace(created, tx_hash=joined[0].tx_hash, tx_from=joined[0].tx_from),
            *joined,
        ),
    }
    with index_of(tmp_path, anvil, world) as index:
        confirmed = confirm_record(record, index)
        assert (confirmed.block, confirmed.later_events) == (anvil.block_number(), 1)
        assert confirmed.block_hash == anvil.block_hash(confirmed.block)
        for message, events in forgeries.items():
            with pytest.raises(RecordError, match=message):
                confirm_record(replace(record, events=tuple(events)), index)
        with pytest.raises(ChainError, match="the record reaches block 9999"):
            confirm_record(replace(record, blocks=(0, 9999)), index)
        with pytest.raises(ChainError, match="on chain 1, not"):
            confirm_record(replace(record, chain_id=1), index)
