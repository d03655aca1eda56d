"""What a command prints: one JSON object, or tables for people; progress and errors on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from io import StringIO
from types import ModuleType
from typing import Any, TextIO

import typer

from clicooper.errors import CliCooperError
from clicooper.plain_text import plain
from clicooper.urls import hide_paths

__all__ = ["Output", "Show", "finish", "output_of"]

Show = Callable[[str, int, int], None]
Render = Callable[[Any], None]
"""Draws a result on a rich console."""


@dataclass(frozen=True)
class Output:
    """How to print.

    Attributes:
        json: print exactly one JSON object on stdout and nothing else there.
        quiet: no progress on stderr.
        color: False also where ``NO_COLOR`` is set.
        stdout: where results go; the process's stdout at the time of construction.
    """

    json: bool = False
    quiet: bool = False
    color: bool = True
    stdout: TextIO = field(default_factory=lambda: sys.stdout, repr=False)

    def console(self, *, stderr: bool = False) -> Any:
        """A rich console on stdout or stderr."""
        terminal = _terminal()
        no_color = not self.color or bool(os.environ.get("NO_COLOR"))
        return terminal.open_console(sys.stderr if stderr else self.stdout, no_color=no_color, soft_wrap=stderr)

    def finish(self, result: Mapping[str, Any], render: Render) -> None:
        """Prints a command's result: the object as JSON, or what ``render`` draws."""
        if self.json:
            self._write(result)
        else:
            render(self.console())

    def fail(self, error: CliCooperError) -> None:
        """Prints an error: one line and its hint on stderr, and with ``--json`` the object on stdout."""
        if self.json:
            body = {"type": type(error).__name__, "message": hide_paths(error.message), "hint": error.hint}
            self._write({"ok": False, "code": error.exit_code, "error": body})
        console = self.console(stderr=True)
        console.print("error:", style="bold red", end=" ")
        console.print(_one_line(hide_paths(error.message)))
        if error.hint:
            console.print(f"  hint: {_one_line(error.hint)}")

    @contextmanager
    def guarded(self, asks_for_help: bool = False) -> Iterator[None]:
        """With ``--json``, keeps stdout free of everything but the object.

        Args:
            asks_for_help: what is printed meanwhile becomes the object's ``help``; otherwise it goes to stderr.
        """
        if not self.json:
            yield
            return
        text = StringIO()
        with redirect_stdout(text if asks_for_help else sys.stderr):
            yield
        if asks_for_help:
            self._write({"ok": True, "code": 0, "help": text.getvalue()})

    @contextmanager
    def progress(self) -> Iterator[Show]:
        """Live progress on stderr, one line a stage where stderr is no terminal.

        Yields the callback ``(what, done, total)``; a total of 0 means that the total is unknown.
        """
        if self.quiet:
            yield lambda _what, _done, _total: None
            return
        with _terminal().show_progress(self.console(stderr=True)) as show:
            yield show

    def _write(self, result: Mapping[str, Any]) -> None:
        """Prints the object, whole or not at all. All but printable ASCII is escaped, and so changes no terminal."""
        text = json.dumps(result, indent=2, allow_nan=False).replace("\x7f", "\\u007f")
        self.stdout.write(text + "\n")


def _terminal() -> ModuleType:
    """The one late import besides the commands: --help draws nothing, and rich would double its time."""
    return import_module("clicooper.reports.terminal")


def output_of(context: typer.Context) -> Output:
    """How the command that runs prints."""
    output: Output = context.obj["output"]
    return output


def finish(
    context: typer.Context, result: Mapping[str, Any], render: Render | str | Sequence[str], code: int = 0
) -> int:
    """Prints a command's result and returns its exit code, which heads the JSON object.

    Args:
        render: draws the result for people, or is the line or lines that they read.
    """
    output_of(context).finish(
        {"ok": code == 0, "code": code, **result}, render if callable(render) else _lines_of(render)
    )
    return code


def _lines_of(text: str | Sequence[str]) -> Render:
    def draw(console: Any) -> None:
        for line in (text,) if isinstance(text, str) else text:
            console.print(line, soft_wrap=True)

    return draw


def _one_line(text: str) -> str:
    """The text with single spaces: a file name or a library's message may hold anything."""
    return " ".join(plain(text).split())
