"""Content identifiers, and files as UnixFS graphs of blocks. Pure: no store, no files, no network.

A file of one chunk or less is a bare raw block. A longer one is a balanced tree: raw leaves of 256 KiB, at most
174 links per node, nodes in dag-pb; byte for byte what ``ipfs add --cid-version=1`` makes with its 256 KiB chunker.
The shape is a function of the size alone, and the reader accepts no other: one content has one CID, and
``b"".join(read_file(root, fetch)) == data`` for the last CID that ``build_file`` yields for ``data``.

Keeping blocks is the job of the stores.
"""

import hashlib
import io
import re
from base64 import b32decode, b32encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from multiformats import CID

from clicooper.errors import ArtifactCorrupt, ArtifactMalformed, SpecError
from clicooper.storage.ipld.dagpb import Link, Malformed, encode_node, parse_node

__all__ = [
    "IPFS_LAYOUT",
    "MAX_FILE_BYTES",
    "FileLayout",
    "block_cid",
    "build_file",
    "build_named",
    "cid_bytes",
    "cid_of_bytes",
    "cid_text",
    "file_cid",
    "is_leaf",
    "name_text",
    "normalise_cid",
    "parse_cid",
    "read_file",
    "require_name",
    "verify_block",
]

MAX_FILE_BYTES = 1 << 40
"""1 TiB: a few hundred bytes of hostile blocks can declare more than any disk holds."""

_CODES = {"raw": 0x55, "dag-pb": 0x70, "dag-cbor": 0x71}
_CODECS = {code: name for name, code in _CODES.items()}
_NAME_BYTES = 36
_SHA2_256 = b"\x12\x20"
"""What precedes the digest in a multihash: the function's code and the digest's length."""

_TEXT = re.compile(r"b[a-z2-7]{58}")
_MAX_TEXT = 512
"""Characters of a CID; in base 2, the longest, an artifact's takes 289."""


@dataclass(frozen=True)
class FileLayout:
    """How a file is cut: bytes per leaf, and links per node of the tree above the leaves."""

    chunk_bytes: int
    max_links: int

    def full(self, height: int) -> int:
        """File bytes under a complete subtree; a leaf has height 0."""
        return self.chunk_bytes * int(self.max_links**height)

    def height(self, size_bytes: int) -> int:
        """Height of the tree over a file of ``size_bytes``."""
        height = 0
        while self.full(height) < size_bytes:
            height += 1
        return height

    def child_sizes(self, size_bytes: int, height: int) -> tuple[int, ...]:
        """File bytes under each child of a node: complete subtrees, then the rest."""
        whole, rest = divmod(size_bytes, self.full(height - 1))
        return (self.full(height - 1),) * whole + ((rest,) if rest else ())


IPFS_LAYOUT = FileLayout(chunk_bytes=262_144, max_links=174)


def block_cid(block: bytes, codec: str) -> CID:
    """The CIDv1 (base32, sha2-256) of a block.

    Raises:
        SpecError: a codec other than raw, dag-pb and dag-cbor.
    """
    if codec not in _CODES:
        raise SpecError(f"no artifact has the codec {codec!r}", hint=f"use one of {', '.join(_CODES)}")
    return _cid_of_name(_name(codec, _hash(block)))


def normalise_cid(cid: CID) -> CID:
    """The same content's name as CIDv1 in base32: the only form inside this program.

    Raises:
        SpecError: a hash other than sha2-256, or a codec other than raw, dag-pb and dag-cbor.
    """
    if cid.digest[:2] != _SHA2_256 or len(cid.digest) != 34 or cid.codec.name not in _CODES:
        raise SpecError(f"{cid} does not name an artifact", hint="artifacts are sha2-256 raw, dag-pb or dag-cbor")
    if cid.version == 1 and cid.base.name == "base32":
        return cid
    return CID("base32", 1, cid.codec, cid.digest)


def parse_cid(text: str) -> CID:
    """Reads a CID in any version and text base, and normalises it.

    Raises:
        SpecError: not a CID, or not one of an artifact.
    """
    try:
        if len(text) > _MAX_TEXT:
            raise ValueError("too long")  # Decoding takes time in the square of the length.
        if not _TEXT.fullmatch(text):
            return normalise_cid(CID.decode(text))
        cid = _cid_of_name(b32decode(text[1:].upper() + "======"))
        if cid_text(cid) != text:
            raise Malformed("surplus bits")
    except (ValueError, KeyError, IndexError) as e:
        raise SpecError(f"{text[:80]!r} is not the CID of an artifact", hint="CIDs look like bafy... or bafk...") from e
    return cid


def cid_text(cid: CID) -> str:
    """``str(normalise_cid(cid))``, ten times faster: stores name every block."""
    return name_text(cid_bytes(cid))


def is_leaf(name: bytes) -> bool:
    """Whether a binary CID (``cid_bytes``) is that of a raw block."""
    return name[1] == _CODES["raw"]


def name_text(name: bytes) -> str:
    """``cid_text`` of the CID that ``cid_bytes`` made ``name`` of."""
    return "b" + b32encode(name).decode("ascii").lower().rstrip("=")


def cid_bytes(cid: CID) -> bytes:
    """The 36 bytes by which blocks and CAR files name an artifact; as small as a name gets in memory."""
    cid = normalise_cid(cid)
    return _name(cid.codec.name, cid.digest)


def cid_of_bytes(name: bytes) -> CID:
    """Inverse of ``cid_bytes``.

    Raises:
        SpecError: not the binary CIDv1 of an artifact: another version, codec or hash, or another length.
    """
    return _cid_of_name(require_name(name))


def require_name(name: bytes) -> bytes:
    """The binary CID again, many times faster than ``cid_of_bytes``.

    Raises:
        SpecError: as ``cid_of_bytes``.
    """
    if not _is_name(name):
        hint = "artifacts are sha2-256 raw, dag-pb or dag-cbor"
        raise SpecError(f"{name[:40].hex()} is not the binary CID of an artifact", hint=hint)
    return name


def verify_block(cid: CID, block: bytes, where: str = "") -> bytes:
    """Returns ``block``, if it is what ``cid`` names.

    Args:
        where: the store that gave it, as its user calls it.

    Raises:
        ArtifactCorrupt: it is not.
    """
    if _hash(block) != cid.digest:
        text = cid_text(cid)
        source = f" from {where}" if where else ""
        hint = f"fetch it again from whoever published it: clicooper store get {text}"
        raise ArtifactCorrupt(f"corrupt here: block {text}{source} does not hash to its name", cid=text, hint=hint)
    return block


def build_file(source: BinaryIO, layout: FileLayout = IPFS_LAYOUT) -> Iterator[tuple[CID, bytes]]:
    """Cuts a stream into blocks, children before parents; the last one is the file's root.

    Memory: one chunk, and fewer than ``max_links`` links for each level of the tree.
    """
    return ((_cid_of_name(name), block) for name, block in build_named(source, layout))


def build_named(source: BinaryIO, layout: FileLayout = IPFS_LAYOUT) -> Iterator[tuple[bytes, bytes]]:
    """As ``build_file`` with binary CIDs (``cid_bytes``): half the time, as a ``CID`` takes longer than its block."""
    levels: list[list[Link]] = [[]]
    for chunk in _chunks(source, layout.chunk_bytes):
        name = _name("raw", _hash(chunk))
        yield name, chunk
        levels[0].append(Link(name, len(chunk), len(chunk)))
        height = 0
        while len(levels[height]) == layout.max_links:
            yield _raise_level(levels, height)
            height += 1
    height = 0
    while height < len(levels) - 1 or len(levels[height]) > 1:
        if levels[height]:
            yield _raise_level(levels, height)
        height += 1


def file_cid(data: bytes) -> CID:
    """The CID under which a store keeps ``data`` as a file."""
    *_, (root, _) = ((cid, None) for cid, _ in build_file(io.BytesIO(data)))
    return root


def _chunks(source: BinaryIO, chunk_bytes: int) -> Iterator[bytes]:
    """At least one chunk: an empty file is one empty block."""
    chunk = _read_full(source, chunk_bytes)
    yield chunk
    while len(chunk) == chunk_bytes and (chunk := _read_full(source, chunk_bytes)):
        yield chunk


def _read_full(source: BinaryIO, size: int) -> bytes:
    """``size`` bytes, fewer only at the end: pipes and sockets return short reads before it."""
    data = source.read(size)
    if len(data) == size or not data:
        return data
    parts, missing = [data], size - len(data)
    while missing and (data := source.read(missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def _raise_level(levels: list[list[Link]], height: int) -> tuple[bytes, bytes]:
    """Makes one node of the links at ``height`` and links it one level up."""
    links, levels[height] = levels[height], []
    if height + 1 == len(levels):
        levels.append([])
    block = encode_node(links)
    name = _name("dag-pb", _hash(block))
    dag_bytes = len(block) + sum(link.dag_bytes for link in links)
    levels[height + 1].append(Link(name, sum(link.size for link in links), dag_bytes))
    return name, block


def read_file(
    root: CID, fetch: Callable[[CID], bytes], max_bytes: int = MAX_FILE_BYTES, layout: FileLayout = IPFS_LAYOUT
) -> Iterator[bytes]:
    """Yields a file's leaves in order, with one block for each level of its tree in memory.

    Args:
        fetch: returns a *verified* block (``verify_block``), and raises where it has none.
        max_bytes: a larger file is refused before anything below its root is fetched.

    Raises:
        ArtifactMalformed: not a file, malformed, larger than ``max_bytes``, or cut in another way than ``layout``;
            what was yielded before is genuine all the same.
    """
    root = normalise_cid(root)
    if root.codec.name == "dag-cbor":
        raise _corrupt(root, "is a record, not a file")
    block = fetch(root)
    links = _parse(root, block, layout) if root.codec.name == "dag-pb" else ()
    size = sum(link.size for link in links) if links else len(block)
    if size > max_bytes:
        raise _corrupt(root, f"is a file of {size} bytes, above the limit of {max_bytes}")
    height = layout.height(size)
    if (height > 0) != bool(links):
        raise _corrupt(root, f"is not how a file of {size} bytes is cut")
    dag_bytes = len(block) + sum(link.dag_bytes for link in links)
    root_link = Link(_name(root.codec.name, root.digest), size, dag_bytes)
    yield from _leaves(root_link, root, block, height, fetch, layout)


def _leaves(
    link: Link, cid: CID, block: bytes, height: int, fetch: Callable[[CID], bytes], layout: FileLayout
) -> Iterator[bytes]:
    """Leaves of one subtree. The height falls with every call: no graph nests deeper than its size allows."""
    links = _parse(cid, block, layout) if height else ()
    if len(block) + sum(child.dag_bytes for child in links) != link.dag_bytes:
        raise _corrupt(cid, "has another size than its parent declares")
    sizes = tuple(child.size for child in links) if height else (len(block),)
    expected = layout.child_sizes(link.size, height) if height else (link.size,)
    if sizes != expected:
        raise _corrupt(cid, f"is not how {link.size} bytes of a file are cut")
    if height == 0:
        yield block
    prefix = _name("raw" if height == 1 else "dag-pb", _SHA2_256)
    for child in links:
        if not child.name.startswith(prefix):
            raise _corrupt(cid, "links a block of the wrong kind for its place in a file")
        child_cid = _cid_of_name(child.name)
        yield from _leaves(child, child_cid, fetch(child_cid), height - 1, fetch, layout)


def _parse(cid: CID, block: bytes, layout: FileLayout) -> tuple[Link, ...]:
    try:
        return parse_node(block, layout.max_links)
    except Malformed as e:
        raise _corrupt(cid, f"is not a node of a file: {e}") from e


def _corrupt(cid: CID, problem: str) -> ArtifactMalformed:
    hint = "its bytes are genuine but not written by this protocol: refuse the artifact"
    return ArtifactMalformed(f"block {cid_text(cid)} {problem}", cid=cid_text(cid), hint=hint)


def _hash(block: bytes) -> bytes:
    """The sha2-256 multihash of a block, as ``CID.digest`` has it."""
    return _SHA2_256 + hashlib.sha256(block).digest()


def _name(codec: str, multihash: bytes) -> bytes:
    """A binary CID: version 1, codec, multihash. ``bytes(cid)`` is the same, many times slower."""
    return bytes((1, _CODES[codec])) + multihash


def _is_name(name: bytes) -> bool:
    return len(name) == _NAME_BYTES and name[0] == 1 and name[1] in _CODECS and name[2:4] == _SHA2_256


@lru_cache(maxsize=1 << 14)
def _cid_of_name(name: bytes) -> CID:
    """Kept, since making one takes as long as hashing its block, and audits read most blocks more than once."""
    if not _is_name(name):
        raise Malformed("not the CIDv1 of a sha2-256 artifact")
    return CID("base32", 1, _CODECS[name[1]], name[2:])
