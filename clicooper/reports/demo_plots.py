"""The plots of a demo's report: loss, accuracy, marks and gas.

Job: choose what is drawn and how. Non-jobs: files and pages (``audit.page``). Every function returns an SVG
element in the colours of the page, and draws nothing but numbers and the program's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clicooper.reports.page import PALETTE, SERIES, draw_svg

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

__all__ = ["draw_accuracy", "draw_gas", "draw_loss", "draw_marks"]

_SIGNS = "osDv^P>X"
"""One marker a seat, so that seats differ by more than colour."""

_MANY_ROUNDS = 12
_INK, _MUTED, _CONTROL, _FAIL = (PALETTE[name][0] for name in ("ink", "muted", "control", "fail"))
_ACCURACIES = (
    ("protected", "protected"),
    ("protected_naive_readout", "protected, naive readout"),
    ("unprotected", "unprotected"),
    ("head_only", "head only"),
    ("release_only", "release only"),
    ("chance", "chance"),
)


class _Point(NamedTuple):
    """One mark in one model."""

    round: int
    seat: int
    progress: bool
    log2_p: float


def draw_loss(losses: Sequence[Sequence[float]]) -> Markup:
    """Training loss against the step, rounds in a row.

    Args:
        losses: for each round the loss of every step, in nats.
    """

    def draw(axes: Axes) -> None:
        start, top = 0, axes.get_xaxis_transform()
        steps = [loss for values in losses for loss in values]
        axes.plot(steps, color=SERIES[0], linewidth=1.3, marker="o" if len(steps) == 1 else "")
        for round_, values in enumerate(losses):
            axes.axvline(start, color=_MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
            if len(losses) <= _MANY_ROUNDS:
                axes.text(start, 1.02, f" round {round_}", transform=top, color=_MUTED, fontsize=8.5)
            start += len(values)
        axes.set(xlabel="step over all rounds", ylabel="loss (nats)", xlim=(0, max(start - 1, 1)))
        axes.set_ylim(bottom=0)

    alt = f"Line plot: training loss over {sum(map(len, losses))} steps in {len(losses)} rounds"
    return draw_svg("loss", alt, draw)


def draw_accuracy(accuracy: dict[str, Any]) -> Markup:
    """One bar for the protected model and for each of its controls; values in [0, 1]."""
    values = [float(accuracy[name]) for name, _ in _ACCURACIES]

    def draw(axes: Axes) -> None:
        places = range(len(values))
        axes.barh(places, values, height=0.66, color=[SERIES[0], *[_CONTROL] * (len(values) - 1)])
        for place, value in zip(places, values, strict=True):
            axes.text(value + 0.01, place, f"{value:.3f}", va="center", color=_INK)
        axes.set_yticks(places, [words for _, words in _ACCURACIES], color=_INK)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.set(xlim=(0, 1.1), xticks=[0, 0.25, 0.5, 0.75, 1])

    alt = "Bar chart of accuracies: " + ", ".join(
        f"{words} {value:.3f}" for (_, words), value in zip(_ACCURACIES, values, strict=True)
    )
    return draw_svg("accuracy", alt, draw)


def draw_marks(result: dict[str, Any], threshold: float) -> tuple[Markup, Markup]:
    """Every mark as committed and in the final model, in plots of equal scale.

    Args:
        threshold: log2 p at or below which a mark is accepted, negative.
    """
    committed, final = list(_committed_marks(result)), list(_final_marks(result))
    low = 1.08 * min([threshold, *(point.log2_p for point in committed + final)])
    rounds, seats = len(result["rounds"]), int(result["seats"])
    titles = (("marks-committed", "as committed", committed), ("marks-final", "in the final model", final))
    first, second = (
        draw_svg(
            name,
            f"Scatter plot: log2 p of {len(points)} marks {where} by round and seat; "
            f"{sum(point.log2_p <= threshold for point in points)} reach {threshold:g}",
            _scatter(points, rounds, seats, (low, threshold)),
        )
        for name, where, points in titles
    )
    return first, second


def _committed_marks(result: dict[str, Any]) -> Iterator[_Point]:
    for settled in result["rounds"]:
        for commitment in settled["commitments"]:
            for key in ("mark", "ownership_mark"):
                log2_p = float(commitment[key]["log2_p"])
                yield _Point(int(settled["round"]), int(commitment["seat"]), key == "mark", log2_p)


def _final_marks(result: dict[str, Any]) -> Iterator[_Point]:
    for mark in result["marks_in_final_model"]:
        progress = mark["purpose"] == "progress"
        yield _Point(int(mark["round"]), int(mark["seat"]), progress, float(mark["log2_p"]))


def _scatter(points: Sequence[_Point], rounds: int, seats: int, limits: tuple[float, float]) -> Callable[[Axes], None]:
    """Draws marks by round; a round's seats stand side by side, and of a seat progress before ownership."""
    low, threshold = limits

    def draw(axes: Axes) -> None:
        for seat, label, color in _seat_styles(seats):
            for progress in (True, False):
                chosen = [point for point in points if point.seat == seat and point.progress is progress]
                shift = (2 * seat + (not progress) + 0.5) / (2 * seats) - 0.5
                axes.plot(
                    [point.round + 0.75 * shift for point in chosen],
                    [point.log2_p for point in chosen],
                    linestyle="none",
                    marker=_SIGNS[seat % len(_SIGNS)],
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
        places = [int(settled["round"]) - 0.4 + width / 2 for settled in rounds]
        for seat, label, color in _seat_styles(seats):
            bars = [
                (place + seat * width, int(commitment["gas"]) / 1000)
                for place, settled in zip(places, rounds, strict=True)
                for commitment in settled["commitments"]
                if commitment["seat"] == seat
            ]
            axes.bar([x for x, _ in bars], [y for _, y in bars], 0.9 * width, color=color, label=label)
        accepts = [int(settled["gas_accept"]) / 1000 for settled in rounds]
        axes.bar([place + seats * width for place in places], accepts, 0.9 * width, color=_CONTROL, label="accept")
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
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - slow to import

    axes.set_xlim(-0.5, max(rounds, 1) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, loc="outside upper left", ncols=5, handletextpad=0.4, columnspacing=1.2)
