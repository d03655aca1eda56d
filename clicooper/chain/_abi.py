"""Calls, results, logs and reverts by name, out of a contract's own ABI. Pure: bytes in, values out.

Long histories are read by ``decode_event``: events of fixed size, all but two, are cut out of their words here, which
is several times faster than eth-abi; the others go through it. Both are strict: bytes that the contract could not
have written are refused. Law: where both can decode, both give the same values.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak
from eth_utils.abi import collapse_if_tuple

from clicooper.errors import ChainError

__all__ = ["Abi", "DecodedError"]

_WORD = 32

_UNDECODABLE = (DecodingError, ValueError, OverflowError)
"""What eth-abi raises for bytes of another shape: text that is no UTF-8 and huge offsets have errors of their own."""

_BUILT_IN_ERRORS: tuple[Mapping[str, Any], ...] = (
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)


@dataclass(frozen=True)
class DecodedError:
    """A revert: the contract's error by name, and its arguments by name."""

    name: str
    values: dict[str, object]


@dataclass(frozen=True)
class _Entry:
    """One function, event or error; ``digest`` is the keccak-256 of its signature."""

    name: str
    digest: bytes
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[str, ...]

    @property
    def types(self) -> list[str]:
        return [collapse_if_tuple(dict(item)) for item in self.inputs]


class Abi:
    """One contract's ABI, indexed once.

    Args:
        entries: the ABI as the compiler gives it; function names must be unique.
    """

    def __init__(self, entries: Iterable[Mapping[str, Any]]) -> None:
        entries = tuple(entries)
        self._functions = {e.name: e for e in map(_entry, _of_type(entries, "function"))}
        self._events = {e.digest: _EventReader(e) for e in map(_entry, _of_type(entries, "event"))}
        errors = (*_of_type(entries, "error"), *_BUILT_IN_ERRORS)
        self._errors = {e.digest[:4]: e for e in map(_entry, errors)}

    @property
    def error_names(self) -> frozenset[str]:
        """The contract's own errors and Solidity's two."""
        return frozenset(entry.name for entry in self._errors.values())

    def encode_call(self, name: str, args: Sequence[object]) -> bytes:
        """Call data: selector and arguments."""
        function = self._functions[name]
        return function.digest[:4] + encode(function.types, args)

    def decode_result(self, name: str, data: bytes) -> Any:
        """What a function of one output returned; addresses in lower case.

        Raises:
            ChainError: the bytes are not that function's output.
        """
        try:
            (value,) = decode(self._functions[name].outputs, data)
        except _UNDECODABLE as e:
            raise ChainError(
                f"unusable result of {name}", hint="compare its code: clicooper contract verify ADDRESS"
            ) from e
        return value

    def has_event(self, topic: bytes) -> bool:
        """Whether some event of the contract has this first topic."""
        return topic in self._events

    def decode_event(self, topics: bytes, data: bytes) -> tuple[str, tuple[Any, ...]]:
        """An event's name and its arguments in declared order; addresses in lower case.

        Args:
            topics: end to end, 32 bytes each.

        Raises:
            ChainError: the entry is no event of this contract, or not one that it can have written.
        """
        event = self._events.get(topics[:_WORD])
        if event is None:
            raise ChainError(
                "the contract emits an event that its ABI lacks",
                hint="compare its code: clicooper contract verify ADDRESS",
            )
        try:
            return event.name, event.read(topics, data)
        except _UNDECODABLE as e:
            raise ChainError(f"unusable log of {event.name}: {e}", hint="ask another node") from e

    def decode_error(self, data: bytes) -> DecodedError:
        """What a call reverted with. An error of another contract is named by its selector."""
        if not data:
            return DecodedError("Revert", {})
        error = self._errors.get(data[:4])
        try:
            if error is not None:
                names = [item["name"] for item in error.inputs]
                return DecodedError(error.name, dict(zip(names, decode(error.types, data[4:]), strict=True)))
        except _UNDECODABLE:
            pass
        return DecodedError("0x" + data[:4].hex(), {"data": "0x" + data[4:].hex()})


class _EventReader:
    """Reads the log entries of one event."""

    def __init__(self, entry: _Entry) -> None:
        self.name = entry.name
        indexed = [bool(item["indexed"]) for item in entry.inputs]
        typed = list(zip(entry.types, indexed, strict=True))
        self._plain = [kind for kind, is_topic in typed if not is_topic]
        self._topics = [_word_reader(kind) for kind, is_topic in typed if is_topic]
        self._words = [_word_reader(kind) for kind in self._plain] if all(map(_is_word, self._plain)) else None
        # Topics are read first; this is where each argument then stands.
        places = sorted(range(len(indexed)), key=lambda place: not indexed[place])
        self._order = [places.index(place) for place in range(len(indexed))]

    def read(self, topics: bytes, data: bytes) -> tuple[Any, ...]:
        if len(topics) != _WORD * (1 + len(self._topics)):
            raise ValueError(f"{len(topics)} bytes of topics")
        values = _cut(self._topics, topics[_WORD:])
        if self._words is None:
            values += decode(self._plain, data)
        elif len(data) == _WORD * len(self._words):
            values += _cut(self._words, data)
        else:
            raise ValueError(f"{len(data)} bytes")
        return tuple([values[place] for place in self._order])


def _cut(readers: Sequence[Callable[[bytes], Any]], words: bytes) -> list[Any]:
    return [read(words[_WORD * at : _WORD * (at + 1)]) for at, read in enumerate(readers)]


def _is_word(kind: str) -> bool:
    return kind in ("address", "bool", "bytes32") or (kind.startswith("uint") and "[" not in kind)


def _word_reader(kind: str) -> Callable[[bytes], Any]:
    """What turns a word into a value, refusing padding that is not zero."""
    if kind == "bytes32":
        return bytes
    bits = {"bool": 1, "address": 160}.get(kind) or int(kind.removeprefix("uint"))
    makers: dict[str, Callable[[int], Any]] = {"bool": bool, "address": "0x{:040x}".format}
    make = makers.get(kind, int)

    def read(word: bytes) -> Any:
        value = int.from_bytes(word, "big")
        if value >> bits:
            raise ValueError(f"{value} is no {kind}")
        return make(value)

    return read


def _of_type(entries: Iterable[Mapping[str, Any]], kind: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(entry for entry in entries if entry["type"] == kind)


def _entry(entry: Mapping[str, Any]) -> _Entry:
    inputs = tuple(entry["inputs"])
    signature = f"{entry['name']}({','.join(collapse_if_tuple(dict(item)) for item in inputs)})"
    outputs = tuple(collapse_if_tuple(dict(item)) for item in entry.get("outputs", ()))
    return _Entry(entry["name"], keccak(text=signature), inputs, outputs)
