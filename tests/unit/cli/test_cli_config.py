"""``clicooper config show`` and ``networks``: every value with its source, and no secret in either."""

import io
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from clicooper.config import Settings, load_config
from tests.cli_calls import answered, printed, refused

SECRET_URL = "https://user:hunter2@rpc.example/v3/0123456789abcdef"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in answered(capsys, *arguments, "config", "show")["settings"]}


def test_every_key_with_the_source_that_wins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "clicooper.toml").write_text('rounds = 5\ntrainers = 4\nhome = "there"\n')
    monkeypatch.setenv("CLICOOPER_TRAINERS", "6")
    monkeypatch.setenv("CLICOOPER_EPSILON", "")
    rows = shown(capsys, "--home", "here")
    assert list(rows) == list(Settings.model_fields)
    found = {key: (rows[key]["value"], rows[key]["source"]) for key in ("home", "rounds", "trainers", "epsilon")}
    assert found == {
        "home": ("here", "--home"),
        "rounds": (5, "clicooper.toml"),
        "trainers": (6, "CLICOOPER_TRAINERS"),
        "epsilon": (2.0, "default"),
    }
    assert "rounds 5 clicooper.toml" in printed(capsys, "config", "show")


def test_api_keys_in_addresses_are_not_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clicooper.toml").write_text(f'network = "{SECRET_URL}"\n[networks]\nlab = "{SECRET_URL}"\n')
    rows = shown(capsys)
    assert rows["network"]["value"] == "https://rpc.example"
    assert rows["networks"]["value"] == {"lab": "https://rpc.example"}
    assert "hunter2" not in json.dumps(rows)
    assert load_config().network_url == SECRET_URL


def test_named_networks_resolve(folder: Path) -> None:
    (folder / "clicooper.toml").write_text('[networks]\nlab = "http://10.0.0.7:8545"\n')
    assert load_config().network_url == "embedded"
    assert load_config(network="anvil").network_url == load_config(network="ganache").network_url
    assert load_config(network="lab").network_url == "http://10.0.0.7:8545"
    assert load_config(network="https://rpc.example/key").network_url == "https://rpc.example/key"


def test_networks_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICOOPER_NETWORKS", "lab=http://10.0.0.7:8545, far=https://rpc.example/a=b")
    assert load_config().networks == {"lab": "http://10.0.0.7:8545", "far": "https://rpc.example/a=b"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('anvil = "http://127.0.0.1:1"', "the name 'anvil' is taken or unusable"),
        ('"a/b" = "http://127.0.0.1:1"', "the name 'a...' is taken or unusable"),
        ('lab = "ws://127.0.0.1:1"', "lab is not an http(s) URL"),
        ('lab = "http://127.0.0.1:99999"', "lab is not an http(s) URL"),
    ],
)
def test_bad_network_table(table: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clicooper.toml").write_text(f"[networks]\n{table}\n")
    assert message in refused(capsys, "networks")


class Node(BaseHTTPRequestHandler):
    """A node of chain 7 that knows three calls."""

    ANSWERS: ClassVar = {"eth_chainId": "0x7", "eth_blockNumber": "0x10", "web3_clientVersion": "Lab/v1"}

    def do_POST(self) -> None:
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": self.ANSWERS[call["method"]]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_networks_that_answer_and_that_do_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with HTTPServer(("127.0.0.1", 0), Node) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        lab = f"http://127.0.0.1:{server.server_port}"
        dead = "http://user:hunter2@127.0.0.1:1/key"
        (folder / "clicooper.toml").write_text(f'network = "lab"\n[networks]\nlab = "{lab}/key"\ndead = "{dead}"\n')
        result = answered(capsys, "networks")
        server.shutdown()
        thread.join()
    rows = {row["name"]: row for row in result["networks"]}
    assert (list(rows), result["chosen"]) == (["embedded", "anvil", "ganache", "lab", "dead"], "lab")
    said = {"answers": True, "chain_id": 7, "block": 16, "client": "Lab/v1", "detail": ""}
    assert rows["lab"] == {"name": "lab", "url": lab} | said
    assert (rows["dead"]["answers"], rows["dead"]["url"]) == (False, "http://127.0.0.1:1")
    assert rows["dead"]["detail"].startswith("no answer from http://127.0.0.1:1")
    assert "hunter2" not in json.dumps(result)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--network", "wss://mainnet.example/ws/v3/KEY0123456789abcdef", "contract", "info"),
        ("--network", "mainnet.example/v3/KEY0123456789abcdef", "contract", "info"),
        ("--network", "https://mainnet.example:port/v3/KEY0123456789abcdef", "contract", "info"),
        ("--store", "ipfs:ws://mainnet.example/KEY0123456789abcdef", "contract", "info"),
        ("contract", "info", "https://mainnet.example/v3/KEY0123456789abcdef"),
        ("contract", "info", "mainnet.example/v3/KEY0123456789abcdef"),
        ("config", "show", "https://mainnet.example/v3/KEY0123456789abcdef"),
    ],
)
def test_refused_address_on_the_command_line_keeps_its_key(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "KEY0123456789abcdef" not in refused(capsys, *arguments)
