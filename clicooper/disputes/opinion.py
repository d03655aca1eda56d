"""What the check of evidence found: guilty, not guilty, or cannot tell, with the numbers behind it.

Guilt is what committed artifacts prove against one seat or the owner. A fault of somebody else than the accused neither
convicts nor clears the accused: past the first difference, an interval cannot be judged (ADR 4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from clicooper.audit.verdict import Check
from clicooper.errors import EXIT_FAILED, EXIT_INCONCLUSIVE
from clicooper.types import ACCUSED_OWNER

__all__ = ["Answer", "Fault", "Judged", "Opinion", "conclude", "named", "party_name"]


class Answer(Enum):
    """The three answers; ``CANNOT_TELL`` never counts as either of the others."""

    GUILTY = "guilty"
    NOT_GUILTY = "not guilty"
    CANNOT_TELL = "cannot tell"

    @property
    def exit_code(self) -> int:
        """Exit code of ``evidence check``."""
        return {Answer.GUILTY: EXIT_FAILED, Answer.NOT_GUILTY: 0, Answer.CANNOT_TELL: EXIT_INCONCLUSIVE}[self]


@dataclass(frozen=True)
class Fault:
    """One fault that the evidence proves.

    Attributes:
        seat: whose, or ``ACCUSED_OWNER``; None where it is one seat of ``pair`` and nothing tells which.
        pair: both seats at a boundary where they committed to different tensors.
        step: of the round, where the fault is in a step.
        field: what differs.
        expected, actual: both sides, as text.
        cleared: the other seat of ``pair``, where a receipt shows that the difference is the fault of ``seat``.
    """

    seat: int | None
    check: Check
    detail: str
    pair: tuple[int, int] | None = None
    step: int | None = None
    field: str = ""
    expected: str = ""
    actual: str = ""
    cleared: int | None = None


@dataclass(frozen=True)
class Judged:
    """What one claim came to.

    Attributes:
        faults: all that are proven.
        unjudged: why something could not be checked; empty where everything was.
        confirmed: what was checked and holds, as text.
        distances: by seat, relative L2 between the committed and the replayed weights at the interval's end.
        tolerance: of that distance, where it decides.
        steps: how many were replayed.
    """

    faults: tuple[Fault, ...] = ()
    unjudged: str = ""
    confirmed: str = ""
    distances: Mapping[int, float] = field(default_factory=dict)
    tolerance: float | None = None
    steps: int = 0


@dataclass(frozen=True)
class Opinion:
    """The answer about the accused, or about all parties where none is accused.

    Attributes:
        fault: the fault that decides, or that keeps the accused from being judged.
        detail: one sentence for a person.
    """

    answer: Answer
    accused: int | None
    detail: str
    judged: Judged = field(default_factory=Judged)
    fault: Fault | None = None

    def unless_foreign(self, why: str) -> Opinion:
        """The same where ``why`` is empty, else that nothing can be told, for that reason."""
        return replace(self, answer=Answer.CANNOT_TELL, detail=why) if why else self

    def to_json(self) -> dict[str, Any]:
        """What ``evidence check --json`` prints of it."""
        fault, judged = self.fault, self.judged
        told = {} if fault is None else asdict(fault) | {"check": fault.check.value}
        shown = {name: told.get(name) for name in ("cleared", "check", "step")}
        shown |= {name: told.get(name) or None for name in ("field", "expected", "actual")}
        return {
            "ok": self.answer.exit_code == 0,
            "code": self.answer.exit_code,
            "finding": self.answer.value,
            "accused": None if self.accused is None else party_name(self.accused),
            "guilty": named(fault) if fault is not None and self.answer is Answer.GUILTY else None,
            "seat": None if told.get("seat") == ACCUSED_OWNER else told.get("seat"),
            "pair": None if fault is None or fault.pair is None else list(fault.pair),
            **shown,
            "distances": {str(seat): _number(value) for seat, value in sorted(judged.distances.items())},
            "tolerance": judged.tolerance,
            "replayed_steps": judged.steps,
            "detail": self.detail,
        }


def _number(value: float) -> float | None:
    """JSON has no infinity, which a distance from nothing is."""
    return value if math.isfinite(value) else None


def party_name(accused: int) -> str:
    """``seat 2``, or ``owner``."""
    return "owner" if accused == ACCUSED_OWNER else f"seat {accused}"


def named(fault: Fault) -> str:
    """Whose fault it is: a party, or both seats of a pair."""
    if fault.seat is None and fault.pair is not None:
        return f"seat {fault.pair[0]} or seat {fault.pair[1]}"
    return party_name(fault.seat or 0)


def conclude(judged: Judged, accused: int | None) -> Opinion:
    """The answer that what was judged gives about the accused.

    A fault of one of two convicts neither by itself; a receipt that shows it to be the other's clears the accused.
    """
    own = [fault for fault in judged.faults if fault.seat is not None and accused in (None, fault.seat)]
    if own:
        return Opinion(Answer.GUILTY, accused, own[0].detail, judged, own[0])
    if accused is not None and (acquits := next((f for f in judged.faults if f.cleared == accused), None)):
        return Opinion(Answer.NOT_GUILTY, accused, acquits.detail, judged, acquits)
    if judged.faults:
        other = judged.faults[0]
        rest = "" if accused is None else f", and leaves {party_name(accused)} unjudged"
        detail = f"{other.detail}: that is the doing of {named(other)}{rest}"
        return Opinion(Answer.CANNOT_TELL, accused, detail, judged, other)
    if judged.unjudged:
        return Opinion(Answer.CANNOT_TELL, accused, judged.unjudged, judged)
    return Opinion(Answer.NOT_GUILTY, accused, judged.confirmed, judged)
