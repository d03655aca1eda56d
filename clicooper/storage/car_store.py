"""A CAR file as a store that can be read but not written: an index of places in memory, the blocks on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn, Self

from multiformats import CID

from clicooper.errors import StorageError
from clicooper.files import open_regular
from clicooper.storage.base import missing, write_chunks
from clicooper.storage.ipld.car import read_sections
from clicooper.storage.ipld.cid import cid_bytes, cid_of_bytes, read_file, verify_block

__all__ = ["CarStore"]


class CarStore:
    """Implements ``ListableStore`` over the CAR file at ``path``, but for the methods that write.

    Opening reads every length and name once, so that a cut or foreign file is refused at once; a block is read and
    hashed when it is asked for. Memory: about 250 bytes a block. A context manager; ``close`` ends it.

    Attributes:
        roots: what the file says it is for.

    Raises:
        CarError: not a CAR file that this program accepts; ``offset`` is where.
        StorageError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = open_regular(self.path, what="CAR file", hint="name a CAR file that you can read")
        try:
            self.roots, sections = read_sections(self._file)
            self._places = {section.name: (section.start, section.size) for section in sections}
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[CarStore], tuple[Path]]:
        """Pickled as an address: whoever unpickles it opens the file anew, or fails as the constructor does."""
        return CarStore, (self.path.absolute(),)

    def __len__(self) -> int:
        return len(self._places)

    def get_block(self, cid: CID) -> bytes:
        """See ``Store``."""
        place = self._places.get(cid_bytes(cid))
        if place is None:
            raise missing(cid, str(self.path))
        start, size = place
        try:
            block = os.pread(self._file.fileno(), size, start)
        except OSError as e:
            hint = "check the disk, or take a fresh copy"
            raise StorageError(f"cannot read {self.path}, byte {start}: {e.strerror}", hint=hint) from e
        return verify_block(cid, block, str(self.path))

    def get_file(self, cid: CID, target: BinaryIO) -> None:
        """See ``Store``."""
        write_chunks(target, read_file(cid, self.get_block))

    def has(self, cid: CID) -> bool:
        """See ``Store``."""
        return cid_bytes(cid) in self._places

    def cids(self) -> Iterator[CID]:
        """See ``ListableStore``; in the order of the file."""
        return (cid_of_bytes(name) for name in self._places)

    def put_block(self, block: bytes, codec: str = "dag-cbor") -> CID:  # noqa: ARG002 - the interface
        """Refuses: a CAR file is written as a whole."""
        self._refuse_writing()

    def put_file(self, source: Path | BinaryIO) -> CID:  # noqa: ARG002 - the interface
        """Refuses: a CAR file is written as a whole."""
        self._refuse_writing()

    def _refuse_writing(self) -> NoReturn:
        hint = "import it into a store, and put there"
        raise StorageError(f"{self.path} is a CAR file, which can only be read", hint=hint)
