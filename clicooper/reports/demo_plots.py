"""The plots of a demo's report: accuracy, marks and gas.

Job: choose what is drawn and how. Non-jobs: files and pages (``page``). Every function returns an SVG element in the
colours of the page, and draws nothing but numbers and the program's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from clicooper.reports.demo_tables import ACCURACIES
from clicooper.reports.page import PALETTE
from clicooper.reports.plots import SERIES, SIGNS, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_accuracy", "draw_gas", "draw_marks"]

_INK, _CONTROL, _FAIL = (PALETTE[name][0] for name in ("ink", "control", "fail"))


def draw_accuracy(accuracy: dict[str, Any]) -> Markup:
    """One bar for the protected model and for each of its controls; values in [0, 1]."""
    bars = [(words, float(accuracy[name])) for name, words, _ in ACCURACIES]

    def draw(axes: Axes) -> None:
        places = range(len(bars))
        colors = [SERIES[0], *[_CONTROL] * (len(bars) - 1)]
        axes.barh(places, [value for _, value in bars], height=0.66, color=colors)
        for place, (_, value) in enumerate(bars):
            axes.text(value + 0.01, place, f"{value:.3f}", va="center", color=_INK)
        axes.set_yticks(places, [words for words, _ in bars], color=_INK)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.set(xlim=(0, 1.1), xticks=[0, 0.25, 0.5, 0.75, 1])

    return draw_svg("accuracy", f"Bar chart: {', '.join(f'{words} {value:.3f}' for words, value in bars)}", draw)


class _Mark(NamedTuple):
    """One mark in one model."""

    round: int
    seat: int
    progress: bool
    log2_p: float


def draw_marks(result: dict[str, Any], threshold: float) -> tuple[Markup, Markup]:
    """Every mark as committed and in the final model, in plots of equal scale.

    Args:
        threshold: log2 p at or below which a mark is accepted, negative.
    """
    committed = [
        _Mark(settled["round"], commitment["seat"], key == "mark", float(commitment[key]["log2_p"]))
        for settled in result["rounds"]
        for commitment in settled["commitments"]
        for key in ("mark", "ownership_mark")
    ]
    final = [
        _Mark(mark["round"], mark["seat"], mark["purpose"] == "progress", float(mark["log2_p"]))
        for mark in result["marks_in_final_model"]
    ]
    low = 1.08 * min([threshold, *(mark.log2_p for mark in committed + final)])

    def plot(name: str, where: str, marks: list[_Mark]) -> Markup:
        reached = sum(mark.log2_p <= threshold for mark in marks)
        alt = f"Scatter plot: log2 p of {len(marks)} marks {where} by round and seat; {reached} reach {threshold:g}"
        return draw_svg(name, alt, _scatter(marks, len(result["rounds"]), int(result["seats"]), (low, threshold)))

    return plot("marks-committed", "as committed", committed), plot("marks-final", "in the final model", final)


def _scatter(marks: Sequence[_Mark], rounds: int, seats: int, limits: tuple[float, float]) -> Callable[[Axes], None]:
    """Draws marks by round; a round's seats stand side by side, and of a seat progress before ownership."""
    low, threshold = limits

    def draw(axes: Axes) -> None:
        for seat, label, color in _seat_styles(seats):
            for progress in (True, False):
                chosen = [mark for mark in marks if mark.seat == seat and mark.progress is progress]
                shift = (2 * seat + (not progress) + 0.5) / (2 * seats) - 0.5
                axes.plot(
                    [mark.round + 0.75 * shift for mark in chosen],
                    [mark.log2_p for mark in chosen],
                    SIGNS[seat % len(SIGNS)],
                    markersize=5,
                    color=color,
                    fillstyle="full" if progress else "none",
                    label=label if progress else None,
                )
        words = f"limit \N{MINUS SIGN}{-threshold:g}"
        axes.axhline(threshold, color=_FAIL, linewidth=1, linestyle=(0, (4, 3)), label=words)
        axes.set(xlabel="round", ylabel="log2 p", ylim=(low, 4))
        _finish_rounds(axes, rounds)

    return draw


def draw_gas(result: dict[str, Any]) -> Markup:
    """One group of bars a round: the commitments of all seats, then the accept."""
    rounds, seats = result["rounds"], int(result["seats"])
    width = 0.8 / (seats + 1)

    def draw(axes: Axes) -> None:
        def bars(place: int, gas: list[tuple[int, int]], color: str, label: str | None) -> None:
            at = [round_ - 0.4 + width / 2 + place * width for round_, _ in gas]
            axes.bar(at, [units / 1000 for _, units in gas], 0.9 * width, color=color, label=label)

        for seat, label, color in _seat_styles(seats):
            committed = [
                (int(settled["round"]), int(commitment["gas"]))
                for settled in rounds
                for commitment in settled["commitments"]
                if commitment["seat"] == seat
            ]
            bars(seat, committed, color, label)
        bars(seats, [(int(settled["round"]), int(settled["gas_accept"])) for settled in rounds], _CONTROL, "accept")
        axes.set(xlabel="round", ylabel="thousand gas")
        axes.grid(visible=False, axis="x")
        _finish_rounds(axes, len(rounds))

    alt = f"Bar chart: gas of the commitments of {seats} seats and of the accept in {len(rounds)} rounds"
    return draw_svg("gas", alt, draw)


def _seat_styles(seats: int) -> Iterator[tuple[int, str | None, str]]:
    """Seat, legend and colour: one colour a seat while there are enough, one for all beyond."""
    for seat in range(seats):
        if seats <= len(SERIES):
            yield seat, f"seat {seat}", SERIES[seat]
        else:
            yield seat, None if seat else f"seats 0 to {seats - 1}", SERIES[0]


def _finish_rounds(axes: Axes, rounds: int) -> None:
    """An axis of whole rounds, and the legend above the plot."""
    axes.set_xlim(-0.5, max(rounds, 1) - 0.5)
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, loc="outside upper left", ncols=5, handletextpad=0.4, columnspacing=1.2)
