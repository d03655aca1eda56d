"""Chains to test on: one in this process, and a real node that is started and stopped here."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clicooper.chain.rpc import Node

ANVIL = Path(__file__).parents[2] / "node_modules" / ".bin" / "anvil"
START_TIMEOUT_S = 30
LISTENING = re.compile(r"Listening on (127\.0\.0\.1:\d+)")


@pytest.fixture(scope="session")
def anvil_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh Anvil on a free loopback port. Its words go to a file, as a full pipe would stop it."""
    log = tmp_path_factory.mktemp("anvil") / "anvil.log"
    with log.open("wb") as out:
        process = subprocess.Popen([ANVIL, "--host", "127.0.0.1", "--port", "0"], stdout=out, stderr=out)
    try:
        yield f"http://{_address(process, log)}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
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
