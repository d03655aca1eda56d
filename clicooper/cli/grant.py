"""``clicooper job grant``: the owner lets somebody read what is sealed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli.output import Output
from clicooper.cli.retention import pin_roots
from clicooper.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.access.grants import AuditKeys
    from clicooper.history.follow import History
    from clicooper.storage.run_folder import RunFolder

__all__ = ["grant"]

GRANTS = "grants"
"""The pin set of what was granted after the job."""


def grant(
    context: typer.Context,
    run_dir: Annotated[Path, typer.Argument(help="The owner's run folder.")],
    to: Annotated[str, typer.Option("--to", help="Whom to let in: an age recipient, age1...")],
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Grant the labels too.  [default: --no-labels]")
    ] = False,
    seat: Annotated[
        list[int] | None,
        typer.Option("--seat", help="Whose files, past holders' included; may be repeated.  [default: all seats]"),
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write the grant to a file that `age` can open.")
    ] = None,
) -> int:
    """Lets an auditor or a replacement read sealed files, without anything being uploaded again.

    The grant goes into the run folder's store, where nothing links it: tell its CID to whoever it is for. It is
    encrypted to that recipient alone, and cannot be taken back.
    """
    from clicooper.access.grants import seal_grant  # noqa: PLC0415 - keeps --help fast
    from clicooper.access.identity import parse_recipient  # noqa: PLC0415
    from clicooper.chain.record import record_from_json  # noqa: PLC0415
    from clicooper.history.follow import follow_record  # noqa: PLC0415
    from clicooper.storage.ipld.cid import cid_text  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    output: Output = context.obj["output"]
    recipient, folder = parse_recipient(to), RunFolder.open(run_dir)
    _refuse_existing(output_file)
    history = follow_record(record_from_json(folder.record.read_bytes()))
    seats = _chosen_seats(history, seat)
    keys = _limited(_owner_keys(folder, history), history, seats, labels)
    block = seal_grant(keys, history.owner, [recipient])
    store = LocalStore(folder.store)
    # Pinned before it is there: a clean-up then waits, where it would take an unpinned block.
    pin_roots(store, [block.cid], GRANTS)
    cid = cid_text(store.put_block(block.to_block()))
    _write_file(output_file, block.ciphertext)
    result = {"ok": True, "code": 0, "grant": cid, "recipient": recipient, "labels": labels, "seats": list(seats)}
    result |= {"authors": sorted(keys.sealing), "file": None if output_file is None else str(output_file)}
    output.finish(result, lambda console: _print_grant(console, result))
    return 0


def _chosen_seats(history: History, chosen: list[int] | None) -> tuple[int, ...]:
    seats = tuple(sorted(set(range(history.params.seats) if chosen is None else chosen)))
    if wrong := [seat for seat in seats if not 0 <= seat < history.params.seats]:
        raise UsageError(
            f"--seat {wrong[0]}: there is no such seat", hint=f"the job has seats 0 to {history.params.seats - 1}"
        )
    return seats


def _owner_keys(folder: RunFolder, history: History) -> AuditKeys:
    """Everything that the owner can grant, which the run left wrapped to the owner itself."""
    from clicooper.access.grants import IDENTITY_NAME, read_grants  # noqa: PLC0415

    identity = folder.owner / IDENTITY_NAME
    if not identity.exists():
        raise UsageError(f"{folder.owner} does not hold the owner's identity", hint="only the job's owner can grant")
    keys = read_grants(identity)
    if keys.genesis != history.genesis:
        hint = "owner/ and record.json are of different runs: put the right ones together"
        raise UsageError(f"the secrets in {folder.owner} are of another job than the record", hint=hint)
    return keys


def _limited(keys: AuditKeys, history: History, seats: tuple[int, ...], labels: bool) -> AuditKeys:
    authors = {holder.trainer for holder in history.holders if holder.seat in seats}
    return keys.limited(seats, authors, labels=labels)


def _refuse_existing(path: Path | None) -> None:
    if path is not None and path.exists():
        raise UsageError(f"{path} exists and is not overwritten", hint="name another file with --output")


def _write_file(path: Path | None, data: bytes) -> None:
    from clicooper.files import write_secret  # noqa: PLC0415

    if path is not None:
        write_secret(path, data)


def _print_grant(console: Console, result: dict[str, Any]) -> None:
    seats = ", ".join(str(seat) for seat in result["seats"])
    what = f"files and progress keys of seats {seats}, {'with' if result['labels'] else 'without'} labels"
    for line in (f"Granted {what}", f"to {result['recipient']}", f"Grant: {result['grant']}"):
        console.print(line, markup=False, soft_wrap=True)
    if result["file"]:
        console.print(f"File:  {result['file']}", markup=False, soft_wrap=True)
