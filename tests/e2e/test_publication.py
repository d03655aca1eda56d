"""Interval states that are published only once they are drawn."""

# ruff: noqa: ARG002 - an override keeps the signature of what it replaces

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from multiformats import CID

from clicooper.audit.bundle import audit_car, pack_job
from clicooper.audit.verdict import AuditReport, Check
from clicooper.chain.record import write_record
from clicooper.commitments.manifest import StateLinks
from clicooper.errors import SpecError
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.decision import WITHHELD, Accuse, Wait
from clicooper.protocol.job import finish_job, run_rounds
from clicooper.protocol.owner import RoundRefused
from clicooper.protocol.publication import Timer
from clicooper.protocol.trainer import Trainer
from clicooper.types import Ground, Verdict
from tests.scenario import Rehearsal, failures, quiet, rehearsal, seating, tiny_config
from tests.simulators import Network

SAMPLED = tiny_config(publication="sampled", steps=12, samples=2)
"""Six intervals, of which two to four are drawn: at least one with a state that has to be published."""


class WithholdsStates(Trainer):
    """Commits to its states and shows none of them."""

    def publish_states(self, round_: int, intervals: Iterable[int]) -> tuple[StateLinks, ...]:
        return ()


def states(segment: CommittedSegment) -> list[CID]:
    return [links.weights.ciphertext for links in segment.manifest.transcript.states]


def published(job: Rehearsal, segment: CommittedSegment) -> set[int]:
    """The intervals whose start state is in the store."""
    return {number for number, cid in enumerate(states(segment), start=1) if job.store.has(cid)}


def test_only_drawn_states_are_published_and_they_have_the_committed_names(tmp_path: Path) -> None:
    with rehearsal(tmp_path, SAMPLED) as job:
        owner, trainers = job.opened.owner, job.opened.trainers
        committed = job.train_and_commit()
        assert [published(job, segment) for segment in committed] == [set(), set()]
        assert [len(states(segment)) for segment in committed] == [5, 5]
        wanted = owner.request_states(0)
        assert wanted == tuple(interval for interval in owner.draw(0) if interval)
        for trainer, segment in zip(trainers, committed, strict=True):
            links = trainer.publish_states(0, wanted)
            assert links == tuple(segment.manifest.transcript.states[interval - 1] for interval in wanted)
        assert [published(job, segment) for segment in committed] == [set(wanted)] * 2
        verified = owner.verify_round(0, committed)
        assert verified.replayed.intervals == len(verified.drawn) <= 4
        with pytest.raises(SpecError, match="keeps 5 states"):
            trainers[0].publish_states(0, [6])
        trainers[0].settle_round(0)
        with pytest.raises(SpecError, match="keeps 0 states"):
            trainers[0].publish_states(0, [1])


def test_another_runtime_class_needs_the_end_states_too(tmp_path: Path) -> None:
    from clicooper.audit.artifacts import Artifacts
    from clicooper.protocol.publication import states_to_publish

    with rehearsal(tmp_path, SAMPLED) as job:
        job.train_and_commit()
        own = job.opened.owner.artifacts()
        other = Artifacts(own.history, own.store, own.keys, {"mlp"}, runtime="another machine")
        assert [states_to_publish(own, drawn) for drawn in ([0], [1, 2], [5])] == [(), (1, 2), (5,)]
        assert [states_to_publish(other, drawn) for drawn in ([0], [1, 2], [5])] == [(1,), (1, 2, 3), (5,)]


def assert_nothing_held_against_anybody(report: AuditReport) -> None:
    assert failures(report.results) == set()
    unproven = {row.check for row in report.results if row.verdict is Verdict.INCONCLUSIVE}
    assert unproven <= {Check.REPLAY}, "what was never published can at most leave replays open"


def test_paid_job_is_audited_and_travels_without_the_states_that_nobody_published(tmp_path: Path) -> None:
    with rehearsal(tmp_path / "run", SAMPLED) as job:
        rounds = run_rounds(job.opened, quiet)
        record = finish_job(job.opened)
        write_record(job.folder.record, record)
        keys = job.opened.owner.keys()
        assert any(len(published(job, segment)) < 5 for settled in rounds for segment in settled.commitments)
        assert_nothing_held_against_anybody(job.audit())
        pack_job(record, job.store, tmp_path / "job.car")
        assert_nothing_held_against_anybody(audit_car(tmp_path / "job.car", keys))
        stranger = job.audit(type(keys)())
        assert failures(stranger.results) == set()
        assert [row for row in stranger.results if "is there and intact" in row.detail] == []
        assert sum("sealed files are there and intact" in row.detail for row in stranger.results) == 4


def test_withheld_states_are_not_paid_and_the_seat_is_challenged_for_that(tmp_path: Path) -> None:
    with rehearsal(tmp_path, SAMPLED, seating({1: WithholdsStates})) as job:
        owner, committed = job.opened.owner, job.train_and_commit()
        owner._store = Network(job.store)
        for trainer in job.opened.trainers:
            trainer.publish_states(0, owner.request_states(0))
        with pytest.raises(RoundRefused) as refusal:
            owner.verify_round(0, committed)
        decision = refusal.value.decision
        assert isinstance(decision, Accuse)
        assert (decision.seat, decision.ground, decision.row.actual) == (1, Ground.WITHHELD, WITHHELD)
        assert failures(refusal.value.results) == set()
        assert not any(row.actual == WITHHELD and row.seat != 1 for row in refusal.value.results)


def test_states_that_a_folder_lacks_are_not_paid_and_accuse_nobody(tmp_path: Path) -> None:
    with rehearsal(tmp_path, SAMPLED, seating({1: WithholdsStates})) as job:
        owner, committed = job.opened.owner, job.train_and_commit()
        job.opened.trainers[0].publish_states(0, owner.request_states(0))
        with pytest.raises(RoundRefused) as refusal:
            owner.verify_round(0, committed)
        assert isinstance(refusal.value.decision, Wait)
        assert all(row.culprit is None for row in refusal.value.results)


def test_states_that_come_before_the_deadline_are_paid(tmp_path: Path) -> None:
    with rehearsal(tmp_path, SAMPLED) as job:
        owner, committed, now = job.opened.owner, job.train_and_commit(), [0.0]
        owner._store = Network(job.store)
        wanted = owner.request_states(0)

        def pause(seconds: float) -> None:
            now[0] += seconds
            if now[0] >= 5:
                for trainer in job.opened.trainers:
                    trainer.publish_states(0, wanted)

        owner.timer = Timer(lambda: now[0], pause)
        owner.policy = owner.policy.model_copy(update={"publish_deadline_s": 4.0})
        with pytest.raises(RoundRefused) as refusal:
            owner.verify_round(0, committed)
        assert refusal.value.decision.to_json()["ground"] == "withheld"
        assert now[0] == 4.0, "it waits exactly to the deadline"

        owner.policy = owner.policy.model_copy(update={"publish_deadline_s": 60.0})
        assert owner.verify_round(0, committed).decision.to_json()["action"] == "accept"
        assert now[0] < 15, "it goes on as soon as everything is there"
