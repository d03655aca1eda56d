#!/usr/bin/env python3
"""Fails unless every line, branch and function of ``contracts/`` was reached, as an lcov report tells it.

Usage: ``coverage_gate.py LCOV_FILE``. Prints one row a contract file and the places that no test reached.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"DA": "line", "BRDA": "branch", "FNDA": "function"}


@dataclass(frozen=True)
class Point:
    """Something of a source file that a test can reach: a line, one side of a branch, a function."""

    source: str
    kind: str
    place: str
    reached: bool


def points(report: str) -> list[Point]:
    """Every point of an lcov report; ``DA:line,hits``, ``BRDA:line,block,branch,hits``, ``FNDA:hits,name``."""
    found: list[Point] = []
    source = ""
    for line in report.splitlines():
        tag, _, rest = line.partition(":")
        if tag == "SF":
            source = rest
        elif tag in KINDS:
            first, last = rest.split(",")[0], rest.split(",")[-1]
            place, hits = (last, first) if tag == "FNDA" else (first, last)
            found.append(Point(source, KINDS[tag], place, hits not in {"0", "-"}))
    return found


def complaints(found: list[Point], sources: list[str]) -> list[str]:
    """What was not reached, and which of the sources with code the report does not know."""
    unknown = sorted(set(sources) - {point.source for point in found})
    missed = [point for point in found if point.source.startswith("contracts/") and not point.reached]
    return [f"{source}: not in the report" for source in unknown] + [
        f"{point.source}: {point.kind} {point.place} was not reached" for point in missed
    ]


def sources_with_code(root: Path) -> list[str]:
    """The contract sources that define functions with a body: neither interfaces nor types."""
    folder = root / "contracts"
    kept = [path for path in sorted(folder.rglob("*.sol")) if path.parent.name not in {"interfaces", "types"}]
    return [path.relative_to(root).as_posix() for path in kept]


def rows(found: list[Point], sources: list[str]) -> list[str]:
    """A line of text for each source: how many of its points of each kind were reached."""
    lines = []
    for source in sources:
        own = [point for point in found if point.source == source]
        cells = []
        for kind in KINDS.values():
            reached = [point.reached for point in own if point.kind == kind]
            cells.append(f"{kind} {sum(reached)}/{len(reached)}")
        lines.append(f"{source:40}" + "".join(f"{cell:<18}" for cell in cells).rstrip())
    return lines


def main() -> None:
    """Reads the report named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: coverage_gate.py LCOV_FILE")
    found, sources = points(Path(sys.argv[1]).read_text()), sources_with_code(ROOT)
    print("\n".join(rows(found, sources)))
    if wrong := complaints(found, sources):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
