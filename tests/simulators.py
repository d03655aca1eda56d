"""Working implementations of the package's interfaces in memory, for tests that are about something else."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from multiformats import CID

from clicooper.chain.rpc.transport import Transport
from clicooper.commitments.canonical import MAX_BLOCK_BYTES
from clicooper.errors import SpecError, StorageError
from clicooper.storage.base import Store, missing, write_chunks
from clicooper.storage.ipld.cid import block_cid, build_file, normalise_cid, read_file, verify_block

__all__ = ["CountingTransport", "MemoryStore"]


class CountingTransport:
    """Another transport whose requests are counted; a batch is one.

    Attributes:
        requests: how many so far.
        calls: how many calls they held.
    """

    def __init__(self, inner: Transport) -> None:
        self.source = inner.source
        self._inner = inner
        self.requests = self.calls = 0

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        self.requests += 1
        self.calls += 1
        return self._inner.request(method, params)

    def request_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        self.requests += 1
        self.calls += len(calls)
        return self._inner.request_many(calls)

    def close(self) -> None:
        self._inner.close()


class MemoryStore:
    """Implements ``Store`` in a dictionary. Tests may damage or drop what ``blocks`` holds."""

    def __init__(self) -> None:
        self.blocks: dict[CID, bytes] = {}

    def put_block(self, block: bytes, codec: str = "dag-cbor") -> CID:
        if len(block) > MAX_BLOCK_BYTES:
            raise SpecError(f"block of {len(block)} bytes exceeds {MAX_BLOCK_BYTES}", hint="put it as a file")
        cid = block_cid(block, codec)
        self.blocks[cid] = bytes(block)
        return cid

    def get_block(self, cid: CID) -> bytes:
        cid = normalise_cid(cid)
        if cid not in self.blocks:
            raise missing(cid, "the memory store")
        return verify_block(cid, self.blocks[cid])

    def put_file(self, source: Path | BinaryIO) -> CID:
        try:
            if isinstance(source, Path):
                with source.open("rb") as stream:
                    return self.put_file(stream)
            for cid, block in build_file(source):
                self.blocks[cid] = block
        except OSError as e:
            raise StorageError(f"cannot read {source}: {e.strerror}", hint="check the path") from e
        return cid

    def get_file(self, cid: CID, target: BinaryIO) -> None:
        write_chunks(target, read_file(cid, self.get_block))

    def has(self, cid: CID) -> bool:
        return normalise_cid(cid) in self.blocks

    def cids(self) -> Iterator[CID]:
        return iter(tuple(self.blocks))


class Network:
    """Implements ``Store`` over another one as a node of a network does: what it holds cannot be listed."""

    def __init__(self, store: Store) -> None:
        self._inner = store

    def put_block(self, block: bytes, codec: str = "dag-cbor") -> CID:
        return self._inner.put_block(block, codec)

    def get_block(self, cid: CID) -> bytes:
        return self._inner.get_block(cid)

    def put_file(self, source: Path | BinaryIO) -> CID:
        return self._inner.put_file(source)

    def get_file(self, cid: CID, target: BinaryIO) -> None:
        self._inner.get_file(cid, target)

    def has(self, cid: CID) -> bool:
        return self._inner.has(cid)
