"""The run folder: where a finished job keeps its record, artifacts, secrets and report.

    record.json      every event of the job
    job.json         where the job is on chain
    store/           the content-addressed artifacts
    pins/            what the owner keeps of the artifacts, and why
    owner/           the owner's secrets, mode 0700; no audit of public claims needs them
    trainers/        each trainer's account, secret, identity and unsettled round, mode 0700
    auditor/         a throw-away identity with its grants, mode 0700
    report.json      the figures, and report.html for people
    INCOMPLETE       there until the run has finished

Layout and completeness alone; what the files say is read by ``chain.record`` and ``storage.local``.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from clicooper.errors import RunFolderError
from clicooper.files import write_whole

__all__ = ["RunFolder"]

MARKER = "INCOMPLETE"
MARKER_TEXT = "This run has not finished: it was interrupted, it failed, or it is still going on.\n"
SECRET_FOLDERS = ("owner", "trainers", "auditor")


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run.

    Attributes:
        is_new: whether ``create`` made the folder itself, rather than finding it empty.
    """

    root: Path
    is_new: bool = False

    @classmethod
    def create(cls, root: Path) -> RunFolder:
        """Makes a new folder, marked incomplete.

        Raises:
            RunFolderError: it exists and is not empty, or cannot be written.
        """
        with _writing(root):
            is_new = not root.exists()
            root.mkdir(parents=True, exist_ok=True)
            if any(root.iterdir()):
                raise RunFolderError(f"{root} is not empty", hint="name a new folder with --out; runs are never mixed")
            return cls(root, is_new)._begin()

    @classmethod
    def create_next(cls, parent: Path, stem: str = "run") -> RunFolder:
        """Makes the first free of ``run-001``, ``run-002``, ... below ``parent``."""
        with _writing(parent):
            parent.mkdir(parents=True, exist_ok=True)
            roots = (parent / f"{stem}-{number:03d}" for number in itertools.count(1))
            return cls(next(root for root in roots if _made(root)), is_new=True)._begin()

    @classmethod
    def open(cls, root: Path, *, needs_store: bool = True) -> RunFolder:
        """An existing, finished folder.

        Args:
            needs_store: whether the artifacts must lie in the folder too.

        Raises:
            RunFolderError: it is absent, not a run folder, or incomplete.
        """
        folder = cls(root)
        if not root.is_dir():
            raise RunFolderError(f"{root} is not a folder", hint="name a run folder, such as one that `demo` wrote")
        if (root / MARKER).exists():
            raise RunFolderError(f"the run in {root} is incomplete", hint="it was interrupted; run the job again")
        for path in (folder.record, folder.store) if needs_store else (folder.record,):
            if not path.exists():
                hint = "a run folder holds at least record.json and store/; artifacts on a node need --store ipfs:URL"
                raise RunFolderError(f"{root} has no {path.name}", hint=hint)
        return folder

    def _begin(self) -> Self:
        (self.root / MARKER).write_text(MARKER_TEXT, encoding="utf-8")
        for name in SECRET_FOLDERS:
            (self.root / name).mkdir(mode=0o700)
        return self

    @property
    def holds_keys(self) -> bool:
        """Whether accounts were written: from then on coin may depend on this folder."""
        return (self.owner / "account.key").exists()

    def discard(self) -> None:
        """Takes back what ``create`` made and a run wrote since, for a run that failed before it began."""
        for path in self.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if self.is_new:
            self.root.rmdir()

    def finish(self) -> None:
        """Takes the incomplete mark away; the last thing that a run does."""
        (self.root / MARKER).unlink()

    def write(self, name: str, data: bytes) -> None:
        """Writes one file of the folder, whole or not at all."""
        write_whole(self.root / name, data)

    @property
    def record(self) -> Path:
        """The job's events."""
        return self.root / "record.json"

    @property
    def store(self) -> Path:
        """The artifacts."""
        return self.root / "store"

    @property
    def pins(self) -> Path:
        """The pin sets over the artifacts."""
        return self.root / "pins"

    @property
    def owner(self) -> Path:
        """The owner's secrets."""
        return self.root / "owner"

    @property
    def auditor(self) -> Path:
        """The auditor's identity and grants."""
        return self.root / "auditor"

    def trainer(self, seat: int) -> Path:
        """The secrets of the trainer in a seat."""
        return self.root / "trainers" / f"seat-{seat}"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns a failure to write below ``folder`` into one that names it."""
    try:
        yield
    except OSError as e:
        raise RunFolderError(
            f"cannot write to {folder}: {e.strerror or e}", hint="name a writable folder with --out or --home"
        ) from e


def _made(folder: Path) -> bool:
    """Makes a folder unless it is there, perhaps by a run that began at the same moment."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True
