"""The tables that ``clicooper evaluate privacy`` prints for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding

from clicooper.attacks.privacy.catalogue import CATALOGUE
from clicooper.attacks.privacy.frontier import Point, Row
from clicooper.reports.tables import table

__all__ = ["FRONTIER", "frontier_cells", "print_privacy"]

MAX_DETAILS = 2
"""Settings up to which the terminal shows every attack."""

WORTH = (
    ("accuracy.protected", "trained"),
    ("accuracy.release_only", "release only"),
    ("accuracy.head_only", "head only"),
    ("accuracy.unprotected", "unprotected"),
)
LEAKS = (
    ("grouping.oracle", "oracle ARI"),
    ("grouping.oracle.named", "named"),
    ("inversion.network", "inversion"),
    ("membership.release", "member AUC"),
    ("extraction.ten_shot", "extracted"),
)
FRONTIER = WORTH + LEAKS
"""Columns of the frontier: figure and heading; what a setting is worth, and what it leaks."""


def print_privacy(console: Console, result: dict[str, Any], points: tuple[Point, ...], report: Path | None) -> None:
    """Frontier, claims and recommendation; the figures of single attacks where there are few settings."""
    over = f"mean of {result['seeds']} seeds ± standard error" if result["seeds"] > 1 else "one seed"
    if points[0].label_epsilon is not None:
        over += f", label eps {points[0].label_epsilon:g}"
    _print_frontier(console, f"Accuracy, {over}", WORTH, points)
    _print_frontier(console, f"Attacks, {over}", LEAKS, points)
    if len(points) <= MAX_DETAILS:
        for point in points:
            _print_attacks(console, point)
    _print_claims(console, result["claims"])
    for found in result["recommendations"]:
        console.print(f"What follows for {found['title']}", style="bold", markup=False)
        for line in found["lines"]:
            console.print(f"- {line}", markup=False)
        console.print()
    for words in result["impossible"]:
        console.print(f"left out: {words}", markup=False)
    console.print(result["warning"], markup=False)
    console.print()
    console.print(f"{result['seconds']:.0f} s")
    console.print(
        f"Report: {report}" if report else "Every attack by itself: --report FILE.html, or --json", markup=False
    )


def frontier_cells(point: Point, columns: tuple[tuple[str, str], ...] = FRONTIER) -> list[str]:
    """The frontier's figures of one setting, with standard errors; empty where its records do not have one."""
    return [_with_error(point.row(name)) if point.has(name) else "" for name, _ in columns]


def _print_frontier(
    console: Console, title: str, columns: tuple[tuple[str, str], ...], points: tuple[Point, ...]
) -> None:
    headings = ("eps", "gamma", "b", *(words for _, words in columns))
    rows = [(point.title, f"{point.epsilon:g}", *point.shape, *frontier_cells(point, columns)) for point in points]
    console.print(table(title, "data", *headings, numeric=headings, rows=rows))


def _print_attacks(console: Console, point: Point) -> None:
    rows = table(point.words, "figure", "value", "floor", "control", numeric=("value", "floor", "control"))
    for row in point.rows:
        control = "" if row.control is None else f"{row.control:.3f}"
        rows.add_row(CATALOGUE[row.name].words, _with_error(row), f"{row.floor:.3f}", control)
    console.print(rows)


def _print_claims(console: Console, claims: list[dict[str, str]]) -> None:
    console.print("The paper's claims", style="bold")
    for claim in claims:
        console.print()
        console.print(claim["claim"], markup=False)
        for heading, key in (("published", "published"), ("here", "here"), ("honestly", "honest_reading")):
            console.print(Padding(f"{heading}: {claim[key]}", (0, 0, 0, 2)))
    console.print()


def _with_error(row: Row) -> str:
    return f"{row.value:.3f}" + (f"±{row.error:.3f}" if row.seeds > 1 else "")
