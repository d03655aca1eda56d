"""What an index of a contract's history asks of its node, and what it does when the node errs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chain_world import new_world, read_plainly
from conftest import PROGRAMS, _running
from record_indexes import index_of, mined, without_source
from rpc_proxy import Refusal, RpcProxy, Status, running_rpc_proxy

from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.patience import Patience
from clicooper.errors import ChainError


@pytest.fixture
def anvil(tmp_path: Path) -> Iterator[Node]:
    """An Anvil of this test's own, which may replace its blocks."""
    command = [PROGRAMS / "anvil", "--host", "127.0.0.1", "--port", "0"]
    with _running(command, tmp_path / "anvil.log") as url, Node.connect(url) as node:
        yield node


@pytest.fixture
def proxy(anvil: Node) -> Iterator[RpcProxy]:
    with running_rpc_proxy(anvil.source) as proxy:
        yield proxy


@pytest.fixture
def far(proxy: RpcProxy) -> Iterator[Node]:
    """The same chain through the proxy."""
    with Node.connect(proxy.url) as node:
        yield node


def test_index_resumes_where_it_stopped(anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path) -> None:
    world = new_world(anvil)
    job = world.filled_job()
    with index_of(tmp_path, far, world) as index:
        index.sync()
    seen = far.block_number()
    world.owner.cancel(job)
    proxy.calls.clear()
    with index_of(tmp_path, far, world) as index:
        index.sync()
        asked = [call["params"][0]["fromBlock"] for call in proxy.calls if call["method"] == "eth_getLogs"]
        assert min(int(number, 16) for number in asked) == seen + 1
        assert without_source(index.record(job)) == without_source(read_plainly(world, job))


def test_index_takes_duplicated_logs_once(anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path) -> None:
    world = new_world(anvil)
    job = world.filled_job()
    proxy.alter = lambda call, result: result * 2 if call["method"] == "eth_getLogs" else result
    with index_of(tmp_path, far, world) as index:
        index.sync()
        assert without_source(index.record(job)) == without_source(read_plainly(world, job))


def with_logs(change: Any) -> Any:
    return lambda call, logs: change(logs) if call["method"] == "eth_getLogs" and logs else logs


LIES: dict[str, tuple[Any, str]] = {
    "contradictory duplicates": (with_logs(lambda logs: [*logs, logs[0] | {"data": "0x"}]), "says two things"),
    "logs of another block": (with_logs(lambda logs: [logs[0] | {"blockHash": "0x" + "ab" * 32}]), "replaced blocks"),
    "logs of another contract": (with_logs(lambda logs: [logs[0] | {"address": "0x" + "ab" * 20}]), "another contract"),
    "an unknown event": (
        with_logs(lambda logs: [log | {"topics": ["0x" + "cd" * 32, *log["topics"][1:]]} for log in logs]),
        "ABI lacks",
    ),
    "logs from beyond the page": (with_logs(lambda logs: [*logs, logs[0] | {"blockNumber": "0xffff"}]), "outside of"),
    "half a log": (with_logs(lambda logs: [{"blockNumber": logs[0]["blockNumber"]}]), "unusable answer"),
    "no list": (with_logs(lambda _: 7), "unusable answer"),
}


@pytest.mark.parametrize("lie", LIES)
def test_index_rejects(lie: str, anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path) -> None:
    world = new_world(anvil)
    world.filled_job()
    proxy.alter, message = LIES[lie]
    with index_of(tmp_path, far, world) as index, pytest.raises(ChainError, match=message):
        index.sync()
    proxy.alter = lambda _, result: result
    with index_of(tmp_path, far, world) as index:
        index.sync()
        assert index.jobs() == (1,)


def test_index_rejects_an_invented_event(anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path) -> None:
    world = new_world(anvil)
    world.filled_job()
    mined(anvil, 1)
    empty = anvil.block()
    place = {"blockNumber": hex(empty.number), "blockHash": "0x" + empty.hash.hex()}
    proxy.alter = with_logs(lambda logs: [*logs, logs[-1] | place])
    with index_of(tmp_path, far, world) as index, pytest.raises(ChainError, match="invents events"):
        index.sync()


def without_block(number: int) -> Any:
    return with_logs(lambda logs: [log for log in logs if int(log["blockNumber"], 16) != number])


def test_index_rejects_withheld_events_of_a_new_block(anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path) -> None:
    world = new_world(anvil)
    world.filled_job()
    proxy.alter = without_block(anvil.block_number())
    with index_of(tmp_path, far, world) as index, pytest.raises(ChainError, match="is not read in full"):
        index.sync()


def test_index_rejects_withheld_events_of_an_old_block_if_it_reads_every_header(
    anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path
) -> None:
    world = new_world(anvil)
    world.filled_job()
    proxy.alter = without_block(anvil.block_number())
    mined(anvil, 20)
    options = {"every_header": True}
    with index_of(tmp_path, far, world, **options) as index, pytest.raises(ChainError, match="is not read in full"):
        index.sync()


def test_record_rejects_events_that_their_blocks_receipts_lack(
    anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path
) -> None:
    world = new_world(anvil)
    job = world.filled_job()
    mined(anvil, 20)
    other = with_logs(lambda logs: [*logs[:-1], logs[-1] | {"data": logs[0]["data"]}])
    proxy.alter = other
    with index_of(tmp_path, far, world) as index:
        index.sync()
        with pytest.raises(ChainError, match="is not read in full"):
            index.record(job)


def test_rate_limited_node_is_asked_again_when_it_wishes(
    anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path
) -> None:
    world = new_world(anvil)
    job = world.filled_job()
    refusals: Iterator[Exception] = iter(
        [
            Status(429, Retry_After="7"),
            Status(429),
            Refusal(-32005, "request rate limited"),
        ]
    )

    def limited(call: dict[str, Any], result: Any) -> Any:
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        return result

    proxy.alter = limited
    pauses: list[float] = []
    with index_of(tmp_path, far, world, patience=Patience(pauses.append)) as index:
        index.sync()
        assert pauses == [7, 1, 2]
        assert without_source(index.record(job)) == without_source(read_plainly(world, job))


def test_node_that_limits_the_rate_for_ever_is_given_up(
    anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path
) -> None:
    world = new_world(anvil)

    def limited(call: dict[str, Any], result: Any) -> Any:
        raise Status(429)

    proxy.alter = limited
    pauses: list[float] = []
    with index_of(tmp_path, far, world, patience=Patience(pauses.append, tries=3)) as index:
        with pytest.raises(ChainError, match="limits the rate"):
            index.sync()
        assert pauses == [0.5, 1]


def narrow(most: int, refusal: Exception) -> Any:
    def alter(call: dict[str, Any], result: Any) -> Any:
        if call["method"] == "eth_getLogs":
            query = call["params"][0]
            if int(query["toBlock"], 16) - int(query["fromBlock"], 16) >= most:
                raise refusal
        return result

    return alter


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(-32005, "query returned more than 10000 results"),
        Refusal(-32602, "block range is too wide"),
        Refusal(-32000, "response size exceeded"),
        Status(413),
        Status(504),
    ],
    ids=str,
)
def test_node_with_a_narrow_range_is_asked_for_less(
    refusal: Exception, anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path
) -> None:
    world = new_world(anvil)
    job = world.filled_job()
    mined(anvil, 30)
    proxy.alter = narrow(3, refusal)
    with index_of(tmp_path, far, world) as index:
        index.sync()
        assert without_source(index.record(job)) == without_source(read_plainly(world, job))


def test_node_that_refuses_even_one_block_is_named(anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path) -> None:
    world = new_world(anvil)
    proxy.alter = narrow(0, Refusal(-32005, "query returned more than 10000 results"))
    with index_of(tmp_path, far, world) as index, pytest.raises(ChainError, match="even this one alone"):
        index.sync()


def test_index_reads_through_a_node_without_batches_and_block_receipts(
    anvil: Node, far: Node, proxy: RpcProxy, tmp_path: Path
) -> None:
    world = new_world(anvil)
    job = world.filled_job()

    def poor(call: dict[str, Any], result: Any) -> Any:
        if call["method"] == "eth_getBlockReceipts":
            raise Refusal(-32601, "the method eth_getBlockReceipts does not exist")
        if call["id"] != proxy.calls[-1]["id"]:
            raise Refusal(-32600, "batch requests are not supported")
        return result

    proxy.alter = poor
    with index_of(tmp_path, far, world) as index:
        index.sync()
        assert without_source(index.record(job)) == without_source(read_plainly(world, job))
