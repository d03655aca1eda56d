"""Whatever goes wrong while a check runs, it convicts nobody: only a contradiction with committed content does.

Every exception is thrown at every call that a check makes: at each access to artifacts and store, and in the place of
each function of this package that a check's module uses. A decoder that refuses genuine committed bytes is not among
them: that is a contradiction.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest

import clicooper.errors
from clicooper.access.grants import read_grants
from clicooper.audit import rounds
from clicooper.audit.artifacts import MALFORMED, Artifacts
from clicooper.audit.checks import (
    artifacts as artifacts_check,
)
from clicooper.audit.checks import (
    boundary,
    coverage,
    embed,
    frame,
    labels,
    links,
    manifest,
    mark,
    progress,
    record,
    release,
    replay,
    terms,
)
from clicooper.audit.replay import intervals
from clicooper.audit.verdict import CheckResult
from clicooper.errors import CliCooperError, Contradiction, WorkersLost
from clicooper.history.follow import follow_record
from clicooper.storage.local import LocalStore
from clicooper.types import Verdict
from tests.scenario import FinishedRun

MODULES = (
    artifacts_check,
    boundary,
    coverage,
    embed,
    labels,
    links,
    manifest,
    mark,
    progress,
    record,
    release,
    replay,
    terms,
    intervals,
)
HARNESS = ("check_seat", "check_grant", "check_terms_of_job", "check_release")
"""What ``audit_one_round`` looks up in these modules itself, outside of any check."""

PARTS = [name for name in vars(Artifacts) if not name.startswith("__")]


def builtin_errors() -> list[BaseException]:
    """One of every exception of the language that says something went wrong."""
    found = [one for one in vars(builtins).values() if isinstance(one, type) and issubclass(one, Exception)]
    made: list[BaseException] = [SystemExit(1)]
    for kind in found:
        try:
            made.append(kind("thrown"))
        except TypeError:
            made.append(UnicodeDecodeError("ascii", b"x", 0, 1, "thrown"))
    return made


def own_errors() -> list[BaseException]:
    """One of every error of this package, but for those that say that genuine bytes are none of this protocol, and the
    one that ends an audit.
    """
    kinds = [
        one for one in vars(clicooper.errors).values() if isinstance(one, type) and issubclass(one, CliCooperError)
    ]
    made: list[BaseException] = []
    for kind in kinds:
        if issubclass(kind, (Contradiction, WorkersLost, *MALFORMED)):
            continue
        needed = [name for name in inspect.signature(kind).parameters if name in ("cid", "offset", "name")]
        made.append(kind("thrown", **{name: 0 if name == "offset" else "thrown" for name in needed}))
    return made


ERRORS = [*builtin_errors(), *own_errors()]
FEW = [error for error in ERRORS if type(error).__name__ in ("SpecError", "SystemExit")]
"""One that this package raises itself, and one that is no ``Exception``."""


def audit_one_round(run: FinishedRun, *, replayed: bool = True) -> list[CheckResult]:
    """Every check of round 0, of the terms and of the release, on an honest run; without replay, of no interval."""
    store, folder = LocalStore(run.root / "store"), run.root / "auditor"
    artifacts = Artifacts(follow_record(run.record), store, read_grants(folder / "identity.txt", None))
    rows = [*rounds.check_commitments(artifacts, 0), *rounds.examine_round(artifacts, 0, None if replayed else ())[0]]
    for check, run_check in (
        (frame.Check.TERMS, terms.check_terms_of_job),
        (frame.Check.RELEASE, release.check_release),
    ):
        rows += frame.guarded(check, "job", partial(run_check, artifacts))
    for seat in artifacts.history.holders:
        rows += frame.guarded(frame.Check.RECORD, "seat", partial(record.check_seat, seat), seat=seat.seat)
        rows += frame.guarded(frame.Check.RECORD, "grant", partial(record.check_grant, artifacts, seat), seat=seat.seat)
    return rows


def convicted(rows: list[CheckResult]) -> list[CheckResult]:
    return [row for row in rows if row.verdict is Verdict.FAIL or row.culprit is not None]


def called(module: ModuleType) -> Iterator[str]:
    """The functions of this package that a module calls by a name of its own."""
    for name, value in vars(module).items():
        if inspect.isfunction(value) and value.__module__.startswith("clicooper."):
            yield name


def throwing(error: BaseException) -> Callable[..., Any]:
    def thrown(*_: object, **__: object) -> Any:
        raise error

    return thrown


def test_the_honest_run_passes(smallest_run: FinishedRun) -> None:
    assert {row.verdict for row in audit_one_round(smallest_run)} == {Verdict.PASS}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def test_a_call_that_raises_convicts_nobody(
    module: ModuleType, smallest_run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in called(module):
        for error in FEW:
            with monkeypatch.context() as patch:
                patch.setattr(module, name, throwing(error))
                if name in HARNESS:
                    continue
                rows = audit_one_round(smallest_run, replayed=module in (replay, intervals, progress))
            assert convicted(rows) == [], (name, error)


@pytest.mark.parametrize("part", PARTS)
def test_artifacts_that_raise_convict_nobody(
    part: str, smallest_run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part of the artifacts raises each of the errors at its first, its second and every later use."""
    original = vars(Artifacts)[part]
    for after in (0, 2):
        for error in FEW:
            uses = iter(range(10**6))

            def thrown(
                *args: Any, after: int = after, error: BaseException = error, uses: Any = uses, **kw: Any
            ) -> Any:
                if next(uses) >= after:
                    raise error
                return original.func(*args) if hasattr(original, "func") else getattr(original, "fget", original)(*args)

            with monkeypatch.context() as patch:
                is_value = isinstance(original, property) or hasattr(original, "func")
                patch.setattr(Artifacts, part, property(thrown) if is_value else thrown)
                try:
                    rows = audit_one_round(smallest_run)
                except type(error):
                    assert part in ("__init__",), part
                    continue
            assert convicted(rows) == [], (part, error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_store_that_raises_anything_convicts_nobody(
    error: BaseException, smallest_run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = LocalStore.get_block
    for after in (0, 4, 9, 25):
        uses = iter(range(10**6))

        def thrown(self: LocalStore, cid: Any, after: int = after, uses: Any = uses) -> bytes:
            if next(uses) == after:
                raise error
            return whole(self, cid)

        with monkeypatch.context() as patch:
            patch.setattr(LocalStore, "get_block", thrown)
            rows = audit_one_round(smallest_run)
        assert convicted(rows) == [], (after, error)
        assert {row.verdict for row in rows} == {Verdict.PASS, Verdict.INCONCLUSIVE}
