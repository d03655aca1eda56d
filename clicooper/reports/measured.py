"""What was measured once of the default setting, for a run to quote beside what it promises.

Attacks take minutes and need many releases, so a run does not repeat them: it shows the row of docs/privacy.md that was
measured with the same settings. Non-jobs: measuring (``attacks``), and vouching for other data or settings, of which
nothing is quoted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from clicooper.attacks.privacy.catalogue import CATALOGUE
from clicooper.attacks.privacy.frontier import Point, beats_controls
from clicooper.config import JobConfig
from clicooper.reports.privacy_tables import FRONTIER, frontier_cells

__all__ = ["MEASURED", "measured_claims", "measured_record"]

MEASURED = files("clicooper.reports").joinpath("measured.json")

_SETTINGS = {
    *("data", "model", "trainers", "widths", "activation_shape", "head_records", "holdout_records", "test_records"),
    *("head", "epsilon", "delta", "clip", "mechanism", "group", "gamma", "label_epsilon", "label_loss"),
    *("rounds", "steps", "batch", "optimizer", "learning_rate", "momentum", "weight_decay"),
    *("input_noise", "label_smoothing"),
}
"""Everything in a configuration that a figure depends on, but for seeds."""


def measured_claims(config: JobConfig) -> dict[str, Any] | None:
    """The figures that were measured with these settings; None where there are none."""
    record: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return record if record.pop("settings") == config.model_dump(mode="json", include=_SETTINGS) else None


def measured_record(config: JobConfig, points: Sequence[Point]) -> dict[str, Any]:
    """What ``measured.json`` holds: the settings, and the table row of the point that has them.

    Raises:
        StopIteration: the point is not among them.
    """
    wanted = (config.data, config.epsilon, config.gamma, config.group, config.mechanism)
    point = next(p for p in points if (p.source, p.epsilon, p.gamma, p.group, p.mechanism) == wanted)
    cells = zip(FRONTIER, frontier_cells(point), strict=True)
    return {
        "settings": config.model_dump(mode="json", include=_SETTINGS),
        "seeds": point.rows[0].seeds,
        "in_words": _in_words(point),
        "figures": [{"name": name, "words": CATALOGUE[name].words, "cell": cell} for (name, _), cell in cells],
    }


def _in_words(point: Point) -> str:
    oracle, named = point.row("grouping.oracle"), point.row("grouping.oracle.named")
    paid = "above" if beats_controls(point) else "not above"
    return (
        f"An oracle that knows every record groups pseudo-labels with a Rand index of {oracle.value:.2f} and names "
        f"{100 * named.value:.0f} % of them, where chance names {100 * named.floor:.0f} %. Training is {paid} what "
        "needs no trainers."
    )
