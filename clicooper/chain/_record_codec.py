"""Between frozen records and plain JSON values, strictly: by declared type, every field present, none unknown.

Integers are never negative; ``*_wei`` fields are decimal strings; bytes and digests are lower-case ``0x``-hex,
addresses EIP-55, enumerations their names, truth values JSON's; an event is ``{"type": name, fields...}``.
Round-trip law: ``decode(type(r), encode(r)) == r`` for every record whose values are in range; ``decode`` refuses
everything else.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from eth_utils import is_checksum_address

from clicooper.chain.events import EVENT_TYPES, Event
from clicooper.errors import RecordDamaged
from clicooper.types import Address, Digest, JobId

__all__ = ["decode", "encode"]

_T = TypeVar("_T")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}")
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")
_TEXT = re.compile(r"[\x20-\x7e]{1,500}")
_UINT256_MAX = 2**256 - 1
_HINT = "the file is damaged, or written by another program: read the record from a node again"


def encode(value: Any) -> Any:
    """A record, or a value in one, as JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        body = {f.name: _encode_field(f.name, getattr(value, f.name)) for f in fields(value)}
        return {"type": type(value).__name__, **body} if type(value).__name__ in EVENT_TYPES else body
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value.name if isinstance(value, IntEnum) else value


def decode(hint: type[_T], value: object, where: str) -> _T:
    """A value of the declared type out of JSON values.

    Args:
        hint: a dataclass, or the annotation of a field in one.
        value: what ``json.loads`` gave.
        where: its path, for messages.

    Raises:
        RecordDamaged: the value is not exactly what ``encode`` writes for some value of that type.
    """
    return cast("_T", _decode(hint, value, where))


def _encode_field(name: str, value: Any) -> Any:
    return str(value) if name.endswith("_wei") else encode(value)


def _decode(hint: Any, value: object, where: str) -> Any:
    if hint == Event:
        return _decode_event(value, where)
    if get_origin(hint) is tuple:
        return _decode_tuple(get_args(hint), value, where)
    if hint in _SCALARS:
        return _SCALARS[hint](value, where)
    if issubclass(hint, IntEnum):
        _require(isinstance(value, str) and value in hint.__members__, f"{where} is no {hint.__name__}")
        return hint[cast("str", value)]
    return _decode_fields(hint, value, where)


def _decode_event(value: object, where: str) -> Any:
    _require(isinstance(value, dict), f"{where} is no object")
    body = dict(cast("Mapping[str, object]", value))
    name = body.pop("type", None)
    _require(isinstance(name, str) and name in EVENT_TYPES, f"{where} has the unknown type {name!r:.40}")
    return _decode_fields(EVENT_TYPES[cast("str", name)], body, where)


def _decode_fields(cls: Any, value: object, where: str) -> Any:
    _require(isinstance(value, dict), f"{where} is no object")
    body = cast("Mapping[str, object]", value)
    hints = get_type_hints(cls)
    names = [f.name for f in fields(cls)]
    missing, unknown = [n for n in names if n not in body], [n for n in body if n not in names]
    _require(not missing, f"{where} lacks {', '.join(missing)}")
    _require(not unknown, f"{where} has the unknown field {unknown[:1]!r:.60}")
    return cls(**{n: _decode_field(hints[n], n, body[n], f"{where}.{n}") for n in names})


def _decode_field(hint: Any, name: str, value: object, where: str) -> Any:
    if not name.endswith("_wei"):
        return _decode(hint, value, where)
    amount = int(_match(_DECIMAL, value, where, "decimal amount in wei"))
    return _integer(amount, where)


def _decode_tuple(items: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    _require(isinstance(value, list), f"{where} is no list")
    elements = cast("list[object]", value)
    hints = (items[0],) * len(elements) if items[1:] == (Ellipsis,) else items
    _require(len(elements) == len(hints), f"{where} has {len(elements)} elements, not {len(hints)}")
    return tuple(_decode(h, e, f"{where}[{i}]") for i, (h, e) in enumerate(zip(hints, elements, strict=True)))


def _integer(value: object, where: str) -> int:
    # A bool is an int to isinstance, but not to a record.
    _require(type(value) is int and 0 <= value <= _UINT256_MAX, f"{where} is no unsigned integer")
    return cast("int", value)


def _truth(value: object, where: str) -> bool:
    _require(isinstance(value, bool), f"{where} is neither true nor false")
    return cast("bool", value)


def _text(value: object, where: str) -> str:
    return _match(_TEXT, value, where, "printable ASCII text")


def _bytes(value: object, where: str) -> bytes:
    return bytes.fromhex(_match(_HEX, value, where, "0x-hex text")[2:])


def _digest(value: object, where: str) -> Digest:
    data = _bytes(value, where)
    _require(len(data) == 32, f"{where} is no digest of 32 bytes")
    return Digest(data)


def _address(value: object, where: str) -> Address:
    _require(isinstance(value, str) and is_checksum_address(value), f"{where} is no EIP-55 address")
    return Address(cast("str", value))


def _match(pattern: re.Pattern[str], value: object, where: str, kind: str) -> str:
    _require(isinstance(value, str) and pattern.fullmatch(value) is not None, f"{where} is no {kind}")
    return cast("str", value)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RecordDamaged(message, hint=_HINT)


_SCALARS: Mapping[object, Callable[[object, str], object]] = {
    int: _integer,
    bool: _truth,
    JobId: _integer,
    str: _text,
    bytes: _bytes,
    Digest: _digest,
    Address: _address,
}
