"""CAR files: a graph of blocks in one file, for whoever has no node. CARv1, read strictly and in one pass.

Law: ``read_car`` of what ``write_car(target, roots, blocks)`` wrote gives ``roots`` and ``blocks`` again, and nothing
else reads without an error. Refused, always with the byte at which the refused part begins: other versions, a header
that is not canonical, names that no artifact has, blocks above 1 MiB or under a name that is not their hash, a block
that comes twice, and whatever ends too early or goes on after the end. Lengths are judged before anything of that
length is read. Source: ipld.io/specs/transport/car/carv1.

Which blocks belong into a file is decided by the caller; that all of them are there, by ``storage.graph``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from multiformats import CID

from clicooper.commitments.canonical import MAX_BLOCK_BYTES, decode, encode
from clicooper.errors import ArtifactCorrupt, CarError, SpecError, StorageError
from clicooper.storage.base import write_chunks
from clicooper.storage.ipld.cid import cid_bytes, cid_of_bytes, name_text, normalise_cid, require_name, verify_block
from clicooper.storage.ipld.dagpb import varint

__all__ = ["CarBlock", "Section", "read_car", "read_sections", "write_car"]

NAME_BYTES = 36
MAX_HEADER_BYTES = 1 << 16
"""Some 1,500 roots; files of jobs and of evidence have one."""

MAX_LENGTH_BYTES = 4
"""Bytes of a length field: 28 bits, more than any section or header may have."""

_FOREIGN = "fetch it again from whoever made it; CARv1 files of sha2-256 raw, dag-pb and dag-cbor blocks are read"


@dataclass(frozen=True)
class Section:
    """Where one block lies in a file.

    Attributes:
        name: of the block, a binary CID: making a ``CID`` of it takes longer than anything else of a small section.
        offset: of the section's length field.
        start: of the block itself.
        size: of the block, bytes.
    """

    name: bytes
    offset: int
    start: int
    size: int

    @property
    def cid(self) -> CID:
        """The block's name."""
        return cid_of_bytes(self.name)


@dataclass(frozen=True)
class CarBlock:
    """A verified block, and the byte at which its section begins."""

    cid: CID
    block: bytes
    offset: int


def write_car(target: BinaryIO, roots: Sequence[CID], blocks: Iterable[tuple[CID, bytes]]) -> int:
    """Writes a file of ``blocks`` in their order, one at a time, and returns their number.

    Args:
        roots: one or more, which ``blocks`` should include.
        blocks: names with their verified blocks, no name twice, as ``graph.walk`` yields them.

    Raises:
        SpecError: no root.
        StorageError: ``target`` cannot be written. What ``blocks`` raises passes through.
    """
    if not roots:
        raise SpecError("a CAR file needs a root", hint="name what the blocks are for")
    header = encode({"roots": [normalise_cid(root) for root in roots], "version": 1})
    write_chunks(target, (varint(len(header)), header))
    count = 0
    for cid, block in blocks:
        write_chunks(target, (varint(NAME_BYTES + len(block)), cid_bytes(cid), block))
        count += 1
    return count


def read_car(source: BinaryIO) -> tuple[tuple[CID, ...], Iterator[CarBlock]]:
    """The roots of a file, and its blocks in order, each verified before it is yielded.

    Memory: one block, and about 150 bytes for the name of each that was read.

    Raises:
        CarError: at once for the header, while iterating for a section; ``offset`` is where.
        ArtifactCorrupt: a block that does not hash to its name, with the byte in its message.
        StorageError: the source cannot be read.
    """
    reader = _Reader(source)
    return _header(reader), _blocks(reader)


def read_sections(source: BinaryIO) -> tuple[tuple[CID, ...], Iterator[Section]]:
    """The roots of a seekable file, and where its blocks lie; the blocks are skipped and *not* verified.

    Raises:
        CarError: as ``read_car``.
    """
    reader = _Reader(source)
    return _header(reader), _skimmed(reader)


class _Reader:
    """Reads exactly what is asked for and counts the bytes."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._name = str(getattr(source, "name", "the CAR file"))
        self.offset = 0

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer only at the end."""
        parts = []
        while size and (data := self._next(size)):
            parts.append(data)
            size -= len(data)
        result = b"".join(parts)
        self.offset += len(result)
        return result

    def skip(self, size: int, begin: int) -> None:
        """Moves on; a seek succeeds beyond the end too, so the last byte is read."""
        if size:
            try:
                self._source.seek(self.offset + size - 1)
            except OSError as e:
                hint = "name a file on a disk, not a pipe"
                raise StorageError(f"cannot move in {self._name}: {e.strerror or e}", hint=hint) from e
            self.offset += size - 1
            self.exactly(1, begin)

    def exactly(self, size: int, begin: int) -> bytes:
        """``size`` bytes of the part that begins at ``begin``."""
        data = self.read(size)
        if len(data) < size:
            raise self.refusal(begin, f"the file ends at byte {self.offset}, in the middle of this part")
        return data

    def length(self) -> int | None:
        """The length field that comes next, None at the end of the file."""
        begin, value = self.offset, 0
        for i in range(MAX_LENGTH_BYTES):
            byte = self.read(1)
            if not byte:
                if i == 0:
                    return None
                raise self.refusal(begin, "the file ends in the middle of a length")
            value |= (byte[0] & 0x7F) << (7 * i)
            if byte[0] < 0x80:
                if i and not byte[0]:
                    raise self.refusal(begin, "a length is not written in its shortest form")
                return value
        raise self.refusal(begin, "a length is larger than any part may be")

    def refusal(self, begin: int, problem: str) -> CarError:
        """The error for the part at ``begin``."""
        return CarError(self.place(begin, problem), offset=begin, hint=_FOREIGN)

    def place(self, begin: int, problem: str) -> str:
        """The problem with the file's name and the byte."""
        return f"{self._name}, byte {begin}: {problem}"

    def _next(self, size: int) -> bytes:
        try:
            return self._source.read(size) or b""
        except OSError as e:
            hint = "check the path and its permissions"
            raise StorageError(f"cannot read {self._name}: {e.strerror}", hint=hint) from e


def _header(reader: _Reader) -> tuple[CID, ...]:
    size = reader.length()
    if not size:
        raise reader.refusal(0, "an empty file or header is no CAR file")
    if size > MAX_HEADER_BYTES:
        raise reader.refusal(0, f"the header has {size} bytes, above {MAX_HEADER_BYTES}")
    data = reader.exactly(size, 0)
    try:
        header = decode(data)
    except SpecError as e:
        raise reader.refusal(0, f"this is no header of a CAR file: {e.message}") from e
    if header.get("version") == 2:
        raise reader.refusal(0, "this is a CARv2 file; only version 1 is read")
    return _roots(reader, header)


def _roots(reader: _Reader, header: dict[str, Any]) -> tuple[CID, ...]:
    """The roots of a version 1 header; true equals 1, so its type counts."""
    version, roots = header.get("version"), header.get("roots")
    if set(header) != {"roots", "version"} or type(version) is not int or version != 1:
        raise reader.refusal(0, "this is no header of a CARv1 file")
    if not isinstance(roots, list) or not roots or not all(isinstance(root, CID) for root in roots):
        raise reader.refusal(0, "the header names no roots")
    try:
        return tuple(normalise_cid(root) for root in roots)
    except SpecError as e:
        raise reader.refusal(0, f"a root is no artifact: {e.message}") from e


def _sections(reader: _Reader) -> Iterator[Section]:
    """Each section up to its block, which the consumer reads or skips before it goes on."""
    seen: set[bytes] = set()
    while True:
        begin = reader.offset
        length = reader.length()
        if length is None:
            return
        size = length - NAME_BYTES
        if not 0 <= size <= MAX_BLOCK_BYTES:
            raise reader.refusal(begin, f"a section of {length} bytes holds no block of at most {MAX_BLOCK_BYTES}")
        name = reader.exactly(NAME_BYTES, begin)
        try:
            require_name(name)
        except SpecError as e:
            raise reader.refusal(begin, e.message) from e
        if name in seen:
            raise reader.refusal(begin, f"block {name_text(name)} comes for the second time")
        seen.add(name)
        yield Section(name, begin, reader.offset, size)


def _blocks(reader: _Reader) -> Iterator[CarBlock]:
    for section in _sections(reader):
        block, cid = reader.exactly(section.size, section.offset), section.cid
        try:
            verify_block(cid, block)
        except ArtifactCorrupt as e:
            raise ArtifactCorrupt(reader.place(section.offset, e.message), cid=e.cid, hint=e.hint) from e
        yield CarBlock(cid, block, section.offset)


def _skimmed(reader: _Reader) -> Iterator[Section]:
    for section in _sections(reader):
        reader.skip(section.size, section.offset)
        yield section
