"""Keeps the interpreter's recursion limit through imports that raise it for the whole process.

eth-account (100,000) and py-evm (12,288) do. With such a limit, deeply nested input overflows the C stack of any
recursive parser and ends the process, where it should raise RecursionError. Nothing here needs the higher limits:
the contract's calls nest three deep.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["recursion_limit_kept"]


@contextmanager
def recursion_limit_kept() -> Iterator[None]:
    """Restores the limit that held before the block."""
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
