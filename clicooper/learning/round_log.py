"""Where a seat's round lies while it goes on: a row of digests for every step, and a state for every whole interval.

``MemoryRoundLog`` keeps both in memory, for replays and short rounds. ``DiskRoundLog`` streams them into a folder of
the trainer's own, so that memory stays bounded however long a round is, and so that an interrupted round goes on from
its last whole interval. Nothing in a round log is believed after a restart unless its digests fit each other.

``transcript`` says what a row means; a round log is published and removed by its trainer.
"""

from __future__ import annotations

import math
import os
import shutil
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, overload

from clicooper.errors import CliCooperError, StorageError
from clicooper.files import read_bounded, read_if_there, write_whole
from clicooper.learning.checkpoint import MAX_STATE_BYTES, State, decode_state, state_bytes, state_digest
from clicooper.learning.transcript import ROW_BYTES, StepDigests, row_bytes, rows_from_bytes
from clicooper.types import Digest

__all__ = ["DiskRoundLog", "MemoryRoundLog", "RoundLog"]

_LOSS = struct.Struct("<d")
_ENTRY_BYTES = ROW_BYTES + _LOSS.size
MAX_ROWS_BYTES = 1 << 32

Snapshot = tuple[State, State]
"""Weights and optimizer state."""


class RoundLog(Protocol):
    """Rows and states of one seat's round, in order; both may be added by another thread than the one that reads."""

    def add_step(self, row: StepDigests, loss: float | None) -> None:
        """Keeps the next step: its digests, and in the last seat its training loss in nats."""
        ...

    def add_state(self, index: int, weights: State, optimizer: State) -> None:
        """Keeps the state at the end of interval ``index``."""
        ...

    @property
    def steps(self) -> tuple[StepDigests, ...]:
        """Every step kept so far."""
        ...

    @property
    def losses(self) -> tuple[float, ...]:
        """Their losses, without the steps that have none."""
        ...

    @property
    def states(self) -> Sequence[Snapshot]:
        """The states kept so far, from interval 0 on; each is read when it is asked for."""
        ...

    def whole_intervals(self, interval: int) -> int:
        """How many intervals of ``interval`` steps can be gone on from: up to the newest state that its row confirms.

        Every row before a state was written before it.
        """
        steps, states = self.steps, self.states
        for count in range(min(len(steps) // interval, len(states)), 0, -1):
            try:
                if state_digest(*states[count - 1]) == steps[count * interval - 1].state:
                    return count
            except CliCooperError:
                continue
        return 0

    def cut(self, intervals: int, interval: int) -> None:
        """Forgets everything after the first ``intervals`` intervals of ``interval`` steps."""
        ...


class MemoryRoundLog(RoundLog):
    """A round log that ends with its process."""

    def __init__(self) -> None:
        self._steps: list[tuple[StepDigests, float | None]] = []
        self._states: list[Snapshot] = []

    def add_step(self, row: StepDigests, loss: float | None) -> None:
        """See ``RoundLog``."""
        self._steps.append((row, loss))

    def add_state(self, index: int, weights: State, optimizer: State) -> None:
        """See ``RoundLog``."""
        self._states[index:] = [(weights, optimizer)]

    @property
    def steps(self) -> tuple[StepDigests, ...]:
        """See ``RoundLog``."""
        return tuple(row for row, _ in self._steps)

    @property
    def losses(self) -> tuple[float, ...]:
        """See ``RoundLog``."""
        return tuple(loss for _, loss in self._steps if loss is not None)

    @property
    def states(self) -> Sequence[Snapshot]:
        """See ``RoundLog``."""
        return tuple(self._states)

    def cut(self, intervals: int, interval: int) -> None:
        """See ``RoundLog``."""
        del self._steps[intervals * interval :], self._states[intervals:]


class DiskRoundLog(RoundLog):
    """A round log in a folder that its user alone can read (0700, files 0600), of one piece of work and no other.

    Args:
        folder: of this seat and round alone.
        work: names the work: what another work left in the folder is removed.

    Raises:
        StorageError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path, work: Digest) -> None:
        self._folder, self._rows, name = folder, folder / "steps", folder / "work"
        with _disk(folder):
            if read_if_there(name, len(work) + 1, what="round log", follow=False, whole=False) != work:
                shutil.rmtree(folder, ignore_errors=True)
                folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.mkdir(mode=0o700)
                write_whole(name, work, mode=0o600, sync=False)
            self._rows.touch(mode=0o600)
            os.truncate(self._rows, self._rows.stat().st_size // _ENTRY_BYTES * _ENTRY_BYTES)

    def add_step(self, row: StepDigests, loss: float | None) -> None:
        """See ``RoundLog``; one write, so that a process that is killed leaves whole rows and at most one torn one."""
        entry = row_bytes(row) + _LOSS.pack(math.nan if loss is None else loss)
        with _disk(self._rows), self._rows.open("ab", buffering=0) as file:
            file.write(entry)

    def add_state(self, index: int, weights: State, optimizer: State) -> None:
        """See ``RoundLog``."""
        for path, state in zip(self._paths(index), (weights, optimizer), strict=True):
            write_whole(path, state_bytes(state), mode=0o600, sync=False)

    @property
    def steps(self) -> tuple[StepDigests, ...]:
        """See ``RoundLog``."""
        return rows_from_bytes(b"".join(entry[:ROW_BYTES] for entry in self._entries()))

    @property
    def losses(self) -> tuple[float, ...]:
        """See ``RoundLog``."""
        losses = (_LOSS.unpack(entry[ROW_BYTES:])[0] for entry in self._entries())
        return tuple(loss for loss in losses if not math.isnan(loss))

    @property
    def states(self) -> Sequence[Snapshot]:
        """See ``RoundLog``."""
        return _StatesOnDisk(self)

    def count_states(self) -> int:
        """How many states lie there without a gap, from that of interval 0 on."""
        index = 0
        while all(path.is_file() for path in self._paths(index)):
            index += 1
        return index

    def load_state(self, index: int) -> Snapshot:
        """The state at the end of interval ``index``.

        Raises:
            StorageError: it cannot be read.
            SpecError: it is damaged.
        """
        read = (read_bounded(path, MAX_STATE_BYTES, what="state", follow=False) for path in self._paths(index))
        weights, optimizer = map(decode_state, read)
        return weights, optimizer

    def cut(self, intervals: int, interval: int) -> None:
        """See ``RoundLog``."""
        kept = {path for index in range(intervals) for path in self._paths(index)}
        with _disk(self._folder):
            os.truncate(self._rows, min(self._rows.stat().st_size, intervals * interval * _ENTRY_BYTES))
            for path in self._folder.glob("state-*"):
                if path not in kept:
                    path.unlink()

    def _paths(self, index: int) -> tuple[Path, Path]:
        return self._folder / f"state-{index}-weights", self._folder / f"state-{index}-optimizer"

    def _entries(self) -> Iterator[bytes]:
        data = read_bounded(self._rows, MAX_ROWS_BYTES, what="round log", follow=False)
        return (data[at : at + _ENTRY_BYTES] for at in range(0, len(data) - _ENTRY_BYTES + 1, _ENTRY_BYTES))


class _StatesOnDisk(Sequence[Snapshot]):
    """The states of a round log, one in memory at a time."""

    def __init__(self, round_log: DiskRoundLog) -> None:
        self._round_log, self._count = round_log, round_log.count_states()

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Snapshot: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Snapshot]: ...
    def __getitem__(self, index: int | slice) -> Snapshot | Sequence[Snapshot]:
        chosen = range(self._count)[index]
        return self._round_log.load_state(chosen) if isinstance(chosen, int) else [self[i] for i in chosen]


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        hint = "check the disk, and that the folder is the trainer's own"
        raise StorageError(f"cannot use the round log {path}: {e.strerror}", hint=hint) from e
