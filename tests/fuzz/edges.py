"""Values from the edges of every type, and one place of a structure changed to one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from multiformats import CID

from clicooper.storage.ipld.cid import block_cid

__all__ = ["change_one", "edge_of", "places"]

Place = tuple[str | int, ...]

HOSTILE_TEXT = (
    "",
    "\x1b[2J\x1b[HVerdict: pass",
    "a\nb\rVerdict: pass",
    "\u202eevil\u2066",
    "x" * 100_000,
    "os:system",
    "$(id); rm -rf /",
    "[bold red]fail[/]",
    "torch-0 x numpy-0",
)
INTEGERS = (0, 1, 2, 3, 31, 32, 33, 255, 256, 2**16, 2**31 - 1, 2**31, 2**32, 2**40, 2**50, 2**53 - 1, 2**53)
FLOATS = (
    *(0.0, -0.0, 5e-324, 1e-300, 1e-12, 1e-3, 0.5, 1.0 - 2**-53, 1.0, 1.5, 64.0, 1e9, 1e25, 1e300, 1.7e308),
    *(-5e-324, -1e-3, -1.0, -5.0, -1e300),
)
ABSENT = block_cid(b"nobody has this", "raw")


def edge_of(value: Any, random: Random) -> Any:
    """Another value of the same type, from its edges."""
    return random.choice(tuple(_edges(value, random)))


def _edges(value: Any, random: Random) -> Sequence[Any]:
    if isinstance(value, bool):
        return (not value,)
    for kind, edges in _OF_TYPE.items():
        if isinstance(value, kind):
            return edges(value, random)
    return (None, 0, 1.0, "", b"", ABSENT)


def _bytes(value: bytes, random: Random) -> Sequence[Any]:
    size = len(value)
    return (bytes(size), b"\xff" * size, random.randbytes(size), value[:-1], value + b"\0", b"")


def _list(value: Any, _random: Random) -> Sequence[Any]:
    every = [*value]
    return [type(value)(one) for one in ([], [*every, *every], every[::-1], every * 50, every[:-1], every[1:])]


_OF_TYPE: Mapping[type, Callable[[Any, Random], Sequence[Any]]] = {
    int: lambda value, _: (*INTEGERS, value + 1, max(0, value - 1), 2 * value),
    float: lambda value, _: (*FLOATS, -value, value * 1e6, value / 1e6),
    str: lambda value, _: (*HOSTILE_TEXT, value + " ", value[:-1]),
    bytes: _bytes,
    CID: lambda _, random: (ABSENT, *(block_cid(random.randbytes(8), name) for name in ("raw", "dag-cbor", "dag-pb"))),
    list: _list,
    tuple: _list,
    dict: lambda value, random: ({}, value | {random.choice(HOSTILE_TEXT)[:40]: 1.0}),
}


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Every place of a structure, containers too, the whole not."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        yield from places(item, (*at, key))


def change_one(value: Any, random: Random) -> Any:
    """A copy with one place changed; places of every depth are equally likely."""
    every = list(places(value))
    return _put(value, random.choice(every), random)


def _put(value: Any, place: Place, random: Random) -> Any:
    if not place:
        return None if random.random() < 0.05 else edge_of(value, random)
    key, rest = place[0], place[1:]
    if isinstance(value, dict):
        return value | {key: _put(value[key], rest, random)}
    assert isinstance(key, int)
    return type(value)((*value[:key], _put(value[key], rest, random), *value[key + 1 :]))
