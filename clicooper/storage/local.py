"""A store in a folder: one file per block, so that it can be copied, diffed and served with ordinary tools.

``ROOT/clicooper-store`` marks the folder, ``ROOT/<shard>/<cid>`` holds a block; the shard is the two
characters before a CID's last, as in IPFS's flat file store. ``ROOT/pending`` belongs to the layered store.
Blocks appear whole or not at all, and any number of processes may write at once: equal names mean equal
bytes. Reading never writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from multiformats import CID

from clicooper.commitments.canonical import MAX_BLOCK_BYTES
from clicooper.errors import SpecError, StorageError
from clicooper.files import TEMPORARY, open_regular, read_if_there, write_whole
from clicooper.storage._block_writer import BlockWriter
from clicooper.storage.base import missing, reading, write_chunks
from clicooper.storage.ipld.cid import (
    block_cid,
    build_named,
    cid_text,
    is_leaf,
    name_text,
    normalise_cid,
    parse_cid,
    read_file,
    verify_block,
)

__all__ = ["PENDING", "LocalStore"]

PENDING = "pending"
"""Folder in a store's root that belongs to ``clicooper.storage.layered``."""

_MARKER = "clicooper-store"
_FORMAT = b"clicooper-store 1\n"
_SHARD_CHARS = 2


class LocalStore:
    """Implements ``Store`` in the folder ``root``, which the first ``put`` creates.

    Args:
        root: absent, empty, or a store; ``StorageError`` otherwise.
        sync: flush every block to the disk before it gets its name. Without it a power cut may leave
            damaged blocks; ``get`` finds them and putting them again mends them.
    """

    def __init__(self, root: Path, *, sync: bool = False) -> None:
        self.root = Path(root)
        self._sync = sync
        self._is_marked = self._check_root()

    def __reduce__(self) -> tuple[type[LocalStore], tuple[Path]]:
        """Pickled as an address, which means the same in every folder."""
        return LocalStore, (self.root.absolute(),)

    def put_block(self, block: bytes, codec: str = "dag-cbor") -> CID:
        """See ``Store``."""
        cid = block_cid(block, codec)
        self._keep(cid_text(cid), block)
        return cid

    def get_block(self, cid: CID) -> bytes:
        """See ``Store``."""
        cid = normalise_cid(cid)
        block = self._read(self._path(cid_text(cid)))
        if block is None:
            raise missing(cid, f"store {self.root}")
        return verify_block(cid, block, f"store {self.root}")

    def put_file(self, source: Path | BinaryIO) -> CID:
        """See ``Store``."""
        if isinstance(source, Path):
            with reading(source), open_regular(source) as stream:
                return self.put_file(stream)
        with reading(getattr(source, "name", "the source")), BlockWriter(self._keep) as writer:
            for name, block in build_named(source):
                if not is_leaf(name):
                    # Whoever finds a node of the file finds everything below it.
                    writer.settle()
                writer.write(text := name_text(name), block)
        return parse_cid(text)

    def get_file(self, cid: CID, target: BinaryIO) -> None:
        """See ``Store``."""
        write_chunks(target, read_file(cid, self.get_block))

    def has(self, cid: CID) -> bool:
        """See ``Store``."""
        path = self._path(cid_text(cid))
        with reading(path):
            return path.is_file() and not path.is_symlink()

    def size(self, cid: CID) -> int:
        """Bytes that a block takes, right or wrong; 0 where there is none."""
        path = self._path(cid_text(cid))
        with reading(path):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                return 0

    def remove(self, cid: CID) -> None:
        """Forgets a block, which need not be there. Who may, is decided by ``storage.clean_up``."""
        path = self._path(cid_text(cid))
        try:
            path.unlink(missing_ok=True)
        except OSError as e:
            hint = "check the folder's permissions"
            raise StorageError(f"cannot remove {path}: {e.strerror}", hint=hint) from e

    def cids(self) -> Iterator[CID]:
        """See ``ListableStore``; in the order of shards, then names."""
        for path in self._entries():
            if (cid := self._cid_at(path)) is not None:
                yield cid

    def strays(self) -> list[Path]:
        """Everything in the folder that is not a block in its place: left-over temporary files, foreign ones."""
        return [path for path in self._entries() if self._cid_at(path) is None]

    def _check_root(self) -> bool:
        """Whether the root is marked as a store; refuses it if it is anything but a store, empty or absent."""
        # Listed before the marker is read: whoever writes the first block marks the folder first.
        foreign = [entry.name for entry in _listing(self.root) if not entry.name.startswith(TEMPORARY)]
        marker = self._read(self.root / _MARKER)
        if marker is None and foreign:
            hint = "name a store, or a folder that is absent or empty"
            raise StorageError(f"{self.root} holds {foreign[0]!r} and is not a store", hint=hint)
        if marker not in (None, _FORMAT):
            raise StorageError(f"{self.root} is a store of an unknown format", hint="upgrade, or use another store")
        return marker is not None

    def _path(self, text: str) -> Path:
        return self.root / text[-3:-1] / text

    def _keep(self, text: str, block: bytes) -> None:
        """Writes the block of a CID, unless the right bytes are there: a damaged copy is replaced."""
        if len(block) > MAX_BLOCK_BYTES:
            raise SpecError(f"block of {len(block)} bytes exceeds {MAX_BLOCK_BYTES}", hint="put it as a file")
        if not self._is_marked:
            write_whole(self.root / _MARKER, _FORMAT, sync=self._sync)
            self._is_marked = True
        path = f"{self.root}/{text[-3:-1]}/{text}"
        if not self._holds(path, block):
            # Written beside the shards first: in every folder that the disk looks up, a new file costs a multiple.
            write_whole(path, block, sync=self._sync, scratch=self.root)

    def _read(self, path: Path | str) -> bytes | None:
        """A file's bytes, None if there is none; no more of them than show that it is too large for a block."""
        return read_if_there(path, MAX_BLOCK_BYTES + 1, what="block", follow=False, whole=False)

    def _holds(self, path: str, block: bytes) -> bool:
        """Whether a block is there as it should be; a link or a pipe in its place is replaced as damage is."""
        try:
            return self._read(path) == block
        except StorageError:
            return False

    def _entries(self) -> Iterator[Path]:
        """What lies at the two levels of the folder, without its marker, notes and shards; sorted."""
        for entry in _listing(self.root):
            if len(entry.name) == _SHARD_CHARS and entry.is_dir():
                yield from _listing(entry)
            elif entry.name not in (_MARKER, PENDING):
                yield entry

    def _cid_at(self, path: Path) -> CID | None:
        """The block that belongs at ``path``, None if no block does."""
        try:
            cid = parse_cid(path.name)
        except SpecError:
            return None
        return cid if path == self._path(path.name) and self.has(cid) else None


def _listing(folder: Path) -> list[Path]:
    with reading(folder):
        try:
            return sorted(folder.iterdir())
        except FileNotFoundError:
            return []
