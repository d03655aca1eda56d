"""``clicooper store``: artifacts by their names, and whole jobs as CAR files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli import retention
from clicooper.cli.output import Output
from clicooper.cli.retention import Run, RunArgument
from clicooper.cli.session import settings
from clicooper.errors import UsageError
from clicooper.reports.tables import table

if TYPE_CHECKING:
    from multiformats import CID
    from rich.console import Console

    from clicooper.storage.base import Store

__all__ = ["app"]

app = typer.Typer(
    name="store", help="Artifacts by content: keep, fetch, list, pack and clean up.", no_args_is_help=True
)

Target = Annotated[Path, typer.Option("-o", "--output", help="File to write, whole or not at all.")]

app.command("pin")(retention.pin)
app.command("gc")(retention.gc)


@app.command("add")
def add(
    context: typer.Context, path: Annotated[Path, typer.Argument(help="The file to keep.")], run: Run = None
) -> None:
    """Keeps and pins a file, and prints its CID, which is the one that IPFS gives it."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file", hint="name one file; a folder has no CID here")
    sets = retention.pin_sets(retention.local_store(context, run))
    cid = retention.add_and_pin(sets, retention.any_store(context, run), path)
    retention.tell_node(context, run)
    result = {"ok": True, "code": 0, "cid": str(cid), "bytes": path.stat().st_size}
    _finish(context, result, lambda console: console.print(str(cid)))


@app.command("get")
def get(
    context: typer.Context,
    cid: Annotated[str, typer.Argument(help="What to fetch, in any version and base.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write.  [default: stdout]")] = None,
    run: Run = None,
) -> None:
    """Writes an artifact: a file's content, or the bytes of a record. Every block is hashed before it is written."""
    from clicooper.files import whole_file  # noqa: PLC0415 - keeps --help fast
    from clicooper.storage.ipld.cid import cid_text, parse_cid  # noqa: PLC0415

    shown: Output = context.obj["output"]
    name, store = parse_cid(cid), retention.any_store(context, run)
    if output is None:
        if shown.json:
            raise UsageError("with --json, an artifact needs a file to go to", hint="name one with -o FILE")
        _write(store, name, sys.stdout.buffer)
        return
    with whole_file(output) as stream:
        _write(store, name, stream)
        size = stream.tell()
    result = {"ok": True, "code": 0, "cid": cid_text(name), "path": str(output), "bytes": size}
    shown.finish(result, lambda console: console.print(f"{output}: {size:,} bytes", soft_wrap=True))


def _write(store: Store, cid: CID, target: Any) -> None:
    from clicooper.storage.base import write_chunks  # noqa: PLC0415

    if cid.codec.name == "dag-cbor":
        write_chunks(target, [store.get_block(cid)])
    else:
        store.get_file(cid, target)


@app.command("ls")
def ls(context: typer.Context, run_dir: RunArgument = None) -> int:
    """Lists every block of a store, each hashed. Exit code 1: some do not hash to their names."""
    from clicooper.errors import EXIT_FAILED, CliCooperError  # noqa: PLC0415

    store = retention.local_store(context, run_dir)
    rows: list[dict[str, Any]] = []
    for cid in store.cids():
        try:
            rows.append({"cid": str(cid), "codec": cid.codec.name, "bytes": len(store.get_block(cid)), "intact": True})
        except CliCooperError as e:
            rows.append({"cid": str(cid), "codec": cid.codec.name, "bytes": None, "intact": False, "why": e.message})
    code = 0 if all(row["intact"] for row in rows) else EXIT_FAILED
    total = sum(row["bytes"] or 0 for row in rows)
    result = {"ok": not code, "code": code, "store": str(store.root), "blocks": rows, "bytes": total}
    _finish(context, result, lambda console: _print_blocks(console, result))
    return code


def _print_blocks(console: Console, result: dict[str, Any]) -> None:
    listing = table(result["store"], "block", "codec", "bytes", numeric=("bytes",))
    for row in result["blocks"]:
        listing.add_row(row["cid"], row["codec"], f"{row['bytes']:,}" if row["intact"] else "[bold red]damaged[/]")
    console.print(listing)
    console.print(f"{len(result['blocks']):,} blocks, {result['bytes']:,} bytes")


@app.command("export")
def export(
    context: typer.Context,
    run_dir: Annotated[Path, typer.Argument(help="A run folder: record.json and store/.")],
    output: Target,
    attach: Annotated[
        list[str] | None,
        typer.Option("--attach", help="CID of what else to take along, such as a grant; may be repeated."),
    ] = None,
) -> None:
    """Packs a whole job into one CAR file: its record and every artifact that the record leads to."""
    from clicooper.audit.bundle import pack_job  # noqa: PLC0415 - imports torch
    from clicooper.chain.record import read_record  # noqa: PLC0415
    from clicooper.storage.ipld.cid import parse_cid  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    folder = RunFolder.open(run_dir, needs_store=settings(context).ipfs_url is None)
    extra = [parse_cid(text) for text in attach or ()]
    packed = pack_job(read_record(folder.record), retention.any_store(context, run_dir), output, attach=extra)
    result = {
        "ok": True,
        "code": 0,
        "path": str(output),
        "root": str(packed.root),
        "blocks": packed.blocks,
        "bytes": output.stat().st_size,
        "left_out": [str(cid) for cid in packed.left_out],
    }
    _finish(context, result, lambda console: _print_packed(console, result))


def _print_packed(console: Console, result: dict[str, Any]) -> None:
    console.print(f"{result['path']}: {result['blocks']:,} blocks, {result['bytes']:,} bytes", soft_wrap=True)
    console.print(f"root {result['root']}", soft_wrap=True)
    for cid in result["left_out"]:
        console.print(f"left out {cid}: named by the record, needed by nobody, not in the store", soft_wrap=True)


@app.command("import")
def import_(
    context: typer.Context, path: Annotated[Path, typer.Argument(help="The CAR file.")], run: Run = None
) -> None:
    """Keeps every block of a CAR file and pins its roots.

    A damaged, foreign or incomplete file is refused and changes nothing.
    """
    from clicooper.storage.transfer import import_car  # noqa: PLC0415 - keeps --help fast

    store = retention.local_store(context, run)
    held = retention.any_store(context, run)
    imported = import_car(path, held, accepted=lambda roots: retention.pin_roots(store, roots))
    retention.tell_node(context, run)
    result = {
        "ok": True,
        "code": 0,
        "roots": [str(root) for root in imported.roots],
        "blocks": imported.blocks,
        "new_blocks": imported.new_blocks,
        "bytes": imported.size_bytes,
        "store": str(store.root),
    }
    counted = f"{imported.blocks:,} blocks, {imported.new_blocks:,} of them new, {imported.size_bytes:,} bytes"
    lines = [counted, *(f"root {root}" for root in imported.roots)]
    _finish(context, result, lambda console: console.print("\n".join(lines), soft_wrap=True))


def _finish(context: typer.Context, result: dict[str, Any], render: Any) -> None:
    output: Output = context.obj["output"]
    output.finish(result, render)
