"""Blocks from a CAR file into a store: nothing is kept before the whole file has been judged."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from multiformats import CID

from clicooper.storage.base import Store
from clicooper.storage.car_store import CarStore
from clicooper.storage.ipld.cid import cid_bytes
from clicooper.storage.ipld.graph import walk

__all__ = ["ImportedCar", "import_car"]


@dataclass(frozen=True)
class ImportedCar:
    """What a file held, and how much of it the store lacked before."""

    roots: tuple[CID, ...]
    blocks: int
    size_bytes: int
    new_blocks: int


def _accept(_roots: tuple[CID, ...]) -> None:
    """What happens between judging a file and keeping it, unless it is told otherwise."""


def import_car(path: Path, store: Store, *, accepted: Callable[[tuple[CID, ...]], object] = _accept) -> ImportedCar:
    """Keeps every block of a CAR file, once the file is known to be sound, intact and complete.

    The file is read twice. An interruption leaves genuine blocks behind, and importing again goes on from there.

    Args:
        accepted: called with the roots once the file is known to be good, before the first block is kept.

    Raises:
        CarError: not a CAR file that this program accepts, with the byte.
        ArtifactCorrupt: a block that does not hash to its name, or is not what its codec says.
        ArtifactMissing: the graphs of the file's roots are not whole in it.
        GraphTooLarge: more than ``graph.MAX_GRAPH_BLOCKS`` or ``MAX_GRAPH_BYTES``.
        StorageError: the file cannot be read, or the store cannot be written.
    """
    with CarStore(path) as car:
        size = _judge(car)
        accepted(car.roots)
        new = 0
        for cid in car.cids():
            new += not store.has(cid)
            store.put_block(car.get_block(cid), cid.codec.name)
        return ImportedCar(car.roots, len(car), size, new)


def _judge(car: CarStore) -> int:
    """Reads the whole file, linked blocks first; its blocks' bytes."""
    linked: set[bytes] = set()
    size = 0
    for cid, block in walk(car.get_block, car.roots):
        linked.add(cid_bytes(cid))
        size += len(block)
    return size + sum(len(car.get_block(cid)) for cid in car.cids() if cid_bytes(cid) not in linked)
