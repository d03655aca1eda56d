"""What draws on a terminal: consoles and live progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["open_console", "show_progress"]

Show = Callable[[str, int, int], None]


def open_console(stream: TextIO, *, plain: bool, soft_wrap: bool) -> Console:
    """A console that writes to ``stream``; ``plain`` ones have no colours."""
    return Console(file=stream, no_color=plain, highlight=False, soft_wrap=soft_wrap)


@contextmanager
def show_progress(console: Console) -> Iterator[Show]:
    """A progress bar, or one line a stage where the console is no terminal.

    Yields the callback ``(what, done, total)``; a total of 0 means that the total is unknown.
    """
    if not console.is_terminal:
        yield _line_per_stage(console)
        return
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


def _line_per_stage(console: Console) -> Show:
    shown = ""

    def show(what: str, _done: int, _total: int) -> None:
        nonlocal shown
        if what != shown:
            console.print(what, markup=False)
            shown = what

    return show
