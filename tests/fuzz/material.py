"""The honest job that every case starts from, and what belongs to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clicooper.disputes.subject import Subject
from clicooper.protocol.job import finish_job, run_rounds
from tests.evidence_files import opened_evidence
from tests.fuzz.cases import Material
from tests.fuzz.world import Job
from tests.scenario import FinishedRun, quiet, rehearsal, tiny_config

__all__ = ["gathered"]

SUBJECTS = (
    Subject("replay", 0, 0),
    Subject("boundary", 0, None, 1),
    Subject("manifest", 0, None, 1),
    Subject("links", 0, None, 0),
    Subject("mark", 0, None, 0),
    Subject("labels", 0),
    Subject("release", 0),
)


@contextmanager
def gathered(root: Path, *, optimizer: str = "adamw") -> Iterator[Material]:
    """Material in an empty folder: one round of two seats, two intervals of one step each."""
    config = tiny_config(rounds=1, steps=2, interval=1, optimizer=optimizer)
    with rehearsal(root, config) as job:
        rounds = run_rounds(job.opened, quiet)
        run = FinishedRun(job, rounds, finish_job(job.opened), job.opened.owner.keys())
        evidence = [opened_evidence(run, subject) for subject in SUBJECTS]
        yield Material(Job.of(run), run.record, evidence, job.opened.node._transport, job.opened.contract)
