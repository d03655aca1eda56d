"""``clicooper audit``: replay a job's history and give a verdict for every claim."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from clicooper.audit.auditor import Plan
from clicooper.audit.replay.cluster import Cluster
from clicooper.audit.replay.executors import HERE, Executor, Processes
from clicooper.audit.replay.sampling import Sample
from clicooper.audit.verdict import AuditReport, exit_code
from clicooper.cli.options import Endpoints, FromBlock, Grant, JobThere, OnContract, TrustModel, source_of
from clicooper.cli.output import Output, finish, output_of
from clicooper.errors import StorageError, UsageError
from clicooper.jobs import JobSource, audit_job, note_audit, write_bundle
from clicooper.reports.audit_page import render_report
from clicooper.reports.audit_tables import print_result
from clicooper.reports.page import write_page
from clicooper.reports.plots import require_plots
from clicooper.types import Digest

__all__ = ["audit"]

NEW = "new"


RunDir = Annotated[
    Path | None,
    typer.Argument(help="A run folder (record.json and store/, or its artifacts on --store), or a CAR file."),
]
Identity = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        help="Identity of an auditor with grants; its grants.age lies beside it."
        "  [default: that of the auditor or owner in RUN_DIR]",
    ),
]
Report = Annotated[Path | None, typer.Option("--report", help="Also write a self-contained HTML report.")]
Bundle = Annotated[
    Path | None, typer.Option("--bundle", help="Also write everything that was audited as one CAR file.")
]
PerSeat = Annotated[
    int | None,
    typer.Option("--sample", help="Replay only so many intervals per seat and round, drawn from the chain.", min=1),
]
SecretDraw = Annotated[
    str | None,
    typer.Option("--secret-draw", help="With --sample: draw as many again from a secret, `new` or a printed one."),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", help="Processes that replay.  [default: one a core, where it is worth it]", min=1),
]
Scheduler = Annotated[
    str | None, typer.Option("--cluster", help="Replay on this Dask scheduler's workers, such as tcp://host:8786.")
]
Resume = Annotated[bool, typer.Option("--resume/--no-resume", help="Go on with an interrupted audit of the same job.")]


def audit(
    context: typer.Context,
    run_dir: RunDir = None,
    identity: Identity = None,
    grant: Grant = None,
    report: Report = None,
    bundle: Bundle = None,
    trust_model: TrustModel = None,
    contract: OnContract = None,
    job: JobThere = None,
    endpoint: Endpoints = None,
    from_block: FromBlock = None,
    sample: PerSeat = None,
    full: Annotated[bool, typer.Option("--full", help="Replay everything; the default.")] = False,
    secret_draw: SecretDraw = None,
    jobs: Jobs = None,
    cluster: Scheduler = None,
    resume: Resume = True,
) -> int:
    """Replays a job's history and gives a verdict for every claim: offline from a run folder or CAR file.

    With --network or --endpoint the record is compared with the chain; with --contract and --job it is read from there.

    Exit code 0: every claim holds; 1: a check failed; 4: something could not be checked.
    """
    output = output_of(context)
    if run_dir is None and contract is None and job is None:
        hint = "name a run folder or CAR file, or --contract ADDRESS --job N --network URL"
        raise UsageError("there is nothing to audit", hint=hint)
    _check_bundle(run_dir, contract, bundle)
    if report is not None:
        require_plots()
    drawn = _read_sample(sample, full, secret_draw)
    with ExitStack() as stack:
        source = stack.enter_context(
            source_of(context, run_dir, contract, job, endpoint, from_block, identity, grant, trust_model)
        )
        progress = stack.enter_context(output.progress())
        executor = stack.enter_context(_open_executor(jobs, cluster))
        result = audit_job(source, Plan(drawn, executor, source.config.home / "audits", not resume), progress)
        _note(output, source, result)
        if report is not None:
            write_page(report, render_report(result))
        written = {} if bundle is None else {"bundle": write_bundle(source, bundle, result)}
    return finish(
        context,
        result.to_json() | written,
        lambda console: print_result(console, result, written),
        exit_code(result.verdict),
    )


def _check_bundle(run_dir: Path | None, contract: str | None, bundle: Path | None) -> None:
    """Raises UsageError for a bundle that cannot be written."""
    if bundle is None:
        return
    if contract is not None or run_dir is None:
        raise UsageError("--bundle packs a run folder", hint="leave out --bundle, or --contract")
    if run_dir.is_file():
        raise UsageError(f"{run_dir} is a bundle already", hint="leave out --bundle, or audit a run folder")


def _read_sample(per_seat: int | None, full: bool, secret: str | None) -> Sample | None:
    """What is replayed; None for everything.

    Raises:
        UsageError: options that make no sense together, or a secret that is none.
    """
    if per_seat is not None and full:
        raise UsageError("--sample and --full exclude each other", hint="leave one out; --full is the default")
    if secret is not None and per_seat is None:
        raise UsageError("--secret-draw adds to a sample", hint="say how many intervals with --sample Q")
    return None if per_seat is None else Sample(per_seat, secret=_read_secret(secret))


def _read_secret(text: str | None) -> Digest | None:
    if text is None or text == NEW:
        return None if text is None else Digest(os.urandom(32))
    try:
        seed = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        seed = b""
    if len(seed) != 32:
        hint = "give `new`, or the 0x and 64 hex digits that an earlier audit printed"
        raise UsageError(f"--secret-draw {text} is no seed", hint=hint)
    return Digest(seed)


@contextmanager
def _open_executor(jobs: int | None, cluster: str | None) -> Iterator[Executor]:
    """Who replays; the processes end with the context."""
    if jobs is not None and cluster is not None:
        raise UsageError("--jobs and --cluster exclude each other", hint="the cluster has its own workers")
    if cluster is not None:
        with Cluster(cluster) as workers:
            yield workers
    elif jobs == 1:
        yield HERE
    else:
        with Processes(jobs) as processes:
            yield processes


def _note(output: Output, source: JobSource, result: AuditReport) -> None:
    """Notes the audit for clean-ups; a folder that cannot be written is still one that can be audited."""
    try:
        note_audit(source, result)
    except StorageError as e:
        with output.progress() as progress:
            progress(f"the audit is not noted for clean-ups: {e.message}", 0, 0)
