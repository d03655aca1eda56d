"""``clicooper store pin`` and ``store gc``: what is kept, where, and what may go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli.output import Output
from clicooper.cli.session import settings
from clicooper.errors import RetentionRefused, UsageError
from clicooper.reports.tables import table
from clicooper.storage.open_store import open_store, send_pending

if TYPE_CHECKING:
    from multiformats import CID
    from rich.console import Console

    from clicooper.storage.base import Store
    from clicooper.storage.local import LocalStore
    from clicooper.storage.pins.pin_sets import PinSet, PinSets

__all__ = ["Run", "RunArgument", "add_and_pin", "any_store", "gc", "local_store", "pin", "pin_roots", "tell_node"]

MANUAL = "manual"
"""The pin set of what a person keeps by hand."""

Run = Annotated[
    Path | None, typer.Option("--run", help="A run folder whose store to use.  [default: the store under --home]")
]
RunArgument = Annotated[Path | None, typer.Argument(help="A run folder.  [default: the store under --home]")]


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
) -> None:
    """Keeps artifacts under a named pin set, which `store gc` respects. Without a CID, lists the pin sets."""
    from clicooper.storage.ipld.cid import parse_cid  # noqa: PLC0415 - keeps --help fast

    store = local_store(context, run)
    sets = pin_sets(store)
    given = [parse_cid(text) for text in cids or ()]
    if given and remove:
        sets.change(name, lambda old: _without_roots(old, given))
    elif given:
        for cid in given:
            _check_whole(any_store(context, run), cid)
        pin_roots(store, given, name)
    tell_node(context, run)
    result: dict[str, Any] = {"ok": True, "code": 0, "store": str(store.root), "sets": _described(sets)}
    if remote is not None:
        result["remote"] = _pin_remotely(context, remote, token_file, sets, name)
    output: Output = context.obj["output"]
    output.finish(result, lambda console: _print_sets(console, result))


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
) -> None:
    """Removes what no pin set keeps. Refuses while a job is unfinished, or whenever anything is in doubt."""
    from clicooper.storage.pins.clean_up import clean_up  # noqa: PLC0415 - keeps --help fast
    from clicooper.storage.pins.retention import JOB_PINS, JobRetention, release_superseded  # noqa: PLC0415

    store = local_store(context, run_dir)
    sets = pin_sets(store)
    if run_dir is not None and sets.load(JOB_PINS) is None:
        hint = "only its owner's run folder knows; keep what you need of it in a store under --home"
        raise RetentionRefused(f"{run_dir} does not say what its job needs", hint=hint)
    after: tuple[PinSet, ...] = ()
    if superseded:
        job = sets.load(JOB_PINS)
        if job is None:
            raise UsageError(f"{store.root} belongs to no job of ours", hint="name the run folder of a job you own")
        after = (release_superseded(job),)
        if delete:
            clean_up(store, sets)
            JobRetention(sets, JOB_PINS, any_store(context, run_dir)).release_superseded()
    done = clean_up(store, sets, delete=delete, after=after)
    result = {
        "ok": True,
        "code": 0,
        "store": str(store.root),
        "removed": done.removed,
        "blocks": [str(cid) for cid in done.removable],
        "bytes": done.size_bytes,
        "kept_blocks": done.kept_blocks,
    }
    output: Output = context.obj["output"]
    output.finish(result, lambda console: _print_clean_up(console, result))


def store_folder(context: typer.Context, run_dir: Path | None) -> Path:
    """Where the store lies that a command is about: in a run folder, or under ``--home``."""
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415 - keeps --help fast

    config = settings(context)
    if run_dir is not None:
        return RunFolder.open(run_dir, needs_store=config.ipfs_url is None).store
    return config.home / "store"


def local_store(context: typer.Context, run_dir: Path | None) -> LocalStore:
    """The store in that folder alone."""
    from clicooper.storage.local import LocalStore  # noqa: PLC0415 - keeps --help fast

    return LocalStore(store_folder(context, run_dir))


def any_store(context: typer.Context, run_dir: Path | None) -> Store:
    """The store in that folder, with the node of ``--store`` behind it."""
    return open_store(settings(context), store_folder(context, run_dir))


def pin_sets(store: LocalStore) -> PinSets:
    """The pin sets of a store: beside it, so that whoever finds one finds the other."""
    from clicooper.storage.pins.pin_sets import PinSets  # noqa: PLC0415 - keeps --help fast

    return PinSets(store.root.parent / "pins")


def add_and_pin(sets: PinSets, store: Store, path: Path) -> CID:
    """Keeps a file under the sets' lock: a clean-up must not come between its blocks and their pin."""
    added: list[CID] = []

    def change(old: PinSet) -> PinSet:
        added.append(store.put_file(path))
        return _with_roots(old, added)

    sets.change(MANUAL, change)
    return added[0]


def pin_roots(store: LocalStore, roots: Sequence[CID], name: str = MANUAL) -> PinSet:
    """Adds roots to a pin set; harmless before their blocks are there, since clean-ups then refuse."""
    return pin_sets(store).change(name, lambda old: _with_roots(old, roots))


def _with_roots(pin_set: PinSet, roots: Sequence[CID]) -> PinSet:
    from clicooper.storage.pins.pin_sets import texts  # noqa: PLC0415

    return pin_set.model_copy(update={"roots": tuple(dict.fromkeys((*pin_set.roots, *texts(roots))))})


def _without_roots(pin_set: PinSet, roots: Sequence[CID]) -> PinSet:
    from clicooper.storage.pins.pin_sets import texts  # noqa: PLC0415

    for text in texts(roots):
        if text not in pin_set.roots:
            raise UsageError(f"pin set {pin_set.name} has no root {text}", hint="`store pin` lists the sets")
    return pin_set.model_copy(update={"roots": tuple(t for t in pin_set.roots if t not in texts(roots))})


def tell_node(context: typer.Context, run_dir: Path | None) -> None:
    """Has the node of ``--store`` catch up: with what it was not sent, then with the pins."""
    from clicooper.storage.pins.node_pins import pin_on_node  # noqa: PLC0415 - keeps --help fast

    if settings(context).ipfs_url is not None:
        store = any_store(context, run_dir)
        send_pending(store)
        pin_on_node(store, pin_sets(local_store(context, run_dir)))


def _check_whole(store: Store, root: CID) -> None:
    from clicooper.storage.ipld.graph import walk  # noqa: PLC0415

    for _ in walk(store.get_block, [root]):
        pass


def _described(sets: PinSets) -> list[dict[str, Any]]:
    return [
        {
            "name": pin_set.name,
            "revision": pin_set.revision,
            "finished": pin_set.finished,
            "audited": pin_set.audited,
            "pins": {str(cid): mode for cid, mode in pin_set.pins.items()},
        }
        for pin_set in sets.all()
    ]


def _print_sets(console: Console, result: dict[str, Any]) -> None:
    listing = table(result["store"], "set", "pins", "job", numeric=("pins",))
    for row in result["sets"]:
        state = "unfinished" if not row["finished"] else "audited" if row["audited"] else ""
        listing.add_row(row["name"], str(len(row["pins"])), state)
    console.print(listing)
    for row in result.get("remote", ()):
        console.print(f"{row['status']} {row['cid']}", soft_wrap=True)


def _print_clean_up(console: Console, result: dict[str, Any]) -> None:
    for cid in result["blocks"]:
        console.print(cid, soft_wrap=True)
    verb = "removed" if result["removed"] else "would go with --delete"
    counted = f"{len(result['blocks']):,} blocks, {result['bytes']:,} bytes"
    console.print(f"{counted} {verb}; {result['kept_blocks']:,} blocks are kept", soft_wrap=True)


def _pin_remotely(
    context: typer.Context, url: str, token_file: Path | None, sets: PinSets, name: str
) -> list[dict[str, Any]]:
    """Asks a pinning service to keep a whole set, and waits until it does."""
    from clicooper.storage.pins.pinning_service import PinningService, read_token, remote_name  # noqa: PLC0415

    pin_set = sets.load(name)
    if pin_set is None or not pin_set.pins:
        raise UsageError(f"there is no pin set {name} to hand over", hint="`store pin` lists the sets")
    service = PinningService(url, read_token(token_file))
    output: Output = context.obj["output"]
    with output.progress() as progress:
        wanted = [remote_name(cid, mode) for cid, mode in pin_set.pins.items()]
        pinned = service.pin_all(wanted, name=f"clicooper-{name}", progress=progress)
    return [{"cid": str(cid), "status": status} for cid, status in pinned.items()]
