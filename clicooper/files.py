"""Files that appear whole or not at all.

The one writer of whole files: every other module that writes a file of its own calls it. What goes into a file, and
when it may be removed, is its owner's concern. Paths may be text: a ``Path`` takes longer to make than a block to
write.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from clicooper.errors import CliCooperError, StorageError

__all__ = ["TEMPORARY", "whole_file", "write_secret", "write_whole"]

TEMPORARY = ".tmp-"
"""Names of files that are still being written begin with this; one that a crash left behind may be removed."""

_HINT = "check that the folder is writable and the disk has space"


@contextmanager
def whole_file(
    path: Path | str,
    *,
    mode: int = 0o666,
    sync: bool = True,
    new: bool = False,
    parents: bool = True,
    scratch: Path | str | None = None,
    error: type[CliCooperError] = StorageError,
    hint: str = _HINT,
) -> Iterator[BinaryIO]:
    """A stream that becomes the file at ``path`` when the block ends without an error.

    Args:
        mode: permissions from the file's first moment, less the umask.
        sync: flush to the disk first, so that a power cut cannot leave a damaged file.
        parents: create the folders on the way; otherwise an absent one is an error.
        new: refuse a path that exists already; otherwise what is there is replaced.
        scratch: folder on the same disk for the unfinished file; the target's own by default.
        error, hint: what is raised where the file cannot be written.

    Raises:
        error: it cannot be written, or exists and ``new`` is set; nothing is left behind. Errors of the block pass
            through, likewise.
    """
    temporary = os.path.join(scratch or os.path.dirname(path), TEMPORARY + secrets.token_hex(8))
    with _named(path, error, hint):
        stream = os.fdopen(_create(temporary, mode, parents), "wb")
    try:
        try:
            yield stream
            with _named(path, error, hint):
                stream.flush()
                if sync:
                    os.fsync(stream.fileno())
        finally:
            # On a full disk this fails as the write before it did: it tries once more to write what is left.
            with _named(path, error, hint):
                stream.close()
        with _named(path, error, hint):
            _place(temporary, path, new)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_whole(
    path: Path | str,
    data: bytes,
    *,
    mode: int = 0o666,
    sync: bool = True,
    new: bool = False,
    parents: bool = True,
    scratch: Path | str | None = None,
    error: type[CliCooperError] = StorageError,
    hint: str = _HINT,
) -> None:
    """Writes ``data`` to ``path`` as a whole, creating its folder: readers see the old bytes or the new ones.

    Arguments and errors are those of ``whole_file``.
    """
    with (
        whole_file(
            path, mode=mode, sync=sync, new=new, parents=parents, scratch=scratch, error=error, hint=hint
        ) as stream,
        _named(path, error, hint),
    ):
        stream.write(data)


def write_secret(path: Path, data: bytes) -> None:
    """Replaces ``path`` by ``data``, readable by its owner alone (0600) from the first moment.

    Folders on the way to it are created with mode 0700 if absent. The bytes are on the disk when it returns.

    Raises:
        StorageError: it cannot be written; nothing is left behind.
    """
    try:
        for folder in reversed([path.parent, *path.parent.parents]):  # ``parents=True`` would leave these to the umask.
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as e:
        hint = "check the path and its permissions"
        raise StorageError(f"cannot create {path.parent}: {e.strerror}", hint=hint) from e
    write_whole(path, data, mode=0o600)


def _create(temporary: str, mode: int, parents: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(temporary, flags, mode)
    except FileNotFoundError:
        if not parents:
            raise
        os.makedirs(os.path.dirname(temporary), exist_ok=True)
        return os.open(temporary, flags, mode)


def _place(temporary: str, path: Path | str, new: bool) -> None:
    if new:
        os.link(temporary, path)  # A rename would replace what is there.
        os.unlink(temporary)
        return
    try:
        os.replace(temporary, path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(temporary, path)


@contextmanager
def _named(path: Path | str, error: type[CliCooperError], hint: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError as e:
        raise error(f"{path} exists and is not overwritten", hint="choose another name") from e
    except OSError as e:
        raise error(f"cannot write {path}: {e.strerror}", hint=hint) from e
