"""What one trial of ``clicooper evaluate privacy`` costs on digits, by part, beside the training that it attacks."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from _table import Row, report

sys.path.insert(0, str(Path(__file__).parents[1]))

from clicooper.attacks.evaluation_inputs import fix_seed, load_inputs
from clicooper.attacks.privacy.frontier import Grid, evaluate_grid
from clicooper.attacks.privacy.results_cache import ResultsCache
from clicooper.attacks.privacy.trial import measure_trial
from clicooper.attacks.release_under_test import make_release_under_test
from clicooper.attacks.trained import train_on_release
from clicooper.config import JobConfig

T = TypeVar("T")
CONFIG = fix_seed(JobConfig(epsilon=2.0, gamma=4, group=4, mechanism="gaussian"), 0)


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """A call's result and its seconds."""
    started = time.perf_counter()
    result = run()
    return result, round(time.perf_counter() - started, 3)


def main() -> None:
    """Measures and reports."""
    inputs, head = timed(lambda: load_inputs(CONFIG))
    tested, release = timed(lambda: make_release_under_test(inputs, CONFIG))
    _, training = timed(lambda: train_on_release(tested))
    _, trial = timed(lambda: measure_trial(tested))
    with tempfile.TemporaryDirectory() as folder:
        grid, cache = Grid(CONFIG, (2.0,), ((4, 4),), seeds=1), ResultsCache(Path(folder))
        _, first = timed(lambda: evaluate_grid(grid, cache, lambda *_: None))
        _, again = timed(lambda: evaluate_grid(grid, cache, lambda *_: None))
    report(
        [
            Row("records, division and head of a seed", head, "s"),
            Row("release in memory", release, "s"),
            Row("training", training, "s"),
            Row("trial: training and every attack", trial, "s", against=training, target=20),
            Row("evaluation that has every trial already", again, "s", against=first, target=0.8),
        ]
    )


if __name__ == "__main__":
    main()
