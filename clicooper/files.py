"""Files that appear whole or not at all, and files that are read with bounds.

The one writer of whole files, and the one reader of files: every other module calls it. A reader opens regular files
alone, never waits for another process, and holds no more than it was told. What goes into a file, and when it may be
removed, is its owner's concern. Paths may be text: a ``Path`` takes longer to make than a block to write.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from clicooper.errors import CliCooperError, StorageError

__all__ = [
    "TEMPORARY",
    "open_regular",
    "read_bounded",
    "read_if_there",
    "whole_file",
    "write_secret",
    "write_whole",
]

TEMPORARY = ".tmp-"
"""Names of files that are still being written begin with this; one that a crash left behind may be removed."""

_HINT = "check that the folder is writable and the disk has space"
_READ_HINT = "check the path and its permissions"
_PIECE_BYTES = 1 << 20

_KINDS = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFLNK: "it is a symbolic link",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


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


def read_bounded(
    path: Path | str,
    max_bytes: int,
    *,
    what: str = "file",
    follow: bool = True,
    whole: bool = True,
    error: type[CliCooperError] = StorageError,
    hint: str = _READ_HINT,
) -> bytes:
    """The whole content of a regular file of at most ``max_bytes`` bytes.

    Args:
        path: of the file, which may grow or shrink meanwhile.
        what: the file in the words of its reader, such as ``record``.
        follow: whether a symbolic link may lead to the file; not so where others write the folder.
        whole: refuse a larger file; otherwise its first ``max_bytes`` bytes are what is given.
        error, hint: what is raised where the file cannot be read.

    Raises:
        error: it is absent, no regular file, or larger.
    """
    with _readable(path, what, error, hint):
        return _read(path, max_bytes, follow, whole)


def read_if_there(
    path: Path | str,
    max_bytes: int,
    *,
    what: str = "file",
    follow: bool = True,
    whole: bool = True,
    error: type[CliCooperError] = StorageError,
    hint: str = _READ_HINT,
) -> bytes | None:
    """As ``read_bounded``, but None where there is no such file."""
    with _readable(path, what, error, hint):
        try:
            return _read(path, max_bytes, follow, whole)
        except FileNotFoundError:
            return None


def open_regular(
    path: Path | str,
    *,
    what: str = "file",
    follow: bool = True,
    error: type[CliCooperError] = StorageError,
    hint: str = _READ_HINT,
) -> BinaryIO:
    """A stream over a regular file, for content that is too large for memory; its reader bounds what it takes.

    Arguments and errors are those of ``read_bounded``. Reading from the stream raises OSError.
    """
    with _readable(path, what, error, hint):
        return cast(BinaryIO, io.BufferedReader(_Stream(_open(path, follow), path)))


class _Stream(io.FileIO):
    """A file that says when it has nothing yet, as files of the kernel do, instead of giving None."""

    def __init__(self, descriptor: int, path: Path | str) -> None:
        super().__init__(descriptor)
        self.name = str(path)

    def readinto(self, buffer: object, /) -> int:
        """Fills the buffer; 0 at the end."""
        size: int | None = super().readinto(buffer)  # type: ignore[arg-type]
        if size is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return size


def _read(path: Path | str, max_bytes: int, follow: bool, whole: bool) -> bytes:
    descriptor = _open(path, follow)
    try:
        size = os.fstat(descriptor).st_size
        if whole and size > max_bytes:
            _refuse_size(max_bytes)
        data = os.read(descriptor, min(size, max_bytes) + 1)
        if len(data) == size:  # As nearly always: all of it at once, and nothing behind it.
            return data
        parts, total = [data], len(data)
        while total <= max_bytes and (data := os.read(descriptor, min(max_bytes + 1 - total, _PIECE_BYTES))):
            parts.append(data)
            total += len(data)
    finally:
        os.close(descriptor)
    if whole and total > max_bytes:
        _refuse_size(max_bytes)
    return b"".join(parts)[:max_bytes]


def _refuse_size(max_bytes: int) -> NoReturn:
    raise OSError(errno.EFBIG, f"it is too large: more than {max_bytes} bytes")


def _open(path: Path | str, follow: bool) -> int:
    """A descriptor of a regular file. Nothing else is opened: opening alone starts some devices."""
    _require_regular(os.stat(path, follow_symlinks=follow).st_mode)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    try:
        _require_regular(os.fstat(descriptor).st_mode)  # Somebody may have put another one in its place.
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"{_KINDS.get(stat.S_IFMT(mode), 'it is of an unknown kind')}, no regular file")


@contextmanager
def _readable(path: Path | str, what: str, error: type[CliCooperError], hint: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as e:  # A path with a zero byte is a ValueError.
        raise error(f"cannot read the {what} {path}: {getattr(e, 'strerror', None) or e}", hint=hint) from e


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
