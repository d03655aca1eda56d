"""``clicooper config`` and ``networks``: what is configured, where each value came from, and which networks answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.console import Console

from clicooper.chain.rpc.node import Node
from clicooper.cli import session
from clicooper.cli.output import finish
from clicooper.config import EMBEDDED, Setting, explain_config
from clicooper.errors import ChainError
from clicooper.reports.tables import table
from clicooper.urls import public_url

__all__ = ["app", "networks"]

PROBE_TIMEOUT_S = 3.0

app = typer.Typer(help="Look at the configuration.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Look at the configuration."""


@app.command("show")
def show(context: typer.Context) -> int:
    """Shows every key, its value and its source: option, CLICOOPER_ variable, clicooper.toml or default.

    Of an address only host and port are shown, because the rest may hold an API key.
    """
    settings = explain_config(**context.obj["settings"])
    rows = [{"key": one.name, "value": _plain(one.value), "source": one.source} for one in settings]
    return finish(context, {"settings": rows}, lambda console: _print_settings(console, settings))


def _plain(value: object) -> object:
    """A value as JSON has it, its addresses without credentials."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, str) or "://" not in value:
        return value
    prefix = "ipfs:" if value.startswith("ipfs:") else ""
    return prefix + public_url(value.removeprefix(prefix))


def _print_settings(console: Console, settings: tuple[Setting, ...]) -> None:
    values = [(one, _plain(one.value)) for one in settings]
    rows = [(one.name, "" if value in (None, [], {}) else str(value), one.source) for one, value in values]
    console.print(table("Configuration", "key", "value", "source", rows=rows))


@dataclass(frozen=True)
class Network:
    """One named network.

    Args:
        name: what ``--network`` takes.
        url: where it is, without credentials and path, which may hold an API key.
        answers: whether an EVM node answered within three seconds.
        chain_id, block, client: what it said; None where nothing answered.
        detail: why nothing answered.
    """

    name: str
    url: str
    answers: bool
    chain_id: int | None = None
    block: int | None = None
    client: str | None = None
    detail: str = ""


def networks(context: typer.Context) -> int:
    """Lists the networks that --network takes by name, and asks each whether it is there.

    Your own stand under [networks] in clicooper.toml, as `name = "URL"`; --network also takes a URL itself.
    """
    config = session.settings(context)
    # All are asked at once, so that silent ones cost one time limit together.
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = tuple(pool.map(_probe, config.all_networks, config.all_networks.values()))
    chosen = config.network if config.network in config.all_networks else None
    result = {"chosen": chosen, "networks": [asdict(network) for network in found]}
    return finish(context, result, lambda console: _print_networks(console, found, chosen))


def _probe(name: str, url: str) -> Network:
    if url == EMBEDDED:
        # Always there, and too slow to start for a listing.
        return Network(name, url, True, 31337, 0, "in this process")
    try:
        with Node.connect(url, timeout_s=PROBE_TIMEOUT_S) as node:
            return Network(name, node.source, True, node.chain_id, node.block_number(), node.client_version())
    except ChainError as e:
        return Network(name, public_url(url), False, detail=e.message)


def _print_networks(console: Console, found: Iterable[Network], chosen: str | None) -> None:
    columns = ("name", "where", "answers", "chain", "block", "client")
    console.print(table("Networks", *columns, numeric=("chain", "block"), rows=(_row(one, chosen) for one in found)))


def _row(network: Network, chosen: str | None) -> list[str]:
    said = ("" if value is None else str(value) for value in (network.chain_id, network.block, network.client))
    name = network.name + ("*" if network.name == chosen else "")
    return [name, network.url, "yes" if network.answers else "no", *said]
