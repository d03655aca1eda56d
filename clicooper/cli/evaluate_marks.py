"""``clicooper evaluate marks``: what it takes to remove the marks of a job, or to forge a claim on its model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli.output import Output, Show
from clicooper.errors import UsageError

if TYPE_CHECKING:
    from clicooper.attacks.marks.marked_job import MarkedJob
    from clicooper.attacks.marks.outcomes import OutcomeLog
    from clicooper.config import Settings

__all__ = ["evaluate_marks", "marks"]

SUITE = 1
"""Version of the attacks; outcomes of another one are not taken up again."""

ELSEWHERE = frozenset({"home", "network", "networks", "store", "store_timeout", "account", "password_file", "seed"})
"""Settings that change nothing in what an evaluation measures."""


def marks(
    context: typer.Context,
    data: Annotated[
        str | None, typer.Option("--data", help="digits, an .npz file, CIFAR binary files, or an image folder.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="Attack this finished run folder.  [default: jobs of its own]")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Jobs, or with --run attackers, that rows average over.")] = 3,
    report: Annotated[Path | None, typer.Option("--report", help="Also write the tables as an HTML page.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run this attack alone, or 'forgery'; may be given again.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again, without the outcomes of earlier calls.")] = False,
    trust_model: Annotated[
        list[str] | None, typer.Option("--trust-model", help="A custom model whose code may run here.")
    ] = None,
) -> int:
    """Attacks the marks of finished jobs: some sixty ways to remove them, and eight to forge a claim.

    Takes some minutes a seed. Every outcome is kept under --home, so an interrupted evaluation goes on where it was.
    """
    from clicooper.config import load_config  # noqa: PLC0415
    from clicooper.reports.marks_page import write_marks_report  # noqa: PLC0415 - imports matplotlib
    from clicooper.reports.marks_result import print_marks  # noqa: PLC0415

    output: Output = context.obj["output"]
    config = load_config(**context.obj["settings"], data=data)
    with output.progress() as progress:
        result = evaluate_marks(
            config, seeds, progress, run, frozenset(only or ()), frozenset(trust_model or ()), fresh=fresh
        )
    if report is not None:
        write_marks_report(report, result)
    output.finish(result, lambda console: print_marks(console, result))
    return int(result["code"])


def evaluate_marks(
    config: Settings,
    seeds: int,
    progress: Show,
    run: Path | None = None,
    only: frozenset[str] = frozenset(),
    trusted: frozenset[str] = frozenset(),
    *,
    fresh: bool = False,
) -> dict[str, Any]:
    """Attacks the marks of jobs under ``seeds`` seeds, where that was not done before; the command's result object.

    Args:
        run: a finished run folder to attack; None rehearses a job for every seed.
        only: names of attacks; empty for all.
        trusted: custom models whose code may run here.
        fresh: forget the outcomes of earlier calls.

    Raises:
        UsageError: no seeds, or an attack that does not exist.
    """
    from clicooper.attacks.marks.mark_evaluation import attack_job  # noqa: PLC0415 - imports torch
    from clicooper.attacks.marks.mark_summary import summarise  # noqa: PLC0415
    from clicooper.reports.marks_result import marks_result  # noqa: PLC0415

    if seeds < 1:
        raise UsageError(f"--seeds {seeds}: nothing to average", hint="give at least 1; 5 for intervals worth reading")
    log = _open_log(config, run, fresh)
    left = [seed for seed in range(1, seeds + 1) if not log.is_finished(seed)]
    for seed, job in _jobs(config, run, left, trusted, progress):
        attack_job(job, seed, log, progress, only)
    return marks_result(summarise(log, seeds))


def _jobs(
    config: Settings, run: Path | None, seeds: Sequence[int], trusted: frozenset[str], progress: Show
) -> Iterator[tuple[int, MarkedJob]]:
    """Each seed with the job that is attacked under it: a new one each, or the given run every time."""
    from clicooper.attacks.marks.marked_job import load_marked_job, rehearse  # noqa: PLC0415

    if run is not None and seeds:
        progress("reading the run", 0, 0)
        job = load_marked_job(run, config.job, trusted)
        yield from ((seed, job) for seed in seeds)
        return
    for seed in seeds:
        with TemporaryDirectory() as scratch:
            settings = {"seed": seed, "spec_seed": config.spec_seed + seed, "split_seed": config.split_seed + seed}
            yield seed, rehearse(Path(scratch) / "run", config.job.model_copy(update=settings), progress)


def _open_log(config: Settings, run: Path | None, fresh: bool) -> OutcomeLog:
    """The outcomes so far of evaluations with these settings, or of this run."""
    from clicooper.attacks.marks.outcomes import OutcomeLog  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    told = {name: value for name, value in config.model_dump(mode="json").items() if name not in ELSEWHERE}
    record = None if run is None else hashlib.sha256(RunFolder.open(run).record.read_bytes()).hexdigest()
    key = hashlib.sha256(json.dumps([SUITE, record, told], sort_keys=True).encode()).hexdigest()[:16]
    path = config.home / "evaluations" / f"marks-{key}.jsonl"
    if fresh:
        path.unlink(missing_ok=True)
    return OutcomeLog(path)
