"""Grids of settings as a job's configuration gives them, and their evaluation from start to end.

Finished cells are kept, so that another call goes on where this one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clicooper.attacks.evaluation_inputs import Kept
from clicooper.attacks.privacy.frontier import Grid, Point, Trials, evaluate
from clicooper.attacks.privacy.results_cache import FolderCache
from clicooper.attacks.trained import TrainingPlan
from clicooper.config import JobConfig
from clicooper.privacy.release import Mechanism

__all__ = ["PrivacyEvaluation", "evaluate_grids", "make_grid"]

FOLDER = "evaluations"
"""Where finished cells are, under the home folder."""

PLANNED = {"rounds", "steps", "batch", "learning_rate", "momentum", "weight_decay", "label_loss"}
"""What the plan of a job's training takes from its terms."""


@dataclass(frozen=True)
class PrivacyEvaluation:
    """What the cells of several grids showed.

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
    return Grid(
        source,
        epsilons,
        shapes,
        seeds,
        config.delta,
        config.clip,
        head=config.head,
        label_epsilon=config.label_epsilon,
        mechanism=mechanism,
        hiding=hiding,
        kept=Kept(config.head_records, config.holdout_records, config.test_records),
        plan=TrainingPlan(**config.model_dump(include=PLANNED)),
    )


def evaluate_grids(grids: Sequence[Grid], home: Path, progress: Callable[[str, int, int], None]) -> PrivacyEvaluation:
    """Evaluates grids, each of one data set, head and mechanism.

    Args:
        home: finished cells are kept in a folder of it.
        progress: called with what is being done, cells done, and cells in all.

    Raises:
        DataError: a grid that no records allow, or records that cannot be read.
    """
    started = time.perf_counter()
    cache = FolderCache(home / FOLDER)
    trials = tuple(evaluate(grid, cache, progress) for grid in grids)
    return PrivacyEvaluation(tuple(grids), trials, time.perf_counter() - started)
