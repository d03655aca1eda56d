"""The HTML report of ``clicooper evaluate privacy``: frontier, claims, recommendation, and every attack by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clicooper.reports.page import render_page, write_page
from clicooper.reports.privacy_plots import CHARTS, draw_frontier
from clicooper.reports.privacy_tables import FRONTIER, frontier_cells

if TYPE_CHECKING:
    from clicooper.attacks.privacy.frontier import Point

__all__ = ["privacy_page", "render_privacy_report", "write_privacy_report"]


def write_privacy_report(path: Path, result: dict[str, Any], points: tuple[Point, ...]) -> None:
    """Writes the report as one self-contained HTML file, whole or not at all.

    Raises:
        RunFolderError: the path cannot be written.
    """
    write_page(path, render_privacy_report(result, points))


def render_privacy_report(result: dict[str, Any], points: tuple[Point, ...]) -> str:
    """The report as an HTML document; equal input gives equal text."""
    return render_page("privacy.html.j2", **privacy_page(result, points))


def privacy_page(result: dict[str, Any], points: tuple[Point, ...]) -> dict[str, object]:
    """What the template ``privacy.html.j2`` names."""
    from clicooper.attacks.privacy.catalogue import CATALOGUE  # noqa: PLC0415 - attacks load torch

    sources = list(dict.fromkeys(point.title for point in points))
    by_source = {source: [point for point in points if point.title == source] for source in sources}
    return {
        "result": result,
        "catalogue": CATALOGUE,
        "headings": [words for _, words in FRONTIER],
        "sources": [
            {
                "name": source,
                "number": number,
                "lines": found["lines"],
                "points": [(point, frontier_cells(point)) for point in by_source[source]],
                "plots": _plots(by_source[source]),
            }
            for number, (source, found) in enumerate(zip(sources, result["recommendations"], strict=True))
        ],
    }


def _plots(points: list[Point]) -> list[tuple[str, Any]]:
    """Captions and plots of one data set; a figure that its records do not have is left out."""
    return [
        (caption, draw_frontier(name, caption, controls, points))
        for name, caption, controls in CHARTS
        if any(point.has(name) for point in points)
    ]
