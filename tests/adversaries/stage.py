"""Where a cheat plays: a whole job with real parties, its owner's verification, and an audit after the owner paid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from clicooper.audit.checks.frame import guarded
from clicooper.audit.checks.replay import judge, replay_intervals
from clicooper.audit.verdict import OWNERS_CHECKS, Check, CheckResult
from clicooper.config import JobConfig
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.owner import RoundRefused
from clicooper.protocol.trainer import Trainer
from clicooper.types import ACCUSED_OWNER, Verdict
from tests.scenario import TINY, Rehearsal, rehearsal, seating

__all__ = ["OWNER", "Accused", "Finding", "Look", "Outcome", "accused_in", "in_seats", "refusal_of", "zoo_config"]

OWNER = ACCUSED_OWNER
CONTRACT = "contract"
"""The check of what the contract itself refuses or punishes."""

Accused: TypeAlias = frozenset[int]
Finding: TypeAlias = tuple[str, Accused]
"""A check, and whom its row names: one party, two of whom one lied, or nobody."""


@dataclass(frozen=True)
class Look:
    """What one party saw in a job: what failed, and what could not be checked."""

    failed: frozenset[Finding]
    unproven: frozenset[Finding] = frozenset()

    @classmethod
    def at(cls, rows: Iterable[CheckResult]) -> Look:
        """By the rows of a verification or an audit."""
        found = [(row.verdict, (row.check.value, accused_in(row))) for row in rows]
        failed, unproven = (
            frozenset(finding for verdict, finding in found if verdict is wanted)
            for wanted in (Verdict.FAIL, Verdict.INCONCLUSIVE)
        )
        return cls(failed, unproven)


@dataclass(frozen=True)
class Outcome:
    """How a cheat fared.

    Attributes:
        looks: by everybody who looked, owner first; each must find it alone.
        by_interval: what the replay of each interval alone shows; empty for parties that hold no seat.
        paid_wei: what the cheats had earned by then.
    """

    looks: tuple[Look, ...]
    by_interval: tuple[Look, ...] = ()
    paid_wei: int = 0


def accused_in(row: CheckResult) -> Accused:
    """Whom a row names."""
    if row.check in OWNERS_CHECKS:
        return frozenset({OWNER})
    if row.seat is not None:
        return frozenset({row.seat})
    return frozenset(row.seats)


def zoo_config(**changes: Any) -> JobConfig:
    """Three seats with marks of 64 bits, one round; the owner replays everything, so that nobody escapes by luck."""
    settings = {**TINY, "trainers": 3, "rounds": 1, "widths": (256,) * 5, "samples": 1000, **changes}
    return JobConfig(**settings)


def in_seats(root: Path, cheats: Mapping[int, type[Trainer]], **changes: Any) -> Outcome:
    """A job with these cheats: honest rounds up to the last, then a refusal, and an audit of an owner who paid anyway.

    Args:
        changes: of the job's configuration.
    """
    config = zoo_config(**changes)
    with rehearsal(root, config, seating(cheats)) as job:
        committed: tuple[CommittedSegment, ...] = ()
        for round_ in range(config.rounds):
            committed = job.train_and_commit(round_, committed)
            if round_ < config.rounds - 1:
                job.opened.owner.verify_round(round_, committed)
                job.opened.owner.accept(round_, committed[-1].head)
        refused = refusal_of(job, committed)
        alone = _each_interval_alone(job, config.rounds - 1)
        paid = sum(job.contract().owed_to(job.opened.job, job.opened.trainers[seat].address) for seat in cheats)
        job.opened.owner.accept(config.rounds - 1, committed[-1].head)
        audit = job.audit()
    earlier = len(cheats) * (config.rounds - 1) * config.pay_wei
    return Outcome((Look.at(refused), Look.at(audit.results)), alone, paid - earlier)


def _each_interval_alone(job: Rehearsal, round_: int) -> tuple[Look, ...]:
    """What an owner sees that replays a single interval, for each of them."""
    evidence = job.opened.owner.artifacts()

    def replay(interval: int) -> tuple[CheckResult, ...]:
        return judge(evidence, replay_intervals(evidence, round_, [interval]))

    return tuple(
        Look.at(guarded(Check.REPLAY, "replay", partial(replay, interval))) for interval in range(evidence.intervals)
    )


def refusal_of(job: Rehearsal, committed: tuple[CommittedSegment, ...]) -> tuple[CheckResult, ...]:
    """The rows with which the owner refuses a round; none where it would pay."""
    try:
        job.opened.owner.verify_round(committed[-1].round, committed)
    except RoundRefused as refusal:
        return refusal.results
    return ()
