"""What draws on a terminal: consoles and live progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment

from clicooper.plain_text import plain

__all__ = ["open_console", "show_progress"]

Show = Callable[[str, int, int], None]


class _PlainConsole(Console):
    """A console that shows the text of other people as text: no markup, no escape sequence, no line of its own.

    Colours are for objects of rich, such as ``Text``, which no text turns into.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich prints; every string is one line."""
        super().print(*(plain(one) if isinstance(one, str) else one for one in objects), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As rich renders; whatever it was given, each line is plain."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n":
                yield segment
            else:
                lines = segment.text.split("\n")
                yield segment._replace(text="\n".join(plain(line, len(line)) for line in lines))


def open_console(stream: TextIO, *, no_color: bool, soft_wrap: bool) -> Console:
    """A console that writes to ``stream``."""
    return _PlainConsole(
        file=stream, no_color=no_color, highlight=False, markup=False, emoji=False, soft_wrap=soft_wrap
    )


@contextmanager
def show_progress(console: Console) -> Iterator[Show]:
    """A progress bar, or one line a stage where the console is no terminal.

    Yields the callback ``(what, done, total)``; a total of 0 means that the total is unknown.
    """
    if not console.is_terminal:
        yield _line_per_stage(console)
        return
    columns = (
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(bar_width=28),
        TextColumn("{task.fields[count]:>9}", markup=False),
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
            console.print(what)
            shown = what

    return show
