"""The code of a model of one's own: the digest by which a specification names it, and its import.

A digest covers every ``.py`` file of the module's top-level package, or the module's one file. It is taken without
running any of it, and compared before it is run. ``import_code`` then runs it, so it needs the reader's consent first:
``models.require_trusted``. Whatever fails here is this machine's matter, and says nothing of any party.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from clicooper.errors import ModelUnusable, NotPortable, SpecError
from clicooper.types import Digest

__all__ = ["code_digest", "import_code", "running_code"]

MAX_FILES, MAX_BYTES = 2048, 1 << 25

COMPILED = (".so", ".pyd", ".dylib", ".pyc")

_run: WeakKeyDictionary[ModuleType, bytes] = WeakKeyDictionary()
"""What the code of a module was when this process first ran it."""


def code_digest(kind: str) -> Digest:
    """sha2-256 over the sources behind ``package.module:function``, found without running them.

    For each ``.py`` file of the top-level package, in the order of their relative POSIX paths: the path in UTF-8 and
    the content, each behind its length in 8 bytes, big-endian. A module that is one file is a package of that file.

    Raises:
        ModelUnusable: the module is not here, or is nothing of which every part has a source.
    """
    top, running = _top(kind), hashlib.sha256()
    try:
        for path, name in _sources(kind, top):
            for part in (name.encode(), path.read_bytes()):
                running.update(len(part).to_bytes(8, "big") + part)
    except (OSError, UnicodeError) as e:
        hint = f"make the sources of {top} readable, and run the command again"
        raise ModelUnusable(f"the code of model {kind} cannot be read: {e}", hint=hint) from e
    return Digest(running.digest())


def import_code(kind: str, demanded: bytes | None) -> Any:
    """The function that ``kind`` names, from code of the demanded digest.

    Raises:
        SpecError: the specification demands no code at all.
        ModelUnusable: another digest, no such module or function, or code that fails when it is run.
    """
    top = _top(kind)
    if demanded is None:
        raise SpecError(f"model.code is absent, and model.kind is {kind}", hint="do not take part in this job")
    _compare(kind, "has", demanded, code_digest(kind), "install the code that the job's owner had, and no other")
    loaded = sys.modules.get(top)
    if loaded is not None:
        known = _run.setdefault(loaded, demanded)
        _compare(kind, "was imported with", demanded, known, "the files have changed since: start the program again")
    module, _, name = kind.partition(":")
    with running_code(kind, "cannot be imported"):
        function = getattr(importlib.import_module(module), name)
    if (loaded := sys.modules.get(top)) is not None:
        _run.setdefault(loaded, demanded)
    return function


@contextmanager
def running_code(kind: str, what: str) -> Iterator[None]:
    """Runs code of a job's owner: whatever it raises is ``ModelUnusable``, but for the user's own interrupt.

    What the tracer says of a layer, ``NotPortable``, stays as it is.

    Args:
        what: what failed, in words that go on behind the model's name.
    """
    try:
        yield
    except (KeyboardInterrupt, NotPortable):
        raise
    # Code of others may raise anything, SystemExit and errors of this package among it.
    except BaseException as e:
        said = " ".join(_said(e).split())[:200]
        raise ModelUnusable(
            f"model {kind} {what}: {type(e).__name__}: {said}",
            hint=f"make {kind} run on this machine with the packages that it needs, or leave its claims unchecked",
        ) from e


def _said(error: BaseException) -> str:
    """What an error says, unless saying it fails too."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        return "no message"


def _compare(kind: str, how: str, demanded: bytes, found: bytes, hint: str) -> None:
    if found != demanded:
        raise ModelUnusable(
            f"the spec demands model {kind} with code of digest {demanded.hex()}, this machine {how} {found.hex()}",
            hint=hint,
        )


def _top(kind: str) -> str:
    return kind.partition(":")[0].partition(".")[0]


def _sources(kind: str, top: str) -> list[tuple[Path, str]]:
    """The files that the digest covers, with their names in it, in its order."""
    origin, is_package = _origin(kind, top)
    if not is_package:
        return [(origin, origin.name)]
    found, total = [], 0
    for path in _files(kind, origin.parent):
        found.append((path, path.relative_to(origin.parent).as_posix()))
        total += path.stat().st_size
        if len(found) > MAX_FILES or total > MAX_BYTES:
            raise ModelUnusable(
                f"package {top} of model {kind} has more than {MAX_FILES} source files or {MAX_BYTES} bytes of them",
                hint="put the model into a package of its own, and make the job with that",
            )
    return sorted(found, key=lambda one: one[1])


def _origin(kind: str, top: str) -> tuple[Path, bool]:
    """The file of the top-level module, and whether it is a package's; finding it runs nothing of it."""
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(top) if top else None
    except (ImportError, ValueError, AttributeError) as e:
        raise ModelUnusable(f"module {top} of model {kind} cannot be found: {e}", hint=_absent(top)) from e
    if spec is None:
        raise ModelUnusable(f"module {top} of model {kind} is not on this machine", hint=_absent(top))
    origin = Path(spec.origin or "")
    if not spec.has_location or origin.suffix != ".py" or not origin.is_file():
        raise ModelUnusable(
            f"module {top} of model {kind} has no source file: a namespace package, compiled, or in an archive",
            hint="install the model as .py files, with an __init__.py where it is a package",
        )
    return origin, spec.submodule_search_locations is not None


def _absent(top: str) -> str:
    return f"install the package {top} that the job's owner had, or put its folder on PYTHONPATH"


def _files(kind: str, root: Path) -> Iterator[Path]:
    """The sources below a package's folder.

    Raises:
        ModelUnusable: something there can be imported and has no source, or lies elsewhere.
    """
    for folder, names, files in os.walk(root, onerror=_reraise):
        names[:] = [name for name in names if name != "__pycache__"]
        outside = [name for name in names if (Path(folder) / name).is_symlink()]
        if outside := [*outside, *(name for name in files if name.endswith(COMPILED))]:
            raise ModelUnusable(
                f"{Path(folder).relative_to(root.parent) / outside[0]} in the code of model {kind} is compiled, or a "
                "link: no digest of sources covers it",
                hint="make the job with a package of .py files alone",
            )
        yield from (Path(folder) / name for name in files if name.endswith(".py"))


def _reraise(error: OSError) -> None:
    raise error
