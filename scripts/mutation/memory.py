"""Outcomes of mutants across runs and machines, in a file that is committed. Tries nothing and explains nothing.

An outcome counts in later runs only while nothing changes that it depends on. That a mutant does not compile, changes
no code or has a twin depends on the contracts; that a test killed it, on the file of that test and what all tests share
as well; that it survived, or took too long, on all tests. So a new test costs one more run of the survivors, and a
weakened one sends back what it is known to have killed.
"""

import hashlib
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from mutation.mutant import Mutant

__all__ = ["Basis", "Entry", "Memory", "Outcome"]

_VECTORS = re.compile(r"tests/vectors/\w+\.json")
_KILLED_BY = "killed by "


class Outcome(StrEnum):
    """What became of a mutant; the last five are no test's merit or fault and count neither way."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"  # survived, and no test could do better: by an explanation, never in the memory
    SAME_CODE = "same code"  # the compiler makes nothing of the change
    TWIN = "twin"  # another mutant has the same code
    INVALID = "invalid"  # does not compile
    UNTRIED = "untried"


@dataclass(frozen=True)
class Entry:
    """An outcome, the digest of the mutant's code where it has code of its own, and the test file that killed it."""

    outcome: Outcome
    code: str = ""
    killer: str = ""

    @property
    def kind(self) -> str:
        """What groups it in the file."""
        return _KILLED_BY + self.killer if self.outcome == Outcome.KILLED else self.outcome.value


@dataclass(frozen=True)
class Basis:
    """Digests of all that outcomes depend on; `tests` by name of the file, `shared` what every one of them uses."""

    contracts: str
    shared: str
    tests: dict[str, str]

    @classmethod
    def of(cls, root: Path) -> "Basis":
        """As the working tree is."""
        contracts = [*sorted((root / "contracts").rglob("*.sol")), root / "package.json"]
        tests = sorted((root / "tests" / "contract").glob("*.sol"))
        shared = [p for p in tests if not p.name.endswith(".t.sol")]
        return cls(
            _digest(p.read_bytes() for p in contracts),
            _digest([*(p.read_bytes() for p in shared), _settings(root / "foundry.toml")]),
            {p.name: _digest(_with_vectors(p, root)) for p in tests if p not in shared},
        )

    def keeps(self, entry: Entry, then: "Basis") -> bool:
        """Whether an outcome found on `then` is what would be found on this."""
        if self.contracts != then.contracts:
            return False
        if entry.outcome not in (Outcome.KILLED, Outcome.SURVIVED):
            return True
        if entry.killer not in self.tests:  # it survived, or took too long, or that test is gone
            return self == then
        return self.shared == then.shared and self.tests[entry.killer] == then.tests.get(entry.killer)


class Memory:
    """Entries by mutant. Each note is written at once, so an interruption loses nothing."""

    def __init__(self, place: Path, basis: Basis, fresh: bool = False) -> None:
        self._place = place
        self._basis = basis
        self._entries: dict[str, Entry] = {} if fresh or not place.exists() else _read(place, basis)

    def of(self, mutant: Mutant) -> Entry:
        """What became of it in the latest run that tried it."""
        return self._entries.get(_key(mutant), Entry(Outcome.UNTRIED))

    def codes(self) -> set[str]:
        """Digests of the codes that were tried."""
        return {e.code for e in self._entries.values() if e.code}

    def note(self, mutant: Mutant, entry: Entry) -> None:
        """Keeps one outcome."""
        self._entries[_key(mutant)] = entry
        groups: dict[str, dict[str, str]] = defaultdict(dict)
        for key, known in sorted(self._entries.items()):
            groups[known.kind][key] = known.code
        text = json.dumps({**asdict(self._basis), "mutants": groups}, indent=0, sort_keys=True) + "\n"
        draft = self._place.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self._place)


def _read(place: Path, now: Basis) -> dict[str, Entry]:
    content = json.loads(place.read_text())
    groups: dict[str, dict[str, str]] = content.pop("mutants")
    then = Basis(**content)
    entries = {key: replace(_of_kind(kind), code=code) for kind, group in groups.items() for key, code in group.items()}
    return {key: entry for key, entry in entries.items() if now.keeps(entry, then)}


def _of_kind(kind: str) -> Entry:
    if kind.startswith(_KILLED_BY):
        return Entry(Outcome.KILLED, killer=kind.removeprefix(_KILLED_BY))
    return Entry(Outcome(kind))


def _key(mutant: Mutant) -> str:
    """Short, and unlike that of every other mutant whichever operator made it; the sources are in the basis."""
    return _digest(str(part).encode() for part in mutant.key)[:12]


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


def _settings(place: Path) -> bytes:
    profiles = tomllib.loads(place.read_text())["profile"]
    return json.dumps([profiles["default"], profiles["mutate"]], sort_keys=True).encode()


def _with_vectors(test: Path, root: Path) -> list[bytes]:
    text = test.read_bytes()
    named = sorted(set(_VECTORS.findall(text.decode())))
    return [text, *((root / name).read_bytes() for name in named)]
