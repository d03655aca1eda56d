"""What a command prints: one JSON object, or tables for people; progress and errors on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

from clicooper.errors import CliCooperError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Output"]

Show = Callable[[str, int, int], None]


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

    def console(self, *, stderr: bool = False) -> Console:
        """A rich console on stdout or stderr."""
        from rich.console import Console  # noqa: PLC0415 - keeps --help fast

        plain = not self.color or bool(os.environ.get("NO_COLOR"))
        stream = sys.stderr if stderr else self.stdout
        return Console(file=stream, no_color=plain, highlight=False, soft_wrap=stderr)

    def finish(self, result: Mapping[str, Any], render: Callable[[Console], None]) -> None:
        """Prints a command's result: the object as JSON, or what ``render`` draws."""
        if self.json:
            self._write(result)
        else:
            render(self.console())

    def fail(self, error: CliCooperError) -> None:
        """Prints an error: one line and its hint on stderr, and with ``--json`` the object on stdout."""
        if self.json:
            body = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
            self._write({"ok": False, "code": error.exit_code, "error": body})
        console = self.console(stderr=True)
        console.print("[bold red]error:[/] ", end="")
        console.print(_one_line(error.message), markup=False)
        if error.hint:
            console.print(f"  hint: {_one_line(error.hint)}", markup=False)

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
        console = self.console(stderr=True)
        if not console.is_terminal:
            yield _line_per_stage(console)
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn  # noqa: PLC0415

        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[count]:>9}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("starting", total=None, count="")

            def show(what: str, done: int, total: int) -> None:
                count = f"{done}/{total}" if total > 1 else ""
                bar.update(task, description=what, completed=done, total=total if total > 1 else None, count=count)

            yield show

    def _write(self, result: Mapping[str, Any]) -> None:
        """Prints the object, whole or not at all."""
        self.stdout.write(json.dumps(result, indent=2, allow_nan=False) + "\n")


def _line_per_stage(console: Console) -> Show:
    shown = ""

    def show(what: str, _done: int, _total: int) -> None:
        nonlocal shown
        if what != shown:
            console.print(what, markup=False)
            shown = what

    return show


def _one_line(text: str) -> str:
    """The text without line breaks and control characters, which a file name or a library's message may hold."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
