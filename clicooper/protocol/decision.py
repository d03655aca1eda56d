"""From rows to an act: pay, accuse a seat before the arbiter, or do neither yet. Pure.

A failed check is a ground for a challenge only where an arbiter can repeat it from committed artifacts and it names a
seat. A pair of neighbours, the owner's own held-out records, or a record that the chain does not bear out convict
nobody: the owner waits, and sees to it. What could not be checked is never paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from clicooper.audit.verdict import Check, CheckResult
from clicooper.protocol.policy import Policy
from clicooper.types import ACCUSED_OWNER, Ground, Verdict

__all__ = ["WITHHELD", "Accept", "Accuse", "Decision", "Wait", "decide"]

WITHHELD = "withheld"
"""What a row of the publication says that it found, where a seat's data were not there by the deadline."""


@dataclass(frozen=True)
class Accept:
    """The round is paid."""

    def to_json(self) -> dict[str, Any]:
        """The object that ``verify --json`` prints."""
        return {"action": "accept", "seat": None, "ground": None, "reason": "every check that counts has passed"}


@dataclass(frozen=True)
class Accuse:
    """A seat is accused; ``row`` says of what."""

    seat: int
    ground: Ground
    row: CheckResult

    def to_json(self) -> dict[str, Any]:
        """The object that ``verify --json`` prints."""
        ground = self.ground.name.lower()
        return {"action": "challenge", "seat": self.seat, "ground": ground, "reason": _told(self.row)}


@dataclass(frozen=True)
class Wait:
    """Nothing is paid and nobody is accused."""

    reason: str

    def to_json(self) -> dict[str, Any]:
        """The object that ``verify --json`` prints."""
        return {"action": "wait", "seat": None, "ground": None, "reason": self.reason}


Decision: TypeAlias = Accept | Accuse | Wait


def decide(rows: Sequence[CheckResult], policy: Policy) -> Decision:
    """What a policy makes of a round's rows; no rows at all are nothing that could be paid for."""
    failed = [row for row in rows if row.verdict is Verdict.FAIL and row.check in policy.fatal]
    if failed:
        return _about_failures(failed)
    unknown = [row for row in rows if row.verdict is Verdict.INCONCLUSIVE]
    withheld = [(row.seat, row) for row in unknown if row.actual == WITHHELD and row.seat is not None]
    if withheld and policy.withheld == "challenge":
        return Accuse(withheld[0][0], Ground.WITHHELD, withheld[0][1])
    if unknown or not rows:
        return Wait(f"not everything could be checked: {_told(unknown[0])}" if unknown else "nothing was checked")
    return Accept()


def _about_failures(failed: Sequence[CheckResult]) -> Decision:
    """Accuses the first seat that a row names, unless the record itself is in doubt."""
    doubtful = [row for row in failed if row.check is Check.RECORD]
    if doubtful:
        return Wait(f"the record cannot be relied on: {_told(doubtful[0])}")
    named = [(row.culprit, row) for row in failed if row.culprit not in (None, ACCUSED_OWNER)]
    if not named or named[0][0] is None:
        return Wait(f"no seat can be held answerable before the arbiter: {_told(failed[0])}")
    return Accuse(named[0][0], Ground.FAULT, named[0][1])


def _told(row: CheckResult) -> str:
    where = row.subject if row.seat is None else f"seat {row.seat}"
    return f"check {row.check.value} of {where}: {row.detail or row.verdict.value}"
