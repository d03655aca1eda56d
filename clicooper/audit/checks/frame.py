"""What every check shares: a row for several comparisons, and a row for a check that could not be completed.

A check is a generator of ``CheckResult`` in a file of its own, named as ``verdict.Check`` names it. It never catches:
whatever goes wrong propagates, and ``guarded`` turns it into the right row, a failure for a ``Contradiction`` alone.

To add a check, add its name to ``Check``, its file here, and its line to ``audit.rounds`` (or, for one of the whole
job, to ``audit.auditor``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import Check, CheckResult
from clicooper.errors import Cause
from clicooper.types import Verdict

__all__ = ["Comparison", "compare_all", "guarded", "unless_drawn_otherwise"]


@dataclass(frozen=True)
class Comparison:
    """What the protocol demands beside what was found.

    Attributes:
        step: of the round, where the comparison is of one step.
        field: of ``StepDigests``, likewise.
    """

    name: str
    expected: object
    actual: object
    step: int | None = None
    field: str = ""


def guarded(
    check: Check,
    subject: str,
    run: Callable[[], Iterable[CheckResult]],
    round_: int | None = None,
    seat: int | None = None,
) -> tuple[CheckResult, ...]:
    """The rows of a check, the last of which says why it could not be completed, whatever was raised."""
    rows: list[CheckResult] = []
    try:
        rows.extend(run())
    except (Exception, SystemExit) as e:  # noqa: BLE001 - a model's code may raise anything, and nobody is at fault
        rows.append(CheckResult.of_error(check, subject, e, round_=round_, seat=seat))
    return tuple(rows)


def compare_all(
    check: Check,
    subject: str,
    comparisons: Iterable[Comparison],
    *,
    round_: int | None = None,
    seat: int | None = None,
    seats: tuple[int, ...] = (),
    passed: str = "",
) -> CheckResult:
    """One row for several comparisons: the first that differs, else a pass.

    Args:
        seats: both seats, where a difference is one between two of them.
        passed: what a pass says; by default the names of everything that was compared.
    """
    names = []
    for one in comparisons:
        if one.expected != one.actual:
            sides, detail = (one.expected, one.actual), f"{one.name} differs"
            row = CheckResult.compare(check, subject, *sides, round_=round_, seat=seat, detail=detail)
            return replace(row, step=one.step, field=one.field, seats=seats)
        names.append(one.name)
    detail = passed or f"agrees on {', '.join(names)}"
    return CheckResult(check, Verdict.PASS, subject, detail, round_, seat, seats=seats)


def unless_drawn_otherwise(artifacts: Artifacts, row: CheckResult) -> CheckResult:
    """The row; or, where it fails over random numbers that this machine draws otherwise, that it cannot tell."""
    if row.verdict is not Verdict.FAIL or artifacts.draws_alike:
        return row
    detail = f"{row.detail}, and this machine draws with another NumPy than the job's {artifacts.spec.runtime_class}"
    remedy = "check it with the NumPy of the job's runtime class"
    return replace(row, verdict=Verdict.INCONCLUSIVE, detail=detail, cause=Cause.MACHINE, remedy=remedy)
