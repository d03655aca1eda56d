"""``clicooper config``: what is configured, and where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from clicooper.cli.output import Output
from clicooper.reports.tables import table

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.config import Setting

__all__ = ["app"]

app = typer.Typer(help="Look at the configuration.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Look at the configuration."""


@app.command("show")
def show(context: typer.Context) -> int:
    """Shows every key, its value and its source: option, CLICOOPER_ variable, clicooper.toml or default.

    Of an address only host and port are shown, because the rest may hold an API key.
    """
    from clicooper.config import explain_config  # noqa: PLC0415 - keeps --help fast

    output: Output = context.obj["output"]
    settings = explain_config(**context.obj["settings"])
    rows = [{"key": one.name, "value": _shown(one.value), "source": one.source} for one in settings]
    output.finish({"ok": True, "code": 0, "settings": rows}, lambda console: _print(console, settings))
    return 0


def _shown(value: object) -> object:
    """A value as JSON has it, its addresses without credentials."""
    from clicooper.config import public_url  # noqa: PLC0415

    if isinstance(value, Mapping):
        return {name: _shown(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, str) or "://" not in value:
        return value
    prefix = "ipfs:" if value.startswith("ipfs:") else ""
    return prefix + public_url(value.removeprefix(prefix))


def _print(console: Console, settings: tuple[Setting, ...]) -> None:
    rows = table("Configuration", "key", "value", "source")
    for one in settings:
        value = _shown(one.value)
        rows.add_row(one.name, "" if value is None or value in ([], {}) else str(value), one.source)
    console.print(rows)
