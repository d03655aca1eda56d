"""``clicooper challenge``: accuse a seat or the owner before the arbiter, with evidence and a bond."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clicooper.cli import session
from clicooper.cli.options import JobNumber, NamedContract, acting_address, job_on_contract, parse_accused
from clicooper.cli.output import finish, output_of
from clicooper.disputes.evidence_file import read_evidence
from clicooper.errors import UsageError
from clicooper.protocol.accusation import raise_challenge, require_own_evidence
from clicooper.reports.dispute_tables import print_challenge
from clicooper.reports.tables import amount
from clicooper.types import Address, Ground, JobId

__all__ = ["challenge"]


def challenge(
    context: typer.Context,
    job: JobNumber,
    accused: Annotated[str, typer.Option("--accused", help="A seat's number, or owner.")],
    evidence: Annotated[Path, typer.Option("--evidence", help="The evidence file, made for the account that acts.")],
    ground: Annotated[str, typer.Option("--ground", help="fault, or withheld.")] = "fault",
    contract: NamedContract = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, the bond above all.")] = False,
) -> int:
    """Stops the job's clock and accuses a party; the bond is lost if the arbiter finds it not guilty.

    The chain sees the evidence's digest alone. Send the file to the arbiter, or publish it with `evidence make
    --publish`.
    """
    config, number = session.settings(context), JobId(job)
    who, charge = parse_accused(accused), _parse_ground(ground)
    sealed = read_evidence(evidence)
    output = output_of(context)
    with job_on_contract(config, contract, job) as source:
        account = None if dry_run else session.open_account(config)
        sender = acting_address(config, None) if account is None else Address(account.address)
        client = source.client(account)
        state = client.job(number)
        require_own_evidence(client, number, sealed, sender)
        result: dict[str, Any] = {
            "job": job,
            "contract": client.address,
            "chain_id": client.node.chain_id,
            "challenger": sender,
            "accused": accused,
            "ground": ground,
            "head": f"0x{state.head.hex()}",
            "evidence_digest": f"0x{sealed.digest.hex()}",
            "bond_wei": client.bond_due(number),
            "token": state.token,
            "sent": False,
        }
        if not dry_run:
            with output.progress() as progress:
                progress(f"locking a bond of {amount(result['bond_wei'], state.token)}", 0, 0)
            raised = raise_challenge(client, number, state.head, who, charge, sealed.digest)
            result |= {"sent": True, "challenge_id": f"0x{raised.id.hex()}"}
            result |= {"tx_hash": f"0x{raised.receipt.tx_hash.hex()}", "block": raised.receipt.block_number}
            result |= {"gas_used": raised.receipt.gas_used, "deadline": client.job(number).deadline}
    return finish(context, result, lambda console: print_challenge(console, result))


def _parse_ground(text: str) -> Ground:
    if text not in ("fault", "withheld"):
        raise UsageError(f"--ground {text}: there is no such ground", hint="say fault or withheld")
    return Ground[text.upper()]
