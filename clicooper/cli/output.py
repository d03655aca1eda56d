"""What a command prints: one JSON object, or tables for people; progress and errors on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clicooper.errors import CliCooperError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["Output"]


@dataclass(frozen=True)
class Output:
    """How to print.

    Attributes:
        json: print exactly one JSON object on stdout and nothing else there.
        quiet: no progress on stderr.
        color: False also where ``NO_COLOR`` is set.
    """

    json: bool = False
    quiet: bool = False
    color: bool = True

    def console(self, *, stderr: bool = False) -> Console:
        """A rich console on stdout or stderr."""
        from rich.console import Console  # noqa: PLC0415 - keeps --help fast

        plain = not self.color or bool(os.environ.get("NO_COLOR"))
        return Console(stderr=stderr, no_color=plain, highlight=False, soft_wrap=stderr)

    def finish(self, result: Mapping[str, Any], render: Callable[[Console], None]) -> None:
        """Prints a command's result: the object as JSON, or what ``render`` draws."""
        if self.json:
            json.dump(result, sys.stdout, indent=2, allow_nan=False)
            sys.stdout.write("\n")
        else:
            render(self.console())

    def fail(self, error: CliCooperError) -> None:
        """Prints an error: one line and its hint on stderr, and with ``--json`` the object on stdout."""
        if self.json:
            body = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
            json.dump({"ok": False, "code": error.exit_code, "error": body}, sys.stdout, indent=2)
            sys.stdout.write("\n")
        console = self.console(stderr=True)
        console.print("[bold red]error:[/] ", end="")
        console.print(error.message, markup=False)
        if error.hint:
            console.print(f"  hint: {error.hint}", markup=False)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """A live progress line on stderr; yields the callback ``(what, done, total)``."""
        if self.quiet:
            yield _silent
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console(stderr=True), transient=True) as bar:
            task = bar.add_task("starting", total=None)
            yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _silent(what: str, done: int, total: int) -> None:
    """The progress that nobody sees."""


def table(title: str, *columns: str, numeric: tuple[str, ...] = ()) -> Table:
    """An empty table in the house style."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    result = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        result.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    return result
