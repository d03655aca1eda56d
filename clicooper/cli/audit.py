"""``clicooper audit``: replay a job's history from a run folder or a CAR file and give a verdict for every claim."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli.audited import granted_keys, note_audit, packed
from clicooper.cli.onchain import OnChain, Subject, audited
from clicooper.cli.output import Output, table
from clicooper.cli.session import settings
from clicooper.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.audit.verdict import AuditReport

__all__ = ["audit", "print_audit"]

OnContract = Annotated[
    str | None, typer.Option("--contract", help="Read the record from this contract on --network; needs --job.")
]
JobThere = Annotated[int | None, typer.Option("--job", help="The job's number there.", min=1, max=2**63 - 1)]
Endpoints = Annotated[
    list[str] | None, typer.Option("--endpoint", help="URL of a further node to compare with; may be repeated.")
]
FromBlock = Annotated[
    int | None,
    typer.Option("--from-block", help="First block to search; the contract's own is enough.", min=0, max=2**62),
]


def audit(
    context: typer.Context,
    run_dir: Annotated[
        Path | None,
        typer.Argument(help="A run folder (record.json and store/, or its artifacts on --store), or a CAR file."),
    ] = None,
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
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Also write everything that was audited as one CAR file.")
    ] = None,
    trust_model: Annotated[
        list[str] | None,
        typer.Option("--trust-model", help="A package.module:function whose code may run here; may be repeated."),
    ] = None,
    contract: OnContract = None,
    job: JobThere = None,
    endpoint: Endpoints = None,
    from_block: FromBlock = None,
) -> int:
    """Replays a job's whole history and gives a verdict for every claim: offline from a run folder or CAR file.

    With --network or --endpoint the record is compared with the chain; with --contract and --job it is read from there.

    Exit code 0: every claim holds; 1: a check failed; 4: something could not be checked.
    """
    from clicooper.audit.report import write_report  # noqa: PLC0415 - imports torch
    from clicooper.audit.verdict import exit_code  # noqa: PLC0415

    output: Output = context.obj["output"]
    _check_choice(run_dir, contract, job, bundle)
    config = settings(context)
    asks_node = contract is not None or endpoint or context.obj["settings"]["network"] is not None
    place = OnChain.chosen(config, endpoint or (), from_block) if asks_node else None
    keys = granted_keys(config, run_dir, identity, grant)
    with output.progress() as progress:
        subject = Subject(run_dir, contract, job)
        result = audited(config, subject, place, keys, frozenset(trust_model or ()), progress)
    if run_dir is not None and contract is None and _settles(result) and run_dir.is_dir():
        note_audit(output, run_dir)
    if report is not None:
        write_report(report, result)
    written = {} if bundle is None or run_dir is None else {"bundle": packed(config, run_dir, bundle, result)}
    output.finish(result.to_json() | written, lambda console: _print(console, result, written))
    return exit_code(result.verdict)


def _check_choice(run_dir: Path | None, contract: str | None, job: int | None, bundle: Path | None) -> None:
    """Raises UsageError for options that make no sense together."""
    if (contract is None) != (job is None):
        raise UsageError("--contract and --job belong together", hint="name both, or neither")
    if contract is None and run_dir is None:
        hint = "name a run folder or CAR file, or --contract ADDRESS --job N --network URL"
        raise UsageError("there is nothing to audit", hint=hint)
    if bundle is not None and (contract is not None or run_dir is None):
        raise UsageError("--bundle packs a run folder", hint="leave out --bundle, or --contract")
    if bundle is not None and run_dir is not None and run_dir.is_file():
        raise UsageError(f"{run_dir} is a bundle already", hint="leave out --bundle, or audit a run folder")


def _settles(result: AuditReport) -> bool:
    from clicooper.types import Verdict  # noqa: PLC0415

    return result.verdict is Verdict.PASS and result.replayed.share >= 1


def _print(console: Console, report: AuditReport, bundles: dict[str, Any]) -> None:
    print_audit(console, report)
    found = report.verified
    against = "not compared with a node" if found is None else f"verified against {found.source} at block {found.block}"
    console.print(f"Record: from {report.source}, {against}", markup=False, soft_wrap=True)
    for written in bundles.values():
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
