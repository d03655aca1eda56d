"""Sending blocks to an IPFS node: in windows, each a CAR of the blocks that the node lacks.

A window is the unit of resumption and of memory: 128 leaves, 32 MiB. Blocks are cut and hashed while the window is
on its way, so that hashing costs no time of its own. Format: ipld.io/specs/transport/car/carv1.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

import dag_cbor
from multiformats import CID

from clicooper.errors import ArtifactMissing, StorageError
from clicooper.storage.ipfs.presence import Presence
from clicooper.storage.ipfs.rpc import NodeCall, Rpc, Transient
from clicooper.storage.ipld.cid import cid_bytes, cid_text
from clicooper.storage.ipld.dagpb import varint

__all__ = ["MULTIPART_TYPE", "Uploader", "Window", "car", "multipart", "windows"]

WINDOW_BLOCKS = 128

_BOUNDARY = b"clicooper-7f0b6c1d9a3e4b52"
MULTIPART_TYPE = f"multipart/form-data; boundary={_BOUNDARY.decode()}"

Block = tuple[CID, bytes]


def car(blocks: Iterable[Block]) -> Iterator[bytes] | None:
    """A CAR whose root is its first block; None for no blocks."""
    rest = iter(blocks)
    first = next(rest, None)
    if first is None:
        return None
    header = dag_cbor.encode({"version": 1, "roots": [first[0]]})
    return chain([varint(len(header)) + header], (_framed(*block) for block in chain([first], rest)))


def _framed(cid: CID, block: bytes) -> bytes:
    name = cid_bytes(cid)
    return b"".join((varint(len(name) + len(block)), name, block))


def multipart(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The body of a form with one file, as every upload command of the RPC takes it."""
    head = b'Content-Disposition: form-data; name="file"; filename="data"\r\nContent-Type: application/octet-stream'
    yield b"--" + _BOUNDARY + b"\r\n" + head + b"\r\n\r\n"
    yield from parts
    yield b"\r\n--" + _BOUNDARY + b"--\r\n"


class Window:
    """Some blocks of a stream, which may be gone through again although the stream may not.

    Attributes:
        blocks: those that were taken from the stream so far; all, once gone through.
    """

    def __init__(self, first: Block, rest: Iterator[Block]) -> None:
        self.blocks = [first]
        self._rest = islice(rest, WINDOW_BLOCKS - 1)

    def __iter__(self) -> Iterator[Block]:
        yield from tuple(self.blocks)
        for block in self._rest:
            self.blocks.append(block)
            yield block

    def lacking(self, is_there: Callable[[CID], bool]) -> Iterator[Block]:
        """The blocks that are not there yet, each once: a file may repeat itself."""
        taken: set[CID] = set()
        for cid, block in self:
            if cid not in taken and not is_there(cid):
                taken.add(cid)
                yield cid, block


def windows(blocks: Iterator[Block]) -> Iterator[Window]:
    """Cuts a stream into windows; each must be gone through before the next is taken."""
    for first in blocks:
        yield Window(first, blocks)


class Uploader:
    """Sends what a node lacks."""

    def __init__(self, rpc: Rpc, presence: Presence) -> None:
        self._rpc = rpc
        self._presence = presence

    def send(self, window: Window, is_there: Callable[[CID], bool]) -> int:
        """Sends what the node lacks of a window; after a failure asks afresh what has arrived.

        Returns:
            bytes of blocks that were sent, in all attempts.

        Raises:
            StorageError: the node cannot be reached, refuses, or has lost what it took.
        """
        sent: list[Block] = []
        known: Iterator[Callable[[CID], bool]] = iter((is_there,))

        def body() -> Iterator[bytes] | None:
            archive = car(_noting(window.lacking(_trying(next(known, None) or self._ask_afresh())), sent))
            return None if archive is None else multipart(archive)

        self._rpc.send(NodeCall("dag/import", {"pin-roots": "false"}), body)
        if sent:
            self._confirm(sent[-1][0])
        for cid, _ in sent:
            self._presence.note(cid)
        return sum(len(block) for _, block in sent)

    def _ask_afresh(self) -> Callable[[CID], bool]:
        self._presence.forget()
        return self._presence.for_one_put()

    def _confirm(self, cid: CID) -> None:
        """The last block of an upload is there: a node keeps the blocks of an archive in their order."""
        try:
            self._rpc.ask(NodeCall.about("block/stat", cid, offline="true"))
        except ArtifactMissing as e:
            problem = f"IPFS node {self._rpc.name} took block {cid_text(cid)} and does not have it"
            raise StorageError(problem, hint="look into the node's own log and its disk space") from e


def _trying(is_there: Callable[[CID], bool]) -> Callable[[CID], bool]:
    """A node that cannot say what it has may do so in the next attempt."""

    def ask(cid: CID) -> bool:
        try:
            return is_there(cid)
        except StorageError as e:
            raise Transient(e.message) from e

    return ask


def _noting(blocks: Iterable[Block], noted: list[Block]) -> Iterator[Block]:
    for block in blocks:
        noted.append(block)
        yield block
