"""What one cell of ``clicooper evaluate privacy`` costs on digits, by part, beside the training that it attacks."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from _table import Row, report

sys.path.insert(0, str(Path(__file__).parents[1]))

from clicooper.attacks.evaluation_inputs import Kept, load_inputs
from clicooper.attacks.privacy.frontier import Grid, evaluate
from clicooper.attacks.privacy.results_cache import FolderCache
from clicooper.attacks.privacy.trial import measure_trial
from clicooper.attacks.release_under_test import Setting, make_release_under_test
from clicooper.attacks.trained import TrainingPlan, train

T = TypeVar("T")
SETTING = Setting(2.0, 4, 4, 0)


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """A call's result and its seconds."""
    started = time.perf_counter()
    result = run()
    return result, round(time.perf_counter() - started, 3)


def main() -> None:
    """Measures and reports."""
    inputs, head = timed(lambda: load_inputs("digits", 0, Kept()))
    tested, release = timed(lambda: make_release_under_test(inputs.dataset, inputs.splits, inputs.head, SETTING))
    _, training = timed(lambda: train(tested, TrainingPlan()))
    _, cell = timed(lambda: measure_trial(inputs, SETTING, TrainingPlan()))
    with tempfile.TemporaryDirectory() as folder:
        grid, cache = Grid("digits", (2.0,), ((4, 4),), seeds=1), FolderCache(Path(folder))
        _, first = timed(lambda: evaluate(grid, cache, lambda *_: None))
        _, again = timed(lambda: evaluate(grid, cache, lambda *_: None))
    report(
        [
            Row("records, division and head of a seed", head, "s"),
            Row("release in memory", release, "s"),
            Row("training", training, "s"),
            Row("cell: training and every attack", cell, "s", against=training, target=20),
            Row("evaluation that has every cell already", again, "s", against=first, target=0.8),
        ]
    )


if __name__ == "__main__":
    main()
