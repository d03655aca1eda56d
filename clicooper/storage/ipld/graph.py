"""The graph behind a link: every block that can be reached, each once, parents first, believed only by its hash.

Whoever publishes a graph decides how deep, how wide and how large it is, and may link what no artifact is. So the walk
keeps no stack of calls, counts blocks before it fetches them, and refuses names with other hashes than sha2-256:
a name that is not a hash of its content (an identity hash, say) could close a cycle.

``clicooper.history.dag_roots`` says which roots a job has, ``clicooper.audit`` what the blocks mean.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from multiformats import CID

from clicooper.commitments.canonical import decode
from clicooper.errors import ArtifactCorrupt, ArtifactMalformed, ArtifactMissing, GraphTooLarge, SpecError
from clicooper.storage.ipld.cid import (
    IPFS_LAYOUT,
    MAX_FILE_BYTES,
    cid_bytes,
    cid_of_bytes,
    cid_text,
    normalise_cid,
    verify_block,
)
from clicooper.storage.ipld.dagpb import Malformed, parse_node

__all__ = ["MAX_GRAPH_BLOCKS", "MAX_GRAPH_BYTES", "BadBlock", "block_links", "is_there", "record_links", "walk"]

MAX_GRAPH_BYTES = MAX_FILE_BYTES
MAX_GRAPH_BLOCKS = 1 << 22
"""Blocks of 1 TiB in chunks of 256 KiB; the walk keeps about 150 bytes for each."""

BadBlock = ArtifactMissing | ArtifactCorrupt


def _refuse(_cid: CID, error: BadBlock) -> None:
    """What a walk does with a bad block unless it is told otherwise."""
    raise error


def walk(
    get_block: Callable[[CID], bytes],
    roots: Iterable[CID],
    *,
    max_blocks: int = MAX_GRAPH_BLOCKS,
    max_bytes: int = MAX_GRAPH_BYTES,
    on_bad: Callable[[CID, BadBlock], None] = _refuse,
) -> Iterator[tuple[CID, bytes]]:
    """Yields every block below ``roots`` once, with its name, each after one that links it.

    The order is a function of the graph and the order of ``roots`` alone: depth first, links in the order in which a
    block holds them. Memory: one block, and about 150 bytes for every block that was linked so far.

    Args:
        get_block: returns a block or raises; its result is hashed here all the same.
        max_blocks: a graph that links more is refused before the one too many is fetched.
        max_bytes: bytes of all blocks together.
        on_bad: told of a block that is missing, has other bytes, or is not what its codec says. Where it returns, the
            walk goes on without that block and what only it links; by default it raises.

    Raises:
        ArtifactMissing, ArtifactCorrupt: as ``on_bad`` decides.
        GraphTooLarge: beyond ``max_blocks`` or ``max_bytes``.
        SpecError: a root that does not name an artifact.
        StorageError: from ``get_block``.
    """
    pending: list[bytes] = []
    seen: set[bytes] = set()
    _schedule(roots, pending, seen, max_blocks)
    left = max_bytes
    while pending:
        cid = cid_of_bytes(pending.pop())
        try:
            block = verify_block(cid, get_block(cid))
            links = block_links(cid, block)
        except (ArtifactMissing, ArtifactCorrupt) as e:
            on_bad(cid, e)
            continue
        left -= len(block)
        if left < 0:
            raise _too_large(f"{max_bytes} bytes")
        _schedule(links, pending, seen, max_blocks)
        yield cid, block


def is_there(get_block: Callable[[CID], bytes], cid: CID) -> bool:
    """Whether a record, or a file with all its blocks, can be had; what a record links counts by itself.

    Raises:
        ArtifactCorrupt: something else is there under a name.
        StorageError: from ``get_block``.
    """
    try:
        if normalise_cid(cid).codec.name == "dag-cbor":
            get_block(cid)
        else:
            deque(walk(get_block, [cid]), maxlen=0)
    except ArtifactMissing:
        return False
    return True


def _schedule(links: Iterable[CID], pending: list[bytes], seen: set[bytes], max_blocks: int) -> None:
    """Puts the links that are new on the stack, so that the first is taken first."""
    new = []
    for link in links:
        name = cid_bytes(link)
        if name not in seen:
            seen.add(name)
            new.append(name)
        if len(seen) > max_blocks:
            raise _too_large(f"{max_blocks} blocks")
    pending += reversed(new)


def _too_large(limit: str) -> GraphTooLarge:
    return GraphTooLarge(f"the graph holds more than {limit}", hint="allow more, if you expect a graph of that size")


def block_links(cid: CID, block: bytes) -> tuple[CID, ...]:
    """The links of a *verified* block in the order in which it holds them, repeats included.

    Raises:
        ArtifactMalformed: genuine bytes that are no canonical DAG-CBOR map or no node of a file, as the codec says; or
            a link that cannot name an artifact.
    """
    codec = normalise_cid(cid).codec.name
    try:
        if codec == "dag-cbor":
            return tuple(normalise_cid(link) for link in record_links(decode(block)))
        if codec == "dag-pb":
            return tuple(cid_of_bytes(link.name) for link in parse_node(block, IPFS_LAYOUT.max_links))
    except (SpecError, Malformed) as e:
        text = cid_text(cid)
        hint = "its bytes are genuine but not written by this protocol: refuse the artifact"
        raise ArtifactMalformed(f"block {text} is malformed: {e}", cid=text, hint=hint) from e
    return ()


def record_links(value: Any) -> Iterator[CID]:
    """Every link in a decoded record or a part of one, in order; ``canonical.decode`` has bounded its depth."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, CID):
            yield item
        elif isinstance(item, dict):
            pending += reversed(item.values())
        elif isinstance(item, list):
            pending += reversed(item)
