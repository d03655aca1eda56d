"""Indexes of a contract's history, and what is compared of the records that they give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from chain_world import World

from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.record import JobRecord
from clicooper.chain.rpc.node import Node

FINALITY = 5


def index_of(path: Path, node: Node, world: World, **options: Any) -> RecordIndex:
    return RecordIndex(path / "index.sqlite", node, world.address, **{"finality": FINALITY, **options})


def mined(node: Node, blocks: int) -> None:
    node.ask("anvil_mine", hex(blocks))


def without_source(record: JobRecord) -> JobRecord:
    return replace(record, source="", blocks=(0, record.blocks[1]))
