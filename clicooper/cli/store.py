"""``clicooper store``: artifacts by their names, what is kept of them, and whole jobs as CAR files."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from multiformats import CID
from rich.console import Console
from rich.text import Text

from clicooper.audit.bundle import pack_job
from clicooper.chain.record import read_record
from clicooper.cli.output import finish, output_of
from clicooper.cli.session import settings
from clicooper.errors import EXIT_FAILED, CliCooperError, RetentionRefused, UsageError
from clicooper.files import whole_file
from clicooper.reports.tables import print_lines, table
from clicooper.storage.base import Store, write_chunks
from clicooper.storage.ipld.cid import cid_text, parse_cid
from clicooper.storage.ipld.graph import walk
from clicooper.storage.local import LocalStore
from clicooper.storage.open_store import open_store, send_pending
from clicooper.storage.pins.clean_up import clean_up
from clicooper.storage.pins.node_pins import pin_on_node
from clicooper.storage.pins.pin_sets import PinSet, PinSets
from clicooper.storage.pins.pinning_service import PinningService, read_token, remote_name
from clicooper.storage.pins.retention import JOB_PINS, JobRetention, release_superseded
from clicooper.storage.pins.roots import MANUAL, add_and_pin, pin_roots, pin_sets, unpin_roots
from clicooper.storage.run_folder import RunFolder
from clicooper.storage.transfer import import_car

__all__ = ["app"]

app = typer.Typer(
    name="store", help="Artifacts by content: keep, fetch, list, pack and clean up.", no_args_is_help=True
)

Run = Annotated[
    Path | None, typer.Option("--run", help="A run folder whose store to use.  [default: the store under --home]")
]
RunArgument = Annotated[Path | None, typer.Argument(help="A run folder.  [default: the store under --home]")]


@dataclass(frozen=True)
class _Place:
    """The store that a command is about.

    Attributes:
        local: in a run folder, or under ``--home``.
        store: the same with the node of ``--store`` behind it.
    """

    local: LocalStore
    store: Store

    @property
    def sets(self) -> PinSets:
        """What is kept of it."""
        return pin_sets(self.local)

    def tell_node(self) -> None:
        """Has the node catch up: with what it was not sent, then with the pins."""
        send_pending(self.store)
        pin_on_node(self.store, self.sets)


def _place(context: typer.Context, run_dir: Path | None) -> _Place:
    config = settings(context)
    folder = config.home / "store"
    if run_dir is not None:
        folder = RunFolder.open(run_dir, needs_store=config.ipfs_url is None).store
    return _Place(LocalStore(folder), open_store(config, folder))


@app.command("pin")
def pin(
    context: typer.Context,
    cids: Annotated[list[str] | None, typer.Argument(help="What to keep with all that it links.")] = None,
    name: Annotated[str, typer.Option("--set", help="Name of the pin set.")] = MANUAL,
    remove: Annotated[bool, typer.Option("--remove", help="Let go of these pins instead.")] = False,
    remote: Annotated[
        str | None, typer.Option("--remote", help="URL of an IPFS pinning service that is to keep the whole set too.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="File with the service's token.  [default: CLICOOPER_PINNING_TOKEN]"),
    ] = None,
    run: Run = None,
) -> int:
    """Keeps artifacts under a named pin set, which `store gc` respects. Without a CID, lists the pin sets."""
    place = _place(context, run)
    given = [parse_cid(text) for text in cids or ()]
    if given and remove:
        unpin_roots(place.local, given, name)
    elif given:
        for cid in given:
            _check_whole(place.store, cid)
        pin_roots(place.local, given, name)
    place.tell_node()
    result: dict[str, Any] = {"store": str(place.local.root), "sets": [_describe(one) for one in place.sets.all()]}
    if remote is not None:
        result["remote"] = _pin_remotely(context, remote, token_file, place.sets, name)
    return finish(context, result, lambda console: _print_sets(console, result))


def _check_whole(store: Store, root: CID) -> None:
    for _ in walk(store.get_block, [root]):
        pass


def _describe(pin_set: PinSet) -> dict[str, Any]:
    return {
        "name": pin_set.name,
        "revision": pin_set.revision,
        "finished": pin_set.finished,
        "audited": pin_set.audited,
        "pins": {str(cid): mode for cid, mode in pin_set.pins.items()},
    }


def _pin_remotely(
    context: typer.Context, url: str, token_file: Path | None, sets: PinSets, name: str
) -> list[dict[str, Any]]:
    """Asks a pinning service to keep a whole set, and waits until it does."""
    pin_set = sets.load(name)
    if pin_set is None or not pin_set.pins:
        raise UsageError(f"there is no pin set {name} to hand over", hint="`store pin` lists the sets")
    service = PinningService(url, read_token(token_file))
    with output_of(context).progress() as progress:
        wanted = [remote_name(cid, mode) for cid, mode in pin_set.pins.items()]
        pinned = service.pin_all(wanted, name=f"clicooper-{name}", progress=progress)
    return [{"cid": str(cid), "status": status} for cid, status in pinned.items()]


def _print_sets(console: Console, result: dict[str, Any]) -> None:
    listing = table(result["store"], "set", "pins", "job", numeric=("pins",))
    for row in result["sets"]:
        state = "unfinished" if not row["finished"] else "audited" if row["audited"] else ""
        listing.add_row(row["name"], str(len(row["pins"])), state)
    console.print(listing)
    print_lines(console, *(f"{row['status']} {row['cid']}" for row in result.get("remote", ())))


@app.command("gc")
def gc(
    context: typer.Context,
    run_dir: RunArgument = None,
    superseded: Annotated[
        bool,
        typer.Option(
            "--superseded",
            help="Let go of optimizer and interval states that later rounds supersede; only once the job has finished"
            " and an audit of it has passed.",
        ),
    ] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Remove; without it, only says what would go.")] = False,
) -> int:
    """Removes what no pin set keeps. Refuses while a job is unfinished, or whenever anything is in doubt."""
    place = _place(context, run_dir)
    job = place.sets.load(JOB_PINS)
    if run_dir is not None and job is None:
        hint = "only its owner's run folder knows; keep what you need of it in a store under --home"
        raise RetentionRefused(f"{run_dir} does not say what its job needs", hint=hint)
    if superseded and job is None:
        raise UsageError(f"{place.local.root} belongs to no job of ours", hint="name the run folder of a job you own")
    after = (release_superseded(job),) if superseded and job is not None else ()
    if superseded and delete:
        clean_up(place.local, place.sets)
        JobRetention(place.sets, JOB_PINS, place.store).release_superseded()
    done = clean_up(place.local, place.sets, delete=delete, after=after)
    result = {
        "store": str(place.local.root),
        "removed": done.removed,
        "blocks": [str(cid) for cid in done.removable],
        "bytes": done.size_bytes,
        "kept_blocks": done.kept_blocks,
    }
    verb = "removed" if done.removed else "would go with --delete"
    counted = f"{len(done.removable):,} blocks, {done.size_bytes:,} bytes"
    lines = (*map(str, done.removable), f"{counted} {verb}; {done.kept_blocks:,} blocks are kept")
    return finish(context, result, lines)


@app.command("add")
def add(
    context: typer.Context, path: Annotated[Path, typer.Argument(help="The file to keep.")], run: Run = None
) -> int:
    """Keeps and pins a file, and prints its CID, which is the one that IPFS gives it."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file", hint="name one file; a folder has no CID here")
    place = _place(context, run)
    cid = add_and_pin(place.sets, place.store, path)
    place.tell_node()
    return finish(context, {"cid": str(cid), "bytes": path.stat().st_size}, str(cid))


@app.command("get")
def get(
    context: typer.Context,
    cid: Annotated[str, typer.Argument(help="What to fetch, in any version and base.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write.  [default: stdout]")] = None,
    run: Run = None,
) -> int:
    """Writes an artifact: a file's content, or the bytes of a record. Every block is hashed before it is written."""
    name, store = parse_cid(cid), _place(context, run).store
    if output is None:
        if output_of(context).json:
            raise UsageError("with --json, an artifact needs a file to go to", hint="name one with -o FILE")
        if sys.stdout.isatty():
            hint = "name a file with -o FILE, or give it to another program: clicooper store get CID | less"
            raise UsageError("an artifact may hold what a terminal obeys", hint=hint)
        _write(store, name, sys.stdout.buffer)
        return 0
    with whole_file(output) as stream:
        _write(store, name, stream)
        size = stream.tell()
    result = {"cid": cid_text(name), "path": str(output), "bytes": size}
    return finish(context, result, f"{output}: {size:,} bytes")


def _write(store: Store, cid: CID, target: BinaryIO) -> None:
    if cid.codec.name == "dag-cbor":
        write_chunks(target, [store.get_block(cid)])
    else:
        store.get_file(cid, target)


@app.command("ls")
def ls(context: typer.Context, run_dir: RunArgument = None) -> int:
    """Lists every block of a store, each hashed. Exit code 1: some do not hash to their names."""
    store = _place(context, run_dir).local
    rows: list[dict[str, Any]] = []
    for cid in store.cids():
        try:
            rows.append({"cid": str(cid), "codec": cid.codec.name, "bytes": len(store.get_block(cid)), "intact": True})
        except CliCooperError as e:
            rows.append({"cid": str(cid), "codec": cid.codec.name, "bytes": None, "intact": False, "why": e.message})
    result = {"store": str(store.root), "blocks": rows, "bytes": sum(row["bytes"] or 0 for row in rows)}
    code = 0 if all(row["intact"] for row in rows) else EXIT_FAILED
    return finish(context, result, lambda console: _print_blocks(console, result), code)


def _print_blocks(console: Console, result: dict[str, Any]) -> None:
    listing = table(result["store"], "block", "codec", "bytes", numeric=("bytes",))
    for row in result["blocks"]:
        listing.add_row(row["cid"], row["codec"], f"{row['bytes']:,}" if row["intact"] else Text("damaged", "bold red"))
    console.print(listing)
    console.print(f"{len(result['blocks']):,} blocks, {result['bytes']:,} bytes")


@app.command("export")
def export(
    context: typer.Context,
    run_dir: Annotated[Path, typer.Argument(help="A run folder: record.json and store/.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write, whole or not at all.")],
    attach: Annotated[
        list[str] | None,
        typer.Option("--attach", help="CID of what else to take along, such as a grant; may be repeated."),
    ] = None,
) -> int:
    """Packs a whole job into one CAR file: its record and every artifact that the record leads to."""
    store = _place(context, run_dir).store
    extra = [parse_cid(text) for text in attach or ()]
    packed = pack_job(read_record(RunFolder(run_dir).record), store, output, attach=extra)
    result = {
        "path": str(output),
        "root": str(packed.root),
        "blocks": packed.blocks,
        "bytes": output.stat().st_size,
        "left_out": [str(cid) for cid in packed.left_out],
    }
    lines = [f"{output}: {packed.blocks:,} blocks, {result['bytes']:,} bytes", f"root {packed.root}"]
    lines += [f"left out {cid}: named by the record, needed by nobody, not in the store" for cid in packed.left_out]
    return finish(context, result, lines)


@app.command("import")
def import_(
    context: typer.Context, path: Annotated[Path, typer.Argument(help="The CAR file.")], run: Run = None
) -> int:
    """Keeps every block of a CAR file and pins its roots.

    A damaged, foreign or incomplete file is refused and changes nothing.
    """
    place = _place(context, run)
    imported = import_car(path, place.store, accepted=lambda roots: pin_roots(place.local, roots))
    place.tell_node()
    result = {
        "roots": [str(root) for root in imported.roots],
        "blocks": imported.blocks,
        "new_blocks": imported.new_blocks,
        "bytes": imported.size_bytes,
        "store": str(place.local.root),
    }
    counted = f"{imported.blocks:,} blocks, {imported.new_blocks:,} of them new, {imported.size_bytes:,} bytes"
    lines = [counted, *(f"root {root}" for root in imported.roots)]
    return finish(context, result, lines)
