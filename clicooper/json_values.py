"""JSON from files, nodes and services that nobody vouches for: bounded, and with one meaning.

Python's parser recurses in C as deep as the interpreter's limit allows. Libraries raise that limit (eth-account does on
import), and then a file of nothing but brackets overflows the stack and ends the process instead of raising. It also
reads what JSON does not have (NaN, Infinity), and takes the last of two equal keys where other readers take the first.
"""

import json
import math
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import NoReturn

from clicooper.user_text import decode_text

__all__ = ["MAX_DEPTH", "MAX_JSON_BYTES", "parse_json"]

MAX_DEPTH = 600
"""Far above any file of ours, far below any stack's end. Brackets inside of strings count too, to stay simple."""

MAX_JSON_BYTES = 1 << 28
"""No record of a job is larger, and a node that sends more in one answer wants to fill the memory."""

_OPEN, _CLOSE = b"[{", b"]}"
_STEPS = bytes.maketrans(_OPEN + _CLOSE, b"\x01\x01\xff\xff")
_REST = bytes(set(range(256)) - set(_OPEN + _CLOSE))


def parse_json(text: str | bytes, *, max_depth: int = MAX_DEPTH, finite: bool = True) -> object:
    """The value that ``text`` says; bytes are as ``decode_text`` reads them. Time and memory are linear in its length.

    Args:
        finite: refuse NaN and infinite numbers, which our own logs may hold.

    Raises:
        json.JSONDecodeError: the text is no JSON; a ValueError.
        ValueError: it is no text, too large, nested too deep, has a key twice in one object, a number of too many
            digits, or one that is not finite.
    """
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"larger than {MAX_JSON_BYTES} bytes")
    if _depth(data) > max_depth:
        raise ValueError("nested too deep")
    if isinstance(text, bytes):
        text = decode_text(text)
    if not finite:
        return json.loads(text, object_pairs_hook=_object)
    return json.loads(text, object_pairs_hook=_object, parse_float=_number, parse_constant=_refuse_constant)


def _depth(data: bytes) -> int:
    steps = array("b")
    steps.frombytes(data.translate(_STEPS, _REST))
    return max(accumulate(steps), default=0)


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return value


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("a number is too large")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
