"""The object that ``clicooper evaluate privacy --json`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from clicooper.attacks.privacy.catalogue import CATALOGUE
from clicooper.attacks.privacy.frontier import Point, Trials, recommend
from clicooper.attacks.privacy.grids import PrivacyEvaluation
from clicooper.attacks.privacy.paper import compare_with_paper
from clicooper.config import DISJOINT

__all__ = ["privacy_result"]

WARNING = (
    "These figures were measured on the records themselves: no epsilon covers them, nor a choice made by them. "
    "Keep them to yourself, or choose on records that are public."
)


def privacy_result(evaluation: PrivacyEvaluation) -> dict[str, Any]:
    """Everything that was measured, as plain JSON values."""
    by_source = [
        [point for point in evaluation.points if (point.source, point.head) == key]
        for key in dict.fromkeys((grid.config.data, grid.config.head) for grid in evaluation.grids)
    ]
    return {
        "ok": True,
        "code": 0,
        "seeds": evaluation.grids[0].seeds,
        "rows": [row for point in evaluation.points for row in _rows(point)],
        "claims": _claims(evaluation.trials),
        "recommendations": [
            {"data": found[0].source, "title": found[0].title, "lines": recommend(found)} for found in by_source
        ],
        "impossible": [words for found in evaluation.trials for words in found.impossible],
        "warning": WARNING,
        "seconds": round(evaluation.seconds, 2),
    }


def _rows(point: Point) -> list[dict[str, Any]]:
    names = ("epsilon", "gamma", "group", "mechanism")
    setting: dict[str, Any] = {"data": point.source, **{name: getattr(point, name) for name in names}}
    if point.head != DISJOINT:
        setting["head"] = point.head
    if point.label_epsilon is not None:
        setting["label_epsilon"] = point.label_epsilon
    return [
        {
            "name": row.name,
            "setting": setting,
            "value": round(row.value, 6),
            "floor": round(row.floor, 6),
            "control": None if row.control is None else round(row.control, 6),
            "seeds": row.seeds,
            "std": round(row.std, 6),
            "words": CATALOGUE[row.name].words,
            "attacker_knows": CATALOGUE[row.name].knows,
            "floor_is": CATALOGUE[row.name].floor,
            "control_is": CATALOGUE[row.name].control,
        }
        for row in point.rows
    ]


def _claims(trials: Sequence[Trials]) -> list[dict[str, str]]:
    """The paper's claims at the settings of its epsilon, 2; where there is none, at the nearest epsilon measured."""
    claims: list[dict[str, str]] = []
    for found in trials:
        nearest = min((point.epsilon for point in found.points), key=lambda epsilon: abs(epsilon - 2))
        at_nearest = (point for point in found.points if point.epsilon == nearest)
        claims += [asdict(claim) for point in at_nearest for claim in compare_with_paper(point)]
    return claims
