"""Reading files that somebody else names: regular files alone, without waiting, and never more than was asked for."""

from __future__ import annotations

import ast
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clicooper import files
from clicooper.errors import RecordError, StorageError
from clicooper.files import open_regular, read_bounded, read_if_there

PACKAGE = Path(files.__file__).parent

READS_ITSELF = {
    "files.py": "it is the reader",
    "chain/compile.py": "artifacts of the package, and sources of the checkout",
    "cli/main.py": "the null device, to write to",
    "learning/formats.py": "data sets, by the libraries of their formats",
    "learning/model_code.py": "sources of a model, bounded in number and size, before they run",
    "learning/suspect_file.py": "bounded reads of its own",
    "privacy/_ledger_file.py": "a folder, to flush it",
    "setting_sources.py": "the settings file, bounded; nothing that reads files may be below it",
    "reports/measured.py": "a file of the package",
    "reports/page.py": "a file of the package",
}
"""Modules that open files for reading without ``clicooper.files``, and why."""


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def bound_socket(folder: Path) -> Path:
    here = Path.cwd()
    os.chdir(folder)  # The path of a socket has at most some 100 bytes.
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket")
    finally:
        os.chdir(here)
    return folder / "socket"


def zeros(folder: Path) -> Path:
    (folder / "zeros").symlink_to("/dev/zero")
    return folder / "zeros"


NO_FILES = {
    "pipe": (fifo, "it is a pipe"),
    "socket": (bound_socket, "it is a socket"),
    "folder": (lambda folder: folder, "it is a folder"),
    "device": (lambda _: Path("/dev/zero"), "it is a device"),
    "link to a device": (zeros, "it is a device"),
    "absent": (lambda folder: folder / "absent", "No such file"),
    "zero byte": (lambda folder: folder / "a\0b", "null"),
}


@pytest.mark.parametrize("read", [lambda path: read_bounded(path, 9), open_regular])
@pytest.mark.parametrize(("make", "why"), NO_FILES.values(), ids=list(NO_FILES))
def test_what_is_no_file_is_refused_without_waiting(make: Any, why: str, read: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"cannot read the file .*{why}") as e:
        read(make(tmp_path))
    assert e.value.hint


def test_what_took_the_place_of_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"x")
    before, pipe = (tmp_path / "file").stat(), fifo(tmp_path)
    monkeypatch.setattr(os, "stat", lambda *_, **__: before)
    with pytest.raises(StorageError, match="it is a pipe"):
        read_bounded(pipe, 9)


@pytest.mark.parametrize("size", [0, 1, 9])
def test_a_file_up_to_the_limit_is_read_whole(size: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    assert read_bounded(tmp_path / "file", 9) == b"x" * size


def test_a_larger_file_is_refused_with_the_limit(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RecordError, match=r"cannot read the record .*too large: more than 9 bytes") as e:
        read_bounded(tmp_path / "file", 9, what="record", error=RecordError, hint="take another")
    assert e.value.hint == "take another"


def test_a_file_that_grows_is_read_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = tmp_path / "file", os.read
    path.write_bytes(b"x")

    def read_and_grow(descriptor: int, size: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"x" * 100)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", read_and_grow)
    with pytest.raises(StorageError, match="more than 1000 bytes"):
        read_bounded(path, 1000)


def test_files_of_the_kernel_are_read_though_they_tell_no_size() -> None:
    assert Path("/proc/self/status").stat().st_size == 0
    assert read_bounded("/proc/self/status", 1 << 16).startswith(b"Name:")
    with pytest.raises(StorageError, match="more than 10 bytes"):
        read_bounded("/proc/self/status", 10)


def test_a_link_is_followed_for_a_user_and_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert read_bounded(tmp_path / "link", 9) == b"x"
    for read in (lambda path: read_bounded(path, 9, follow=False), lambda path: open_regular(path, follow=False)):
        with pytest.raises(StorageError, match="it is a symbolic link"):
            read(tmp_path / "link")


def test_absent_is_not_unreadable(tmp_path: Path) -> None:
    assert read_if_there(tmp_path / "absent", 9) is None
    with pytest.raises(StorageError, match="it is a folder"):
        read_if_there(tmp_path, 9)


def test_no_more_is_read_than_shows_a_file_too_large(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    assert read_if_there(tmp_path / "file", 4, whole=False) == b"0123"


def test_no_module_opens_a_file_for_reading_but_the_reader() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if any(opens_to_read(path))}
    assert found == set(READS_ITSELF)


def opens_to_read(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and _reads(node):
            yield node


def _reads(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_bytes", "read_text", "fromfile", "memmap"):
        return True
    if name != "open":
        return False
    if isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "os":
        return "O_CREAT" not in ast.unparse(call)
    mode = call.args[0 if isinstance(call.func, ast.Attribute) else 1 :][:1]
    plain = isinstance(call.func, ast.Name) and not mode
    return plain or any(isinstance(one, ast.Constant) and one.value in ("r", "rb", "rt", "r+b") for one in mode)
