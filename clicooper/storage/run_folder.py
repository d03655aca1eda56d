"""The run folder: where a finished job keeps its record, artifacts, secrets and report.

    record.json      every event of the job
    store/           the content-addressed artifacts
    owner/           the owner's secrets, mode 0700; no audit of public claims needs them
    trainers/        each trainer's mark keys, mode 0700
    auditor/         a throw-away identity with its grants, mode 0700
    report.json      the figures, and report.html for people
    INCOMPLETE       there until the run has finished

Layout and completeness alone; what the files say is read by ``chain.record`` and ``storage.local``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clicooper.errors import RunFolderError
from clicooper.storage.local import write_atomic

__all__ = ["RunFolder"]

MARKER = "INCOMPLETE"
MARKER_TEXT = "This run has not finished: it was interrupted, it failed, or it is still going on.\n"
SECRET_FOLDERS = ("owner", "trainers", "auditor")


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    root: Path

    @classmethod
    def create(cls, root: Path) -> RunFolder:
        """Makes a new folder, marked incomplete.

        Raises:
            RunFolderError: it exists and is not empty, or cannot be written.
        """
        try:
            root.mkdir(parents=True, exist_ok=True)
            if any(root.iterdir()):
                raise RunFolderError(f"{root} is not empty", hint="name a new folder with --out; runs are never mixed")
            (root / MARKER).write_text(MARKER_TEXT, encoding="utf-8")
            for name in SECRET_FOLDERS:
                (root / name).mkdir(mode=0o700)
        except OSError as e:
            raise RunFolderError(
                f"cannot write to {root}: {e.strerror or e}", hint="name a writable folder with --out"
            ) from e
        return cls(root)

    @classmethod
    def create_next(cls, parent: Path, stem: str = "run") -> RunFolder:
        """Makes the first free of ``run-001``, ``run-002``, ... below ``parent``."""
        number = 1
        while (parent / f"{stem}-{number:03d}").exists():
            number += 1
        return cls.create(parent / f"{stem}-{number:03d}")

    @classmethod
    def open(cls, root: Path) -> RunFolder:
        """An existing, finished folder.

        Raises:
            RunFolderError: it is absent, not a run folder, or incomplete.
        """
        folder = cls(root)
        if not root.is_dir():
            raise RunFolderError(f"{root} is not a folder", hint="name a run folder, such as one that `demo` wrote")
        if (root / MARKER).exists():
            raise RunFolderError(f"the run in {root} is incomplete", hint="it was interrupted; run the job again")
        for path in (folder.record, folder.store):
            if not path.exists():
                raise RunFolderError(
                    f"{root} has no {path.name}", hint="a run folder holds at least record.json and store/"
                )
        return folder

    def finish(self) -> None:
        """Takes the incomplete mark away; the last thing that a run does."""
        (self.root / MARKER).unlink()

    def write(self, name: str, data: bytes) -> None:
        """Writes one file of the folder, whole or not at all."""
        write_atomic(self.root / name, data)

    @property
    def record(self) -> Path:
        """The job's events."""
        return self.root / "record.json"

    @property
    def store(self) -> Path:
        """The artifacts."""
        return self.root / "store"

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
