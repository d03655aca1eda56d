"""Who replays intervals: this process, processes beside it, or a cluster; the results are the same.

Job: hand out the pieces of work of a round and give their results back in order, with only a few under way at a time.
Non-jobs: what a result means (``checks.replay``), and what an interval needs (``intervals``).

A piece of work is small where the workers can open the store themselves: round and intervals. Each worker keeps one
round's artifacts open, trains on one torch thread, and so computes in the class of the job.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from types import TracebackType
from typing import Self

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.replay.intervals import IntervalResult, plan_runs, replay_run
from clicooper.audit.replay.journal import Journal
from clicooper.errors import WorkersLost
from clicooper.history.history import History

__all__ = ["HERE", "Executor", "Processes", "Source", "Tell", "open_once", "unheard"]

Tell = Callable[[int], None]
"""Called with the number of intervals of the round that are done."""

Run = tuple[int, ...]

WORTH_PROCESSES_S = 12.0
"""Processes take some seconds to start; less work than this is done sooner without them."""


def unheard(done: int) -> None:
    """Ignores the progress of a replay."""


class Executor(ABC):
    """Replays pieces of work."""

    def replay(
        self, artifacts: Artifacts, round_: int, intervals: Sequence[int], journal: Journal | None
    ) -> Iterator[IntervalResult]:
        """The results of ascending intervals, in their order; those that a journal knows are not computed again."""
        known = {} if journal is None else journal.results(round_)
        runs = tuple(plan_runs(artifacts, round_, intervals))
        new = self.compute(artifacts, round_, tuple(run for run in runs if not known.keys() >= {*run}))
        for run in runs:
            if known.keys() >= {*run}:
                yield from (known[interval] for interval in run)
                continue
            found = next(new)
            if journal is not None:
                journal.keep(round_, found)
            yield from found

    @abstractmethod
    def compute(self, artifacts: Artifacts, round_: int, runs: Sequence[Run]) -> Iterator[list[IntervalResult]]:
        """The results of each piece of work, in their order."""


class _Here(Executor):
    """This process, one interval after the other."""

    def compute(self, artifacts: Artifacts, round_: int, runs: Sequence[Run]) -> Iterator[list[IntervalResult]]:
        return (list(replay_run(artifacts, round_, run)) for run in runs)


HERE: Executor = _Here()
"""This process alone."""


@dataclass(frozen=True)
class Source:
    """What a worker opens a round's artifacts from: its name, and history, store and keys, pickled.

    It holds the auditor's keys: it goes to processes that the auditor trusts, and nowhere else.
    """

    name: str
    packed: bytes

    @classmethod
    def of(cls, artifacts: Artifacts, round_: int) -> Source | None:
        """What a round's replay needs; None for a store that only this process has."""
        keys = replace(artifacts.keys, progress=dict(artifacts.keys.progress), sealing=dict(artifacts.keys.sealing))
        parts = (_part_of(artifacts.history, round_), artifacts.store, keys, artifacts.trusted, artifacts.runtime)
        try:
            packed = pickle.dumps(parts)
        except (TypeError, AttributeError, pickle.PicklingError):
            return None
        return cls(hashlib.sha256(packed).hexdigest(), packed)

    def open(self) -> Artifacts:
        """The artifacts again.

        Raises:
            CliCooperError: the store cannot be opened here.
        """
        # Packed by the auditor's own process, and received over a channel that carries pickles anyway.
        history, store, keys, trusted, runtime = pickle.loads(self.packed)  # noqa: S301
        return Artifacts(history, store, keys, trusted, runtime)


def _part_of(history: History, round_: int) -> History:
    """All label keys up to a round and its own commitments: the size of a long history must not go to every worker."""
    before = tuple(replace(one, commitments=(), abandoned=()) for one in history.rounds[:round_])
    settled = history.settlement
    return replace(
        history,
        rounds=(*before, history.rounds[round_]),
        settlement=replace(settled, seats=dict(settled.seats), credits=dict(settled.credits)),
        challenges=(),
        mark_openings=(),
        withdrawals=(),
    )


@lru_cache(maxsize=1)
def open_once(source: Source) -> Artifacts:
    """A round's artifacts in a worker, opened once."""
    return source.open()


def _work(source: Source, round_: int, run: Run) -> list[IntervalResult]:
    return list(replay_run(open_once(source), round_, run))


class Processes(Executor):
    """Processes of this machine. A context manager; its end ends them.

    Args:
        jobs: how many; None for one a core, started only for a round whose replay takes long enough to be worth it.
        clock: seconds that never go back.
    """

    def __init__(self, jobs: int | None = None, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._jobs, self._clock = jobs, clock
        self._stack = ExitStack()
        self._has_started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()
        self._has_started = False

    def compute(self, artifacts: Artifacts, round_: int, runs: Sequence[Run]) -> Iterator[list[IntervalResult]]:
        """See ``Executor``; the first pieces are replayed here, and tell whether processes are worth their start."""
        done, started = 0, self._clock()
        while done < len(runs) and not self._is_worth_it(runs, done, self._clock() - started):
            yield list(replay_run(artifacts, round_, runs[done]))
            done += 1
        rest = runs[done:]
        source = Source.of(artifacts, round_) if rest else None
        if source is None:
            yield from (list(replay_run(artifacts, round_, run)) for run in rest)
        else:
            yield from self._spread(source, round_, rest)

    def _is_worth_it(self, runs: Sequence[Run], done: int, elapsed_s: float) -> bool:
        left = len(runs) - done
        if left < 2 or self._workers() < 2:
            return False
        if self._jobs is not None or self._has_started:
            return True
        return done > 0 and left * elapsed_s / done > WORTH_PROCESSES_S

    def _workers(self) -> int:
        if self._jobs is not None:
            return self._jobs
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def _spread(self, source: Source, round_: int, runs: Sequence[Run]) -> Iterator[list[IntervalResult]]:
        from joblib import Parallel, delayed  # noqa: PLC0415 - slow to import
        from joblib.externals.loky.process_executor import BrokenProcessPool, ShutdownExecutorError  # noqa: PLC0415

        self._start()
        workers = self._workers()
        # A few pieces under way keep every worker busy; more would only hold memory.
        parallel = Parallel(workers, backend="loky", return_as="generator", pre_dispatch=workers + 1, batch_size=1)
        try:
            yield from parallel(delayed(_work)(source, round_, run) for run in runs)
        except (BrokenProcessPool, ShutdownExecutorError) as e:
            hint = "it may have run out of memory: use fewer --jobs; what was replayed is kept, run the command again"
            raise WorkersLost("a process that replayed intervals ended", hint=hint) from e

    def _start(self) -> None:
        if self._has_started:
            return
        from joblib.externals.loky import get_reusable_executor  # noqa: PLC0415

        self._has_started = True
        self._stack.callback(lambda: get_reusable_executor().shutdown(wait=True))
