"""A local store in front of a remote one: every put goes to both, every get mends the local copy.

While the remote store cannot be reached, work goes on: what it lacks is noted in the folder of the local store, one
empty file ``pending/file-<cid>`` or ``pending/block-<cid>`` each, so that any process can send it later. Names follow
from content, hence no order matters, and sending twice changes nothing.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from multiformats import CID

from clicooper.errors import ArtifactCorrupt, ArtifactMissing, SpecError, StorageError
from clicooper.storage.base import Store, reading, write_chunks
from clicooper.storage.ipld.cid import cid_text, normalise_cid, parse_cid, read_file
from clicooper.storage.local import PENDING, LocalStore

__all__ = ["LayeredStore"]


class LayeredStore:
    """Implements ``Store``: ``cache`` answers first, ``remote`` has everything in the end.

    A put succeeds once the cache has the content. Errors of a put are those of the cache; a remote store that cannot
    be reached makes ``pending`` longer instead.

    Args:
        pause_s: after a failure the remote store is left alone for so long, that work is not held up by waiting for
            it again and again; ``catch_up`` always tries.
        clock: seconds that never go back.
    """

    def __init__(
        self, cache: LocalStore, remote: Store, *, pause_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.cache = cache
        self.remote = remote
        self._pause_s = pause_s
        self._clock = clock
        self._resume_at = clock()

    def __reduce__(self) -> tuple[type[LayeredStore], tuple[LocalStore, Store]]:
        """Pickled as its two stores; another process has its own clock and pauses."""
        return LayeredStore, (self.cache, self.remote)

    def put_block(self, block: bytes, codec: str = "dag-cbor") -> CID:
        """See ``Store``."""
        cid = self.cache.put_block(block, codec)
        self._write_through(_Note("block", cid))
        return cid

    def put_file(self, source: Path | BinaryIO) -> CID:
        """See ``Store``."""
        cid = self.cache.put_file(source)
        self._write_through(_Note("file", cid))
        return cid

    def get_block(self, cid: CID) -> bytes:
        """See ``Store``; a block that the cache lacks, or has damaged, is fetched and kept."""
        try:
            return self.cache.get_block(cid)
        except (ArtifactMissing, ArtifactCorrupt):
            block = self.remote.get_block(cid)
        self.cache.put_block(block, normalise_cid(cid).codec.name)
        return block

    def get_file(self, cid: CID, target: BinaryIO) -> None:
        """See ``Store``; mends as ``get_block``."""
        write_chunks(target, read_file(cid, self.get_block))

    def has(self, cid: CID) -> bool:
        """See ``Store``; in the cache or in the remote store."""
        return self.cache.has(cid) or self.remote.has(cid)

    def pending(self) -> tuple[CID, ...]:
        """Files and blocks that the remote store may lack, each by its root."""
        return tuple(note.cid for note in self._notes())

    def catch_up(self) -> int:
        """Sends what is pending.

        Returns:
            files and blocks that were sent.

        Raises:
            StorageError: the remote store cannot be reached; what it lacks stays pending.
            ArtifactMissing, ArtifactCorrupt: the cache has lost something pending; all else has been sent.
        """
        sent = 0
        lost: list[ArtifactMissing | ArtifactCorrupt] = []
        for note in self._notes():
            try:
                self._send(note)
            except (ArtifactMissing, ArtifactCorrupt) as e:
                lost.append(e)
                continue
            self._path(note).unlink(missing_ok=True)
            sent += 1
        if lost:
            raise lost[0]
        return sent

    def resend_file(self, cid: CID) -> None:
        """Puts a file of the cache into the remote store once more, which may have lost it; raises as ``catch_up``."""
        self._send(_Note("file", normalise_cid(cid)))

    def _write_through(self, note: _Note) -> None:
        """Notes what is to be sent before sending it: a process that dies in between leaves the note."""
        self._write(note)
        if self._clock() < self._resume_at:
            return
        try:
            self.catch_up()
        except StorageError:
            self._resume_at = self._clock() + self._pause_s
        except (ArtifactMissing, ArtifactCorrupt):
            # Of something put before, and still pending: an explicit catch_up says so.
            return

    def _send(self, note: _Note) -> None:
        if note.kind == "block":
            self.remote.put_block(self.cache.get_block(note.cid), note.cid.codec.name)
        else:
            self.remote.put_file(io.BufferedReader(_Content(read_file(note.cid, self.cache.get_block))))

    def _path(self, note: _Note) -> Path:
        return self.cache.root / PENDING / f"{note.kind}-{cid_text(note.cid)}"

    def _write(self, note: _Note) -> None:
        path = self._path(note)
        try:
            path.parent.mkdir(exist_ok=True)
            path.touch()
        except OSError as e:
            hint = "check that the folder is writable and the disk has space"
            raise StorageError(f"cannot write {path}: {e.strerror}", hint=hint) from e

    def _notes(self) -> tuple[_Note, ...]:
        folder = self.cache.root / PENDING
        with reading(folder):
            try:
                return tuple(_parse_note(path) for path in sorted(folder.iterdir()))
            except FileNotFoundError:
                return ()


@dataclass(frozen=True)
class _Note:
    """Something that the remote store may lack: one block, or a file with all its blocks."""

    kind: str
    cid: CID


def _parse_note(path: Path) -> _Note:
    kind, _, name = path.name.partition("-")
    try:
        if kind not in ("block", "file"):
            raise SpecError("neither a block nor a file")
        return _Note(kind, parse_cid(name))
    except SpecError as e:
        raise StorageError(f"{path} names no artifact", hint="remove it: only this program writes there") from e


class _Content(io.RawIOBase):
    """A file of a store, read block by block."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: object, /) -> int:
        """Fills from the current block; the next is read only once that is used up."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        target = memoryview(buffer)  # type: ignore[arg-type]
        size = min(len(target), len(self._rest))
        target[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
