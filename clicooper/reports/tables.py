"""What every table in the terminal shares: the house style, and how amounts are written."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

__all__ = ["amount", "coin", "print_lines", "table"]

MILLIONTH_COIN_WEI = 10**12


def table(title: str, *columns: str, numeric: tuple[str, ...] = (), rows: Iterable[Iterable[str | None]] = ()) -> Table:
    """A table in the house style; rows may hold markup."""
    result = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1)
    )
    for column in columns:
        result.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        result.add_row(*row)
    return result


def print_lines(console: Console, *lines: str) -> None:
    """Prints text as it is: no markup, no wrapping, so that it can be copied."""
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


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
