"""Verdicts: one row per claim that was checked, and how rows add up.

A fail outweighs everything; anything that could not be checked keeps the whole from passing. A row fails only where
something committed contradicts the rules, or what this machine computed from inputs that are committed and verified.
Everything else that goes wrong is inconclusive, and put down to this machine, its store, a node or the terms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

from clicooper.audit.replay.sampling import Draw, escape_probability
from clicooper.chain.index.confirm import Confirmation
from clicooper.errors import (
    EXIT_FAILED,
    EXIT_INCONCLUSIVE,
    ArtifactCorrupt,
    ArtifactMissing,
    Cause,
    CliCooperError,
    Contradiction,
    RecordDamaged,
    RecordError,
)
from clicooper.history.timeline import Timeline
from clicooper.types import ACCUSED_OWNER, Address, Digest, Verdict

__all__ = [
    "OWNERS_CHECKS",
    "AuditReport",
    "Branch",
    "Check",
    "CheckResult",
    "Replayed",
    "Sampled",
    "combine",
    "could_not_check",
    "exit_code",
    "explain",
    "verdict_tree",
]

CHEATED_SHARES = (0.01, 0.05, 0.20)
"""Shares of a round for which the chance of escaping a sample is told."""


class Check(Enum):
    """The checks of the protocol, in the order in which they are reported."""

    RECORD = "record"
    TERMS = "terms"
    MANIFEST = "manifest"
    LINKS = "links"
    ARTIFACTS = "artifacts"
    STATE = "state"
    COVERAGE = "coverage"
    BOUNDARY = "boundary"
    LABELS = "labels"
    RELEASE = "release"
    MARK = "mark"
    EMBED = "embed"
    REPLAY = "replay"
    PROGRESS = "progress"
    PAYMENT = "payment"


OWNERS_CHECKS = frozenset({Check.TERMS, Check.LABELS, Check.RELEASE})
"""Checks of what the owner alone makes."""

MOST_TEXT = 300
"""Characters of a foreign error's message that a row keeps."""

UNFORESEEN = "run the command again; if it ends in the same way, report it with this message"


@dataclass(frozen=True)
class CheckResult:
    """One checked claim.

    Attributes:
        subject: what was checked, such as a CID, an event or a step, for a person.
        detail: one sentence for a person.
        seat: whom the claim is about; None where it is about no seat in particular, or about two.
        expected: what the protocol demands, as text; empty where the verdict is not a comparison.
        actual: what was found.
        step: of the round, where the claim is about one step.
        interval: of the round, where it is about one interval.
        field: of ``StepDigests``: what differs in the step.
        seats: both seats, where a difference lies between two of them.
        cause: of an inconclusive row, what kept the claim from being checked; None where that is another claim.
        remedy: what to do about it.
    """

    check: Check
    verdict: Verdict
    subject: str
    detail: str = ""
    round: int | None = None
    seat: int | None = None
    expected: str = ""
    actual: str = ""
    step: int | None = None
    interval: int | None = None
    field: str = ""
    seats: tuple[int, ...] = ()
    cause: Cause | None = None
    remedy: str = ""

    @property
    def culprit(self) -> int | None:
        """Whom a failure contradicts: a seat, or ``ACCUSED_OWNER``; None without a failure, or where nothing tells."""
        if self.verdict is not Verdict.FAIL:
            return None
        return ACCUSED_OWNER if self.seat is None and self.check in OWNERS_CHECKS else self.seat

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
        cls, check: Check, subject: str, error: BaseException, *, round_: int | None = None, seat: int | None = None
    ) -> CheckResult:
        """A check that ended in an error: it fails where the error contradicts the very party that the claim is about.

        So does a record that breaks the contract's rules, which accuses nobody. All else is inconclusive.
        """
        about = ACCUSED_OWNER if check in OWNERS_CHECKS else seat
        if isinstance(error, Contradiction):
            if error.party == about and error.round in (None, round_):
                sides = error.expected, error.actual
                return cls(check, Verdict.FAIL, subject, error.message, round_, seat, *sides, remedy=error.hint)
            # The party that is contradicted has a row of its own, where its commitment is checked.
            detail = f"it builds on another commitment, which is contradicted: {error.message}"
            cause = Cause.TERMS if error.party == ACCUSED_OWNER else None
            return cls(check, Verdict.INCONCLUSIVE, subject, detail, round_, seat, cause=cause, remedy=error.hint)
        if check is Check.RECORD and isinstance(error, RecordError) and not isinstance(error, RecordDamaged):
            return cls(check, Verdict.FAIL, subject, error.message, round_, remedy=error.hint)
        if isinstance(error, (ArtifactCorrupt, ArtifactMissing)):
            subject = error.cid
        cause, detail, remedy = explain(error)
        return cls(check, Verdict.INCONCLUSIVE, subject, detail, round_, seat, cause=cause, remedy=remedy)

    def to_json(self) -> dict[str, Any]:
        """The row as ``audit --json`` prints it."""
        cause = None if self.cause is None else self.cause.value
        told = {"check": self.check.value, "verdict": self.verdict.value, "culprit": self.culprit, "cause": cause}
        return asdict(self) | told


def _text(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def explain(error: BaseException) -> tuple[Cause, str, str]:
    """What an error that contradicts nobody is put down to, in words, and what to do about it."""
    if isinstance(error, CliCooperError):
        return error.cause, error.message, error.hint
    text = " ".join(str(error).split())[:MOST_TEXT]
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, MemoryError):
        return Cause.MACHINE, f"out of memory ({what})", "free memory, or use fewer --jobs; then run it again"
    return Cause.MACHINE, f"the check could not be completed here: {what}", UNFORESEEN


def could_not_check(error: BaseException) -> str:
    """One sentence on an error that contradicts nobody: what it is put down to, what happened, what to do."""
    cause, message, remedy = explain(error)
    return f"{cause.value}: {message}; {remedy}" if remedy else f"{cause.value}: {message}"


class _HasVerdict(Protocol):
    @property
    def verdict(self) -> Verdict: ...


def combine(results: Iterable[_HasVerdict]) -> Verdict:
    """The verdict over many rows or parts; none at all is inconclusive."""
    verdicts = {result.verdict for result in results}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.INCONCLUSIVE


def exit_code(verdict: Verdict) -> int:
    """Exit code of the command line for a verdict."""
    return {Verdict.PASS: 0, Verdict.FAIL: EXIT_FAILED, Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE}[verdict]


@dataclass(frozen=True)
class Branch:
    """A part of a job with the verdict over all rows below it: the job, a round, a seat of a round, one check of it.

    Attributes:
        level: ``job``, ``round``, ``seat`` or ``check``.
        name: such as ``round 2``.
        counts: rows by verdict.
    """

    level: str
    name: str
    verdict: Verdict
    counts: tuple[int, int, int]
    branches: tuple[Branch, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As ``audit --json`` prints it."""
        counts = dict(zip((verdict.value for verdict in Verdict), self.counts, strict=True))
        parts = [branch.to_json() for branch in self.branches]
        return {"level": self.level, "name": self.name, "verdict": self.verdict.value, **counts, "branches": parts}


def verdict_tree(results: Iterable[CheckResult]) -> Branch:
    """All rows as a tree: the job's own, then by round; in each its own, then by seat; in each check by check."""
    return _grow("job", "job", tuple(results), ("round", "seat"))


def _grow(level: str, name: str, rows: Sequence[CheckResult], deeper: tuple[str, ...]) -> Branch:
    """A branch: the rows without a place of the next level check by check, then every place in numeric order."""
    places: defaultdict[int, list[CheckResult]] = defaultdict(list)
    own = [] if deeper else [*rows]
    if deeper:
        for row in rows:
            at = getattr(row, deeper[0])
            (own if at is None else places[at]).append(row)
    checks = [(check, [row for row in own if row.check is check]) for check in Check]
    branches = [_branch("check", check.value, some) for check, some in checks if some]
    branches += [_grow(deeper[0], f"{deeper[0]} {at}", places[at], deeper[1:]) for at in sorted(places)]
    return _branch(level, name, rows, tuple(branches))


def _branch(level: str, name: str, rows: Sequence[CheckResult], branches: tuple[Branch, ...] = ()) -> Branch:
    passed, failed, unknown = (sum(row.verdict is verdict for row in rows) for verdict in Verdict)
    return Branch(level, name, combine(rows), (passed, failed, unknown), branches)


@dataclass(frozen=True)
class Replayed:
    """How much work was done again: intervals, steps, and the share of all committed steps."""

    intervals: int = 0
    steps: int = 0
    share: float = 0.0


@dataclass(frozen=True)
class Sampled:
    """What a sampled audit drew.

    Attributes:
        per_seat: intervals drawn per seat, round and draw.
        secret: of the auditor's own draw, with which the audit can be repeated; None without one.
        draws: by round, of all rounds in which every seat has committed.
        intervals: of a round.
        confirmed: by round, drawn intervals that replay confirmed for every seat.
    """

    per_seat: int
    secret: Digest | None
    draws: tuple[tuple[int, Draw], ...]
    intervals: int
    confirmed: Mapping[int, int]

    @property
    def least(self) -> int:
        """Intervals that replay confirmed in the round with the fewest."""
        return min((self.confirmed.get(round_, 0) for round_, _ in self.draws), default=0)

    def escapes(self) -> tuple[tuple[float, float], ...]:
        """Shares of a round's intervals, and the chance that a seat which cheated in so many was not found there."""
        return tuple((share, escape_probability(share, self.least)) for share in CHEATED_SHARES)

    def to_json(self) -> dict[str, Any]:
        """As ``audit --json`` prints it."""
        return {
            "per_seat": self.per_seat,
            "secret_draw": None if self.secret is None else _text(self.secret),
            "escape": [{"share": share, "probability": chance} for share, chance in self.escapes()],
            "rounds": [
                {
                    "round": round_,
                    "intervals": list(draw.intervals),
                    "confirmed": self.confirmed.get(round_, 0),
                    "of": self.intervals,
                    "seeds": {name: _text(seed) for name, seed in draw.seeds.items()},
                    "missing": draw.missing,
                }
                for round_, draw in self.draws
            ],
        }


@dataclass(frozen=True)
class AuditReport:
    """Everything that an audit found.

    Attributes:
        verified: against which node the record was compared; None for a record that nothing but its file vouches for.
        sampled: what was drawn; None for an audit that replays everything.
        timeline: what the record tells, for people; None where it could not be followed.
        resumed: intervals that an interrupted audit had replayed.
        parties: addresses by round and seat; the owner's stands under no round and ``ACCUSED_OWNER``.
    """

    source: str
    blocks: tuple[int, int]
    commitments: int
    results: tuple[CheckResult, ...]
    replayed: Replayed
    seconds: float
    verified: Confirmation | None = None
    sampled: Sampled | None = None
    timeline: Timeline | None = None
    resumed: int = 0
    parties: Mapping[tuple[int | None, int], Address] = field(default_factory=dict)

    @classmethod
    def without_replay(
        cls,
        source: str,
        rows: Iterable[CheckResult],
        seconds: float,
        blocks: tuple[int, int] = (0, 0),
        commitments: int = 0,
    ) -> AuditReport:
        """The report on something of which nothing could be replayed."""
        return cls(source, blocks, commitments, tuple(rows), Replayed(), seconds)

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
            "tree": verdict_tree(self.results).to_json(),
            "replayed": asdict(self.replayed),
            "resumed": self.resumed,
            "sample": None if self.sampled is None else self.sampled.to_json(),
            "seconds": round(self.seconds, 3),
        }
