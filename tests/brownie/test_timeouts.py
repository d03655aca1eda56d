"""Who keeps silent past a deadline, and what anybody may then do."""

from __future__ import annotations

from typing import Any

from job import KEYS, OWNER_BOND, SILENCE_PENALTY, STAKE, WINDOW_S, Job, after, escrow, refused


def test_time_out_before_the_deadline_and_action_after_it(started: Job, stranger: Any) -> None:
    with refused("TooEarly"):
        started.contract.resolveTimeout(started.number, {"from": stranger})
    after(WINDOW_S + 1)
    with refused("TooLate"):
        started.commit(0)


def test_unfilled_job_is_cancelled(job: Job, stranger: Any) -> None:
    after(WINDOW_S + 1)
    job.contract.resolveTimeout(job.number, {"from": stranger})
    assert (job.view["phase"], job.owed(job.owner)) == ("Cancelled", escrow())


def test_owner_without_labels_loses_its_bond(job: Job, stranger: Any) -> None:
    job.join(0)
    job.join(1)
    after(WINDOW_S + 1)
    job.contract.resolveTimeout(job.number, {"from": stranger})
    assert job.view["phase"] == "Aborted"
    assert [job.owed(trainer) for trainer in job.trainers] == [STAKE + OWNER_BOND // 2] * 2


def test_silent_trainer_is_replaced_and_the_round_starts_again(started: Job, stranger: Any) -> None:
    after(WINDOW_S + 1)
    started.contract.resolveTimeout(started.number, {"from": stranger})
    assert started.view["phase"] == "Refill"
    assert started.owed(started.trainers[0]) == STAKE - SILENCE_PENALTY

    started.contract.nameReplacement(started.number, started.head, 0, stranger, {"from": started.owner})
    genesis = started.contract.genesisOf(started.number)
    started.contract.join(started.number, genesis, 0, b"", {"from": stranger, "value": STAKE})
    assert (started.view["phase"], started.view["round"], started.view["turn"]) == ("Commit", 0, 0)


def test_silent_review_counts_as_acceptance(started: Job, stranger: Any) -> None:
    started.commit_all()
    after(WINDOW_S + 1)
    started.contract.resolveTimeout(started.number, {"from": stranger})
    assert started.view["phase"] == "Labels"
    released = started.contract.releaseLabels(started.number, KEYS[1], {"from": started.owner})
    assert released.events["LabelsReleased"]["round"] == 1
