"""Chains and IPFS nodes to test on: real ones are started and stopped here."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from chain_world import World, new_world

from clicooper.chain.rpc.node import Node
from tests.ipfs_node import IpfsNode, connect_nodes, node_programs

PROGRAMS = Path(__file__).parents[2] / "node_modules" / ".bin"
START_TIMEOUT_S = 60
LISTENING = re.compile(r"istening on (127\.0\.0\.1:\d+)")
GANACHE_CHAIN_ID = 1337


@pytest.fixture(scope="session")
def anvil_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh Anvil on a free loopback port, chain id 31337."""
    command = [PROGRAMS / "anvil", "--host", "127.0.0.1", "--port", "0"]
    with _running(command, tmp_path_factory.mktemp("anvil") / "anvil.log") as url:
        yield url


@pytest.fixture(scope="session")
def ganache_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh Ganache on a free loopback port, chain id 1337. It takes no port 0, so one is found for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.host", "127.0.0.1", "--server.port", str(port), "--chain.chainId", str(GANACHE_CHAIN_ID)]
    command = [PROGRAMS / "ganache", *options]
    with _running(command, tmp_path_factory.mktemp("ganache") / "ganache.log") as url:
        yield url


@contextmanager
def _running(command: Sequence[str | Path], log: Path) -> Iterator[str]:
    """Starts a node and gives its address. Its words go to a file, as a full pipe would stop it."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        yield f"http://{_address(process, log)}"
    finally:
        # npm's anvil is a launcher: the node itself is its child, in the same group.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if found := LISTENING.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    pytest.fail(f"{log.stem} did not start: {log.read_text(errors='replace')[-500:]}")


@pytest.fixture(params=["embedded", "anvil", "ganache"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """Each kind of node in turn: every test that takes it is part of the conformance suite of ``Node``."""
    with node_of(request.param, request) as chain:
        yield chain


@pytest.fixture(params=["embedded", "anvil"])
def cancun_node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """The kinds of node that know the opcodes of Cancun; Ganache ends with Shanghai."""
    with node_of(request.param, request) as chain:
        yield chain


def node_of(kind: str, request: pytest.FixtureRequest) -> Node:
    """A connection to one kind of node."""
    return Node.embedded() if kind == "embedded" else Node.connect(request.getfixturevalue(f"{kind}_url"))


@pytest.fixture
def world(node: Node) -> World:
    """A contract and its parties on each kind of node in turn."""
    return new_world(node)


IpfsPair = tuple[IpfsNode, IpfsNode]


@pytest.fixture(scope="session")
def ipfs_node_pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], IpfsPair]]:
    """Starts two nodes of an implementation that are each other's only peers, the first time that one is asked for."""
    pairs: dict[str, IpfsPair] = {}
    with ExitStack() as running:

        def pair(program: str) -> IpfsPair:
            if program not in pairs:
                folder = tmp_path_factory.mktemp(program)
                nodes = (
                    IpfsNode(node_programs()[program], folder / "a"),
                    IpfsNode(node_programs()[program], folder / "b"),
                )
                for node in nodes:
                    running.callback(node.stop)
                    node.start()
                connect_nodes(*nodes)
                pairs[program] = nodes
            return pairs[program]

        yield pair


@pytest.fixture(scope="session", params=node_programs())
def ipfs_nodes(request: pytest.FixtureRequest, ipfs_node_pairs: Callable[[str], IpfsPair]) -> IpfsPair:
    """Two real nodes on loopback that exchange blocks, of each implementation at hand in turn."""
    return ipfs_node_pairs(request.param)
