"""Why mutants survive, as written down by hand. Judges no mutant."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from mutation.mutant import Mutant

__all__ = ["Explanation", "explain", "read_explanations"]


@dataclass(frozen=True)
class Explanation:
    """Why mutants of one kind survive: `change` is found in "PATH: LINES BEFORE => LINES AFTER"."""

    change: re.Pattern[str]
    why: str
    equivalent: bool


def read_explanations(place: Path) -> list[Explanation]:
    """All explanations of a TOML file, in its order."""
    entries = tomllib.loads(place.read_text())["survivor"]
    return [Explanation(re.compile(e["change"]), e["why"], e["equivalent"]) for e in entries]


def explain(mutant: Mutant, source: bytes, explanations: list[Explanation]) -> Explanation | None:
    """The first explanation that fits; None if there is none."""
    before, after = mutant.lines(source)
    return next((e for e in explanations if e.change.search(f"{mutant.path}: {before} => {after}")), None)
