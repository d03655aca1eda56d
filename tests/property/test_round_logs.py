"""A round log on disk holds what was written, however its writer ended."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.commitments.canonical import sha256
from clicooper.learning.checkpoint import State, state_digest
from clicooper.learning.round_log import DiskRoundLog, MemoryRoundLog, RoundLog
from clicooper.learning.transcript import StepDigests
from clicooper.types import ZERO_DIGEST

WORK = sha256(b"work")
ENTRY_BYTES = 168


def state(index: int) -> State:
    return {"w": np.full(3, index, np.float32)}


def write(round_log: RoundLog, steps: int, interval: int) -> None:
    for step in range(steps):
        ends = (step + 1) % interval == 0
        digest = state_digest(state(step // interval), {}) if ends else ZERO_DIGEST
        if ends:
            round_log.add_state(step // interval, state(step // interval), {})
        row = StepDigests(*[sha256(b"%d" % step)] * 4, digest)
        round_log.add_step(row, step / 7 if step % 2 else None)


@given(st.integers(0, 12), st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_disk_holds_what_memory_does(steps: int, interval: int) -> None:
    memory = MemoryRoundLog()
    write(memory, steps, interval)
    with tempfile.TemporaryDirectory() as folder:
        write(DiskRoundLog(Path(folder), WORK), steps, interval)
        disk = DiskRoundLog(Path(folder), WORK)
        assert (disk.steps, disk.losses) == (memory.steps, memory.losses)
        assert [state_digest(*one) for one in disk.states] == [state_digest(*one) for one in memory.states]
        assert disk.whole_intervals(interval) == memory.whole_intervals(interval) == steps // interval
        assert disk.whole_intervals(interval + 1) == memory.whole_intervals(interval + 1)


@given(st.integers(1, 12), st.integers(1, 4), st.data())
@settings(deadline=None, max_examples=50)
def test_writer_killed_at_any_byte_leaves_whole_steps_and_intervals(
    steps: int, interval: int, data: st.DataObject
) -> None:
    whole = MemoryRoundLog()
    write(whole, steps, interval)
    with tempfile.TemporaryDirectory() as folder:
        write(DiskRoundLog(Path(folder), WORK), steps, interval)
        left = data.draw(st.integers(0, steps * ENTRY_BYTES))
        os.truncate(Path(folder) / "steps", left)
        found = DiskRoundLog(Path(folder), WORK)
        assert found.steps == whole.steps[: left // ENTRY_BYTES]
        intervals = found.whole_intervals(interval)
        assert intervals == len(found.steps) // interval
        found.cut(intervals, interval)
        assert found.steps == whole.steps[: intervals * interval]
        assert len(found.states) == intervals
