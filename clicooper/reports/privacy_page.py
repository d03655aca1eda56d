"""The HTML report of ``clicooper evaluate privacy``: frontier, claims, recommendation, and every attack by itself."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from clicooper.attacks.privacy.catalogue import CATALOGUE
from clicooper.attacks.privacy.frontier import Point
from clicooper.reports.page import render_page
from clicooper.reports.privacy_plots import CHARTS, draw_frontier
from clicooper.reports.privacy_tables import FRONTIER, frontier_cells

__all__ = ["privacy_page", "render_privacy_report"]


def render_privacy_report(result: dict[str, Any], points: tuple[Point, ...]) -> str:
    """The report as an HTML document; equal input gives equal text."""
    return render_page("privacy.html.j2", **privacy_page(result, points))


def privacy_page(result: dict[str, Any], points: tuple[Point, ...]) -> dict[str, object]:
    """What the template ``privacy.html.j2`` names."""
    by_source: dict[str, list[Point]] = {}
    for point in points:
        by_source.setdefault(point.title, []).append(point)
    return {
        "result": result,
        "catalogue": CATALOGUE,
        "headings": [words for _, words in FRONTIER],
        "sources": [
            {
                "name": source,
                "lines": found["lines"],
                "points": [(point, frontier_cells(point)) for point in measured],
                "plots": _plots(measured),
            }
            for (source, measured), found in zip(by_source.items(), result["recommendations"], strict=True)
        ],
    }


def _plots(points: list[Point]) -> list[tuple[str, Markup]]:
    """Captions and plots of one data set; a figure that its records do not have is left out."""
    return [
        (caption, draw_frontier(name, caption, controls, points))
        for name, caption, controls in CHARTS
        if any(point.has(name) for point in points)
    ]
