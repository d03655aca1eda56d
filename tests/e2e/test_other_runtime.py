"""Replay on a machine of another runtime class: digests cannot be compared, states at interval ends can."""

from __future__ import annotations

from pathlib import Path

import pytest

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.replay.intervals import MAX_CROSS_CLASS_STEPS
from clicooper.audit.rounds import check_round
from clicooper.audit.verdict import Check, CheckResult
from clicooper.errors import Cause, RuntimeMismatch
from clicooper.history.follow import follow_record
from clicooper.learning.runtime import runtime_class
from clicooper.protocol.trainer import Trainer
from clicooper.types import Verdict
from tests import adversaries as cheats
from tests.scenario import FinishedRun, rehearsal, seating, tiny_config

ELSEWHERE = "a machine of another class"


def replay_rows(artifacts: Artifacts) -> list[CheckResult]:
    rows, _ = check_round(artifacts, 0)
    return [row for row in rows if row.check is Check.REPLAY]


def test_honest_round_passes_within_the_tolerance(honest_run: FinishedRun) -> None:
    history = follow_record(honest_run.record)
    rows = replay_rows(Artifacts(history, honest_run.rehearsal.store, honest_run.keys, runtime=ELSEWHERE))
    assert {row.verdict for row in rows} == {Verdict.PASS}
    assert all("relative L2" in row.detail for row in rows)


@pytest.mark.parametrize("cheat", [cheats.SkipsSteps, cheats.ReusesLastCheckpoint, cheats.ScalesItsGradient])
def test_cheat_is_not_paid_and_no_seat_is_convicted(cheat: type[Trainer], tmp_path: Path) -> None:
    with rehearsal(tmp_path / "run", tiny_config(rounds=1), seating({1: cheat})) as job:
        for segment in job.train_and_commit():
            job.opened.owner._progress_keys[0, segment.seat] = segment.progress_key
        history = follow_record(job.record())
        rows = replay_rows(Artifacts(history, job.store, job.opened.owner.keys(), runtime=ELSEWHERE))
    assert [(row.seat, row.verdict) for row in rows[:2]] == [(0, Verdict.INCONCLUSIVE), (1, Verdict.INCONCLUSIVE)]
    assert rows[2:] and all(row.seat is None and row.verdict is Verdict.INCONCLUSIVE for row in rows[2:])
    assert all("more than the tolerance" in row.detail and row.cause is Cause.MACHINE for row in rows[2:])


def test_trainer_that_moved_to_another_class_neither_trains_nor_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rehearsal(tmp_path / "run", tiny_config(rounds=1)) as job:
        trainers, spec = job.opened.trainers, job.opened.owner.prepared.spec
        trained = job._train_unvouched(0, (None, None))
        head, blocks = job.head, set(job.store.cids())
        with monkeypatch.context() as moved:
            moved.setattr("clicooper.learning.runtime._sample_bits", lambda _: "0" * 16)
            for act in (
                lambda: trainers[0].start_round(None),
                lambda: trainers[0].commit_segment(0, head, trained[0], None),
            ):
                with pytest.raises(RuntimeMismatch) as caught:
                    act()
                assert spec.runtime_class in caught.value.message and "bits=" + "0" * 16 in caught.value.message
                assert caught.value.cause is Cause.MACHINE and caught.value.hint
        assert (job.head, set(job.store.cids())) == (head, blocks)
        committed = trainers[0].commit_segment(0, head, trained[0], None)
        assert committed.manifest.runtime_class == runtime_class() == spec.runtime_class


def test_long_intervals_are_inconclusive_between_classes(tmp_path: Path) -> None:
    steps = MAX_CROSS_CLASS_STEPS + 1
    with rehearsal(tmp_path / "run", tiny_config(rounds=1, steps=steps, interval=steps)) as job:
        job.train_and_commit()
        rows = replay_rows(
            Artifacts(follow_record(job.record()), job.store, job.opened.owner.keys(), runtime=ELSEWHERE)
        )
    assert {row.verdict for row in rows} == {Verdict.INCONCLUSIVE}
    assert all("runtime classes" in row.detail for row in rows)
