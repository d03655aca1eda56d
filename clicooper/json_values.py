"""JSON from files, nodes and services that nobody vouches for, bounded in depth.

Python's parser recurses in C as deep as the interpreter's limit allows. Libraries raise that limit (eth-account does on
import), and then a file of nothing but brackets overflows the stack and ends the process instead of raising.
"""

import json
import re
from itertools import accumulate

__all__ = ["MAX_DEPTH", "parse_json"]

MAX_DEPTH = 600
"""Far above any file of ours, far below any stack's end. Brackets inside of strings count too, to stay simple."""

_BRACKET = re.compile(r"[\[\]{}]")


def parse_json(text: str | bytes, max_depth: int = MAX_DEPTH) -> object:
    """The value that ``text`` says; bytes are UTF-8.

    Raises:
        json.JSONDecodeError: the text is no JSON; a ValueError.
        ValueError: it is no UTF-8, is nested too deep, or holds a number of too many digits.
    """
    if isinstance(text, bytes):
        text = text.decode()
    steps = (1 if match[0] in "[{" else -1 for match in _BRACKET.finditer(text))
    if max(accumulate(steps), default=0) > max_depth:
        raise ValueError("nested too deep")
    return json.loads(text)
