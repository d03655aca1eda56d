"""Several endpoints of one chain: they agree, or each is named with what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chain_world import World, new_world
from rpc_proxy import RpcProxy, running_rpc_proxy

from clicooper.chain.index.cross_check import cross_check
from clicooper.chain.rpc.node import Node
from clicooper.errors import ChainError, EndpointsDisagree, UsageError
from clicooper.types import JobId

FINALITY = 3


@pytest.fixture
def near(anvil_url: str) -> Iterator[Node]:
    with Node.connect(anvil_url) as node:
        yield node


@pytest.fixture
def world(near: Node) -> World:
    world = new_world(near)
    world.filled_job()
    near.ask("anvil_mine", hex(2 * FINALITY))
    return world


@pytest.fixture
def liar(near: Node) -> Iterator[RpcProxy]:
    with running_rpc_proxy(near.source) as proxy:
        yield proxy


@pytest.fixture
def far(liar: RpcProxy) -> Iterator[Node]:
    with Node.connect(liar.url) as node:
        yield node


def other_hashes(call: dict[str, Any], result: Any) -> Any:
    return result | {"hash": "0x" + "ab" * 32} if call["method"] == "eth_getBlockByNumber" else result


def compared(world: World, *nodes: Node) -> Any:
    return cross_check(nodes, world.address, finality=FINALITY)


def test_honest_endpoints_agree(world: World, near: Node, far: Node) -> None:
    agreed = compared(world, near, far)
    assert agreed.blocks == (0, near.block_number() - FINALITY)
    assert agreed.block_hash == near.block_hash(agreed.blocks[1])
    assert agreed.sources == (near.source, far.source)


def test_endpoint_that_lies_about_a_block_hash_is_named(world: World, near: Node, far: Node, liar: RpcProxy) -> None:
    liar.alter = other_hashes
    with pytest.raises(EndpointsDisagree, match="disagree about block 0") as caught:
        compared(world, near, far)
    assert near.source in caught.value.message
    assert f"{far.source} (2): 0xabab" in caught.value.message
    assert caught.value.exit_code == 4


def test_endpoint_that_withholds_events_is_named_with_the_block(
    world: World, near: Node, far: Node, liar: RpcProxy
) -> None:
    withheld = max(logged.block_number for logged in world.events(JobId(1)))

    def without_it(call: dict[str, Any], result: Any) -> Any:
        if call["method"] != "eth_getLogs":
            return result
        return [log for log in result if int(log["blockNumber"], 16) != withheld]

    # Its bloom filters are gone too, or the reader would find out without a second endpoint.
    def consistent(call: dict[str, Any], result: Any) -> Any:
        if call["method"] == "eth_getBlockByNumber":
            return result | {"logsBloom": "0x00"} if int(result["number"], 16) == withheld else result
        return without_it(call, result)

    liar.alter = consistent
    with pytest.raises(EndpointsDisagree, match=f"disagree about the events of block {withheld}"):
        compared(world, near, far)


def test_endpoint_that_withholds_events_against_its_own_blooms_is_named(
    world: World, near: Node, far: Node, liar: RpcProxy
) -> None:
    liar.alter = lambda call, result: [] if call["method"] == "eth_getLogs" else result
    last = world.events(JobId(1))[-1].block_number
    with pytest.raises(ChainError, match="is not read in full") as caught:
        cross_check([near, far], world.address, last, finality=near.block_number() - last)
    assert caught.value.message.startswith(far.source)


def test_endpoint_that_stands_alone_among_three_is_pointed_out(
    world: World, near: Node, far: Node, liar: RpcProxy
) -> None:
    liar.alter = other_hashes
    with Node.connect(near.source) as third, pytest.raises(EndpointsDisagree) as caught:
        compared(world, near, far, third)
    assert caught.value.message.endswith(f"; {far.source} (2) stands alone")


def test_lagging_endpoint_is_named(world: World, near: Node, far: Node, liar: RpcProxy) -> None:
    behind = near.block_number() - 2 * FINALITY

    def lagging(call: dict[str, Any], result: Any) -> Any:
        return hex(behind) if call["method"] == "eth_blockNumber" else result

    liar.alter = lagging
    with pytest.raises(EndpointsDisagree, match="behind the final block") as caught:
        compared(world, near, far)
    assert f"{far.source} (2) is at block {behind}" in caught.value.message
    assert near.source + " " not in caught.value.message


def test_endpoint_of_another_chain_is_named(world: World, near: Node, ganache_url: str) -> None:
    with Node.connect(ganache_url) as other, pytest.raises(EndpointsDisagree, match="disagree about the chain id"):
        compared(world, near, other)


def test_one_endpoint_cannot_be_cross_checked(world: World, near: Node) -> None:
    with pytest.raises(UsageError, match="one node cannot"):
        compared(world, near)
