"""What every table in the terminal shares: the house style, and how amounts are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["coin", "table"]

MILLIONTH_COIN_WEI = 10**12


def table(title: str, *columns: str, numeric: tuple[str, ...] = ()) -> Table:
    """An empty table in the house style."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    result = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1)
    )
    for column in columns:
        result.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    return result


def coin(wei: int) -> str:
    """An amount in the chain's own coin, of 10^18 wei: ``0.001 coin``; in wei where more than six decimals are needed.

    The coin has a name on some chains only, so none is used.
    """
    whole, rest = divmod(wei, 10**18)
    if rest % MILLIONTH_COIN_WEI:
        return f"{wei:,} wei"
    return f"{whole:,}.{rest // MILLIONTH_COIN_WEI:06d}".rstrip("0").rstrip(".") + " coin"
