"""A store of blocks that are held in memory already, such as those of a file that was opened; it cannot be written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from multiformats import CID

from clicooper.errors import StorageError
from clicooper.storage.base import Store, missing, write_chunks
from clicooper.storage.ipld.cid import cid_bytes, cid_of_bytes, read_file, verify_block

__all__ = ["HeldBlocks"]


class HeldBlocks:
    """Implements ``ListableStore`` over given blocks, but for the methods that write.

    Args:
        blocks: names and blocks; each is hashed again whenever it is asked for.
        where: what they came from, as its user calls it.
        behind: where to look for other blocks; None holds no others.
    """

    def __init__(self, blocks: Iterable[tuple[CID, bytes]], where: str, behind: Store | None = None) -> None:
        self._blocks = {cid_bytes(cid): block for cid, block in blocks}
        self._where = where
        self._behind = behind

    def before(self, store: Store | None) -> HeldBlocks:
        """The same blocks, and behind them a store's."""
        named = ((cid_of_bytes(name), block) for name, block in self._blocks.items())
        return HeldBlocks(named, self._where, store)

    def get_block(self, cid: CID) -> bytes:
        """See ``Store``."""
        block = self._blocks.get(cid_bytes(cid))
        if block is None and self._behind is not None:
            return self._behind.get_block(cid)
        if block is None:
            raise missing(cid, self._where)
        return verify_block(cid, block, self._where)

    def get_file(self, cid: CID, target: BinaryIO) -> None:
        """See ``Store``."""
        write_chunks(target, read_file(cid, self.get_block))

    def has(self, cid: CID) -> bool:
        """See ``Store``."""
        return cid_bytes(cid) in self._blocks or (self._behind is not None and self._behind.has(cid))

    def cids(self) -> Iterator[CID]:
        """The names of the held blocks; what lies behind them is not listed."""
        return (cid_of_bytes(name) for name in self._blocks)

    def put_block(self, block: bytes, codec: str = "dag-cbor") -> CID:  # noqa: ARG002 - the interface
        """Refuses: what is held is what was opened."""
        self._refuse_writing()

    def put_file(self, source: Path | BinaryIO) -> CID:  # noqa: ARG002 - the interface
        """Refuses: what is held is what was opened."""
        self._refuse_writing()

    def _refuse_writing(self) -> NoReturn:
        raise StorageError(f"{self._where} can only be read", hint="put it into a store")
