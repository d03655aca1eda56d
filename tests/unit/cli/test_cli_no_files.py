"""A pipe, a device or a folder where a command wants a file: it is named and refused, and nobody waits for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli_calls import Capture, refused


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mkfifo("head.safetensors")
    Path("device").symlink_to("/dev/zero")
    Path("run").mkdir()
    Path("run/store").mkdir()
    os.mkfifo("run/record.json")
    Path("linked").mkdir()
    Path("linked/store").mkdir()
    Path("record").write_bytes(b"{}")
    Path("linked/record.json").symlink_to("../record")


COMMANDS: dict[str, tuple[tuple[str, ...], int, str, str]] = {
    "evidence": (("evidence", "check", "pipe"), 3, "StorageError", "the evidence pipe: it is a pipe"),
    "device": (("evidence", "show", "device"), 3, "StorageError", "the evidence device: it is a device"),
    "import": (("store", "import", "pipe"), 3, "StorageError", "the CAR file pipe: it is a pipe"),
    "identity": (("evidence", "check", "x", "--identity", "pipe"), 3, "StorageError", "keys in pipe: it is a pipe"),
    "record": (("audit", "run"), 3, "StorageError", "run/record.json: it is a pipe"),
    "record of an export": (("store", "export", "run", "-o", "x"), 4, "RecordDamaged", "it is a pipe"),
    "linked record": (("audit", "linked"), 3, "StorageError", "linked/record.json: it is a symbolic link"),
    "head": (("demo", "--head", "head.safetensors"), 2, "SpecError", "the head head.safetensors: it is a pipe"),
    "password": (
        ("account", "new", "--password-file", "pipe"),
        2,
        "UsageError",
        "the password from pipe: it is a pipe",
    ),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_what_is_no_file_is_refused_by_its_name(what: str, capsys: Capture) -> None:
    command, code, kind, words = COMMANDS[what]
    assert words in refused(capsys, *command, code=code, kind=kind)
