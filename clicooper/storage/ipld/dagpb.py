"""The one dag-pb block that files need: a UnixFS file node with links and sizes, and no inline data.

Law: ``encode_node(parse_node(block, n)) == block`` for every accepted block, and ``parse_node(encode_node(links), n)
== links`` for up to ``n`` links. Sources: ipld.io/specs/codecs/dag-pb, specs.ipfs.tech/unixfs, protobuf's wire format.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Link", "Malformed", "encode_node", "parse_node", "varint"]

_NAME_BYTES = 36
_MAX_VARINT_BYTES = 9
_MAX_LINK_BYTES = 64
"""A link with its size takes at most 2 + 38 + 2 + 10 + 10 bytes; a node of honest size parses in microseconds."""


@dataclass(frozen=True)
class Link:
    """A child of a node.

    Args:
        name: its binary CID, 36 bytes.
        size: bytes of the file under it.
        dag_bytes: bytes of all blocks under it, its own included.
    """

    name: bytes
    size: int
    dag_bytes: int


class Malformed(ValueError):
    """Why bytes are not such a node."""


def encode_node(links: Sequence[Link]) -> bytes:
    """The block of a node: its links in order with empty names, then the type *file* and all sizes."""
    data = b"\x08\x02\x18" + varint(sum(link.size for link in links))
    data += b"".join(b"\x20" + varint(link.size) for link in links)
    bodies = (b"\x0a\x24" + link.name + b"\x12\x00\x18" + varint(link.dag_bytes) for link in links)
    return b"".join(b"\x12" + varint(len(body)) + body for body in bodies) + b"\x0a" + varint(len(data)) + data


def parse_node(block: bytes, max_links: int) -> tuple[Link, ...]:
    """The links of a node. What ``encode_node`` would not write is refused, so that the parser may stay simple.

    Raises:
        Malformed: not a node, no links or more than ``max_links``, or not in canonical form.
    """
    if len(block) > _MAX_LINK_BYTES * (max_links + 1):
        raise Malformed(f"{len(block)} bytes are too many for {max_links} links")
    fields = list(_fields(block))
    bodies = [dict(_fields(_bytes(body))) for number, body in fields if number == 2]
    data = [field for number, body in fields if number == 1 for field in _fields(_bytes(body))]
    sizes = [_int(value) for number, value in data if number == 4]
    if not 0 < len(bodies) <= max_links or len(sizes) != len(bodies):
        raise Malformed(f"{len(bodies)} links and {len(sizes)} sizes")
    links = tuple(Link(_bytes(body.get(1)), size, _int(body.get(3))) for body, size in zip(bodies, sizes, strict=True))
    if any(len(link.name) != _NAME_BYTES for link in links) or encode_node(links) != block:
        raise Malformed("not in canonical form")
    return links


def _bytes(value: int | bytes | None) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("a field has the wrong type or is absent")
    return value


def _int(value: int | bytes | None) -> int:
    if not isinstance(value, int):
        raise Malformed("a field has the wrong type or is absent")
    return value


def varint(value: int) -> bytes:
    """A number from 0 in protobuf's variable length, which is unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of at most 63 bits, and where it ends."""
    value = 0
    for i, byte in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise Malformed("a number is cut off or too long")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The protobuf fields of a message, by number; wire types 0 (number) and 2 (bytes) only."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if tag & 7 == 0:
            yield tag >> 3, value
        elif tag & 7 == 2 and value <= len(data) - at:
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            raise Malformed("a field has an unknown type, or is longer than its message")
