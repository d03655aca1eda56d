"""The ``progress`` check: the metrics that trainers report are those that the replay measures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean

import numpy as np

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.replay.round_replay import RoundReplay
from clicooper.audit.verdict import Check, CheckResult
from clicooper.learning.checkpoint import weight_norm
from clicooper.types import Verdict

__all__ = ["check_progress"]

RELATIVE_TOLERANCE = 1e-5


def check_progress(artifacts: Artifacts, replay: RoundReplay) -> Iterator[CheckResult]:
    """One row a seat: the norm of its trained weights, and for the last seat its training loss."""
    seats = artifacts.history.params.seats
    for seat in range(seats):
        manifest = artifacts.manifest(replay.round, seat)
        expected = {"weight_norm": weight_norm(artifacts.state_file(manifest.trained))}
        if seat == seats - 1:
            expected |= _losses(replay, artifacts.intervals)
        yield _compare(replay.round, seat, expected, dict(manifest.metrics), last=seat == seats - 1)


def _losses(replay: RoundReplay, intervals: int) -> dict[str, float]:
    """The losses that the replayed intervals determine: all of them for the mean over the round."""
    known: dict[str, float] = {}
    if intervals - 1 in replay.losses:
        known["final_loss"] = fmean(replay.losses[intervals - 1])
    if len(replay.losses) == intervals:
        known["loss"] = fmean(loss for i in range(intervals) for loss in replay.losses[i])
    return known


def _compare(
    round_: int, seat: int, expected: dict[str, float], actual: dict[str, float], *, last: bool
) -> CheckResult:
    names = {"weight_norm", "loss", "final_loss"} if last else {"weight_norm"}
    if set(actual) != names:
        detail = "other metrics than the protocol asks for"
        return CheckResult.compare(
            Check.PROGRESS, "metrics", sorted(names), sorted(actual), round_=round_, seat=seat, detail=detail
        )
    for name, value in sorted(expected.items()):
        if not (np.isfinite(actual[name]) and math.isclose(value, actual[name], rel_tol=RELATIVE_TOLERANCE)):
            return CheckResult.compare(
                Check.PROGRESS, name, value, actual[name], round_=round_, seat=seat, detail=f"{name} differs"
            )
    unreplayed = sorted(names - set(expected))
    detail = f"{', '.join(sorted(expected))} confirmed" + (
        f"; {', '.join(unreplayed)} not replayed" if unreplayed else ""
    )
    verdict = Verdict.PASS
    return CheckResult(Check.PROGRESS, verdict, "metrics", detail, round_, seat)
