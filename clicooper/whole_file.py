"""Files that appear whole or not at all, written as a stream."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from clicooper.errors import StorageError

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A stream that becomes the file at ``path`` when the block ends without an error; replaces what is there.

    Args:
        mode: permissions from the file's first moment, less the umask.

    Raises:
        StorageError: it cannot be written; nothing is left behind. Errors of the block pass through, likewise.
    """
    temporary = path.with_name(f".tmp-{secrets.token_hex(8)}")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")
    try:
        with stream:
            yield stream
            with _writing(path):
                stream.flush()
                os.fsync(stream.fileno())
        with _writing(path):
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        hint = "check that the folder is writable and the disk has space"
        raise StorageError(f"cannot write {path}: {e.strerror}", hint=hint) from e
