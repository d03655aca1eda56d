"""``clicooper evaluate all``: privacy and marks in one go, one JSON object and one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli.output import Output

if TYPE_CHECKING:
    from clicooper.attacks.privacy.frontier import Point

__all__ = ["everything", "join", "render_evaluation"]

EPSILONS = (1.0, 2.0, 4.0, 8.0)
SHAPES = tuple((gamma, group) for gamma in (4, 16, 64) for group in (1, 4))
"""The grid that ``evaluate privacy`` has by default."""


def everything(
    context: typer.Context,
    data: Annotated[
        str | None, typer.Option("--data", help="digits, an .npz file, CIFAR binary files, or an image folder.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=1000, help="Repetitions, all drawn anew.")] = 3,
    report: Annotated[Path | None, typer.Option("--report", help="Also write everything as one HTML file.")] = None,
) -> int:
    """Attacks a release before it is made, then the marks of finished jobs, all with their defaults.

    Takes long; what is finished is kept under --home, and another call goes on where this one stopped.
    """
    from clicooper.cli.evaluate_marks import evaluate_marks  # noqa: PLC0415 - imports torch
    from clicooper.cli.evaluate_privacy import evaluate_grids, make_grid  # noqa: PLC0415
    from clicooper.config import load_config  # noqa: PLC0415
    from clicooper.reports.marks_result import print_marks  # noqa: PLC0415
    from clicooper.reports.privacy_tables import print_privacy  # noqa: PLC0415

    output: Output = context.obj["output"]
    config = load_config(**context.obj["settings"], data=data)
    with output.progress() as progress:
        privacy, points = evaluate_grids(
            config, [make_grid(config, config.data, seeds, EPSILONS, SHAPES, hiding=True)], progress
        )
        marks = evaluate_marks(config, seeds, progress)
    if report is not None:
        from clicooper.reports.page import write_page  # noqa: PLC0415 - matplotlib is slow to import

        write_page(report, render_evaluation(privacy, points, marks))
    result = join(privacy, marks)

    def show(console: Any) -> None:
        print_privacy(console, privacy, points, None)
        print_marks(console, marks)

    output.finish(result, show)
    return int(result["code"])


def join(privacy: dict[str, Any], marks: dict[str, Any]) -> dict[str, Any]:
    """One result object of both; every row and claim says of which part it is."""
    parts = (("privacy", privacy), ("marks", marks))
    return {
        **privacy,
        "ok": privacy["ok"] and marks["ok"],
        "code": max(privacy["code"], marks["code"]),
        "rows": [{"part": name, **row} for name, part in parts for row in part["rows"]],
        "claims": [{"part": name, **claim} for name, part in parts for claim in part["claims"]],
        "open_weaknesses": marks["open_weaknesses"],
    }


def render_evaluation(privacy: dict[str, Any], points: tuple[Point, ...], marks: dict[str, Any]) -> str:
    """Both reports as one HTML document; equal input gives equal text."""
    from clicooper.reports.marks_page import marks_page  # noqa: PLC0415
    from clicooper.reports.page import render_main, render_page  # noqa: PLC0415 - matplotlib is slow to import
    from clicooper.reports.privacy_page import privacy_page  # noqa: PLC0415

    sections = [
        ("privacy", "What a release gives away", render_main("privacy.html.j2", **privacy_page(privacy, points))),
        ("marks", "What it takes to remove or forge marks", render_main("marks.html.j2", **marks_page(marks))),
    ]
    return render_page("evaluation.html.j2", sections=sections, warning=privacy["warning"])
