"""The interface of every store, and what can be said over any of them.

A store never vouches for content: every ``get_*`` hashes what it read and compares it with the name
that was asked for. A store does not know what artifacts mean, nor who may read them.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from multiformats import CID

from clicooper.errors import ArtifactMalformed, ArtifactMissing, StorageError
from clicooper.storage.ipld.cid import cid_text

__all__ = [
    "MAX_BYTES_IN_MEMORY",
    "ListableStore",
    "PinningStore",
    "Store",
    "get_bytes",
    "missing",
    "put_bytes",
    "reading",
    "write_chunks",
]

MAX_BYTES_IN_MEMORY = 1 << 30


class Store(Protocol):
    """Blocks and files by content.

    CIDs are version 1, sha2-256, in base32; arguments in another base or version name the same content.

    Errors of every method, unless it says otherwise:
        SpecError: a CID or codec that no artifact has.
        StorageError: the store cannot be reached, read or written.
    """

    def put_block(self, block: bytes, codec: str = "dag-cbor") -> CID:
        """Keeps one block of at most 1 MiB and returns its name; keeping it again changes nothing.

        Raises:
            SpecError: a block above 1 MiB, which IPFS nodes do not exchange.
        """
        ...

    def get_block(self, cid: CID) -> bytes:
        """The block that hashes to ``cid``.

        Raises:
            ArtifactMissing: the store does not have it.
            ArtifactCorrupt: the store has other bytes under that name.
        """
        ...

    def put_file(self, source: Path | BinaryIO) -> CID:
        """Keeps a file as a UnixFS graph, read in one pass with bounded memory, and returns its root."""
        ...

    def get_file(self, cid: CID, target: BinaryIO) -> None:
        """Writes a file to ``target`` with bounded memory. On an error, ``target`` holds a genuine first part of it.

        Raises:
            ArtifactMissing: the store lacks a block of the file.
            ArtifactCorrupt: a block has other bytes, or the graph is not a file of this protocol.
        """
        ...

    def has(self, cid: CID) -> bool:
        """Whether the store has a block under that name; only ``get_*`` says whether it is the right one."""
        ...


@runtime_checkable
class ListableStore(Store, Protocol):
    """A store that holds nobody else's blocks, so that what it holds can be listed: a node of a network cannot."""

    def cids(self) -> Iterator[CID]:
        """The names of all blocks, leaves and inner nodes of files included, each once."""
        ...


@runtime_checkable
class PinningStore(Store, Protocol):
    """A store that throws blocks away unless they are pinned."""

    def pin(self, cid: CID, *, recursive: bool = True) -> None:
        """Keeps a block, and with ``recursive`` everything under it, through every ``gc``; again changes nothing.

        Raises:
            ArtifactMissing: part of it is neither here nor to be had.
        """
        ...

    def unpin(self, cid: CID) -> None:
        """Takes back the pin of exactly this block; does nothing where there is none."""
        ...

    def pins(self) -> Mapping[CID, str]:
        """What is pinned in its own right, each with ``recursive`` or ``direct``."""
        ...

    def gc(self) -> tuple[CID, ...]:
        """Throws away what no pin keeps, and returns its names; as raw blocks, where the store knows digests alone."""
        ...

    def node_id(self) -> str:
        """Which node this is, by the name under which its peers know it."""
        ...


def put_bytes(store: Store, data: bytes) -> CID:
    """Keeps ``data`` as a file."""
    return store.put_file(io.BytesIO(data))


def get_bytes(store: Store, cid: CID, max_bytes: int = MAX_BYTES_IN_MEMORY) -> bytes:
    """A whole file in memory.

    Raises:
        ArtifactMissing, ArtifactCorrupt: as ``Store.get_file``; a file above ``max_bytes`` counts as malformed.
    """
    target = _Bounded(cid, max_bytes)
    store.get_file(cid, target)
    return target.getvalue()


class _Bounded(io.BytesIO):
    """A buffer that refuses to outgrow its limit, whatever the store sends."""

    def __init__(self, cid: CID, max_bytes: int) -> None:
        super().__init__()
        self._cid, self._max_bytes = cid_text(cid), max_bytes

    def write(self, data: object, /) -> int:
        """Appends, or raises ``ArtifactMalformed``."""
        view = memoryview(data)  # type: ignore[arg-type]
        if self.tell() + view.nbytes > self._max_bytes:
            raise ArtifactMalformed(
                f"file {self._cid} holds more than {self._max_bytes} bytes",
                cid=self._cid,
                hint="it is not what the record says; refuse it, or read it into a file",
            )
        return super().write(view)


def missing(cid: CID, where: str) -> ArtifactMissing:
    """The error of a store that does not have ``cid``.

    Args:
        where: the store, as its user calls it.
    """
    text = cid_text(cid)
    hint = "fetch or import it from whoever published it, then repeat"
    return ArtifactMissing(f"{where} does not have block {text}", cid=text, hint=hint)


@contextmanager
def reading(what: object) -> Iterator[None]:
    """Turns a failure to read ``what`` into a ``StorageError`` that names it."""
    try:
        yield
    except OSError as e:
        raise StorageError(f"cannot read {what}: {e.strerror}", hint="check the path and its permissions") from e


def write_chunks(target: BinaryIO, chunks: Iterable[bytes]) -> None:
    """Writes every byte of ``chunks``: unbuffered files and pipes take fewer at a time than they are given.

    Raises:
        StorageError: the target cannot be written.
    """
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[target.write(rest) :]
            except OSError as e:
                name = getattr(target, "name", "the target")
                raise StorageError(f"cannot write {name}: {e.strerror}", hint="check the disk and its space") from e
