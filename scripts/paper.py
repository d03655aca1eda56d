"""Prints the paper's claims beside what is measured here, and writes the figures that docs/privacy.md quotes.

    make paper                      the table: digits and digit pairs, three seeds
    make paper ARGS=--frontier      also the frontier on digits, an owner with few labelled records, and randomised
                                    labels: much longer
    make paper ARGS='--frontier --write'    and puts all of it into docs/privacy.md

Finished cells are kept in the home folder, so that a second run prints what the first one measured.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clicooper.attacks.frontier import Point
from clicooper.cli.evaluate_privacy import evaluate_grids, make_grid
from clicooper.cli.evaluate_view import LEAKS, WORTH, frontier_cells
from clicooper.config import JobConfig, load_config

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "privacy.md"
SEEDS = 3
PAPER = {"digits": ((4, 4), (64, 1)), "pairs": ((1, 5), (5, 1))}
"""Gamma and group size: what is easy to learn from, and what hides most, at the paper's epsilon."""

FEW_RECORDS = 40
"""Records of a head that is worth little by itself, so that training has something to add."""

FRONTIER = ((4, 4), (16, 1), (64, 1))

NOISY_LABELS = (None, 4.0, 2.0)
"""Label epsilons, at epsilon 4 of the input; the first row is what they are to be compared with."""
NOISY_SHAPES = ((4, 4), (16, 4), (4, 1), (16, 1))
NAMED = ("labels.named", "labels named")


def claims_table(result: dict[str, Any]) -> str:
    """The claims as Markdown."""
    lines = ["| claim | published | here | honest reading |", "|---|---|---|---|"]
    keys = ("claim", "published", "here", "honest_reading")
    lines += ["| " + " | ".join(claim[key] for key in keys) + " |" for claim in result["claims"]]
    return "\n".join(lines)


def frontier_table(points: Sequence[Point], columns: tuple[tuple[str, str], ...]) -> str:
    """Points and some of their figures as Markdown."""
    headings = ["ε", "γ", "b", *(words for _, words in columns)]
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for point in points:
        setting = [f"{point.epsilon:g}", str(point.gamma), str(point.group)]
        lines.append("| " + " | ".join(setting + frontier_cells(point, columns)) + " |")
    return "\n".join(lines)


def noisy_labels_table(points: Sequence[Point], columns: tuple[tuple[str, str], ...]) -> str:
    """Points of one epsilon by what their labels cost, as Markdown."""
    headings = ["label ε", "γ", "b", *(words for _, words in columns)]
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for point in points:
        cost = "–" if point.label_epsilon is None else f"{point.label_epsilon:g}"
        lines.append(
            "| " + " | ".join([cost, str(point.gamma), str(point.group), *frontier_cells(point, columns)]) + " |"
        )
    return "\n".join(lines)


def advice(result: dict[str, Any]) -> str:
    """What follows, as Markdown."""
    found = result["recommendations"]
    return "\n".join(f"- {entry['data']}: {line}" for entry in found for line in entry["lines"])


def write_section(name: str, text: str) -> None:
    """Replaces what stands between the section's markers in the document."""
    document = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {name} -->\n)(?:.*?\n)??(<!-- /{name} -->)", flags=re.DOTALL)
    if not pattern.search(document):
        raise SystemExit(f"{DOCUMENT.name} has no section {name}")
    DOCUMENT.write_text(pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", document), encoding="utf-8")


def show(what: str, done: int, total: int) -> None:
    """Progress, one line a cell."""
    print(f"{done}/{total} {what}", file=sys.stderr, flush=True)


def paper(config: JobConfig) -> dict[str, str]:
    """The sections of the table."""
    grids = [
        make_grid(config, source, SEEDS, (2.0,), shapes, hiding=source == "digits") for source, shapes in PAPER.items()
    ]
    result, points = evaluate_grids(config, grids, show)
    columns = WORTH + LEAKS
    by_source = [
        f"{source}:\n\n{frontier_table([point for point in points if point.source == source], columns)}"
        for source in PAPER
    ]
    return {"paper": claims_table(result), "paper-figures": "\n\n".join(by_source)}


def frontier(config: JobConfig) -> dict[str, str]:
    """The sections of the frontier."""
    grid = make_grid(config, "digits", SEEDS, (1.0, 2.0, 4.0, 8.0), FRONTIER, hiding=True)
    result, points = evaluate_grids(config, [grid], show)
    tables = f"{frontier_table(points, WORTH)}\n\n{frontier_table(points, LEAKS)}"
    return {"frontier": tables, "advice": advice(result)}


def few_records(config: JobConfig) -> dict[str, str]:
    """The section of an owner that has labelled few records: is training worth it there, and is its map hidden?"""
    poor = config.model_copy(update={"head_records": FEW_RECORDS})
    grid = make_grid(poor, "digits", SEEDS, (2.0,), ((4, 16),), hiding=True)
    result, points = evaluate_grids(poor, [grid], show)
    return {"few-records": f"{frontier_table(points, WORTH + LEAKS)}\n\n{advice(result)}"}


def noisy_labels(config: JobConfig) -> dict[str, str]:
    """The section of labels that went through randomised response: what it costs, and what it hides."""
    measured: list[Point] = []
    for label_epsilon in NOISY_LABELS:
        noisy = config.model_copy(update={"label_epsilon": label_epsilon})
        grid = make_grid(noisy, "digits", SEEDS, (4.0,), NOISY_SHAPES, hiding=False)
        measured += evaluate_grids(noisy, [grid], show)[1]
    return {"noisy-labels": noisy_labels_table(measured, (*WORTH[:3], *LEAKS[:2], NAMED))}


def main() -> None:
    """Measures what is missing, prints it, and writes it where it was asked for."""
    config = load_config()
    parts = [paper, frontier, few_records, noisy_labels] if "--frontier" in sys.argv else [paper]
    for measure in parts:
        for name, text in measure(config).items():
            print(f"\n{text}", flush=True)
            if "--write" in sys.argv:
                write_section(name, text)


if __name__ == "__main__":
    main()
