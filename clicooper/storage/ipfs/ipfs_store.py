"""A store on an IPFS node, through its RPC as Kubo defines it: what it gives is hashed, what it has is not sent again.

The node is believed in nothing but its own state: which blocks it has and which it pins. Calls and their failures are
in ``_rpc``, the cutting of uploads in ``_upload``; here is what the commands are. Both implementations of the RPC are
served: Kubo answers offline which blocks it has; js-ipfs can only list them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

from multiformats import CID

from clicooper.commitments.canonical import MAX_BLOCK_BYTES
from clicooper.config import IPFS_URL
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, SpecError, StorageError
from clicooper.extras import extra
from clicooper.files import open_regular
from clicooper.storage.base import missing, reading, write_chunks
from clicooper.storage.ipfs.address import parse_node_address
from clicooper.storage.ipfs.presence import Presence, artifacts
from clicooper.storage.ipfs.rpc import NodeCall, Rpc, parse_object
from clicooper.storage.ipfs.upload import Block, Uploader, multipart, windows
from clicooper.storage.ipld.cid import (
    block_cid,
    build_file,
    cid_bytes,
    cid_text,
    normalise_cid,
    read_file,
    verify_block,
)

__all__ = ["IpfsStore", "UploadProgress"]

ASK_FROM_BYTES = 1 << 14
"""From this size on a single block is sent only after asking for it: below, asking costs as much as sending."""

UploadProgress = Callable[[int, int], None]
"""Called with the bytes of a file's blocks that the node has by now, and how many of them were sent."""


def _silent(_done: int, _sent: int) -> None:
    pass


class IpfsStore:
    """Implements ``PinningStore`` on a node.

    A put is durable on the node when it returns, and safe from its garbage collection once pinned.

    Args:
        url: ``http://host:port`` of its RPC, with ``user:password@`` where it wants them, or
            ``/ip4/.../tcp/...``; see ``parse_node_address``.
        timeout_s: longest time that one call may take, its retries included; for an upload, longest silence of the
            node. A block that the node does not find in its network in this time is missing.
        retries: further attempts after failures that may pass: no connection, a broken one, a 5xx status.
        progress: told about uploads of files.
        clock: seconds that never go back.

    Raises:
        UsageError: an address that names no node.
    """

    def __init__(
        self,
        url: str = IPFS_URL,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        progress: UploadProgress = _silent,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        address = parse_node_address(url)
        # A function, since whatever shows a store's attributes must not show the address's credentials.
        self._reopening: Callable[[], partial[IpfsStore]] = lambda: partial(
            IpfsStore, url, timeout_s=timeout_s, retries=retries
        )
        self.name = f"IPFS node {address.public}"
        with extra("ipfs"):
            from clicooper.storage.ipfs.transport import IpfsTransport  # noqa: PLC0415 - an extra
        self._transport = IpfsTransport(address)
        self._rpc = Rpc(self._transport, address.public, timeout_s, retries)
        self._progress = progress
        self._timeout_s = timeout_s
        self._clock = clock
        self._absent_until: dict[bytes, float] = {}
        self._presence = Presence(self._rpc)
        self._uploader = Uploader(self._rpc, self._presence)

    def __reduce__(self) -> tuple[partial[IpfsStore], tuple[()]]:
        """Pickled as an address, credentials included: whoever unpickles it talks to the node itself."""
        return self._reopening(), ()

    def put_block(self, block: bytes, codec: str = "dag-cbor") -> CID:
        """See ``Store``."""
        if len(block) > MAX_BLOCK_BYTES:
            raise SpecError(f"block of {len(block)} bytes exceeds {MAX_BLOCK_BYTES}", hint="put it as a file")
        cid = block_cid(block, codec)
        self._absent_until.clear()
        if len(block) < ASK_FROM_BYTES or not self.has(cid):
            naming = {"cid-codec": codec} if self._presence.is_kubo else {"format": codec, "version": "1"}
            call = NodeCall("block/put", {**naming, "mhtype": "sha2-256", "pin": "false"})
            answer = self._rpc.send(call, lambda: multipart([block]))
            self._expect(cid, answer)
        return cid

    def get_block(self, cid: CID) -> bytes:
        """See ``Store``; a block that the node lacks it looks for in its network."""
        cid = normalise_cid(cid)
        block = self._search(cid)
        if len(block) > MAX_BLOCK_BYTES:
            text = cid_text(cid)
            problem = f"block {text} from {self.name} exceeds {MAX_BLOCK_BYTES} bytes"
            raise ArtifactCorrupt(problem, cid=text, hint="fetch it from another copy")
        return verify_block(cid, block, self.name)

    def put_file(self, source: Path | BinaryIO) -> CID:
        """See ``Store``. What the node has is not sent, so that an upload that broke off goes on where it ended."""
        if isinstance(source, Path):
            with reading(source), open_regular(source) as stream:
                return self.put_file(stream)
        done = sent = 0
        self._absent_until.clear()
        is_there = self._presence.for_one_put()
        for window in windows(_blocks(source)):
            sent += self._uploader.send(window, is_there)
            done += sum(len(block) for _, block in window.blocks)
            self._progress(done, sent)
        return window.blocks[-1][0]

    def get_file(self, cid: CID, target: BinaryIO) -> None:
        """See ``Store``."""
        write_chunks(target, read_file(cid, self.get_block))

    def has(self, cid: CID) -> bool:
        """See ``Store``; whether the node itself has the block, not whether its network has."""
        return self._presence.has(cid)

    def pin(self, cid: CID, *, recursive: bool = True) -> None:
        """See ``PinningStore``."""
        self._rpc.ask(NodeCall.about("pin/add", cid, recursive="true" if recursive else "false"))

    def unpin(self, cid: CID) -> None:
        """See ``PinningStore``."""
        kind = self.pins().get(normalise_cid(cid))
        if kind is not None:
            self._rpc.ask(NodeCall.about("pin/rm", cid, recursive="true" if kind == "recursive" else "false"))

    def pins(self) -> Mapping[CID, str]:
        """See ``PinningStore``; what others pinned there counts, unless no artifact has such a CID."""
        found: dict[CID, str] = {}
        for kind in ("direct", "recursive"):
            for line in self._rpc.lines(NodeCall("pin/ls", {"type": kind, "stream": "true"})):
                found |= dict.fromkeys(artifacts(line.get("Cid")), kind)
        return found

    def gc(self) -> tuple[CID, ...]:
        """See ``PinningStore``."""
        self._presence.forget()
        removed: list[CID] = []
        for line in self._rpc.lines(NodeCall("repo/gc", {"stream-errors": "true"})):
            if line.get("Error"):
                raise StorageError(f"{self.name} cannot collect: {line['Error']}", hint="look into the node's own log")
            key = line.get("Key")
            removed += artifacts(key.get("/") if isinstance(key, dict) else None)
        return tuple(removed)

    def node_id(self) -> str:
        """See ``PinningStore``: the peer id."""
        return str(self._rpc.ask_json(NodeCall("id", {})).get("ID"))

    def close(self) -> None:
        """Gives the connections back; the store may be used again."""
        self._transport.close()

    def _search(self, cid: CID) -> bytes:
        """What the node gives for a block. A search that found nothing holds for as long as it took: an audit asks for
        the same artifact in many checks, and must not wait for each."""
        if self._clock() < self._absent_until.get(cid.digest, 0.0):
            raise missing(cid, self.name)
        try:
            return self._rpc.ask(NodeCall.about("block/get", cid), MAX_BLOCK_BYTES)
        except ArtifactMissing:
            self._absent_until[cid.digest] = self._clock() + self._timeout_s
            raise

    def _expect(self, cid: CID, answer: bytes) -> None:
        """The node keeps a block under the name that it has here."""
        key = parse_object(answer).get("Key")
        if [cid_bytes(found) for found in artifacts(key)] != [cid_bytes(cid)]:
            problem = f"{self.name} keeps block {cid_text(cid)} as {str(key)[:80]!r}"
            raise StorageError(problem, hint="check that an IPFS node runs there")


def _blocks(source: BinaryIO) -> Iterator[Block]:
    """A file's blocks. A source that fails must not look like a node that fails: it is not tried again."""
    with reading(getattr(source, "name", "the source")):
        yield from build_file(source)
