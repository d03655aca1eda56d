"""``clicooper networks``: the named networks, and which of them answer."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer

from clicooper.cli import session
from clicooper.cli.output import Output
from clicooper.errors import ChainError
from clicooper.reports.tables import table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["networks"]

PROBE_TIMEOUT_S = 3.0


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
    found = _probed(config.all_networks.items())
    chosen = config.network if config.network in config.all_networks else None
    result = {"ok": True, "code": 0, "chosen": chosen, "networks": [asdict(network) for network in found]}
    output: Output = context.obj["output"]
    output.finish(result, lambda console: _print(console, found, chosen))
    return 0


def _probed(named: Iterable[tuple[str, str]]) -> tuple[Network, ...]:
    """Every network in its order; all are asked at once, so that silent ones cost one time limit together."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return tuple(pool.map(lambda pair: _probe(*pair), named))


def _probe(name: str, url: str) -> Network:
    from clicooper.chain.rpc.node import Node  # noqa: PLC0415 - web3 is slow to import
    from clicooper.config import EMBEDDED, public_url  # noqa: PLC0415

    if url == EMBEDDED:
        # Always there, and too slow to start for a listing.
        return Network(name, url, True, 31337, 0, "in this process")
    try:
        with Node.connect(url, timeout_s=PROBE_TIMEOUT_S) as node:
            return Network(name, node.source, True, node.chain_id, node.block_number(), node.client_version())
    except ChainError as e:
        return Network(name, public_url(url), False, detail=e.message)


def _print(console: Console, found: Iterable[Network], chosen: str | None) -> None:
    rows = table("Networks", "name", "where", "answers", "chain", "block", "client", numeric=("chain", "block"))
    for network in found:
        mark = "*" if network.name == chosen else ""
        said = [str(value) if value is not None else "" for value in (network.chain_id, network.block, network.client)]
        rows.add_row(network.name + mark, network.url, "yes" if network.answers else "no", *said)
    console.print(rows)
