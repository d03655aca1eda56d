"""The plots of an audit's report: who did what when, and what it cost.

Numbers and the program's own words alone are drawn: nothing of a record's text reaches a plot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from markupsafe import Markup

from clicooper.history.timeline import Timeline
from clicooper.reports.page import PALETTE
from clicooper.reports.plots import SERIES, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_gas", "draw_timeline"]

_MUTED = PALETTE["muted"][0]
_KINDS = ("owner", "seats", "disputes", "money")
_UNITS = ((172_800, 86_400, "days"), (7_200, 3_600, "hours"), (300, 60, "minutes"), (0, 1, "seconds"))
"""From so many seconds on, how long a unit is, and its name."""


def draw_timeline(timeline: Timeline) -> Markup:
    """Every entry at its time, one line for each kind of it."""
    start, end = timeline.entries[0].time_s, timeline.entries[-1].time_s
    seconds, unit = next((length, name) for least, length, name in _UNITS if end - start >= least)

    def draw(axes: Axes) -> None:
        for place, kind in enumerate(_KINDS):
            at = [(entry.time_s - start) / seconds for entry in timeline.entries if entry.kind == kind]
            axes.plot(at, [place] * len(at), "o", color=SERIES[place], markersize=4.5, alpha=0.75)
        for began in _round_starts(timeline):
            axes.axvline((began - start) / seconds, color=_MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(_KINDS)), _KINDS)
        axes.set(xlabel=f"{unit} since the job was opened", ylim=(len(_KINDS) - 0.5, -0.5))

    alt = f"Timeline of {len(timeline.entries)} events; a vertical line marks the start of a round"
    return draw_svg("timeline", alt, draw, width_in=9.6, height_in=2.2)


def draw_gas(timeline: Timeline) -> Markup:
    """Gas of every transaction, by kind of entry, in the order of the record."""

    def draw(axes: Axes) -> None:
        for place, kind in enumerate(_KINDS):
            points = [(number, entry.gas) for number, entry in enumerate(timeline.entries) if entry.kind == kind]
            if points:
                at, gas = zip(*points, strict=True)
                axes.plot(at, gas, "o", color=SERIES[place], markersize=3.5, label=kind)
        axes.legend(ncols=4, loc="upper center")
        axes.set(xlabel="event", ylabel="gas of its transaction", yscale="log")

    return draw_svg("gas", "Gas of the transaction of every event", draw)


def _round_starts(timeline: Timeline) -> Iterable[int]:
    """When the first event of each round came."""
    starts: dict[int, int] = {}
    for entry in timeline.entries:
        if entry.round is not None:
            starts.setdefault(entry.round, entry.time_s)
    return starts.values()
