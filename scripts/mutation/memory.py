"""What is known about mutants: outcomes of earlier runs, and explanations of those that survive."""

import hashlib
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
    """Outcomes by mutant, one JSON line each. Each counts while the source that it changes stays the same."""

    def __init__(self, place: Path, root: Path, fresh: bool) -> None:
        self._place = place
        self._root = root
        self._outcomes: dict[tuple[str, int, int, str, str], Outcome] = {}
        if fresh or not place.exists():
            place.write_text("")
        for entry in map(json.loads, place.read_text().splitlines()):
            key = entry["path"], entry["start"], entry["end"], entry["new"]
            self._outcomes[*key, entry["source"]] = Outcome(entry["outcome"])

    def of(self, mutant: Mutant) -> Outcome:
        """What became of it in the latest run that tried it."""
        return self._outcomes.get((*mutant.key, self._digest(mutant)), Outcome.UNTRIED)

    def note(self, mutant: Mutant, outcome: Outcome) -> None:
        """Keeps one outcome, at once."""
        source = self._digest(mutant)
        self._outcomes[*mutant.key, source] = outcome
        with self._place.open("a") as file:
            file.write(json.dumps({**asdict(mutant), "source": source, "outcome": outcome}) + "\n")

    def _digest(self, mutant: Mutant) -> str:
        return hashlib.sha256((self._root / mutant.path).read_bytes()).hexdigest()
