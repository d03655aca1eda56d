"""``clicooper evaluate``: attacks on what a job publishes, run by the parties themselves."""

from __future__ import annotations

import typer

from clicooper.cli.evaluate_marks import marks

__all__ = ["app"]

app = typer.Typer(help="Attack what a job publishes, and see what holds.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keeps ``evaluate`` a group while it has one command."""


app.command("marks", short_help="Remove or forge watermarks.")(marks)
