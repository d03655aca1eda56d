"""Writing blocks to a folder while the next are being hashed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

__all__ = ["BlockWriter"]

_THREADS = 2
_MOST_WAITING = 16
"""Blocks in memory at once: 4 MiB of leaves."""


class BlockWriter:
    """Writes blocks in the background, as many at once as pay.

    Args:
        write: writes one block, in any thread.
    """

    def __init__(self, write: Callable[[str, bytes], None]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="block-writer")
        self._waiting: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Waits for all writing to end. The first error of a write is raised, unless one is on its way already."""
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            self.settle()

    def write(self, name: str, block: bytes) -> None:
        """Takes a block over; raises what an earlier write raised."""
        self._waiting.append(self._pool.submit(self._write, name, block))
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.pop(0).result()

    def settle(self) -> None:
        """Waits for all that were taken over; raises what any of them raised."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.result()
