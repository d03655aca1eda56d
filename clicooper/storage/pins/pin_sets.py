"""Pin sets: named lists of what must be kept, as files that survive restarts and concurrent writers.

``FOLDER/NAME.json`` holds one set; ``FOLDER/.lock`` is held by whoever changes one or cleans up by them. A set belongs
to the store beside its folder. Each change raises the set's ``revision``. A file that does not read back exactly is an
error, never an empty set: clean-ups would take what it names.

What a set should name is the business of ``retention``; what may go, of ``clean_up``.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, Self

from multiformats import CID
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from clicooper.errors import SpecError, StorageError, UsageError
from clicooper.files import read_if_there, write_whole
from clicooper.json_values import parse_json
from clicooper.storage.ipld.cid import cid_text, parse_cid

__all__ = ["Mode", "PinSet", "PinSets", "RoundPins", "texts"]

MAX_PIN_SET_BYTES = 1 << 28

Mode = Literal["recursive", "direct"]
"""Whether a pin keeps everything below its block, or the block alone."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LOCK = ".lock"
_SUFFIX = ".json"


def _checked(text: str) -> str:
    try:
        if cid_text(parse_cid(text)) == text:
            return text
    except SpecError as e:
        raise ValueError(e.message) from e
    raise ValueError(f"{text[:80]!r} is not in the usual form of a CID")


Names = Annotated[tuple[Annotated[str, AfterValidator(_checked)], ...], Field(strict=False)]


def texts(cids: Iterable[CID]) -> tuple[str, ...]:
    """The names as a set's file has them, each once."""
    return tuple(dict.fromkeys(cid_text(cid) for cid in cids))


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class RoundPins(_Part):
    """What is kept of one round.

    Attributes:
        blocks: manifests, kept without what they link: a manifest links its predecessors.
        files: kept for good.
        states: optimizer and interval states, which later rounds supersede.
        states_kept: False once the policy has let go of ``states``.
    """

    round: Annotated[int, Field(ge=0)]
    blocks: Names
    files: Names
    states: Names
    states_kept: bool = True


class PinSet(_Part):
    """One named list.

    Attributes:
        finished: nothing will be added by a job that still runs. True for sets that belong to no job.
        audited: the head, in hex, that a passing audit of the finished job ended in.
        roots: kept with everything below them, for good.
    """

    version: Literal[1] = 1
    name: Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]
    revision: Annotated[int, Field(ge=0)] = 0
    finished: bool = True
    audited: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    roots: Names = ()
    rounds: Annotated[tuple[RoundPins, ...], Field(strict=False)] = ()

    def with_roots(self, roots: Iterable[CID]) -> Self:
        """The same set with further roots."""
        return self.model_copy(update={"roots": tuple(dict.fromkeys((*self.roots, *texts(roots))))})

    @property
    def pins(self) -> dict[CID, Mode]:
        """Every pin with its mode; what is named in both modes is kept recursively."""
        found: dict[CID, Mode] = {parse_cid(text): "direct" for round_ in self.rounds for text in round_.blocks}
        recursive = [*self.roots]
        for round_ in self.rounds:
            recursive += [*round_.files, *(round_.states if round_.states_kept else ())]
        return found | dict.fromkeys(map(parse_cid, recursive), "recursive")


class PinSets:
    """The pin sets in a folder, which the first change creates."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """The names of all sets, sorted.

        Raises:
            StorageError: the folder cannot be read, or holds what is no pin set.
        """
        try:
            entries = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as e:
            raise StorageError(f"cannot read {self.folder}: {e.strerror}", hint="check its permissions") from e
        for entry in entries:
            if not entry.endswith(_SUFFIX) or not NAME.fullmatch(entry.removesuffix(_SUFFIX)):
                hint = "move it elsewhere: nobody can tell whether it keeps something"
                raise StorageError(f"{self.folder} holds {entry!r}, which is no pin set", hint=hint)
        return [entry.removesuffix(_SUFFIX) for entry in entries]

    def load(self, name: str) -> PinSet | None:
        """The set of that name, None if there is none.

        Raises:
            UsageError: no set can have that name.
            StorageError: it cannot be read, or is damaged.
        """
        path = self._path(name)
        data = read_if_there(path, MAX_PIN_SET_BYTES, what="pin set", follow=False)
        if data is None:
            return None
        try:
            parse_json(data)  # Bounded and refused here; lists become tuples in the stricter reading below.
            pin_set = PinSet.model_validate_json(data)
        except ValidationError as e:
            raise _damaged(path, str(e.errors()[0]["msg"])) from e
        except ValueError as e:
            raise _damaged(path, str(e)) from e
        if pin_set.name != name or _serialise(pin_set) != data:
            raise _damaged(path, "it is not what was written")
        return pin_set

    def all(self) -> tuple[PinSet, ...]:
        """Every set; raises what ``names`` and ``load`` raise."""
        return tuple(pin_set for name in self.names() if (pin_set := self.load(name)) is not None)

    def change(self, name: str, change: Callable[[PinSet], PinSet]) -> PinSet:
        """Replaces a set by ``change`` of it, durably; of a new, empty one where there is none. Returns the result.

        Raises:
            UsageError, StorageError: as ``load``, or it cannot be written. What ``change`` raises passes through.
        """
        with self.locked():
            before = self.load(name) or PinSet(name=name)
            after = change(before)
            if after != before or before.revision == 0:
                after = after.model_copy(update={"revision": before.revision + 1})
                write_whole(self._path(name), _serialise(after), sync=True)
        return after

    def add(self, name: str, roots: Iterable[CID]) -> PinSet:
        """Adds roots to a set; raises as ``change``. Harmless before their blocks are there: clean-ups then refuse."""
        return self.change(name, lambda old: old.with_roots(roots))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes a set meanwhile; waits for whoever does."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as e:
            hint = "check that the folder is writable"
            raise StorageError(f"cannot lock {self.folder}: {e.strerror}", hint=hint) from e
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            hint = "use up to 64 small letters, digits, dots, dashes and underscores, a letter or digit first"
            raise UsageError(f"{name[:80]!r} cannot be the name of a pin set", hint=hint)
        return self.folder / f"{name}{_SUFFIX}"


def _serialise(pin_set: PinSet) -> bytes:
    return (json.dumps(pin_set.model_dump(mode="json"), indent=2) + "\n").encode()


def _damaged(path: Path, problem: str) -> StorageError:
    hint = "restore it from a copy; until then nothing is cleaned up"
    return StorageError(f"the pin set {path} is damaged: {' '.join(problem.split())[:120]}", hint=hint)
