"""Attacks on the marks of jobs under several seeds, each outcome kept, so that a call goes on where one stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from clicooper.attacks.marks.mark_evaluation import attack_job
from clicooper.attacks.marks.mark_summary import MarkSummary, summarise
from clicooper.attacks.marks.marked_job import MarkedJob, load_marked_job, rehearse
from clicooper.attacks.marks.outcomes import OutcomeLog
from clicooper.chain.record import read_record_bytes
from clicooper.commitments.canonical import sha256
from clicooper.config import JobConfig
from clicooper.protocol.round import Progress
from clicooper.storage.run_folder import RunFolder

__all__ = ["evaluate_marks"]

SUITE = 1
"""Version of the attacks; outcomes of another one are not taken up again."""


def evaluate_marks(
    config: JobConfig,
    home: Path,
    seeds: int,
    progress: Progress,
    run: Path | None = None,
    only: frozenset[str] = frozenset(),
    trusted: frozenset[str] = frozenset(),
    *,
    fresh: bool = False,
) -> MarkSummary:
    """Attacks the marks of jobs under ``seeds`` seeds, where that was not done before.

    Args:
        config: of the jobs, or of the data of ``run``.
        home: outcomes are kept in a folder of it.
        run: a finished run folder to attack; None rehearses a job for every seed.
        only: names of attacks; empty for all.
        trusted: custom models whose code may run here.
        fresh: forget the outcomes of earlier calls.

    Raises:
        UsageError: an attack that does not exist.
    """
    log = _open_log(config, home, run, fresh)
    left = [seed for seed in range(1, seeds + 1) if not log.is_finished(seed)]
    for seed, job in _jobs(config, run, left, trusted, progress):
        attack_job(job, seed, log, progress, only)
    return summarise(log, seeds)


def _jobs(
    config: JobConfig, run: Path | None, seeds: Sequence[int], trusted: frozenset[str], progress: Progress
) -> Iterator[tuple[int, MarkedJob]]:
    """Each seed with the job that is attacked under it: a new one each, or the given run every time."""
    if run is not None and seeds:
        progress("reading the run", 0, 0)
        job = load_marked_job(run, config, trusted)
        yield from ((seed, job) for seed in seeds)
        return
    for seed in seeds:
        with TemporaryDirectory() as scratch:
            settings = {"seed": seed, "spec_seed": config.spec_seed + seed, "split_seed": config.split_seed + seed}
            yield seed, rehearse(Path(scratch) / "run", config.model_copy(update=settings), progress)


def _open_log(config: JobConfig, home: Path, run: Path | None, fresh: bool) -> OutcomeLog:
    """The outcomes so far of evaluations with these terms, or of this run; every job draws a seed of its own."""
    terms = config.model_dump(mode="json", exclude={"seed"})
    record = None if run is None else sha256(read_record_bytes(RunFolder.open(run).record)).hex()
    key = hashlib.sha256(json.dumps([SUITE, record, terms], sort_keys=True).encode()).hexdigest()[:16]
    path = home / "evaluations" / f"marks-{key}.jsonl"
    if fresh:
        path.unlink(missing_ok=True)
    return OutcomeLog(path)
