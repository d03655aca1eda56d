"""What was measured once of the default setting, for a run to quote beside what it promises.

Attacks take minutes and need many releases, so a run does not repeat them: it shows the row of docs/privacy.md that was
measured with the same settings. Non-jobs: measuring (``attacks``), and vouching for other data or settings, of which
nothing is quoted.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from clicooper.config import JobConfig

__all__ = ["MEASURED", "measured_claims", "measured_settings"]

MEASURED = files("clicooper.reports").joinpath("measured.json")

_SETTINGS = {
    *("data", "model", "trainers", "widths", "activation_shape", "head_records", "holdout_records", "test_records"),
    *("head", "epsilon", "delta", "clip", "mechanism", "group", "gamma", "label_epsilon", "label_loss"),
    *("rounds", "steps", "batch", "optimizer", "learning_rate", "momentum", "weight_decay"),
    *("input_noise", "label_smoothing"),
}


def measured_claims(config: JobConfig) -> dict[str, Any] | None:
    """The figures that were measured with these settings; None where there are none."""
    record: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return record if record.pop("settings") == measured_settings(config) else None


def measured_settings(config: JobConfig) -> dict[str, Any]:
    """Everything in a configuration that a figure depends on, but for seeds."""
    return config.model_dump(mode="json", include=_SETTINGS)
