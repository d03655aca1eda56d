"""``clicooper audit``: replay a job's history from a run folder or a CAR file and give a verdict for every claim."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli.output import Output, Show, table
from clicooper.cli.session import settings
from clicooper.cli.stores import audited_store
from clicooper.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.audit.grants import AuditKeys
    from clicooper.audit.verdict import AuditReport
    from clicooper.config import JobConfig

__all__ = ["audit", "print_audit"]


def audit(
    context: typer.Context,
    run_dir: Annotated[
        Path, typer.Argument(help="A run folder (record.json and store/, or its artifacts on --store), or a CAR file.")
    ],
    identity: Annotated[
        Path | None,
        typer.Option(
            "--identity",
            help="Identity of an auditor with grants; its grants.age lies beside it."
            "  [default: RUN_DIR/auditor/identity.txt where it exists]",
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Also write a self-contained HTML report.")] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Also write everything that was audited as one CAR file.")
    ] = None,
    trust_model: Annotated[
        list[str] | None,
        typer.Option("--trust-model", help="A package.module:function whose code may run here; may be repeated."),
    ] = None,
) -> int:
    """Replays a job's whole history offline and gives a verdict for every claim.

    Exit code 0: every claim holds; 1: a check failed; 4: something could not be checked.
    """
    from clicooper.audit.grants import AuditKeys, read_grants  # noqa: PLC0415 - imports torch
    from clicooper.audit.report import write_report  # noqa: PLC0415
    from clicooper.audit.verdict import exit_code  # noqa: PLC0415
    from clicooper.types import Verdict  # noqa: PLC0415

    output: Output = context.obj["output"]
    if bundle is not None and run_dir.is_file():
        raise UsageError(f"{run_dir} is a bundle already", hint="leave out --bundle, or audit a run folder")
    config = settings(context)
    found = run_dir / "auditor" / "identity.txt"
    key_file = identity if identity is not None else found if found.exists() else None
    keys = AuditKeys() if key_file is None else read_grants(key_file)
    with output.progress() as progress:
        result = _judged(config, run_dir, keys, frozenset(trust_model or ()), progress)
    if result.verdict is Verdict.PASS and result.replayed.share >= 1 and run_dir.is_dir():
        _record(output, run_dir)
    if report is not None:
        write_report(report, result)
    packed = {} if bundle is None else {"bundle": _pack(config, run_dir, bundle, result)}
    output.finish(result.to_json() | packed, lambda console: _print(console, result, packed))
    return exit_code(result.verdict)


def _judged(config: JobConfig, job: Path, keys: AuditKeys, trusted: frozenset[str], progress: Show) -> AuditReport:
    """The audit of a CAR file or of a run folder."""
    from clicooper.audit.auditor import audit_files  # noqa: PLC0415
    from clicooper.audit.bundle import audit_car  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    if job.is_file():
        return audit_car(job, keys, trusted_models=trusted, progress=progress)
    folder = RunFolder.open(job, needs_store=config.ipfs_url is None)
    store = audited_store(config, folder.store)
    return audit_files(folder.record, store, keys, trusted_models=trusted, progress=progress)


def _record(output: Output, job: Path) -> None:
    """Notes a passing audit of all the work in the owner's pin set, if there is one: superseded states may go then."""
    from clicooper.audit.state import follow_record  # noqa: PLC0415
    from clicooper.chain.record import read_record  # noqa: PLC0415
    from clicooper.errors import StorageError  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415
    from clicooper.storage.pin_sets import PinSets  # noqa: PLC0415
    from clicooper.storage.retention import JOB_PINS, JobRetention  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    folder = RunFolder.open(job, needs_store=False)
    sets = PinSets(folder.pins)
    pins = sets.load(JOB_PINS)
    if pins is not None and pins.finished and pins.audited is None:
        head = follow_record(read_record(folder.record)).head
        try:
            JobRetention(sets, JOB_PINS, LocalStore(folder.store)).record_audit(head)
        except StorageError as e:
            # A folder that cannot be written is still one that can be audited.
            with output.progress() as progress:
                progress(f"the audit is not noted for clean-ups: {e.message}", 0, 0)


def _pack(config: JobConfig, job: Path, bundle: Path, report: AuditReport) -> dict[str, Any]:
    """What was written, or why nothing was: the verdict on an incomplete job must not be lost with its bundle.

    Raises:
        CliCooperError: an error beside a verdict that passed.
    """
    from clicooper.audit.bundle import pack_job  # noqa: PLC0415
    from clicooper.chain.record import read_record  # noqa: PLC0415
    from clicooper.errors import CliCooperError  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415
    from clicooper.types import Verdict  # noqa: PLC0415

    folder = RunFolder.open(job, needs_store=config.ipfs_url is None)
    store = audited_store(config, folder.store)
    try:
        held = LocalStore(store) if isinstance(store, Path) else store
        packed = pack_job(read_record(folder.record), held, bundle)
    except CliCooperError as e:
        if report.verdict is Verdict.PASS:
            raise
        return {"path": None, "why": e.message}
    return {"path": str(bundle), "root": str(packed.root), "blocks": packed.blocks}


def _print(console: Console, report: AuditReport, packed: dict[str, Any]) -> None:
    print_audit(console, report)
    for written in packed.values():
        line = f"Bundle: {written['path']}" if written["path"] else f"No bundle was written: {written['why']}"
        console.print(line, markup=False, soft_wrap=True)


def print_audit(console: Console, report: AuditReport) -> None:
    """One line a check, then every row that did not pass, then the verdict."""
    from clicooper.audit.verdict import Check, combine  # noqa: PLC0415
    from clicooper.types import Verdict  # noqa: PLC0415

    summary = table("Audit", "check", "verdict", "claims", numeric=("claims",))
    for check in Check:
        rows = [row for row in report.results if row.check is check]
        if rows:
            summary.add_row(check.value, _colored(combine(rows)), str(len(rows)))
    console.print(summary)
    for row in report.results:
        if row.verdict is not Verdict.PASS:
            where = " ".join(f"{n} {v}" for n, v in (("round", row.round), ("seat", row.seat)) if v is not None)
            console.print(f"{_colored(row.verdict)} {row.check.value} {where}")
            difference = f"expected {row.expected}, found {row.actual}" if row.expected else ""
            for line in (row.subject, row.detail, difference):
                if line:
                    console.print(f"  {line}", markup=False, soft_wrap=True)
    replayed = report.replayed
    console.print(
        f"Replayed {replayed.intervals} intervals, {replayed.steps} steps, {replayed.share:.0%} of the training, "
        f"in {report.seconds:.1f} s"
    )
    console.print(f"Verdict: {_colored(report.verdict)}")


def _colored(verdict: object) -> str:
    value = str(getattr(verdict, "value", verdict))
    return f"[{ {'pass': 'green', 'fail': 'bold red'}.get(value, 'yellow') }]{value}[/]"
