"""Options that several commands share, and the job that they name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from clicooper.cli import session
from clicooper.config import ClientConfig
from clicooper.errors import UsageError
from clicooper.jobs import JobSource, choose_nodes
from clicooper.types import ACCUSED_OWNER, Address, JobId

__all__ = [
    "Endpoints",
    "FromBlock",
    "Grant",
    "JobNumber",
    "JobThere",
    "NamedContract",
    "OnContract",
    "ReceiptFiles",
    "TrustModel",
    "acting_address",
    "job_on_contract",
    "parse_accused",
    "source_of",
]

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
Grant = Annotated[
    str | None,
    typer.Option(
        "--grant",
        help="The grant that the identity opens: a file, or the CID of a grant in the store."
        "  [default: grants.age beside the identity]",
    ),
]
TrustModel = Annotated[
    list[str] | None,
    typer.Option("--trust-model", help="A package.module:function whose code may run here; may be repeated."),
]
ReceiptFiles = Annotated[
    list[Path] | None,
    typer.Option("--receipt", help="What a sender signed about a boundary, as its receiver kept it; may be repeated."),
]
JobNumber = Annotated[int, typer.Argument(help="The job's number, from 1.", min=1, max=2**63)]
NamedContract = Annotated[
    str | None, typer.Option("--contract", help="The contract.  [default: the newest that was deployed from here]")
]


def source_of(
    context: typer.Context,
    files: Path | None,
    contract: str | None,
    job: int | None,
    endpoints: Sequence[str] | None = None,
    first_block: int | None = None,
    identity: Path | None = None,
    grant: str | None = None,
    trusted: Sequence[str] | None = None,
) -> JobSource:
    """The job that a command is about; a node is asked where the command line names one.

    Raises:
        UsageError: the options name no job, or half of one.
    """
    if (contract is None) != (job is None):
        raise UsageError("--contract and --job belong together", hint="name both, or neither")
    config = session.settings(context)
    asks_node = contract is not None or endpoints or context.obj["settings"]["network"] is not None
    return JobSource(
        files,
        config=config,
        contract=None if contract is None else session.contract_address(contract),
        job=None if job is None else JobId(job),
        nodes=choose_nodes(config, endpoints or ()) if asks_node else (),
        first_block=first_block,
        identity=identity,
        grant=grant,
        trusted=trusted or (),
    )


def job_on_contract(config: ClientConfig, contract: str | None, job: int, files: Path | None = None) -> JobSource:
    """A job on the chain of the settings, by default of the newest contract that was deployed from here."""
    address = None if contract is None else session.contract_address(contract)
    return JobSource(files, config=config, contract=address, job=JobId(job), nodes=choose_nodes(config))


def acting_address(config: ClientConfig, text: str | None) -> Address:
    """Who brings evidence forward: the named address, or that of the account that acts; needs no password."""
    if text is not None:
        return session.contract_address(text)
    if config.account is None and not session.stored_names(config):
        raise UsageError(
            "evidence names its challenger, and there is no account", hint="name it with --challenger 0x..."
        )
    name = session.account_name(config)
    address = session.stored_address(session.keystore_file(config, name))
    if address is None:
        raise UsageError(f"the keystore {name} does not say its address", hint="name it with --challenger")
    return address


def parse_accused(text: str) -> int:
    """A seat's number, or ``owner``."""
    if text == "owner":
        return ACCUSED_OWNER
    if not text.isdecimal() or int(text) > 31:
        raise UsageError(f"--accused {text}: neither a seat's number nor owner", hint="say 0, 1, ... or owner")
    return int(text)
