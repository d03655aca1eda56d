"""The ledger's file: records, JSON format, lock, and atomic replacement. Policy is ``ledger``'s.

Round trip: ``read_book`` after ``write_book`` gives the same book, and anything else in the file is refused.
The file has mode 0600; locks are POSIX.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clicooper.errors import PrivacyClaimError, RunFolderError
from clicooper.privacy.accounting import GaussianRelease
from clicooper.privacy.composition import SampledGaussian
from clicooper.types import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Book", "HeadSpending", "LedgerEntry", "ReleaseRequest", "Status", "locked", "read_book", "write_book"]

FORMAT, FORMAT_WITH_MORE, FORMAT_WITH_HEADS = "clicooper-ledger/1", "clicooper-ledger/2", "clicooper-ledger/3"
"""Entries of the second may say what their labels cost, or that they are not Gaussian; the third has heads beside its
entries. A program that knows the first alone must not add them up."""


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
    mechanism: Literal["gaussian", "privunit"] = field(default="gaussian", kw_only=True)


_DEFAULTS: dict[str, Any] = {"label_epsilon": None, "mechanism": "gaussian"}
"""What the second format may add, and what an entry without it means."""


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

    @property
    def format(self) -> str:
        """What it is written as: the first format, unless something in it says what that does not know."""
        further = any(_further(entry) for entry in self.entries)
        return FORMAT_WITH_HEADS if self.heads else FORMAT_WITH_MORE if further else FORMAT


@contextmanager
def locked(path: Path) -> Iterator[None]:
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
        return _book(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PrivacyClaimError) as e:
        raise RunFolderError(
            f"{path} is missing or damaged: {type(e).__name__}",
            hint="restore it from a backup; without it nobody knows what this data set has spent",
        ) from e


def write_book(path: Path, book: Book) -> None:
    """Replaces the file; the new one is complete on disk before it takes the name.

    Raises:
        RunFolderError: the file cannot be written.
    """
    document = {
        "format": book.format,
        "budget_epsilon": book.budget_epsilon,
        "delta": book.delta,
        "entries": [_record(entry) for entry in book.entries],
    }
    if book.heads:
        document["heads"] = [{name: _plain(value) for name, value in asdict(head).items()} for head in book.heads]
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        _sync_folder(path.parent)
    except OSError as e:
        raise RunFolderError(f"cannot write {path}: {e.strerror}", hint="check space and permissions") from e


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _record(entry: LedgerEntry) -> dict[str, Any]:
    """An entry as JSON; what the first format does not know is written only where it says something."""
    record = {name: _plain(value) for name, value in asdict(entry).items() if name not in _DEFAULTS}
    return record | _further(entry)


def _further(entry: LedgerEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _DEFAULTS if getattr(entry, name) != _DEFAULTS[name]}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value.value if isinstance(value, Status) else value


def _book(document: dict[str, Any]) -> Book:
    names = {"format", "budget_epsilon", "delta", "entries"}
    if set(document) - {"heads"} != names:
        raise ValueError("unknown or missing fields")
    entries = tuple(_entry(item) for item in document["entries"])
    if [entry.number for entry in entries] != list(range(len(entries))):
        raise ValueError("entries are not numbered from 0")
    heads = tuple(_head(item) for item in document.get("heads", ()))
    book = Book(float(document["budget_epsilon"]), float(document["delta"]), entries, heads)
    if document["format"] != book.format or ("heads" in document) != bool(heads):
        raise ValueError("unknown format")
    return book


def _head(item: dict[str, Any]) -> HeadSpending:
    if set(item) != {known.name for known in fields(HeadSpending)}:
        raise ValueError("unknown or missing fields")
    return HeadSpending(
        dataset=_digest(item["dataset"]),
        content=_digest(item["content"]),
        mechanism=SampledGaussian(**item["mechanism"]),
        epsilon=float(item["epsilon"]),
        delta=float(item["delta"]),
    )


def _entry(item: dict[str, Any]) -> LedgerEntry:
    if set(item) | set(_DEFAULTS) != {known.name for known in fields(LedgerEntry)}:
        raise ValueError("unknown or missing fields")
    entry = LedgerEntry(
        dataset=_digest(item["dataset"]),
        content=_digest(item["content"]),
        label_map=_digest(item["label_map"]),
        sigma=float(item["sigma"]),
        sensitivity=float(item["sensitivity"]),
        epsilon=float(item["epsilon"]),
        delta=float(item["delta"]),
        number=int(item["number"]),
        status=Status(item["status"]),
        release=None if item["release"] is None else _digest(item["release"]),
        label_epsilon=_label_epsilon(item),
        mechanism=_mechanism(item),
    )
    if (entry.status is Status.PUBLISHED) != (entry.release is not None):
        raise ValueError("status and release contradict each other")
    GaussianRelease(entry.sigma, entry.sensitivity)
    return entry


def _label_epsilon(item: dict[str, Any]) -> float | None:
    if "label_epsilon" not in item:
        return None
    epsilon = float(item["label_epsilon"])
    if not 0 < epsilon < math.inf:
        raise ValueError("a label epsilon is above 0")
    return epsilon


def _mechanism(item: dict[str, Any]) -> Literal["gaussian", "privunit"]:
    if item.get("mechanism", "privunit") != "privunit":
        raise ValueError("no such mechanism")
    return "privunit" if "mechanism" in item else "gaussian"


def _digest(text: str) -> Digest:
    digest = bytes.fromhex(text.removeprefix("0x"))
    if len(digest) != 32:
        raise ValueError("a digest has 32 bytes")
    return Digest(digest)
