"""The ledger's file: records, JSON format, lock, and atomic replacement. Policy is ``ledger``'s.

Round trip: ``read_book`` after ``write_book`` gives the same book, and anything else in the file is refused.
The file has mode 0600; locks are POSIX.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from clicooper.errors import PrivacyClaimError, RunFolderError, StorageError
from clicooper.files import read_bounded, write_whole
from clicooper.json_values import parse_json
from clicooper.privacy.accounting import GaussianRelease
from clicooper.privacy.composition import SampledGaussian
from clicooper.privacy.release import Mechanism
from clicooper.types import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Book", "HeadSpending", "LedgerEntry", "ReleaseRequest", "Status", "lock_file", "read_book", "write_book"]

_FORMAT = "clicooper-ledger/1"
MAX_LEDGER_BYTES = 1 << 26


class Status(Enum):
    """``RESERVED`` before the noise is drawn, ``PUBLISHED`` once the release's digest is known."""

    RESERVED = "reserved"
    PUBLISHED = "published"


@dataclass(frozen=True)
class ReleaseRequest:
    """A release that the owner wants to make.

    Args:
        dataset: digest of inputs and labels.
        content: from ``release.release_content``; two requests with one content are one release.
        label_map: the label map's digest.
        sigma, sensitivity: the mechanism, same unit.
        epsilon, delta: its guarantee on its own.
        label_epsilon: of the randomised response behind its label map; None where labels are not protected.
        mechanism: ``gaussian``, or ``privunit``, which spends ``epsilon`` whatever sigma and sensitivity are.
    """

    dataset: Digest
    content: Digest
    label_map: Digest
    sigma: float
    sensitivity: float
    epsilon: float
    delta: float
    label_epsilon: float | None = field(default=None, kw_only=True)
    mechanism: Mechanism = field(default="gaussian", kw_only=True)


@dataclass(frozen=True)
class LedgerEntry(ReleaseRequest):
    """A request with its number and what became of it; ``release`` is None until it is published."""

    number: int
    status: Status = Status.RESERVED
    release: Digest | None = None


@dataclass(frozen=True)
class HeadSpending:
    """A head's training by DP-SGD on the data set.

    Args:
        dataset: digest of inputs and labels.
        content: names the training; two with one content are one training.
        mechanism: what it draws.
        epsilon, delta: its replace-one guarantee on its own.
    """

    dataset: Digest
    content: Digest
    mechanism: SampledGaussian
    epsilon: float
    delta: float


@dataclass(frozen=True)
class Book:
    """A ledger file's content, entries in the order of their numbers, heads in the order of their training."""

    budget_epsilon: float
    delta: float
    entries: tuple[LedgerEntry, ...]
    heads: tuple[HeadSpending, ...] = ()


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Holds the ledger's lock file, so that two processes cannot both spend the last of a budget.

    Raises:
        RunFolderError: the folder or the lock file cannot be created.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise RunFolderError(f"cannot lock {path}: {e.strerror}", hint="check the folder's permissions") from e
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_book(path: Path) -> Book:
    """Reads and checks the file.

    Raises:
        RunFolderError: the file is missing or is not exactly what ``write_book`` writes.
    """
    try:
        return _book(parse_json(read_bounded(path, MAX_LEDGER_BYTES, what="ledger", follow=False)))
    except (StorageError, ValueError, KeyError, TypeError, AttributeError, PrivacyClaimError) as e:
        raise RunFolderError(
            f"{path} is missing or damaged: {type(e).__name__}",
            hint="restore it from a backup; without it nobody knows what this data set has spent",
        ) from e


def write_book(path: Path, book: Book) -> None:
    """Replaces the file; the new one is complete on disk before it takes the name.

    Raises:
        RunFolderError: the file cannot be written.
    """
    document = json.dumps({"format": _FORMAT, **asdict(book)}, indent=2, default=_plain)
    hint = "check space and permissions"
    write_whole(path, document.encode(), mode=0o600, parents=False, error=RunFolderError, hint=hint)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Else a power cut could bring back the old file, which knows less of what was spent."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(value: bytes | Status) -> str:
    """What JSON has no word for."""
    return value.value if isinstance(value, Status) else "0x" + value.hex()


def _book(document: Any) -> Book:
    if document.pop("format") != _FORMAT:
        raise ValueError("unknown format")
    book: Book = _record(Book, document)
    if [entry.number for entry in book.entries] != list(range(len(book.entries))):
        raise ValueError("entries are not numbered from 0")
    for entry in book.entries:
        _refuse_impossible(entry)
    return book


def _refuse_impossible(entry: LedgerEntry) -> None:
    if (entry.status is Status.PUBLISHED) != (entry.release is not None):
        raise ValueError("status and release contradict each other")
    if entry.label_epsilon is not None and not 0 < entry.label_epsilon < math.inf:
        raise ValueError("a label epsilon is above 0")
    if entry.mechanism not in get_args(Mechanism):
        raise ValueError("no such mechanism")
    GaussianRelease(entry.sigma, entry.sensitivity)


def _record(kind: type[Any], item: dict[str, Any]) -> Any:
    """An object of a dataclass from exactly its fields, each read as its annotation says."""
    annotations = {known.name: str(known.type) for known in fields(kind)}
    if set(item) != set(annotations):
        raise ValueError("unknown or missing fields")
    return kind(**{name: _value(annotation, item[name]) for name, annotation in annotations.items()})


def _value(annotation: str, value: Any) -> Any:
    if annotation.endswith(" | None"):
        return None if value is None else _value(annotation.removesuffix(" | None"), value)
    return _READERS[annotation](value)


def _digest(text: str) -> Digest:
    digest = bytes.fromhex(text.removeprefix("0x"))
    if len(digest) != 32:
        raise ValueError("a digest has 32 bytes")
    return Digest(digest)


_READERS: dict[str, Callable[[Any], Any]] = {
    "Digest": _digest,
    "float": float,
    "int": int,
    "Mechanism": str,
    "Status": Status,
    "SampledGaussian": lambda item: _record(SampledGaussian, item),
    "tuple[LedgerEntry, ...]": lambda items: tuple(_record(LedgerEntry, item) for item in items),
    "tuple[HeadSpending, ...]": lambda items: tuple(_record(HeadSpending, item) for item in items),
}
"""How a field of each type is read."""
