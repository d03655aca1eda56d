"""The end of a record: a job under way may have gone on, and no record shows that it did not."""

from __future__ import annotations

import pytest

from clicooper.audit.checks.record import check_history, is_open_end
from clicooper.chain.events import Event, JobAborted, JobCancelled, RoundAccepted
from clicooper.history.follow import follow_record
from clicooper.types import AbortReason, Verdict
from tests.unit.history.honest_record import JOB, KEYS, OPENED, STARTED, WINDOW, committed, record

ACCEPTED = (*STARTED, committed(0, 0), committed(0, 1), RoundAccepted(JOB, 0, KEYS[1]))
DONE = (*ACCEPTED, committed(1, 0), committed(1, 1))


@pytest.mark.parametrize("kept", range(1, len(DONE) + 1))
def test_a_record_that_ends_before_the_job_is_open(kept: int) -> None:
    history = follow_record(record(*DONE[:kept]))
    passed, end = check_history(history)
    assert passed.verdict is Verdict.PASS
    assert is_open_end(end) and end.detail.startswith(f"the job goes on after event {kept}, in phase ")
    assert "--network" in end.remedy


ENDS: dict[str, tuple[Event | tuple[int, Event], ...]] = {
    "cancelled": (*OPENED, JobCancelled(JOB)),
    "aborted": (*OPENED, (2 * WINDOW, JobAborted(JOB, AbortReason.OWNER_SILENT))),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_record_of_a_job_that_is_over_has_its_end(end: str) -> None:
    (row,) = check_history(follow_record(record(*ENDS[end])))
    assert row.verdict is Verdict.PASS
