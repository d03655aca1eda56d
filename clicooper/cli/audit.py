"""``clicooper audit``: replay a job's history from a run folder and give a verdict for every claim."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clicooper.cli.output import Output, table
from clicooper.errors import SpecError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.audit.grants import AuditKeys
    from clicooper.audit.verdict import AuditReport
    from clicooper.storage.run_folder import RunFolder

__all__ = ["audit", "print_audit"]


def audit(
    context: typer.Context,
    run_dir: Annotated[Path, typer.Argument(help="A run folder: record.json and store/.")],
    identity: Annotated[
        Path | None,
        typer.Option(
            "--identity",
            help="Identity of an auditor with grants; its grants.age lies beside it."
            "  [default: RUN_DIR/auditor/identity.txt where it exists]",
        ),
    ] = None,
    grant: Annotated[
        str | None,
        typer.Option(
            "--grant",
            help="The grant that the identity opens: a file, or the CID of a grant in the store."
            "  [default: grants.age beside the identity]",
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Also write a self-contained HTML report.")] = None,
    trust_model: Annotated[
        list[str] | None,
        typer.Option("--trust-model", help="A package.module:function whose code may run here; may be repeated."),
    ] = None,
) -> int:
    """Replays a job's whole history offline and gives a verdict for every claim.

    Exit code 0: every claim holds; 1: a check failed; 4: something could not be checked.
    """
    from clicooper.audit.auditor import audit_files  # noqa: PLC0415 - imports torch
    from clicooper.audit.report import write_report  # noqa: PLC0415
    from clicooper.audit.verdict import exit_code  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    output: Output = context.obj["output"]
    folder = RunFolder.open(run_dir)
    keys = _keys(folder, identity, grant)
    with output.progress() as progress:
        result = audit_files(
            folder.record, folder.store, keys, trusted_models=frozenset(trust_model or ()), progress=progress
        )
    if report is not None:
        write_report(report, result)
    output.finish(result.to_json(), lambda console: print_audit(console, result))
    return exit_code(result.verdict)


def _keys(folder: RunFolder, identity: Path | None, grant: str | None) -> AuditKeys:
    """What the auditor was granted, or nothing.

    Raises:
        UsageError: a grant, and nobody who could open it; or one that is neither a file nor a CID.
    """
    from clicooper.audit import grants  # noqa: PLC0415
    from clicooper.storage.cid import parse_cid  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415

    found = folder.auditor / grants.IDENTITY_NAME
    key_file = identity if identity is not None else found if found.exists() else None
    if key_file is None:
        if grant is not None:
            raise UsageError("--grant needs the identity that opens it", hint="name its file with --identity")
        return grants.AuditKeys()
    if grant is None or Path(grant).exists():
        return grants.read_grants(key_file, None if grant is None else Path(grant))
    try:
        cid = parse_cid(grant)
    except SpecError as e:
        raise UsageError(f"--grant {grant}: neither a file nor a CID", hint="give what `job grant` printed") from e
    block = LocalStore(folder.store).get_block(cid)
    return grants.open_grant(grants.Grant.from_block(block), grants.read_identity(key_file))


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
