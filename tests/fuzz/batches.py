"""Many cases in a row, in a process of their own."""

from __future__ import annotations

import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.cases import TooLong, peak_bytes, run_case
from tests.fuzz.material import gathered

__all__ = ["Seen", "run_batch"]


@dataclass(frozen=True)
class Seen:
    """What the cases of one kind did, in one process."""

    kind: str
    cases: int
    failures: tuple[str, ...]
    longest_s: float
    grown_bytes: int


def run_batch(kind: str, first: int, count: int) -> Seen:
    """In a process of its own: cases in a row."""
    failures, longest = [], 0.0
    with tempfile.TemporaryDirectory() as folder, gathered(Path(folder) / "run") as material:
        before = peak_bytes()
        for seed in range(first, first + count):
            started = time.process_time()
            try:
                run_case(material, kind, seed)
            except (Exception, TooLong):  # noqa: BLE001 - whatever it is, it is the finding
                failures.append(f"{kind} {seed}\n{traceback.format_exc(limit=-4)}")
            longest = max(longest, time.process_time() - started)
        return Seen(kind, count, tuple(failures), longest, peak_bytes() - before)
