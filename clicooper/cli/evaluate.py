"""The group ``clicooper evaluate``: attacks on privacy and on marks, run by the parties themselves."""

from __future__ import annotations

import typer

from clicooper.cli import evaluate_all, evaluate_marks, evaluate_privacy

__all__ = ["app"]

app = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    help="Attack what a job publishes, before and after you trust it.",
    short_help="Attack what a job publishes.",
)
app.command("privacy", short_help="Attack a release; find the epsilon that is worth it.")(evaluate_privacy.privacy)
app.command("marks", short_help="Remove or forge watermarks.")(evaluate_marks.marks)
app.command("all", short_help="Both, in one page and one JSON object.")(evaluate_all.everything)
