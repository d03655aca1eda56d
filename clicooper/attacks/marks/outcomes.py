"""What single attacks showed, kept line by line, so that a long evaluation can be taken up again where it stopped.

One JSON object a line. A line that was cut off by an interruption is left out when the file is read, and the attack is
run again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from clicooper.attacks.marks.survival import Survival
from clicooper.errors import StorageError
from clicooper.files import read_if_there
from clicooper.json_values import parse_json

__all__ = ["Finished", "Forgery", "MarkCost", "OutcomeLog", "RemovalOutcome"]

MAX_LOG_BYTES = 1 << 28


@dataclass(frozen=True)
class RemovalOutcome:
    """One removal attack in one setting on one job.

    Attributes:
        seed: of the job, or of the attacker's randomness.
        accuracy, before: accuracy after and before, in [0, 1].
        found: the marks that were shown after it.
        control: the share that was detectable before it.
        floor: the share "detectable" after it under keys that nobody embedded.
        seconds: that it took; ``share`` of the job's own training time.
    """

    seed: int
    name: str
    setting: str
    knows: str
    accuracy: float
    before: float
    found: Survival
    control: float
    floor: float
    seconds: float
    share: float


@dataclass(frozen=True)
class MarkCost:
    """The job's contrastive accuracy with its marks and without, and the share of its marks found blind in the end."""

    seed: int
    marked: float
    unmarked: float
    found: float
    marks: int


@dataclass(frozen=True)
class Forgery:
    """One attempt at a claim on one job.

    Attributes:
        reads: whether the forger's mark is found in the suspect at 2^-64.
        refused_by: the part of the claim that fails, empty if the forgery stands.
        measured: the figures behind it, in words.
    """

    name: str
    setting: str
    reads: bool
    refused_by: str
    measured: str
    seed: int = 0

    @property
    def stands(self) -> bool:
        """Whether the claim would be believed."""
        return not self.refused_by


@dataclass(frozen=True)
class Finished:
    """Everything was run under a seed."""

    seed: int


Entry = Finished | RemovalOutcome | MarkCost | Forgery
_KINDS: dict[str, type[Entry]] = {kind.__name__: kind for kind in get_args(Entry)}
T = TypeVar("T", RemovalOutcome, MarkCost, Forgery)


class OutcomeLog:
    """Outcomes in a file, in the order in which they came.

    Args:
        path: made with its folder by the first entry.

    Raises:
        StorageError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[Entry] = list(_read(path))

    def add(self, entry: Entry) -> None:
        """Appends an entry and sees to it that it is on the disk.

        Raises:
            StorageError: the file cannot be written.
        """
        line = json.dumps({"kind": type(entry).__name__, **asdict(entry)}, allow_nan=False) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            data = _content(self._path)
            whole = not data or data.endswith(b"\n")
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line if whole else "\n" + line)
        except OSError as e:
            raise StorageError(f"cannot write {self._path}: {e.strerror}", hint="name a writable folder") from e
        self.entries.append(entry)

    def is_finished(self, seed: int) -> bool:
        """Whether nothing is left to be run under a seed."""
        return Finished(seed) in self.entries

    def of_kind(self, kind: type[T]) -> list[T]:
        """The entries of one kind."""
        return [entry for entry in self.entries if isinstance(entry, kind)]


def _read(path: Path) -> Iterator[Entry]:
    for line in _content(path).splitlines():
        try:
            fields: Any = parse_json(line)
            yield _entry(fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue


def _content(path: Path) -> bytes:
    hint = "remove it to start the evaluation afresh"
    return read_if_there(path, MAX_LOG_BYTES, what="log of outcomes", hint=hint) or b""


def _entry(fields: dict[str, Any]) -> Entry:
    kind = _KINDS[fields.pop("kind")]
    if kind is RemovalOutcome:
        fields["found"] = Survival(**fields["found"])
    return kind(**fields)
