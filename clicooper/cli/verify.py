"""``clicooper verify``: the owner checks a committed round, and pays it or accuses a seat if it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli.onchain import OnChain
from clicooper.cli.output import Output
from clicooper.cli.session import settings
from clicooper.errors import UsageError
from clicooper.reports.tables import coin, table

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.cli.verified import Acts, Verified

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
    job: Annotated[int | None, typer.Option("--job", help="Its number there.", min=1, max=2**63 - 1)] = None,
    endpoint: Annotated[
        list[str] | None, typer.Option("--endpoint", help="URL of a further node to compare with; may be repeated.")
    ] = None,
    from_block: Annotated[
        int | None, typer.Option("--from-block", help="First block to search.", min=0, max=2**62)
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="If the decision is to pay, send it: payment and the next label key.")
    ] = False,
    challenge: Annotated[
        bool, typer.Option("--challenge", help="If the decision is to accuse a seat, send the challenge.")
    ] = False,
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", help="Evidence that the challenge names.  [default: a note of the failed check]"),
    ] = None,
    receipts: Annotated[
        Path | None,
        typer.Option("--receipts", help="Folder of receipts to use beside those that the trainers gave to the owner."),
    ] = None,
    trust_model: Annotated[
        list[str] | None,
        typer.Option("--trust-model", help="A package.module:function whose code may run here; may be repeated."),
    ] = None,
) -> int:
    """Verifies a committed round against chain and store before it is paid, and says what the policy makes of it.

    Draws intervals that nobody could choose, replays them, runs every check of the round, and prints how likely a
    cheat would have escaped. Sends nothing unless it is told to with --accept or --challenge, by --account.

    Exit code 0: every claim holds; 1: a check failed; 4: something could not be checked.
    """
    from clicooper.audit.verdict import exit_code  # noqa: PLC0415 - imports torch
    from clicooper.cli.verified import Acts, Wanted, verified_round  # noqa: PLC0415

    output: Output = context.obj["output"]
    if (contract is None) != (job is None):
        raise UsageError("--contract and --job belong together", hint="name both, or neither")
    if evidence is not None and not challenge:
        raise UsageError("--evidence goes with a challenge", hint="add --challenge, or leave out --evidence")
    config = settings(context)
    place = OnChain.chosen(config, endpoint or (), from_block)
    wanted = Wanted(run_dir, contract, job, round_, policy, frozenset(trust_model or ()), receipts)
    acts = Acts(accept, challenge, evidence)
    with output.progress() as progress:
        found = verified_round(config, place, wanted, acts, progress)
    output.finish(found.to_json(), lambda console: _print(console, found, acts))
    return exit_code(found.report.verdict)


def _print(console: Console, found: Verified, acts: Acts) -> None:
    from clicooper.reports.audit_tables import print_audit  # noqa: PLC0415

    print_audit(console, found.report)
    printed = found.to_json()
    escape, decision = printed["escape"], printed["decision"]
    rows = table(
        f"Round {found.found.round}: a cheat in a share of the intervals", "share", "escapes", numeric=("escapes",)
    )
    for one in escape["shares"]:
        rows.add_row(f"{one['share']:.0%}", f"at most {one['escape']:.2%}")
    console.print(rows)
    drawn = f"{escape['samples']} of {escape['intervals']} intervals were drawn"
    _say(console, f"{drawn}; {escape['samples_for_99']} would catch 5 % with a probability of 99 %")
    seat = "" if decision["seat"] is None else f" seat {decision['seat']} ({decision['ground']})"
    _say(console, f"Decision: {decision['action']}{seat}: {decision['reason']}")
    _say(console, _outcome(printed, acts))


def _outcome(printed: dict[str, Any], acts: Acts) -> str:
    sent = printed["sent"]
    if printed["settled"]:
        return f"Settled: {printed['settled']}; nothing was sent"
    if sent is None:
        wanted = {"accept": acts.accept, "challenge": acts.challenge}.get(printed["decision"]["action"])
        return "Nothing was sent" + ("" if wanted is not False else f": add --{printed['decision']['action']} to do it")
    where = f"in block {sent['block']}, transaction {sent['tx_hash']}"
    if sent["act"] == "accept":
        return f"Accepted {where}: {coin(sent['paid_wei'])} earned, and the next label key is out"
    bond = f"bond of {coin(sent['bond_wei'])} locked"
    return f"Challenged {where}: {bond}, challenge {sent['challenge_id']}, evidence {sent['evidence_digest']}"


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)
