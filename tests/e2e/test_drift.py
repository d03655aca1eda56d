"""Steering between runtime classes, where only the states at interval ends can be compared, within a tolerance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.replay import judge, replay_intervals
from clicooper.audit.verdict import CheckResult
from clicooper.history.follow import follow_record
from clicooper.protocol.trainer import Trainer
from clicooper.types import Verdict
from tests.adversaries.spoofs import DriftsWithinTolerance, PoisonsMomentum
from tests.scenario import Rehearsal, rehearsal, seating, tiny_config

INTERVALS = 24
"""More than 17, below which four times the square root is no limit for what stays within the tolerance."""


@contextmanager
def from_elsewhere(root: Path, cheat: type[Trainer], steps: int) -> Iterator[Artifacts]:
    """A round with a cheat in seat 1, as a machine of another runtime class sees it."""
    with rehearsal(root, tiny_config(rounds=1, steps=steps, interval=1), seating({1: cheat})) as job:
        job.train_and_commit()
        yield seen_from_elsewhere(job)


def seen_from_elsewhere(job: Rehearsal) -> Artifacts:
    history = follow_record(job.record())
    return Artifacts(history, job.store, job.opened.owner.keys(), runtime="a machine of another class")


def rows(artifacts: Artifacts, intervals: Sequence[int]) -> tuple[CheckResult, ...]:
    return judge(artifacts, replay_intervals(artifacts, 0, intervals))


def test_threshold_hugging_drift_is_caught_by_the_sum_alone(tmp_path: Path) -> None:
    with from_elsewhere(tmp_path / "run", DriftsWithinTolerance, INTERVALS) as artifacts:
        few, all_of_them = rows(artifacts, range(16)), rows(artifacts, range(INTERVALS))
    assert {row.verdict for row in few} == {Verdict.PASS}, "each interval stays within the tolerance"
    (found,) = [row for row in all_of_them if row.seat is None]
    assert (found.subject, found.verdict) == (f"sum over {INTERVALS} intervals", Verdict.INCONCLUSIVE)
    assert not [row for row in all_of_them if row.verdict is Verdict.FAIL]


def test_poisoned_momentum_is_caught_in_another_class(tmp_path: Path) -> None:
    """Its weights are honest in every interval: the momentum beside them carries the next one away."""
    with from_elsewhere(tmp_path / "run", PoisonsMomentum, 3) as artifacts:
        found = [(row.subject, row.verdict) for one in range(3) for row in rows(artifacts, [one]) if row.seat is None]
    assert found == [(f"interval {one}", Verdict.INCONCLUSIVE) for one in range(3)]
