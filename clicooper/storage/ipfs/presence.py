"""What an IPFS node itself has, without what its network has: asked block by block, or listed.

Kubo answers offline for one block. js-ipfs would search its network for it, and can only list all that it has.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice

from multiformats import CID

from clicooper.errors import ArtifactMissing, SpecError
from clicooper.storage.ipfs.rpc import NodeCall, Rpc
from clicooper.storage.ipld.cid import normalise_cid, parse_cid

__all__ = ["MAX_REMEMBERED", "Presence", "artifacts"]

MAX_REMEMBERED = 1 << 20
"""Blocks of a node that are remembered as present, about 100 MiB; any beyond these are sent again if put again."""


class Presence:
    """Which blocks are on a node."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._seen: set[bytes] | None = None

    @cached_property
    def is_kubo(self) -> bool:
        """Whether the node can be asked about one block."""
        return "Golang" in self._rpc.ask_json(NodeCall("version", {}))

    def has(self, cid: CID) -> bool:
        """Whether a block is there now."""
        cid = normalise_cid(cid)
        return self._has_offline(cid) if self.is_kubo else cid.digest in self._listed()

    def for_one_put(self) -> Callable[[CID], bool]:
        """Tells which blocks need not be sent.

        A list of all that a node has takes it a millisecond for each block. So it is made once, and once more in every
        put for which it says that a block is there, as that may have gone since.
        """
        if self.is_kubo:
            return self._has_offline
        is_fresh = False

        def is_there(cid: CID) -> bool:
            nonlocal is_fresh
            if self._seen is None or (cid.digest in self._seen and not is_fresh):
                self._seen = set(islice(self._listed(), MAX_REMEMBERED))
                is_fresh = True
            return cid.digest in self._seen

        return is_there

    def note(self, cid: CID) -> None:
        """A block is there from now on."""
        if self._seen is not None:
            self._seen.add(cid.digest)

    def forget(self) -> None:
        """Whatever was there may have gone, or more may have come."""
        self._seen = None

    def _has_offline(self, cid: CID) -> bool:
        try:
            self._rpc.ask(NodeCall.about("block/stat", cid, offline="true"))
        except ArtifactMissing:
            return False
        return True

    def _listed(self) -> Iterator[bytes]:
        """The multihashes of all blocks."""
        for line in self._rpc.lines(NodeCall("refs/local", {})):
            yield from (cid.digest for cid in artifacts(line.get("Ref")))


def artifacts(text: object) -> list[CID]:
    """The CID in ``text``, if it is one that an artifact can have: a node also holds other people's blocks."""
    try:
        return [parse_cid(text)] if isinstance(text, str) else []
    except SpecError:
        return []
