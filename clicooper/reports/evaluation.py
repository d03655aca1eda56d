"""What ``clicooper evaluate all`` shows: the results on privacy and on marks as one object and one page."""

from __future__ import annotations

from typing import Any

from clicooper.attacks.privacy.frontier import Point
from clicooper.reports.marks_page import marks_page
from clicooper.reports.page import render_main, render_page
from clicooper.reports.privacy_page import privacy_page

__all__ = ["join", "render_evaluation"]


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
    sections = [
        ("privacy", "What a release gives away", render_main("privacy.html.j2", **privacy_page(privacy, points))),
        ("marks", "What it takes to remove or forge marks", render_main("marks.html.j2", **marks_page(marks))),
    ]
    return render_page("evaluation.html.j2", sections=sections, warning=privacy["warning"])
