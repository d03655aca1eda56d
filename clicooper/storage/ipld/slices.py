"""Parts of a file: the leaves that hold some bytes, and the nodes that lead to them from the root.

What proves that bytes belong to a file without the whole of it: each block is named by the one above it, up to the
file's own name. Sizes and places follow from the one way in which a file of its size is cut, as in ``storage.cid``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from multiformats import CID

from clicooper.errors import ArtifactCorrupt
from clicooper.storage.ipld.cid import IPFS_LAYOUT, FileLayout, cid_of_bytes, cid_text, normalise_cid
from clicooper.storage.ipld.dagpb import Link, Malformed, parse_node

__all__ = ["FilePart", "file_parts", "leaves_of"]


@dataclass(frozen=True)
class FilePart:
    """A block of a file: a leaf with its number, counted from 0, or a node above leaves (None)."""

    cid: CID
    block: bytes
    leaf: int | None


def leaves_of(start: int, stop: int, layout: FileLayout = IPFS_LAYOUT) -> range:
    """The numbers of the leaves that hold the file's bytes ``start`` to ``stop - 1``."""
    return range(start // layout.chunk_bytes, -(-stop // layout.chunk_bytes))


def file_parts(
    root: CID, fetch: Callable[[CID], bytes], wanted: Collection[int], layout: FileLayout = IPFS_LAYOUT
) -> Iterator[FilePart]:
    """Yields the root, the wanted leaves in order, and each node on the way to them before what it links.

    Args:
        fetch: returns a *verified* block, and raises where it has none.
        wanted: numbers of leaves; those beyond the file's end are passed over.

    Raises:
        ArtifactCorrupt: not a file, or cut in another way than ``layout``.
    """
    root = normalise_cid(root)
    if root.codec.name == "dag-cbor":
        raise _corrupt(root, "is a record, not a file")
    block = fetch(root)
    if root.codec.name == "raw":
        yield FilePart(root, block, 0)
        return
    size = sum(link.size for link in _links(root, block, layout))
    yield from _visit(root, block, size, layout.height(size), 0, fetch, frozenset(wanted), layout)


def _visit(
    cid: CID,
    block: bytes,
    size: int,
    height: int,
    first: int,
    fetch: Callable[[CID], bytes],
    wanted: frozenset[int],
    layout: FileLayout,
) -> Iterator[FilePart]:
    """One subtree whose first leaf has the number ``first``; the height falls with every call."""
    if height == 0:
        if len(block) != size:
            raise _corrupt(cid, "has another size than its parent declares")
        yield FilePart(cid, block, first)
        return
    links = _links(cid, block, layout)
    if tuple(link.size for link in links) != layout.child_sizes(size, height):
        raise _corrupt(cid, f"is not how {size} bytes of a file are cut")
    yield FilePart(cid, block, None)
    below = layout.full(height - 1) // layout.chunk_bytes
    for place, link in enumerate(links):
        start = first + place * below
        if not wanted.isdisjoint(range(start, start + below)):
            child = _child(cid, link, height)
            yield from _visit(child, fetch(child), link.size, height - 1, start, fetch, wanted, layout)


def _child(cid: CID, link: Link, height: int) -> CID:
    child = cid_of_bytes(link.name)
    if child.codec.name != ("raw" if height == 1 else "dag-pb"):
        raise _corrupt(cid, "links a block of the wrong kind for its place in a file")
    return child


def _links(cid: CID, block: bytes, layout: FileLayout) -> tuple[Link, ...]:
    try:
        return parse_node(block, layout.max_links)
    except Malformed as e:
        raise _corrupt(cid, f"is not a node of a file: {e}") from e


def _corrupt(cid: CID, problem: str) -> ArtifactCorrupt:
    hint = "its bytes are genuine but not written by this protocol: refuse the artifact"
    return ArtifactCorrupt(f"block {cid_text(cid)} {problem}", cid=cid_text(cid), hint=hint)
