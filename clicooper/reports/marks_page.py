"""The HTML report of ``evaluate marks``: the trade of accuracy for marks, every attack, forgeries and claims.

Job: choose and arrange what ``marks_result`` holds. How a page is framed, escaped and written is told in
``page``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from clicooper.reports.page import PALETTE, render_page
from clicooper.reports.plots import SERIES, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["marks_page", "render_marks_report"]

_TOLERATED_POINTS = 2
_TICKS = (0, 2, 5, 10, 30, 100)
_FAIL, _MUTED = PALETTE["fail"][0], PALETTE["muted"][0]


def render_marks_report(result: dict[str, Any]) -> str:
    """The report as an HTML document; equal input gives equal text."""
    return render_page("marks.html.j2", **marks_page(result))


def marks_page(result: dict[str, Any]) -> dict[str, object]:
    """What the template ``marks.html.j2`` names."""
    removals = [row for row in result["rows"] if row["kind"] == "removal"]
    return {
        "result": result,
        "cost": result["rows"][0],
        "removals": removals,
        "forgeries": [row for row in result["rows"] if row["kind"] == "forgery"],
        "weaknesses": [row for row in removals if row["open_weakness"]],
        "kept": sum(row["keeps_accuracy"] for row in removals),
        "plots": {"trade": _draw_trade(removals)},
    }


def _draw_trade(removals: Sequence[dict[str, Any]]) -> Markup:
    """Every attack at the accuracy that it costs and the marks that it leaves, blind and at its best."""
    points = [-100 * row["accuracy_change"] for row in removals]
    blind, shown = [100 * row["found"]["blind"] for row in removals], [100 * row["value"] for row in removals]

    def draw(axes: Axes) -> None:
        axes.plot(points, shown, "s", markersize=4, color=SERIES[0], label="shown by their trainers")
        axes.plot(points, blind, "o", markersize=6, color=SERIES[1], fillstyle="none", label="found blind")
        axes.axvline(_TOLERATED_POINTS, color=_FAIL, linewidth=1, linestyle=(0, (4, 3)))
        axes.axhline(90, color=_MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set(xlabel="accuracy lost (points)", ylabel="ownership marks shown (%)", ylim=(-5, 106))
        axes.set_xscale("symlog", linthresh=5)
        axes.set_xlim(min([*points, -2]) - 1, 130)
        axes.set_xticks(_TICKS, [str(tick) for tick in _TICKS], minor=False)
        handles, labels = axes.get_legend_handles_labels()
        axes.figure.legend(handles, labels, loc="outside upper left", ncols=2)

    survived = sum(row["value"] >= 0.9 for row in removals)
    alt = f"Scatter plot: {len(removals)} attacks by accuracy lost and marks left; {survived} leave at least 90 %"
    return draw_svg("trade", alt, draw)
