"""The contract's events out of raw log entries, fast: one decoder an event, made once from our own ABI.

Events of fixed size, all but two, are cut out of their words here; the others go through ``_abi``. Both are strict:
bytes that the contract could not have written are refused. Law: where both can decode, both give the same event.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_type_hints

from eth_utils import keccak, to_checksum_address
from eth_utils.abi import collapse_if_tuple

from clicooper.chain._abi import Abi
from clicooper.chain.compile import load_artifact
from clicooper.chain.events import EVENT_TYPES, Event, event_from_abi
from clicooper.errors import ChainError
from clicooper.types import Address

__all__ = ["LogCodec"]

_WORD = 32
_Decode = Callable[[Sequence[bytes], bytes], Event]


class LogCodec:
    """Decodes the log entries of the main contract."""

    def __init__(self) -> None:
        entries = load_artifact().abi
        self._abi = Abi(entries)
        self._decoders = {
            _topic(entry): decoder
            for entry in entries
            if entry["type"] == "event" and (decoder := _decoder(entry)) is not None
        }
        self._known = frozenset(_topic(entry) for entry in entries if entry["type"] == "event")

    def knows(self, topic: bytes) -> bool:
        """Whether some event of the contract has this first topic."""
        return topic in self._known

    def event(self, topics: Sequence[bytes], data: bytes) -> Event:
        """The event.

        Raises:
            ChainError: the entry is no event of this contract, or not one that it can have written.
        """
        decode = self._decoders.get(topics[0]) if topics else None
        if decode is None:
            return event_from_abi(*self._abi.decode_event(topics, data))
        try:
            return decode(topics, data)
        except (ValueError, IndexError) as e:
            name = event_name(decode)
            raise ChainError(f"unusable log of {name}: {e}", hint="ask another node") from e


def event_name(decode: _Decode) -> str:
    """The event that a decoder is for."""
    return decode.__name__


def _topic(entry: Mapping[str, Any]) -> bytes:
    types = ",".join(collapse_if_tuple(dict(item)) for item in entry["inputs"])
    return keccak(text=f"{entry['name']}({types})")


def _decoder(entry: Mapping[str, Any]) -> _Decode | None:
    """How to read an event; None if it has a field that is no single word, or is none of ours."""
    cls: type[Any] | None = EVENT_TYPES.get(entry["name"])
    types = [item["type"] for item in entry["inputs"]]
    if cls is None or not all(map(_is_word, types)):
        return None
    makers = list(get_type_hints(cls).values())
    readers = [_reader(kind, maker) for kind, maker in zip(types, makers, strict=True)]
    indexed = [bool(item["indexed"]) for item in entry["inputs"]]
    topic_count, size = 1 + sum(indexed), _WORD * (len(indexed) - sum(indexed))
    plan = tuple(_places(indexed, readers))

    def decode(topics: Sequence[bytes], data: bytes) -> Event:
        if len(topics) != topic_count or len(data) != size:
            raise ValueError(f"{len(topics)} topics and {len(data)} bytes")
        # Places below zero are topics, so that the loop has no branch but this one.
        event: Event = cls(*[read(topics[-at] if at < 0 else data[at : at + _WORD]) for at, read in plan])
        return event

    decode.__name__ = entry["name"]
    return decode


def _places(indexed: Sequence[bool], readers: Sequence[Callable[[bytes], Any]]) -> list[tuple[int, Any]]:
    topic, offset, places = 0, 0, []
    for is_topic, reader in zip(indexed, readers, strict=True):
        if is_topic:
            topic += 1
            places.append((-topic, reader))
        else:
            places.append((offset, reader))
            offset += _WORD
    return places


def _is_word(kind: str) -> bool:
    return kind in ("address", "bool", "bytes32") or (kind.startswith("uint") and "[" not in kind)


def _reader(kind: str, maker: Any) -> Callable[[bytes], Any]:
    """What turns a word into the field's value, refusing padding that is not zero."""
    if kind == "bytes32":
        return bytes
    if kind == "address":
        return _address
    limit = 2 if kind == "bool" else 1 << int(kind.removeprefix("uint"))
    make = _maker(kind, maker)

    def number(word: bytes) -> Any:
        value = int.from_bytes(word, "big")
        if value >= limit:
            raise ValueError(f"{value} is no {kind}")
        return value if make is None else make(value)

    return number


def _maker(kind: str, hint: Any) -> Callable[[int], Any] | None:
    """The enumeration or truth value that a number stands for; None where it is just a number."""
    if kind == "bool":
        return bool
    return hint if isinstance(hint, type) and hint is not int else None


@lru_cache(maxsize=4096)
def _address(word: bytes) -> Address:
    if any(word[:12]):
        raise ValueError("no address")
    return Address(to_checksum_address(word[12:]))
