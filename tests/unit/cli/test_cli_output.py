"""What the command line prints: colours and progress on a terminal, plain lines and one object elsewhere."""

import io
import json
import re
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from rich.console import Console

from clicooper.cli.main import main
from clicooper.cli.output import Output
from clicooper.errors import UsageError
from clicooper.reports.tables import coin


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that leaves it to the stream whether there are colours."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def on_terminal(*arguments: str) -> str:
    with redirect_stderr(Terminal()) as terminal:
        main(arguments)
    assert "No such command 'nope'" in terminal.getvalue()
    return terminal.getvalue()


RED = re.compile(r"\x1b\[[0-9;]*31m")


def test_errors_are_red_on_a_terminal(colours: None) -> None:
    assert RED.search(on_terminal("nope"))


def test_colours_can_be_switched_off(colours: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not RED.search(on_terminal("nope", "--no-color"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not RED.search(on_terminal("nope"))


def test_progress_on_a_terminal_counts(colours: None) -> None:
    with redirect_stderr(Terminal()) as terminal, Output().progress() as progress:
        progress("round 0: training", 3, 40)
    assert "round 0: training" in terminal.getvalue()
    assert "3/40" in terminal.getvalue()


def test_progress_elsewhere_is_one_line_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().progress() as progress:
        for step in range(40):
            progress("round 0: training", step, 40)
        progress("round 0: verifying", 0, 0)
    assert capsys.readouterr().err == "round 0: training\nround 0: verifying\n"


def test_quiet_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(quiet=True).progress() as progress:
        progress("round 0: training", 1, 2)
    assert capsys.readouterr().err == ""


def test_message_of_many_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    Output().fail(UsageError("two\nlines and \x1b[2J a screen wipe", hint="one\thint"))
    assert capsys.readouterr().err == "error: two lines and [2J a screen wipe\n  hint: one hint\n"


def test_stray_words_stay_out_of_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(json=True)
    with output.guarded():
        sys.stdout.write("a library greets\n")
        output.finish({"ok": True, "code": 0}, Console.clear)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"ok": True, "code": 0}
    assert printed.err == "a library greets\n"


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (10**15, "0.001 coin"),
        (10**18, "1 coin"),
        (1234 * 10**18 + 5 * 10**17, "1,234.5 coin"),
        (10**12, "0.000001 coin"),
        (10**15 + 1, "1,000,000,000,000,001 wei"),
        (0, "0 coin"),
    ],
)
def test_amounts(wei: int, text: str) -> None:
    assert coin(wei) == text
