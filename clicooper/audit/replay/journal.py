"""What an audit has replayed so far, in a file, so that it goes on after a kill instead of starting again.

A journal belongs to one audit by everything that its results depend on: job, head, specification, runtime class and
program version; another audit has another file. Only replays are kept: they take the time, and they depend on
content-addressed artifacts alone. Every other check is made anew.

Its results can be forged by all who can write this file: it is as trustworthy as the auditor's home.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clicooper.audit.replay.intervals import IntervalResult
from clicooper.errors import StorageError
from clicooper.files import read_if_there
from clicooper.json_values import parse_json

__all__ = ["Journal"]

MAX_JOURNAL_BYTES = 1 << 30

_NOTHING: Mapping[int, IntervalResult] = MappingProxyType({})


class Journal:
    """Results by round and interval, in a file of one JSON object a line; a torn last line is ignored.

    Args:
        folder: of all journals; made with the first result, removed with the last journal.
        key: what the audit's results depend on.
        fresh: forget what an interrupted audit left.
    """

    def __init__(self, folder: Path, key: Mapping[str, str], *, fresh: bool = False) -> None:
        self._header = json.dumps({"audit": dict(sorted(key.items()))})
        self.path = folder / f"{hashlib.sha256(self._header.encode()).hexdigest()[:32]}.jsonl"
        self._found: dict[int, dict[int, IntervalResult]] = {}
        self._is_begun = False
        if fresh:
            self.finish()
        else:
            self._load()

    @property
    def count(self) -> int:
        """Results at hand."""
        return sum(map(len, self._found.values()))

    def results(self, round_: int) -> Mapping[int, IntervalResult]:
        """What is known of a round, by interval."""
        return self._found.get(round_, _NOTHING)

    def keep(self, round_: int, results: Iterable[IntervalResult]) -> None:
        """Adds results; what could not be replayed is not kept, for it may be possible the next time.

        A file that cannot be written costs the resumption, not the audit.
        """
        settled = [one for one in results if not one.unknown and one.apart is None]
        if not settled:
            return
        self._found.setdefault(round_, {}).update({one.interval: one for one in settled})
        lines = [json.dumps({"round": round_, "result": one.to_json()}) for one in settled]
        try:
            self._append([*([] if self._is_begun else [self._header]), *lines])
        except OSError:
            return
        self._is_begun = True

    def finish(self) -> None:
        """Removes the file, once there is a verdict."""
        try:
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()
            self.path.parent.parent.rmdir()
        except OSError:
            # The folder stays while other journals are in it, and the auditor's home while anything is.
            return

    def _append(self, lines: Iterable[str]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = "".join(line + "\n" for line in lines).encode()
        # One write, so that a kill leaves at most its tail torn.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def _load(self) -> None:
        try:
            data = read_if_there(self.path, MAX_JOURNAL_BYTES, what="journal", follow=False)
            if data is None:
                return
            whole, _, torn = data.rpartition(b"\n")
            header, *lines = whole.split(b"\n")
            if header.decode() != self._header:
                raise ValueError("the journal of another audit")
            for line in lines:
                entry: Any = parse_json(line, finite=False)
                result = IntervalResult.from_json(entry["result"])
                self._found.setdefault(int(entry["round"]), {})[result.interval] = result
        except (StorageError, ValueError, KeyError, TypeError):
            # Nothing in a damaged file is believed.
            self._found.clear()
            self.finish()
            return
        self._is_begun = True
        if torn:
            self._cut(len(whole) + 1)

    def _cut(self, size_bytes: int) -> None:
        try:
            os.truncate(self.path, size_bytes)
        except OSError:
            self._is_begun = False
