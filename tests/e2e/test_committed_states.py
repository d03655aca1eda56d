"""Committed states that no training gives, or from which training diverges: whom they convict, and whom not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clicooper.access.grants import AuditKeys
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.auditor import Plan, audit_record
from clicooper.audit.checks.frame import guarded
from clicooper.audit.checks.replay import judge, replay_intervals
from clicooper.audit.checks.state import check_state
from clicooper.audit.replay.executors import Processes
from clicooper.audit.verdict import Check, CheckResult
from clicooper.disputes.failed_check import choose_subject
from clicooper.history.follow import follow_record
from clicooper.learning.checkpoint import State
from clicooper.learning.segments import Segment
from clicooper.protocol.decision import Accuse
from clicooper.protocol.policy import Policy
from clicooper.protocol.trainer import Trainer
from clicooper.types import Verdict
from tests.adversaries.registry import ADAMW
from tests.adversaries.stage import zoo_config
from tests.adversaries.states import (
    CommitsHugeState,
    CountsBackwards,
    DivergesFromItsStates,
    DropsTensor,
    ForgingCheat,
    HandsOverImpossibleMoments,
)
from tests.scenario import FinishedRun, Rehearsal, rehearsal, seating

SEAT = 1
FAIL, PASS, INCONCLUSIVE = Verdict.FAIL, Verdict.PASS, Verdict.INCONCLUSIVE


@contextmanager
def committed(root: Path, cheat: type[Trainer], **changes: Any) -> Iterator[tuple[Rehearsal, Artifacts]]:
    """A round of three intervals with a cheat in seat 1, up to its last commit."""
    settings = {"steps": 6, "interval": 2, **changes}
    with rehearsal(root / "run", zoo_config(**settings), seating({SEAT: cheat})) as job:
        for segment in job.train_and_commit():
            job.opened.owner._progress_keys[0, segment.seat] = segment.progress_key
        yield job, job.opened.owner.artifacts()


def state_rows(artifacts: Artifacts, intervals: list[int] | None = None, round_: int = 0) -> list[CheckResult]:
    rows: list[CheckResult] = []
    for one in artifacts.history.rounds[round_].commitments:
        rows += guarded(Check.STATE, "state", lambda one=one: check_state(artifacts, one, intervals), round_, one.seat)
    return rows


def replay_rows(artifacts: Artifacts, *intervals: int) -> list[CheckResult]:
    return [*judge(artifacts, replay_intervals(artifacts, 0, intervals))]


def verdicts(rows: list[CheckResult]) -> list[Verdict]:
    return [row.verdict for row in rows]


# --- the check ---


def test_honest_states_pass_one_row_a_commitment(honest_run: FinishedRun) -> None:
    history = follow_record(honest_run.record)
    artifacts = Artifacts(history, honest_run.rehearsal.store, honest_run.keys)
    for round_ in range(len(history.rounds)):
        rows = state_rows(artifacts, round_=round_)
        assert verdicts(rows) == [PASS] * history.params.seats
        assert {row.detail for row in rows} == {"3 states are such as training gives"}


def test_without_the_sealing_secret_states_are_inconclusive(honest_run: FinishedRun) -> None:
    history = follow_record(honest_run.record)
    artifacts = Artifacts(history, honest_run.rehearsal.store, AuditKeys(genesis=history.genesis))
    rows = state_rows(artifacts)
    assert verdicts(rows) == [INCONCLUSIVE] * history.params.seats
    assert all("was not granted" in row.detail for row in rows)


def test_a_state_that_is_not_there_is_inconclusive(tmp_path: Path) -> None:
    with committed(tmp_path, Trainer) as (job, artifacts):
        _, moments = artifacts.manifest(0, SEAT).transcript.states[1].files
        job.store.remove(moments.ciphertext)
        assert verdicts(state_rows(artifacts)) == [PASS, INCONCLUSIVE, PASS]
        assert verdicts(state_rows(artifacts, [0, 1])) == [PASS] * 3, "it starts no drawn interval"


class KeepsStatesBack(ForgingCheat):
    """Forges nothing."""


def test_states_that_may_be_kept_back_are_passed_over(tmp_path: Path) -> None:
    with committed(tmp_path, KeepsStatesBack, publication="sampled") as (_, artifacts):
        rows = state_rows(artifacts)
        assert verdicts(rows) == [PASS] * 3
        assert {row.detail for row in rows} == {"2 states are such as training gives"}


def test_an_impossible_state_names_place_and_sides(tmp_path: Path) -> None:
    with committed(tmp_path, CountsBackwards, **ADAMW) as (job, artifacts):
        rows = state_rows(artifacts)
        assert verdicts(rows) == [PASS, FAIL, PASS]
        bad = rows[SEAT]
        assert (bad.seat, bad.culprit, bad.step, bad.interval) == (SEAT, SEAT, 1, 0)
        assert (bad.expected, bad.actual) == ("2", "-1.0")
        assert "seat 1 after step 1" in bad.detail
        subject = choose_subject(rows, 0, 2)
        assert subject is not None
        assert (subject.claim, subject.interval, subject.accused) == ("replay", 0, SEAT)
        drawn = state_rows(artifacts, [2])
        assert (drawn[SEAT].verdict, drawn[SEAT].step, drawn[SEAT].expected) == (FAIL, 3, "4")
        assert verdicts(state_rows(artifacts, [0])) == [PASS] * 3, "no state of its is read"
        found = job.opened.owner.examine_round(0, job.record())
    assert isinstance(found.decision, Accuse)
    assert found.decision.seat == SEAT


def test_a_huge_file_is_refused_before_it_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with committed(tmp_path, CommitsHugeState) as (_, artifacts):
        largest = 0

        def decode(data: bytes) -> State:
            nonlocal largest
            largest = max(largest, len(data))
            return decode_state(data)

        from clicooper.audit import committed_states

        decode_state = committed_states.decode_state
        monkeypatch.setattr(committed_states, "decode_state", decode)
        row = state_rows(artifacts)[SEAT]
        assert (row.verdict, row.step) == (FAIL, 1)
        assert "larger than it may be" in row.detail
        assert verdicts(replay_rows(artifacts, 1)) == [INCONCLUSIVE, FAIL, INCONCLUSIVE]
        assert 0 < largest < 1 << 22


# --- the replay ---


@pytest.mark.parametrize("cheat", [CountsBackwards, DropsTensor, CommitsHugeState])
def test_an_impossible_start_is_never_loaded_and_convicts_its_seat_alone(
    cheat: type[Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with committed(tmp_path, cheat, **ADAMW) as (_, artifacts):

        def refuse(*arguments: Any) -> None:
            raise AssertionError("a state that no training gives was loaded")

        monkeypatch.setattr(Segment, "__init__", refuse)
        rows = replay_rows(artifacts, 1)
    assert verdicts(rows) == [INCONCLUSIVE, FAIL, INCONCLUSIVE]
    assert (rows[SEAT].seat, rows[SEAT].interval) == (SEAT, 1)


def test_an_impossible_state_from_the_round_before_is_held_against_nobody_in_this_one(tmp_path: Path) -> None:
    config = zoo_config(steps=2, interval=2, rounds=2, **ADAMW)
    with rehearsal(tmp_path / "run", config, seating({SEAT: HandsOverImpossibleMoments})) as job:
        first = job.train_and_commit()
        job.opened.owner.accept(0, first[-1].head)
        artifacts = job.opened.owner.artifacts()
        assert verdicts(state_rows(artifacts)) == [PASS, FAIL, PASS]


@pytest.mark.parametrize("index", [1, 2])
def test_states_from_which_training_diverges_convict_at_every_draw(index: int, tmp_path: Path) -> None:
    with committed(tmp_path, DivergesFromItsStates) as (_, artifacts):
        rows = replay_rows(artifacts, index)
    assert verdicts(rows) == [INCONCLUSIVE, FAIL, INCONCLUSIVE]
    assert rows[SEAT].step == 2 * index


def test_diverging_states_that_nobody_published_are_found_from_the_interval_before(tmp_path: Path) -> None:
    with committed(tmp_path, DivergesFromItsStates, publication="sampled") as (job, artifacts):
        rows = replay_rows(artifacts, 0, 1, 2)
        assert (rows[SEAT].verdict, rows[SEAT].field, rows[SEAT].step) == (FAIL, "state", 1)
        assert all(row.verdict is not FAIL for row in rows if row.seat != SEAT)
        drawn = job.opened.owner.request_states(0)
        for trainer in job.opened.trainers:
            trainer.publish_states(0, drawn)
        found = job.opened.owner.examine_round(0, job.record())
    assert isinstance(found.decision, Accuse)
    assert found.decision.seat == SEAT


def test_processes_give_the_rows_of_a_single_one_over_diverging_states(tmp_path: Path) -> None:
    with committed(tmp_path, DivergesFromItsStates) as (job, _):
        record, keys = job.record(), job.opened.owner.keys()
        here = audit_record(record, job.store, keys)
        with Processes(2) as executor:
            there = audit_record(record, job.store, keys, plan=Plan(executor=executor))
    assert here.results == there.results
    assert (Check.REPLAY, SEAT) in {(row.check, row.seat) for row in here.results if row.verdict is FAIL}


def test_another_runtime_class_names_nobody_over_diverging_states(tmp_path: Path) -> None:
    with committed(tmp_path, DivergesFromItsStates) as (_, own):
        other = Artifacts(own.history, own.store, own.keys, runtime="a machine of another class")
        rows = replay_rows(other, 1)
    assert not any(row.verdict is FAIL for row in rows)
    assert any("tolerance between runtime classes" in row.detail for row in rows)


class _RaisesAnything(Segment):
    def forward(self, x: Any) -> Any:  # noqa: ARG002 - it fails whatever comes in
        raise ZeroDivisionError("a layer that fails on this machine")


def test_a_model_that_fails_in_a_replay_leaves_its_intervals_unjudged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with committed(tmp_path, Trainer) as (_, artifacts):
        monkeypatch.setattr("clicooper.learning.training.Segment", _RaisesAnything)
        rows = replay_rows(artifacts, 0, 1)
    assert verdicts(rows) == [INCONCLUSIVE] * 3
    assert all("this machine" in row.detail for row in rows)


def test_a_policy_cannot_leave_the_check_out() -> None:
    with pytest.raises(ValueError, match="fatal must name state"):
        Policy(fatal=frozenset(Check) - {Check.STATE})


def test_rows_of_the_check_are_of_no_use_to_another_round(tmp_path: Path) -> None:
    with committed(tmp_path, CountsBackwards, **ADAMW) as (_, artifacts):
        row = state_rows(artifacts)[SEAT]
    assert choose_subject([replace(row, round=1)], 0, 2) is None
