"""Grids of settings as a job's configuration gives them, and their evaluation from start to end.

Finished trials are kept, so that another call goes on where this one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clicooper.attacks.privacy.frontier import Grid, Point, Trials, evaluate_grid
from clicooper.attacks.privacy.results_cache import ResultsCache
from clicooper.config import JobConfig
from clicooper.privacy.release import Mechanism

__all__ = ["PrivacyEvaluation", "evaluate_grids", "make_grid"]

FOLDER = "evaluations"
"""Where finished trials are, under the home folder."""


@dataclass(frozen=True)
class PrivacyEvaluation:
    """What the trials of several grids showed.

    Attributes:
        trials: of each grid, in the grids' order.
        seconds: that it took, without what was finished before.
    """

    grids: tuple[Grid, ...]
    trials: tuple[Trials, ...]
    seconds: float

    @property
    def points(self) -> tuple[Point, ...]:
        """Every setting of every grid."""
        return tuple(point for found in self.trials for point in found.points)


def make_grid(
    config: JobConfig,
    source: str,
    seeds: int,
    epsilons: tuple[float, ...],
    shapes: tuple[tuple[int, int], ...],
    hiding: bool,
    mechanism: Mechanism = "gaussian",
) -> Grid:
    """A grid that trains and divides its records as a job of this configuration does."""
    job = config.model_copy(update={"data": source, "mechanism": mechanism})
    return Grid(job, epsilons, shapes, seeds, hiding)


def evaluate_grids(grids: Sequence[Grid], home: Path, progress: Callable[[str, int, int], None]) -> PrivacyEvaluation:
    """Evaluates grids, each of one data set, head and mechanism.

    Args:
        home: finished trials are kept in a folder of it.
        progress: called with what is being done, trials done, and trials in all.

    Raises:
        DataError: a grid that no records allow, or records that cannot be read.
    """
    started = time.perf_counter()
    cache = ResultsCache(home / FOLDER)
    trials = tuple(evaluate_grid(grid, cache, progress) for grid in grids)
    return PrivacyEvaluation(tuple(grids), trials, time.perf_counter() - started)
