"""``clicooper verify``: the owner checks a committed round, and pays it or accuses a seat if it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clicooper.access.receipt_files import read_receipts
from clicooper.audit.verdict import exit_code
from clicooper.chain.job_place import read_place
from clicooper.cli import session
from clicooper.cli.options import Endpoints, FromBlock, JobThere, TrustModel, source_of
from clicooper.cli.output import finish, output_of
from clicooper.commitments.boundary import BoundaryReceipt
from clicooper.errors import UsageError
from clicooper.protocol.owner_folder import read_settings
from clicooper.protocol.policy import read_policy
from clicooper.protocol.verification import VerifyOptions, verify_round
from clicooper.reports.dispute_tables import print_round
from clicooper.storage.run_folder import RunFolder

__all__ = ["verify"]


def verify(
    context: typer.Context,
    run_dir: Annotated[Path, typer.Argument(help="The owner's run folder, with its secrets in owner/.")],
    round_: Annotated[
        int | None, typer.Option("--round", help="Which round.  [default: the last that every seat committed]", min=0)
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="The owner's rule, a TOML file; docs/verify.md explains its keys.")
    ] = None,
    contract: Annotated[
        str | None, typer.Option("--contract", help="Where the job is.  [default: as job.json says]")
    ] = None,
    job: JobThere = None,
    endpoint: Endpoints = None,
    from_block: FromBlock = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="If the decision is to pay, send it: payment and the next label key.")
    ] = False,
    challenge: Annotated[
        bool, typer.Option("--challenge", help="If the decision is to accuse a seat, send the challenge.")
    ] = False,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            help="Evidence that the challenge names.  [default: made here, or a note of the failed check]",
        ),
    ] = None,
    receipts: Annotated[
        Path | None,
        typer.Option("--receipts", help="Folder of receipts to use beside those that the trainers gave to the owner."),
    ] = None,
    trust_model: TrustModel = None,
) -> int:
    """Verifies a committed round against chain and store before it is paid, and says what the policy makes of it.

    Draws intervals that nobody could choose, replays them, runs every check of the round, and prints how likely a
    cheat would have escaped. Sends nothing unless it is told to with --accept or --challenge, by --account.

    Exit code 0: every claim holds; 1: a check failed; 4: something could not be checked.
    """
    output = output_of(context)
    if evidence is not None and not challenge:
        raise UsageError("--evidence goes with a challenge", hint="add --challenge, or leave out --evidence")
    folder = RunFolder(run_dir)
    if contract is None and job is None:
        place = read_place(run_dir)
        contract, job = place.contract, place.job
    shown = () if receipts is None else _read_shown(receipts)
    options = VerifyOptions(round_, accept, challenge, evidence, frozenset(trust_model or ()), shown)
    with source_of(context, run_dir, contract, job, endpoint, from_block) as source, output.progress() as progress:
        rule = read_policy(policy, samples=read_settings(folder).samples)
        progress("reading the record", 0, 0)
        checked = source.checked
        client = source.client(session.open_account(source.config) if accept or challenge else None)
        found = verify_round(folder, checked, client, source.index, source.store, rule, options, progress)
    return finish(
        context, found.to_json(), lambda console: print_round(console, found, options), exit_code(found.report.verdict)
    )


def _read_shown(folder: Path) -> tuple[BoundaryReceipt, ...]:
    receipts = read_receipts(folder)
    if not receipts:
        hint = "name a folder of files such as receipt-0-forward, of the round that is verified"
        raise UsageError(f"{folder} holds no receipts", hint=hint)
    return receipts
