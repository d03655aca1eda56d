"""What is known about mutants: outcomes of earlier runs, and explanations of those that survive."""

import json
import re
import tomllib
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from mutation.operators import Mutant

__all__ = ["Explanation", "Memory", "Outcome", "explain", "read_explanations"]


class Outcome(StrEnum):
    """What became of a mutant; the last four are no test's merit or fault and count neither way."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"  # by an explanation
    SAME_CODE = "same code"  # the compiler makes nothing of the change
    TWIN = "twin"  # another mutant has the same code
    INVALID = "invalid"  # does not compile
    UNTRIED = "untried"


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


class Memory:
    """Outcomes by mutant, one JSON line each, kept while the contracts (by `digest`) stay the same."""

    def __init__(self, place: Path, digest: str, fresh: bool) -> None:
        self._place = place
        self._outcomes: dict[tuple[str, int, int, str], Outcome] = {}
        lines = place.read_text().splitlines() if place.exists() and not fresh else []
        if lines and json.loads(lines[0]) == {"contracts": digest}:
            for entry in map(json.loads, lines[1:]):
                key = entry["path"], entry["start"], entry["end"], entry["new"]
                self._outcomes[key] = Outcome(entry["outcome"])
        else:
            place.write_text(json.dumps({"contracts": digest}) + "\n")

    def of(self, mutant: Mutant) -> Outcome:
        """What became of it in the latest run that tried it."""
        return self._outcomes.get(mutant.key, Outcome.UNTRIED)

    def note(self, mutant: Mutant, outcome: Outcome) -> None:
        """Keeps one outcome, at once."""
        self._outcomes[mutant.key] = outcome
        with self._place.open("a") as file:
            file.write(json.dumps({**asdict(mutant), "outcome": outcome}) + "\n")
