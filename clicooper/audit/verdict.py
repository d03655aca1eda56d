"""Verdicts: one row per claim that was checked, and how rows add up.

A fail outweighs everything; anything that could not be checked keeps the whole from passing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from clicooper.chain.confirm import Confirmation
from clicooper.errors import (
    EXIT_FAILED,
    EXIT_INCONCLUSIVE,
    EXIT_NETWORK,
    ArtifactCorrupt,
    ArtifactMissing,
    CliCooperError,
    SealBroken,
)
from clicooper.types import Verdict

__all__ = ["AuditReport", "Check", "CheckResult", "Replayed", "combine", "exit_code"]


class Check(Enum):
    """The checks of the protocol, in the order in which they are reported."""

    RECORD = "record"
    MANIFEST = "manifest"
    LINKS = "links"
    ARTIFACTS = "artifacts"
    COVERAGE = "coverage"
    BOUNDARY = "boundary"
    LABELS = "labels"
    RELEASE = "release"
    MARK = "mark"
    EMBED = "embed"
    REPLAY = "replay"
    PROGRESS = "progress"
    PAYMENT = "payment"


@dataclass(frozen=True)
class CheckResult:
    """One checked claim.

    Attributes:
        subject: what was checked, such as a CID, an event or a step.
        expected: what the protocol demands, as text; empty where the verdict is not a comparison.
        actual: what was found.
        detail: one sentence for a person.
    """

    check: Check
    verdict: Verdict
    subject: str
    detail: str = ""
    round: int | None = None
    seat: int | None = None
    expected: str = ""
    actual: str = ""

    @classmethod
    def compare(
        cls,
        check: Check,
        subject: str,
        expected: object,
        actual: object,
        *,
        round_: int | None = None,
        seat: int | None = None,
        detail: str = "",
    ) -> CheckResult:
        """Pass iff ``expected == actual``."""
        verdict = Verdict.PASS if expected == actual else Verdict.FAIL
        return cls(check, verdict, subject, detail, round_, seat, _text(expected), _text(actual))

    @classmethod
    def of_error(
        cls, check: Check, subject: str, error: CliCooperError, *, round_: int | None = None, seat: int | None = None
    ) -> CheckResult:
        """A check that ended in an error: damaged content fails, absent or sealed content is inconclusive."""
        if isinstance(error, (ArtifactCorrupt, ArtifactMissing, SealBroken)):
            check = check if isinstance(error, ArtifactMissing) else Check.ARTIFACTS
            subject = error.cid
        could_not_check = error.exit_code in {EXIT_NETWORK, EXIT_INCONCLUSIVE}
        verdict = Verdict.INCONCLUSIVE if could_not_check else Verdict.FAIL
        return cls(check, verdict, subject, error.message, round_, seat)

    def to_json(self) -> dict[str, Any]:
        """The row as ``audit --json`` prints it."""
        return asdict(self) | {"check": self.check.value, "verdict": self.verdict.value}


def _text(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def combine(results: Iterable[CheckResult]) -> Verdict:
    """The verdict over many rows; no rows at all is inconclusive."""
    verdicts = {result.verdict for result in results}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.INCONCLUSIVE


def exit_code(verdict: Verdict) -> int:
    """Exit code of the command line for a verdict."""
    return {Verdict.PASS: 0, Verdict.FAIL: EXIT_FAILED, Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE}[verdict]


@dataclass(frozen=True)
class Replayed:
    """How much work was done again: intervals, steps, and the share of all committed steps."""

    intervals: int
    steps: int
    share: float


@dataclass(frozen=True)
class AuditReport:
    """Everything that an audit found.

    Attributes:
        verified: against which node the record was compared; None for a record that nothing but its file vouches for.
    """

    source: str
    blocks: tuple[int, int]
    commitments: int
    results: tuple[CheckResult, ...]
    replayed: Replayed
    seconds: float
    verified: Confirmation | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict over all rows."""
        return combine(self.results)

    def with_rows(self, rows: Iterable[CheckResult]) -> AuditReport:
        """The same report with these rows before its own."""
        return replace(self, results=(*rows, *self.results))

    def count(self, verdict: Verdict) -> int:
        """Number of rows with ``verdict``."""
        return sum(result.verdict is verdict for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """The object that ``audit --json`` prints."""
        code = exit_code(self.verdict)
        return {
            "ok": code == 0,
            "code": code,
            "verdict": self.verdict.value,
            "record": {
                "source": self.source,
                "blocks": list(self.blocks),
                "commitments": self.commitments,
                "verified": None if self.verified is None else self.verified.to_json(),
            },
            "checks": [result.to_json() for result in self.results],
            "replayed": asdict(self.replayed),
            "seconds": round(self.seconds, 3),
        }
