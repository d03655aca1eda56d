"""Replay on an existing Dask cluster, through joblib.

Before any work is handed out every worker is asked what it is: one of another program version or runtime class would
compute other numbers and accuse the innocent. Where all of them can open the store, they fetch by themselves; else
each interval's states, batches and labels are sent. Either way workers see what the auditor may see, and what they
say is believed: use a cluster that you trust, over TLS where others share its network.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self

from clicooper import __version__
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.replay.executors import Executor, Source, open_once
from clicooper.audit.replay.intervals import IntervalResult, Stretch, compute, prepare, replay_run
from clicooper.commitments.canonical import cid_of_digest
from clicooper.errors import CliCooperError, WorkersLost
from clicooper.extras import extra
from clicooper.learning.runtime import runtime_class

__all__ = ["Cluster"]

WAIT_FOR_WORKERS_S = 30

_ONE_AT_A_TIME = threading.Lock()
"""Torch's settings belong to a process, and a worker may run several tasks in threads of one."""


class Cluster(Executor):
    """The workers behind a Dask scheduler. A context manager; the cluster itself stays.

    Args:
        address: of the scheduler, such as ``tcp://host:8786``.

    Raises:
        UsageError: Dask is not installed.
        WorkersLost: no scheduler answers there.
    """

    def __init__(self, address: str) -> None:
        with extra("cluster"):
            from distributed import Client  # noqa: PLC0415 - an extra
        self._address = address
        self._stack = ExitStack()
        try:
            self._client = self._stack.enter_context(Client(address, timeout=WAIT_FOR_WORKERS_S, set_as_default=False))  # type: ignore[no-untyped-call]
        except (OSError, ValueError, TimeoutError) as e:
            hint = "check the address, and that a dask-scheduler runs there"
            raise WorkersLost(f"no Dask scheduler answers at {address}: {e}", hint=hint) from e

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def compute(
        self, artifacts: Artifacts, round_: int, runs: Sequence[tuple[int, ...]]
    ) -> Iterator[list[IntervalResult]]:
        """See ``Executor``."""
        if not runs:
            return
        source = self._source_for_all(artifacts, round_)
        tasks = (
            (source, None if source is not None else _prepare(artifacts, round_, run), round_, run, runtime_class())
            for run in runs
        )
        for run, found in zip(runs, self._ordered(tasks), strict=True):
            # A worker that came later, or whose store lacks something, decides nothing: it is looked at here.
            believed = [] if found is None or any(one.unknown for one in found) else found
            yield [*believed, *replay_run(artifacts, round_, run[len(believed) :])]

    def _ordered(self, tasks: Iterator[tuple[Any, ...]]) -> Iterator[list[IntervalResult] | None]:
        from distributed import KilledWorker  # noqa: PLC0415 - optional
        from distributed.comm.core import CommClosedError  # noqa: PLC0415
        from joblib import Parallel, delayed, parallel_config  # noqa: PLC0415 - slow to import

        workers = len(self._client.ncores())
        with parallel_config("dask", client=self._client, wait_for_workers_timeout=WAIT_FOR_WORKERS_S):
            parallel = Parallel(workers, return_as="generator", pre_dispatch=workers + 1, batch_size=1)
            results = parallel(delayed(_replay)(*arguments) for arguments in tasks)
        try:
            yield from results
        except (KilledWorker, CommClosedError, TimeoutError) as e:
            hint = "look at its workers' logs; what was replayed is kept, run the command again"
            raise WorkersLost(f"the cluster at {self._address} lost work: {e}", hint=hint) from e

    def _source_for_all(self, artifacts: Artifacts, round_: int) -> Source | None:
        """What workers open artifacts from; None where one of them cannot.

        Raises:
            WorkersLost: no workers, or some that would compute something else.
        """
        source = Source.of(artifacts, round_)
        self._client.wait_for_workers(1, timeout=WAIT_FOR_WORKERS_S)
        answers: Mapping[str, tuple[str, str, bool]] = self._client.run(_introduce, source)
        here = (__version__, runtime_class())
        for worker, (version, kind, _) in sorted(answers.items()):
            if (version, kind) != here:
                raise WorkersLost(
                    f"worker {worker} runs clicooper {version} on {kind}, this is {here[0]} on {here[1]}",
                    hint="use workers of this version and runtime class; others would compute other numbers",
                )
        return source if all(can_open for _, _, can_open in answers.values()) else None


def _introduce(source: Source | None) -> tuple[str, str, bool]:
    """In a worker: its version and runtime class, and whether it can open the job's artifacts by itself."""
    with _ONE_AT_A_TIME:
        kind = runtime_class()
        try:
            if source is None:
                return __version__, kind, False
            artifacts = open_once(source)
            artifacts.store.get_block(cid_of_digest(artifacts.history.params.spec_digest))
        except CliCooperError:
            return __version__, kind, False
        return __version__, kind, True


def _prepare(artifacts: Artifacts, round_: int, run: tuple[int, ...]) -> Stretch | None:
    """The bytes of one piece of work; None where it cannot be prepared, which shows when it is replayed here."""
    try:
        return prepare(artifacts, round_, run)
    except Exception:  # noqa: BLE001 - a model's code may raise anything; it is looked at here
        return None


def _replay(
    source: Source | None, work: Stretch | None, round_: int, run: tuple[int, ...], kind: str
) -> list[IntervalResult] | None:
    """In a worker: replays what it can open, else what it was sent, up to the first interval that differs.

    None where it cannot, or is not of the auditor's class.
    """
    with _ONE_AT_A_TIME:
        try:
            if runtime_class() != kind:
                return None
            if source is not None:
                return list(replay_run(open_once(source), round_, run))
            return None if work is None else compute(work)
        except Exception:  # noqa: BLE001 - a model's code may raise anything; it is looked at here
            return None
