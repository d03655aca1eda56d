"""``clicooper job grant``: the owner lets somebody read what is sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from clicooper.access.grants import seal_grant
from clicooper.access.identity import parse_recipient
from clicooper.cli.options import Endpoints, FromBlock, JobThere, OnContract, source_of
from clicooper.cli.output import finish
from clicooper.errors import UsageError
from clicooper.files import write_secret
from clicooper.jobs import JobSource
from clicooper.protocol.owner_folder import keys_to_grant
from clicooper.reports.tables import print_lines
from clicooper.storage.ipld.cid import cid_text

__all__ = ["grant"]

GRANT_PINS = "grants"
"""The pin set of what was granted after the job."""


def grant(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", help="Whom to let in: an age recipient, age1...")],
    job_files: Annotated[
        Path | None, typer.Argument(metavar="[JOB]", help="The owner's run folder, or where the job's artifacts are.")
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Grant the labels too.  [default: --no-labels]")
    ] = False,
    seat: Annotated[
        list[int] | None,
        typer.Option("--seat", help="Whose files, past holders' included; may be repeated.  [default: all seats]"),
    ] = None,
    owner: Annotated[
        Path | None, typer.Option("--owner", help="Folder of the owner's secrets.  [default: JOB/owner]")
    ] = None,
    contract: OnContract = None,
    job: JobThere = None,
    endpoint: Endpoints = None,
    from_block: FromBlock = None,
    output_file: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write the grant to a file that `age` can open.")
    ] = None,
) -> int:
    """Lets an auditor or a replacement read sealed files, without anything being uploaded again.

    The grant goes beside the job's artifacts, where nothing links it: tell its CID to whoever it is for. It is
    encrypted to that recipient alone, and cannot be taken back.
    """
    recipient = parse_recipient(to)
    with source_of(context, job_files, contract, job, endpoint, from_block) as source:
        if output_file is not None and output_file.exists():
            raise UsageError(f"{output_file} exists and is not overwritten", hint="name another file with --output")
        history, secrets = source.history, _owner_folder(source, owner)
        seats = sorted(set(range(history.params.seats) if seat is None else seat))
        keys = keys_to_grant(secrets, history, seats, labels=labels)
        block = seal_grant(keys, history.owner, [recipient])
        if source.can_publish:
            source.publish(block.cid, GRANT_PINS, lambda store: store.put_block(block.to_block()))
        elif output_file is None:
            hint = "write the grant with --output FILE, or name an IPFS node with --store ipfs:URL"
            raise UsageError(f"{job_files} can only be read, and no other place is named", hint=hint)
        if output_file is not None:
            write_secret(output_file, block.ciphertext)
    result: dict[str, Any] = {"grant": cid_text(block.cid), "recipient": recipient}
    result |= {"labels": labels, "seats": seats, "authors": sorted(keys.sealing)}
    result |= {"file": None if output_file is None else str(output_file)}
    return finish(context, result, lambda console: _print_grant(console, result))


def _owner_folder(source: JobSource, chosen: Path | None) -> Path:
    if chosen is not None:
        return chosen
    if source.folder is None:
        raise UsageError("nobody's secrets are named", hint="name the folder of the owner's secrets with --owner")
    return source.folder.owner


def _print_grant(console: Console, result: dict[str, Any]) -> None:
    seats = ", ".join(str(seat) for seat in result["seats"])
    what = f"files and progress keys of seats {seats}, {'with' if result['labels'] else 'without'} labels"
    lines = [f"Granted {what}", f"to {result['recipient']}", f"Grant: {result['grant']}"]
    print_lines(console, *lines, *([f"File:  {result['file']}"] if result["file"] else []))
