"""What every table in the terminal shares: the house style, and how amounts are written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from clicooper.plain_text import plain

__all__ = ["amount", "coin", "print_lines", "table"]

MILLIONTH_COIN_WEI = 10**12


class _PlainTable(Table):
    """A table whose cells cannot begin a line of their own."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """As rich adds it; strings are taken as they are, without markup."""
        super().add_row(*(Text(plain(cell)) if isinstance(cell, str) else cell for cell in cells), **options)


def table(
    title: str, *columns: str, numeric: tuple[str, ...] = (), rows: Iterable[Iterable[RenderableType | None]] = ()
) -> Table:
    """A table in the house style. Every string is shown as one plain line; colours are for ``Text``."""
    result = _PlainTable(
        title=Text(plain(title)),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0, 0, 1),
    )
    for column in columns:
        result.add_column(Text(plain(column)), justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        result.add_row(*row)
    return result


def print_lines(console: Console, *lines: str) -> None:
    """Prints text as it is: no markup, no wrapping, so that it can be copied."""
    for line in lines:
        console.print(Text(plain(line)), soft_wrap=True)


def coin(wei: int) -> str:
    """An amount in the chain's own coin, of 10^18 wei: ``0.001 coin``; in wei where more than six decimals are needed.

    The coin has a name on some chains only, so none is used.
    """
    whole, rest = divmod(wei, 10**18)
    if rest % MILLIONTH_COIN_WEI:
        return f"{wei:,} wei"
    return f"{whole:,}.{rest // MILLIONTH_COIN_WEI:06d}".rstrip("0").rstrip(".") + " coin"


def amount(units: int, token: str) -> str:
    """An amount in the coin, or in the smallest units of a job's token, whose decimals are its own affair."""
    return coin(units) if int(token, 16) == 0 else f"{units:,} units of {token}"
