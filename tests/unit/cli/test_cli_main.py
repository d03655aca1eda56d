"""The command line under bad input: one clear line with a hint, the right exit code, and nothing left behind."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from clicooper import __version__
from clicooper.cli.main import COMMANDS, main
from clicooper.config import Settings
from clicooper.storage.run_folder import RunFolder

HEAVY = ("torch", "numpy", "web3", "eth", "scipy", "sklearn", "opacus", "rich")

Answer = Callable[[dict[str, Any]], bytes]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def blobs(folder: Path) -> str:
    """Sixty records of three classes: enough to prepare a job quickly."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    inputs = (rng.normal(size=(3, 4))[labels] * 3 + rng.normal(size=(60, 4))).astype(np.float32)
    np.savez(folder / "blobs.npz", inputs=inputs, labels=labels)
    (folder / "clicooper.toml").write_text(
        "head_records = 12\nholdout_records = 6\ntest_records = 6\ngamma = 2\ngroup = 1\ntrainers = 2\n"
    )
    return "blobs.npz"


def refused(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str], kind: str = "UsageError") -> str:
    """Runs a command that must fail, for people and for programs; returns its message."""
    assert main([*arguments, "--quiet"]) == code
    plain = capsys.readouterr()
    assert plain.out == ""
    lines = plain.err.splitlines()
    assert len(lines) == 2, plain.err
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("  hint: ")

    assert main([*arguments, "--quiet", "--json"]) == code
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["ok"], result["code"]) == (False, code)
    assert set(result) == {"ok", "code", "error"}
    assert set(result["error"]) == {"type", "message", "hint"}
    assert result["error"]["type"] == kind
    assert lines[0] == f"error: {result['error']['message']}"
    assert printed.err == plain.err
    return str(result["error"]["message"])


@contextmanager
def http_server(answer: Answer) -> Iterator[str]:
    """An HTTP server that answers every request with what ``answer`` makes of its JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def on_chain(chain_id: int) -> Answer:
    return lambda call: json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": hex(chain_id)}).encode()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nope"], "No such option: --nope"),
        (["demo", "--nope"], "No such option: --nope"),
        (["nope"], "No such command 'nope'"),
        (["demo", "nope"], "Got unexpected extra argument(s) (nope)"),
        (["audit"], "there is nothing to audit"),
        (["demo", "--rounds", "many"], "Invalid value for '--rounds'"),
        (["demo", "--rounds", "0"], "--rounds 0: input should be greater than or equal to 1"),
        (["demo", "--trainers", "1"], "--trainers 1: input should be greater than or equal to 2"),
        (["demo", "--trainers", "33"], "--trainers 33: input should be less than or equal to 32"),
        (["demo", "--epsilon", "0"], "--epsilon 0.0: input should be greater than 0"),
        (["demo", "--epsilon", "-1"], "--epsilon -1.0: input should be greater than 0"),
        (["demo", "--epsilon", "nan"], "--epsilon nan: input should be a finite number"),
        (["demo", "--seed", "-1"], "--seed -1: input should be greater than or equal to 0"),
        (["demo", "--network", "mainnet"], "--network mainnet: neither the name of a network nor an http(s) URL"),
        (["demo", "--home"], "Option '--home' requires an argument"),
        (["--home", "--no-color", "demo"], "Option '--home' requires an argument"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(arguments, 2, capsys).startswith(message)
    assert list(folder.iterdir()) == []


def test_command_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(["--home", "x"], 2, capsys) == "Missing command"


def test_bare_command_shows_help_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Usage: clicooper" in printed.err


def test_bad_settings_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clicooper.toml").write_text("rounds = ")
    assert refused(["demo"], 2, capsys).startswith("clicooper.toml cannot be read")
    (folder / "clicooper.toml").write_text("epsilon = -1")
    assert refused(["demo"], 2, capsys).startswith("clicooper.toml: epsilon = -1")
    (folder / "clicooper.toml").write_text("epslon = 1")
    assert refused(["demo"], 2, capsys) == "clicooper.toml: there is no setting 'epslon'"


def test_bad_variable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CLICOOPER_TRAINERS", "two")
    assert refused(["demo"], 2, capsys).startswith("CLICOOPER_TRAINERS=two")


def test_folder_is_not_empty(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "precious").write_bytes(b"")
    assert refused(["demo", "--out", "."], 2, capsys, "RunFolderError") == ". is not empty"
    assert [path.name for path in folder.iterdir()] == ["precious"]


@pytest.mark.parametrize("options", [["--out", "file/run"], ["--home", "file/home"], ["--out", "/proc/run"]])
def test_folder_is_not_writable(options: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").write_bytes(b"")
    assert refused(["demo", *options], 2, capsys, "RunFolderError").startswith("cannot write to ")
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_audit_of_what_is_no_complete_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(["audit", "absent"], 2, capsys, "RunFolderError") == "absent is not a folder"
    (folder / "empty").mkdir()
    assert refused(["audit", "empty"], 2, capsys, "RunFolderError") == "empty has no record.json"
    RunFolder.create(folder / "begun")
    assert refused(["audit", "begun"], 2, capsys, "RunFolderError") == "the run in begun is incomplete"


@pytest.mark.parametrize(
    ("options", "kind", "message", "code"),
    [
        (["--data", "absent.npz"], "DataError", "absent.npz: no such data set, file or folder", 2),
        (["--data", "clicooper.toml"], "DataError", "clicooper.toml: no such data set, file or folder", 2),
        (["--model", "transformer"], "SpecError", "unknown model kind 'transformer'", 2),
        (["--model", "absent_module:blocks"], "ModelUnusable", "module absent_module of model absent_module:blocks", 4),
        (["--gamma", "10000"], "DataError", "class ", 2),
        (["--rounds", "1000"], "DataError", "", 2),
    ],
)
def test_job_that_cannot_work_leaves_nothing(
    blobs: str,
    options: list[str],
    kind: str,
    message: str,
    code: int,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert refused(["demo", "--data", blobs, "--out", "run", *options], code, capsys, kind).startswith(message)
    assert {path.name for path in folder.iterdir()} == {"blobs.npz", "clicooper.toml"}


def test_segment_without_room_for_its_marks_is_refused_before_anything_is_published(
    blobs: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLICOOPER_WIDTHS", "512,512,64,64")
    asked: list[str] = []

    def answer(call: dict[str, Any]) -> bytes:
        asked.append(call["method"])
        return on_chain(31337)(call)

    with http_server(answer) as url:
        arguments = ["demo", "--data", blobs, "--out", "run", "--network", url]
        message = refused(arguments, 2, capsys, "MarkCapacityError")
    assert re.fullmatch(r"seat 1: segment has \d+ carrying weights, its marks need 128000", message)
    assert set(asked) == {"eth_chainId"}
    assert not (folder / "run").exists()


def test_too_few_records_for_what_is_kept(folder: Path, blobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clicooper.toml").unlink()
    message = refused(["demo", "--data", blobs, "--out", "run"], 2, capsys, "DataError")
    assert message == "blobs.npz has 60 records, but 960 are kept from the release"
    assert not (folder / "run").exists()


def test_node_that_does_not_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with http_server(on_chain(1)) as url:
        pass
    message = refused(["demo", "--network", url, "--out", "run"], 3, capsys, "Unanswered")
    assert message == f"no answer from {url}: ConnectionError"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"[]", b"{}", b'{"result": "soon"}'])
def test_server_that_is_no_node(body: bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with http_server(lambda _: body) as url:
        assert url in refused(["demo", "--network", url, "--out", "run"], 3, capsys, "ChainError")
    assert list(folder.iterdir()) == []


def test_seed_is_refused_on_a_chain_that_others_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with http_server(on_chain(1)) as url:
        message = refused(["demo", "--seed", "1", "--network", url, "--out", "run"], 2, capsys)
    assert message == "a seeded run is refused on chain 1: everybody could derive its keys"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("arguments", [["audit", "absent", "--json"], ["--json", "audit", "absent"]])
def test_global_options_stand_before_or_after_the_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "RunFolderError"


def test_word_after_two_dashes_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--", "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "--json is not a folder" in printed.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"clicooper {__version__}\n"
    assert main(["--version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "code": 0, "version": __version__}


def test_help_is_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: clicooper demo")
    assert main(["demo", "--help", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "code": 0, "help": text}


def test_defaults_that_help_shows_are_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    main(["demo", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    shown = dict(re.findall(r"--(rounds|trainers|epsilon|gamma|model) .*?\[default: (\w+)\]", text))
    expected = {name: f"{getattr(Settings(), name)}".removesuffix(".0") for name in shown}
    assert shown == expected
    assert len(shown) == 5


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from clicooper.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "Usage: clicooper" in done.stdout
    assert set(done.stderr.split()) & set(HEAVY) == set()


def test_every_command_of_the_help_has_a_page_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert f"Usage: clicooper {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["audit", "absent", "--json"], ["--json", "--help"]])
def test_reader_that_goes_away_is_no_defect(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = "from clicooper.cli.main import run; run()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writing)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr


STUCK = """
import threading
from concurrent.futures import ThreadPoolExecutor
import clicooper.cli.main as program

held = threading.Lock()
held.acquire()
ThreadPoolExecutor(1).submit(held.acquire)
program.LEAVING_S = 0.1
program.main = lambda _: program.EXIT_INTERRUPTED
program.run()
"""
"""An interrupt that came between a lock and its release leaves a thread behind that no exit can join."""


def test_interrupted_program_ends_though_a_thread_does_not():
    done = subprocess.run([sys.executable, "-c", STUCK], timeout=60, check=False)
    assert done.returncode == 130
