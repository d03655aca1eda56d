"""The ``progress`` check: the metrics that trainers report are those that the replay measures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import fmean

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import Check, CheckResult
from clicooper.learning.checkpoint import weight_norm
from clicooper.types import Verdict

__all__ = ["check_progress"]

RELATIVE_TOLERANCE = 1e-5


def check_progress(artifacts: Artifacts, round_: int, losses: Mapping[int, tuple[float, ...]]) -> Iterator[CheckResult]:
    """One row a seat: the norm of its trained weights, and for the last seat its training loss.

    Args:
        losses: by interval, the training losses that replay confirmed, in nats.
    """
    seats = artifacts.history.params.seats
    for seat in range(seats):
        manifest = artifacts.manifest(round_, seat)
        names, expected = {"weight_norm"}, {"weight_norm": weight_norm(artifacts.state_file(manifest.trained))}
        if seat == seats - 1:
            names |= {"loss", "final_loss"}
            expected |= _mean_losses(losses, artifacts.intervals)
        yield _compare(expected, dict(manifest.metrics), names, round_, seat)


def _mean_losses(losses: Mapping[int, tuple[float, ...]], intervals: int) -> dict[str, float]:
    """The losses that the replayed intervals determine: all of them for the mean over the round."""
    known: dict[str, float] = {}
    if intervals - 1 in losses:
        known["final_loss"] = fmean(losses[intervals - 1])
    if len(losses) == intervals:
        known["loss"] = fmean(loss for i in range(intervals) for loss in losses[i])
    return known


def _compare(
    expected: Mapping[str, float], actual: Mapping[str, float], names: set[str], round_: int, seat: int
) -> CheckResult:
    compare = partial(CheckResult.compare, Check.PROGRESS, round_=round_, seat=seat)
    if set(actual) != names:
        detail = "other metrics than the protocol asks for"
        return compare("metrics", sorted(names), sorted(actual), detail=detail)
    for name, value in sorted(expected.items()):
        if not (math.isfinite(actual[name]) and math.isclose(value, actual[name], rel_tol=RELATIVE_TOLERANCE)):
            return compare(name, value, actual[name], detail=f"{name} differs")
    unreplayed = sorted(names - set(expected))
    detail = f"{', '.join(sorted(expected))} confirmed"
    if unreplayed:
        detail += f"; {', '.join(unreplayed)} not replayed"
    return CheckResult(Check.PROGRESS, Verdict.PASS, "metrics", detail, round_, seat)
