"""Calls of the command line, judged as a program would judge them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clicooper.cli.main import main

Capture = pytest.CaptureFixture[str]


def answered(capsys: Capture, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Runs a command with ``--json``; its object, after the checks that hold for every one."""
    assert main([*arguments, "--json", "--quiet"]) == code
    printed = capsys.readouterr()
    result: dict[str, Any] = json.loads(printed.out)
    assert (result["ok"], result["code"]) == (code == 0, code)
    if code == 0:
        assert printed.err == ""
    return result


def refused(capsys: Capture, *arguments: str, code: int = 2, kind: str = "UsageError") -> str:
    """Runs a command that must fail, for people and for programs; its message."""
    assert main([*arguments, "--quiet"]) == code
    plain = capsys.readouterr()
    assert plain.out == ""
    lines = plain.err.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["error", "  hint"], plain.err
    error = answered(capsys, *arguments, code=code)["error"]
    assert set(error) == {"type", "message", "hint"}
    assert error["type"] == kind
    assert lines[0] == f"error: {error['message']}"
    return str(error["message"])


def printed(capsys: Capture, *arguments: str) -> str:
    """What a command prints for people, in one line of words."""
    assert main([*arguments, "--quiet"]) == 0
    return " ".join(capsys.readouterr().out.split())
