"""Chains to test on: one in this process, and a real node that is started and stopped here."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chain_world import World, new_world

from clicooper.chain.rpc import Node

ANVIL = Path(__file__).parents[2] / "node_modules" / ".bin" / "anvil"
START_TIMEOUT_S = 30
LISTENING = re.compile(r"Listening on (127\.0\.0\.1:\d+)")


@pytest.fixture(scope="session")
def anvil_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh Anvil on a free loopback port. Its words go to a file, as a full pipe would stop it."""
    log = tmp_path_factory.mktemp("anvil") / "anvil.log"
    with log.open("wb") as out:
        command = [ANVIL, "--host", "127.0.0.1", "--port", "0"]
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
    pytest.fail(f"anvil did not start: {log.read_text(errors='replace')[-500:]}")


@pytest.fixture(params=["embedded", "anvil"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """Each kind of node in turn: every test that takes it is part of the conformance suite of ``Node``."""
    if request.param == "embedded":
        with Node.embedded() as chain:
            yield chain
    else:
        with Node.connect(request.getfixturevalue("anvil_url")) as chain:
            yield chain


@pytest.fixture
def world(node: Node) -> World:
    """A contract and its parties on each kind of node in turn."""
    return new_world(node)
