"""``clicooper contract``: what is deployed, whether it is ours, and its sources for explorers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from clicooper.chain.compile import CONTRACTS, Artifact, load_artifact
from clicooper.chain.compile import standard_json as export_standard_json
from clicooper.chain.deploy import first_difference
from clicooper.chain.deployments import read_deployments
from clicooper.chain.rpc.node import Node
from clicooper.cli import session
from clicooper.cli.output import finish, output_of
from clicooper.errors import UsageError, VerificationFailed
from clicooper.files import write_whole
from clicooper.reports.tables import table
from clicooper.types import Address

__all__ = ["app"]

app = typer.Typer(help="Look at a deployed contract, compare it, export its sources.", rich_markup_mode=None)

ContractName = Annotated[
    str, typer.Option("--contract", help="CliCooper, CliCooperLens or Committee.  [default: CliCooper]")
]


@app.command("verify")
def verify(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="The contract's address.")],
    contract: ContractName = "CliCooper",
) -> int:
    """Compares the code at an address with the artifact of this release, byte for byte.

    Exit code 0: the same; 1: a byte differs. Of a Committee the members and the threshold are not compared: they are
    its deployer's choice, and its views show them.
    """
    artifact = load_artifact(_known(contract))
    place = session.contract_address(address)
    config = session.settings(context)
    with session.connected(config) as node:
        offset = first_difference(node, place, contract)
        if offset is not None:
            where = f"its code differs from byte {offset:,} of {len(artifact.runtime_bytecode):,} on"
            hint = "trust no coin to it, unless you know why it differs"
            raise VerificationFailed(f"{place} is not the {contract} of this release: {where}", hint=hint)
        result = _identity(node, place) | {
            "contract": contract,
            "verdict": "pass",
            "bytes": len(artifact.runtime_bytecode),
            **_origin(artifact),
        }
    words = f"{place} is the {contract} of this release, all {result['bytes']:,} bytes"
    return finish(context, result, words)


@app.command("info")
def info(
    context: typer.Context,
    address: Annotated[
        str | None, typer.Argument(help="The contract's address.  [default: the newest that was deployed from here]")
    ] = None,
) -> int:
    """Shows where a contract is, how many jobs it has, and what it was built from."""
    config = session.settings(context)
    with session.connected(config) as node:
        client = session.contract_client(config, node, address)
        known = [one for one in read_deployments(config.home, node.chain_id) if one.address == client.address]
        result = _identity(node, client.address) | {
            "deployed_in_block": known[-1].block if known else None,
            "jobs": client.job_count(),
            "is_this_release": first_difference(node, client.address) is None,
            **_origin(load_artifact()),
        }
    return finish(context, result, lambda console: _print_info(console, result))


@app.command("standard-json")
def standard_json(
    context: typer.Context,
    contract: ContractName = "CliCooper",
    sources: Annotated[
        Path, typer.Option("--sources", help="The repository, with `npm ci` done.  [default: .]")
    ] = Path(),
    out: Annotated[Path | None, typer.Option("--out", help="File to write.  [default: stdout]")] = None,
) -> int:
    """Exports the compiler's standard JSON input, with which explorers verify the source of a deployed contract.

    Refused where the sources are not those that this release's contract was built from.
    """
    exported = export_standard_json(sources, _known(contract))
    artifact = load_artifact(contract)
    result: dict[str, Any] = {
        "contract": contract,
        "entry": f"contracts/{contract}.sol:{contract}",
        **_origin(artifact),
    }
    text = json.dumps(exported, indent=1) + "\n"
    if out is not None:
        hint = "name a writable file with --out"
        write_whole(out, text.encode(), parents=False, error=UsageError, hint=hint)
    result |= {"standard_json": exported} if out is None else {"file": str(out)}
    if out is None:
        # For a program to read: as it is, and no line for people.
        return finish(context, result, lambda _: print(text, end="", file=output_of(context).stdout))
    return finish(context, result, f"{out}: for {result['entry']}, compiler {artifact.compiler}")


def _known(contract: str) -> str:
    if contract not in CONTRACTS:
        raise UsageError(f"there is no contract {contract!r}", hint=f"choose one of {', '.join(CONTRACTS)}")
    return contract


def _identity(node: Node, address: Address) -> dict[str, Any]:
    place = {"address": address, "chain_id": node.chain_id, "network": node.source}
    return place | {"block": node.block_number()}


def _origin(artifact: Artifact) -> dict[str, Any]:
    return {"compiler": artifact.compiler, "source_digest": f"0x{artifact.source_digest.hex()}"}


def _print_info(console: Console, result: dict[str, Any]) -> None:
    deployed = result["deployed_in_block"]
    rows = {
        "chain": f"{result['chain_id']} ({result['network']})",
        "latest block": f"{result['block']:,}",
        "deployed in block": "not from here" if deployed is None else f"{deployed:,}",
        "jobs": f"{result['jobs']:,}",
        "code": "this release, all bytes" if result["is_this_release"] else "NOT this release: see contract verify",
        "compiler of this release": result["compiler"],
        "sources of this release": result["source_digest"],
    }
    console.print(table(f"Contract {result['address']}", "what", "value", rows=rows.items()))
