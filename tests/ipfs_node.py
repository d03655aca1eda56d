"""Real IPFS nodes on loopback, for tests and benchmarks: started on free ports, stopped with all that they started."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b32encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["IpfsNode", "connect_nodes", "node_programs", "wait_for"]

JSIPFS = Path(__file__).parent / "ipfs" / "node_modules" / ".bin" / "jsipfs"
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 10


def node_programs() -> dict[str, str]:
    """The implementations at hand: js-ipfs always, and Kubo where ``ipfs`` is on the path."""
    kubo = shutil.which("ipfs")
    return {"js-ipfs": str(JSIPFS)} | ({"kubo": kubo} if kubo else {})


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = START_TIMEOUT_S) -> None:
    """Polls until ``condition`` holds; ``TimeoutError`` names ``what`` if it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {timeout_s} s")
        time.sleep(0.05)


class IpfsNode:
    """One node with its data in ``folder``. It may be killed and started again: ports and data stay.

    Args:
        program: ``jsipfs`` or Kubo's ``ipfs``.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self.folder = folder
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._api_port = _free_port()
        self._init()

    @property
    def url(self) -> str:
        """Where its RPC is."""
        return f"http://127.0.0.1:{self._api_port}"

    @property
    def _log(self) -> Path:
        return self.folder / "node.log"

    def _environment(self) -> dict[str, str]:
        return os.environ | {"IPFS_PATH": str(self.folder / "repo"), "HOME": str(self.folder)}

    def _init(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        arguments = [self._program, "init", "--profile", "test"]
        if Path(self._program).name == "jsipfs":
            arguments.append("--empty-repo")
        subprocess.run(arguments, env=self._environment(), check=True, capture_output=True, timeout=START_TIMEOUT_S)
        path = self.folder / "repo" / "config"
        config = json.loads(path.read_text())
        config["Addresses"] |= {
            "Swarm": ["/ip4/127.0.0.1/tcp/0"],
            "API": f"/ip4/127.0.0.1/tcp/{self._api_port}",
            "Gateway": "/ip4/127.0.0.1/tcp/0",
            "RPC": "/ip4/127.0.0.1/tcp/0",
        }
        config["Bootstrap"] = []
        config.setdefault("Discovery", {})["MDNS"] = {"Enabled": False}
        path.write_text(json.dumps(config))

    def start(self) -> None:
        """Starts the node and waits for its RPC."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [self._program, "daemon"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            wait_for(self._answers, "the node answers")
        except BaseException:
            self.kill()
            raise

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"the node ended: {self._log.read_text(errors='replace')[-1000:]}")
        try:
            self.call("id")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def stop(self) -> None:
        """Ends the node and everything it started."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the node as a power cut would."""
        self._end(signal.SIGKILL)
        lock = self.folder / "repo" / "repo.lock"
        if lock.is_dir():
            # js-ipfs marks its repository as in use by a folder, which outlives it for a while; Kubo by a lock.
            shutil.rmtree(lock)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, how)
        try:
            process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def call(self, command: str, *arguments: str, **options: str) -> list[Any]:
        """One RPC call without a body: the JSON values of its answer."""
        pairs = [("arg", argument) for argument in arguments] + list(options.items())
        url = f"{self.url}/api/v0/{command}?{urllib.parse.urlencode(pairs)}"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30) as answer:  # noqa: S310
            return [json.loads(line) for line in answer.read().splitlines() if line]

    def identity(self) -> Mapping[str, Any]:
        """Its peer id and addresses."""
        found: Mapping[str, Any] = self.call("id")[0]
        return found

    def block_file(self, digest: bytes) -> Path:
        """Where its flat file store keeps the block with a sha2-256 ``digest``."""

        names = {b32encode(prefix + digest).decode().rstrip("=") for prefix in (b"\x12\x20", b"\x01\x55\x12\x20")}
        return next(path for path in (self.folder / "repo" / "blocks").glob("*/*.data") if path.stem in names)


def connect_nodes(one: IpfsNode, other: IpfsNode) -> None:
    """Makes two nodes peers, so that each fetches from the other what it lacks."""
    address = next(text for text in other.identity()["Addresses"] if "/127.0.0.1/tcp/" in text)
    peer = other.identity()["ID"]
    one.call("swarm/connect", address if peer in address else f"{address}/p2p/{peer}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
