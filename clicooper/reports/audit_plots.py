"""The plots of an audit's report: who did what when, the loss that replay confirmed, and what commitments cost.

Numbers and the program's own words alone are drawn: nothing of a record's text reaches a plot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clicooper.history.timeline import Timeline, TimelineEntry
from clicooper.reports.page import PALETTE, SERIES, draw_svg

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

__all__ = ["draw_gas", "draw_loss", "draw_timeline"]

_MUTED = PALETTE["muted"][0]
_MANY_ROUNDS = 12
_UNITS = ((172_800, 86_400, "days"), (7_200, 3_600, "hours"), (300, 60, "minutes"))
"""From so many seconds on, how long a unit is, and its name."""


def draw_timeline(timeline: Timeline) -> Markup:
    """Every entry at its time, one line for each kind of it."""
    start = timeline.entries[0].time_s
    seconds, unit = _unit(timeline.entries[-1].time_s - start)
    lines = ("owner", "seats", "disputes", "money")

    def draw(axes: Axes) -> None:
        for place, line in enumerate(lines):
            at = [(entry.time_s - start) / seconds for entry in timeline.entries if entry.kind == line]
            axes.plot(at, [place] * len(at), "o", color=SERIES[place], markersize=4.5, alpha=0.75)
        for began in _round_starts(timeline.entries):
            axes.axvline((began - start) / seconds, color=_MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(lines)), lines)
        axes.set(xlabel=f"{unit} since the job was opened", ylim=(len(lines) - 0.5, -0.5))

    alt = f"Timeline of {len(timeline.entries)} events; a vertical line marks the start of a round"
    return draw_svg("timeline", alt, draw, width_in=9.6, height_in=2.2)


def draw_loss(timeline: Timeline) -> Markup:
    """The training loss of every step that replay confirmed, rounds in a row."""

    def draw(axes: Axes) -> None:
        start, top = 0, axes.get_xaxis_transform()
        for round_, losses in sorted(timeline.losses.items()):
            at = [start + step for step, _ in losses]
            lone = "o" if len(at) < 2 or max(at) - min(at) >= len(at) else ""
            axes.plot(at, [loss for _, loss in losses], lone + "-" * (not lone), color=SERIES[0], markersize=2.5)
            axes.axvline(start, color=_MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
            if len(timeline.losses) <= _MANY_ROUNDS:
                axes.text(start, 1.02, f" round {round_}", transform=top, color=_MUTED, fontsize=8.5)
            start = max([start, *at]) + 1
        axes.set(xlabel="step over all rounds", ylabel="loss (nats)")

    return draw_svg("loss", "Training loss against the step, as the replay computed it", draw)


def draw_gas(timeline: Timeline) -> Markup:
    """Gas of every transaction, by kind of entry, in the order of the record."""

    def draw(axes: Axes) -> None:
        for place, kind in enumerate(("owner", "seats", "disputes", "money")):
            points = [(number, entry.gas) for number, entry in enumerate(timeline.entries) if entry.kind == kind]
            if points:
                at, gas = zip(*points, strict=True)
                axes.plot(at, gas, "o", color=SERIES[place], markersize=3.5, label=kind)
        axes.legend(ncols=4, loc="upper center")
        axes.set(xlabel="event", ylabel="gas of its transaction", yscale="log")

    return draw_svg("gas", "Gas of the transaction of every event", draw)


def _unit(span_s: int) -> tuple[int, str]:
    return next(((length, name) for least, length, name in _UNITS if span_s >= least), (1, "seconds"))


def _round_starts(entries: Sequence[TimelineEntry]) -> list[int]:
    """When the first event of each round came."""
    starts: dict[int, int] = {}
    for entry in entries:
        if entry.round is not None:
            starts.setdefault(entry.round, entry.time_s)
    return list(starts.values())
