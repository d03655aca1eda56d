"""Finished trials in a folder, one small JSON file each, so that a long evaluation goes on where it stopped.

A file that is damaged, or of another form, counts as not there: its trial is measured again. Files hold measurements on
the owner's records, which no epsilon covers, so they are the owner's alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clicooper.attacks.privacy.trial import Figure
from clicooper.errors import RunFolderError, StorageError
from clicooper.files import read_bounded, write_whole
from clicooper.json_values import parse_json

__all__ = ["ResultsCache"]

MAX_TRIAL_BYTES = 1 << 20


@dataclass(frozen=True)
class ResultsCache:
    """A folder of trials; it is created, readable by its owner alone, with the first one."""

    folder: Path

    def get(self, name: str) -> tuple[Figure, ...] | None:
        """The figures of a finished trial, or None."""
        try:
            items: Any = parse_json(read_bounded(self._path(name), MAX_TRIAL_BYTES, what="trial", follow=False))
            figures = tuple(Figure(**item) for item in items)
        except (StorageError, ValueError, TypeError):
            return None
        numbers = [number for figure in figures for number in (figure.value, figure.floor, figure.control or 0.0)]
        return figures if figures and all(isinstance(number, int | float) for number in numbers) else None

    def put(self, name: str, figures: Sequence[Figure]) -> None:
        """Keeps a trial, whole or not at all.

        Raises:
            RunFolderError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path(name), json.dumps([asdict(figure) for figure in figures]).encode())
        except (OSError, StorageError) as e:
            raise RunFolderError(f"cannot keep a finished trial in {self.folder}", hint="choose another --home") from e

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"
