"""``clicooper challenge``: accuse a seat or the owner before the arbiter, with evidence and a bond."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli import dispute, session
from clicooper.cli.output import Output
from clicooper.errors import UsageError
from clicooper.reports.tables import coin

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.chain.client import Contract, JobState
    from clicooper.disputes.evidence_file import SealedEvidence
    from clicooper.types import Address, Digest, JobId

__all__ = ["challenge"]


def challenge(
    context: typer.Context,
    job: Annotated[int, typer.Argument(help="The job's number, from 1.", min=1, max=2**63)],
    accused: Annotated[str, typer.Option("--accused", help="A seat's number, or owner.")],
    evidence: Annotated[Path, typer.Option("--evidence", help="The evidence file, made for the account that acts.")],
    ground: Annotated[str, typer.Option("--ground", help="fault, or withheld.")] = "fault",
    contract: Annotated[
        str | None, typer.Option("--contract", help="The contract.  [default: the newest that was deployed from here]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, the bond above all.")] = False,
) -> int:
    """Stops the job's clock and accuses a party; the bond is lost if the arbiter finds it not guilty.

    The chain sees the evidence's digest alone. Send the file to the arbiter, or publish it with `evidence make
    --publish`.
    """
    from clicooper.disputes.evidence_file import read_evidence  # noqa: PLC0415 - imports torch
    from clicooper.types import Address, JobId  # noqa: PLC0415

    config = session.settings(context)
    who, charge = dispute.parse_accused(accused), _ground(ground)
    sealed = read_evidence(evidence)
    output: Output = context.obj["output"]
    with dispute.chain(config) as node:
        account = None if dry_run else session.open_account(config)
        sender = dispute.acting_address(config, None) if account is None else Address(account.address)
        client = dispute.client_of(config, node, contract, account)
        state, bond = client.job(JobId(job)), client.bond_due(JobId(job))
        _check_evidence(client, JobId(job), sealed, sender)
        result = _due(client, job, sealed, (accused, ground), sender, state, bond)
        if not dry_run:
            with output.progress() as progress:
                progress(f"locking a bond of {_bond(result)}", 0, 0)
            result |= _send(client, JobId(job), state, (who, charge, sealed.digest, bond))
    output.finish(result, lambda console: _print(console, result))
    return 0


def _ground(text: str) -> Any:
    from clicooper.types import Ground  # noqa: PLC0415

    if text not in ("fault", "withheld"):
        raise UsageError(f"--ground {text}: there is no such ground", hint="say fault or withheld")
    return Ground[text.upper()]


def _check_evidence(client: Contract, job: JobId, sealed: SealedEvidence, sender: Address) -> None:
    """Refuses evidence that no arbiter could use: of another challenger or another job."""
    from eth_utils import to_checksum_address  # noqa: PLC0415

    named = to_checksum_address(sealed.envelope.challenger)
    if str(named) != sender:
        raise UsageError(
            f"the evidence is that of {named}, not {sender}", hint="make it with --challenger or --account"
        )
    if sealed.envelope.genesis != client.genesis_of(job):
        raise UsageError("the evidence is about another job", hint="check the job's number, --contract and --network")


def _due(
    client: Contract,
    job: int,
    sealed: SealedEvidence,
    charge: tuple[str, str],
    sender: Address,
    state: JobState,
    bond: int,
) -> dict[str, Any]:
    return {
        "ok": True,
        "code": 0,
        "job": job,
        "contract": client.address,
        "chain_id": client.node.chain_id,
        "challenger": sender,
        "accused": charge[0],
        "ground": charge[1],
        "head": f"0x{state.head.hex()}",
        "evidence_digest": f"0x{sealed.digest.hex()}",
        "bond_wei": bond,
        "token": state.token,
        "sent": False,
    }


def _send(client: Contract, job: JobId, state: JobState, charge: tuple[int, Any, Digest, int]) -> dict[str, Any]:
    from clicooper.types import ZERO_ADDRESS  # noqa: PLC0415

    accused, ground, digest, bond = charge
    coins = bond if state.token == ZERO_ADDRESS else 0
    challenge_id, receipt = client.challenge(job, state.head, accused, ground, digest, coins)
    return {
        "sent": True,
        "challenge_id": f"0x{challenge_id.hex()}",
        "tx_hash": f"0x{receipt.tx_hash.hex()}",
        "block": receipt.block_number,
        "gas_used": receipt.gas_used,
        "deadline": client.job(job).deadline,
    }


def _bond(result: dict[str, Any]) -> str:
    """In the coin, or in units of a token that has to be approved before."""
    amount = int(result["bond_wei"])
    return coin(amount) if int(result["token"], 16) == 0 else f"{amount:,} units of {result['token']}"


def _print(console: Console, result: dict[str, Any]) -> None:
    accused = result["accused"] if result["accused"] == "owner" else f"seat {result['accused']}"
    did = "Challenged" if result["sent"] else "Would challenge"
    lines = [f"{did} {accused} of job {result['job']}, ground {result['ground']}, bond {_bond(result)}"]
    lines.append(f"evidence:     {result['evidence_digest']}")
    if result["sent"]:
        lines.append(f"challenge id: {result['challenge_id']}")
        lines.append(f"The arbiter has until {dispute.utc(result['deadline'])}")
    else:
        lines.append("Nothing was sent")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
