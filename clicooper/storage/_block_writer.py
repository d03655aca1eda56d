"""Writing blocks to a folder while the next are being hashed. Each appears whole or not at all.

A block is written beside the shards and then moved into its own: a new file costs a multiple in every folder that the
disk has to look up for it, and 1 GiB is 4,096 blocks.
"""

import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from clicooper.errors import StorageError

__all__ = ["TEMPORARY", "BlockWriter", "place"]

TEMPORARY = ".tmp-"

_THREADS = 2
_MOST_WAITING = 16
"""Blocks in memory at once: 4 MiB of leaves."""


def place(root: str, path: str, block: bytes, *, sync: bool) -> None:
    """Writes ``block`` to ``path``, which lies in a folder of ``root``, replacing what is there.

    Paths are text, as a ``Path`` takes longer to make than a block to write.

    Raises:
        StorageError: it cannot be written; nothing is left behind.
    """
    temporary = f"{root}/{TEMPORARY}{secrets.token_hex(8)}"
    try:
        try:
            _write(temporary, block, sync=sync)
            _move(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as e:
        hint = "check that the folder is writable and the disk has space"
        raise StorageError(f"cannot write {path}: {e.strerror}", hint=hint) from e


def _write(path: str, block: bytes, *, sync: bool) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(file, rest) :]
        if sync:
            os.fsync(file)
    finally:
        os.close(file)


def _move(temporary: str, path: str) -> None:
    try:
        os.replace(temporary, path)  # noqa: PTH105
    except FileNotFoundError:
        Path(path).parent.mkdir(exist_ok=True)
        os.replace(temporary, path)  # noqa: PTH105


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
