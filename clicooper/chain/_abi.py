"""Calls, results, logs and reverts by name, out of a contract's own ABI. Pure: bytes in, values out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak
from eth_utils.abi import collapse_if_tuple

from clicooper.errors import ChainError

__all__ = ["Abi", "DecodedError"]

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
        self._events = {e.digest: e for e in map(_entry, _of_type(entries, "event"))}
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
        except DecodingError as e:
            raise ChainError(f"unusable result of {name}", hint="is this the contract of this version?") from e
        return value

    def decode_event(self, topics: Sequence[bytes], data: bytes) -> tuple[str, tuple[Any, ...]]:
        """An event's name and its arguments in declared order.

        Raises:
            ChainError: the entry is no event of this contract.
        """
        event = self._events.get(topics[0]) if topics else None
        if event is None:
            raise ChainError("the contract emits an event that its ABI lacks", hint="is this clicooper's contract?")
        plain = [collapse_if_tuple(dict(item)) for item in event.inputs if not item["indexed"]]
        try:
            body = iter(decode(plain, data))
            indexed = iter(topics[1:])
            values = tuple(
                decode([item["type"]], next(indexed))[0] if item["indexed"] else next(body) for item in event.inputs
            )
        except (DecodingError, RuntimeError, StopIteration) as e:
            raise ChainError(f"unusable log of {event.name}", hint="ask another node") from e
        return event.name, values

    def decode_error(self, data: bytes) -> DecodedError:
        """What a call reverted with. An error of another contract is named by its selector."""
        if not data:
            return DecodedError("Revert", {})
        error = self._errors.get(data[:4])
        try:
            if error is not None:
                names = [item["name"] for item in error.inputs]
                return DecodedError(error.name, dict(zip(names, decode(error.types, data[4:]), strict=True)))
        except DecodingError:
            pass
        return DecodedError("0x" + data[:4].hex(), {"data": "0x" + data[4:].hex()})


def _of_type(entries: Iterable[Mapping[str, Any]], kind: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(entry for entry in entries if entry["type"] == kind)


def _entry(entry: Mapping[str, Any]) -> _Entry:
    inputs = tuple(entry["inputs"])
    signature = f"{entry['name']}({','.join(collapse_if_tuple(dict(item)) for item in inputs)})"
    outputs = tuple(collapse_if_tuple(dict(item)) for item in entry.get("outputs", ()))
    return _Entry(entry["name"], keccak(text=signature), inputs, outputs)
