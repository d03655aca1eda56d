"""A round whose training is interrupted goes on where it was, and what it leaves behind is gone once it is paid."""

from __future__ import annotations

from pathlib import Path

import pytest

from clicooper.protocol.round import run_round, train_segments
from tests.scenario import FinishedRun, quiet, rehearsal

STOP_AT = 3


class Interrupted(Exception):
    """What stops the training."""


def stop(what: str, done: int, total: int) -> None:
    if done == STOP_AT:
        raise Interrupted


def test_interrupted_round_commits_what_an_uninterrupted_one_does(tmp_path: Path, honest_run: FinishedRun) -> None:
    with rehearsal(tmp_path) as job:
        with pytest.raises(Interrupted):
            train_segments(job.opened.trainers, 0, job.opened.genesis, (None, None), stop)
        round_logs = [job.folder.trainer(seat) / "round-log" / "round-0" for seat in range(2)]
        assert all((round_log / "state-0-weights").is_file() for round_log in round_logs)
        done: list[int] = []

        def watch(what: str, step: int, total: int) -> None:
            done.append(step)

        settled = run_round(job.opened.owner, job.opened.trainers, 0, job.opened.genesis, None, watch)
        assert done[:2] == [2, 3], "the first interval is not trained again"
        assert settled.manifests == honest_run.rounds[0].manifests
        assert not any(round_log.exists() for round_log in round_logs)
        run_round(job.opened.owner, job.opened.trainers, 1, settled.head, settled, quiet)
        assert [entry for round_log in round_logs for entry in round_log.parent.iterdir()] == []
