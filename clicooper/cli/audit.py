"""``clicooper audit``: replay a job's history from a run folder or a CAR file and give a verdict for every claim."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clicooper.cli.audited import granted_keys, note_audit, packed
from clicooper.cli.auditing import AuditOptions, plan_audit
from clicooper.cli.onchain import OnChain, Subject, audited
from clicooper.cli.output import Output
from clicooper.cli.session import settings
from clicooper.errors import UsageError
from clicooper.reports.audit_tables import print_result

if TYPE_CHECKING:
    from clicooper.audit.verdict import AuditReport

__all__ = ["audit"]

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
    sample: Annotated[
        int | None,
        typer.Option("--sample", help="Replay only so many intervals per seat and round, drawn from the chain.", min=1),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Replay everything; the default.")] = False,
    secret_draw: Annotated[
        str | None,
        typer.Option("--secret-draw", help="With --sample: draw as many again from a secret, `new` or a printed one."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="Processes that replay.  [default: one a core, where it is worth it]", min=1),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="Replay on this Dask scheduler's workers, such as tcp://host:8786.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with an interrupted audit of the same job.")
    ] = True,
) -> int:
    """Replays a job's history and gives a verdict for every claim: offline from a run folder or CAR file.

    With --network or --endpoint the record is compared with the chain; with --contract and --job it is read from there.

    Exit code 0: every claim holds; 1: a check failed; 4: something could not be checked.
    """
    from clicooper.audit.verdict import exit_code  # noqa: PLC0415
    from clicooper.reports.audit_page import render_report  # noqa: PLC0415 - imports torch
    from clicooper.reports.page import write_page  # noqa: PLC0415

    output: Output = context.obj["output"]
    _check_choice(run_dir, contract, job, bundle)
    config = settings(context)
    asks_node = contract is not None or endpoint or context.obj["settings"]["network"] is not None
    place = OnChain.chosen(config, endpoint or (), from_block) if asks_node else None
    keys = granted_keys(config, run_dir, identity, grant)
    options = AuditOptions(sample, full, secret_draw, jobs, cluster, fresh=not resume)
    with output.progress() as progress, plan_audit(config, options) as plan:
        subject = Subject(run_dir, contract, job)
        result = audited(config, subject, place, keys, frozenset(trust_model or ()), plan, progress)
    if run_dir is not None and contract is None and _settles(result) and run_dir.is_dir():
        note_audit(output, run_dir)
    if report is not None:
        write_page(report, render_report(result))
    written = {} if bundle is None or run_dir is None else {"bundle": packed(config, run_dir, bundle, result)}
    output.finish(result.to_json() | written, lambda console: print_result(console, result, written))
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
