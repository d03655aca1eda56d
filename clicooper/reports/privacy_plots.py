"""The plots of an evaluation's report: figures against epsilon, one line for each gamma and group size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from clicooper.attacks.privacy.frontier import Point
from clicooper.reports.page import PALETTE
from clicooper.reports.plots import SERIES, SIGNS, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CHARTS", "draw_frontier"]

CHARTS = (
    (
        "accuracy.protected",
        "Accuracy of the trained model",
        (("accuracy.unprotected", "unprotected"), ("accuracy.head_only", "head only")),
    ),
    ("accuracy.release_only", "Accuracy of the release alone, no trainers", (("accuracy.head_only", "head only"),)),
    ("grouping.oracle", "Adjusted Rand index of the oracle", ()),
    ("inversion.network", "SSIM of the decoder, in excess of its floor", ()),
    ("extraction.ten_shot", "Accuracy of the stolen segments, ten examples a class", (("own", "examples alone"),)),
)
"""Plots: figure, caption, and the flat lines to compare it with."""

_CONTROL = PALETTE["control"][0]


def draw_frontier(name: str, caption: str, controls: Sequence[tuple[str, str]], points: Sequence[Point]) -> Markup:
    """One figure of one data set against epsilon, with two standard errors.

    Args:
        controls: figures that do not depend on epsilon, drawn as level lines; ``own`` is the figure's own control.
    """
    lines = list(_lines(name, points))

    def draw(axes: Axes) -> None:
        for number, (words, chosen) in enumerate(lines):
            axes.errorbar(
                [point.epsilon for point in chosen],
                [point.row(name).value for point in chosen],
                yerr=[2 * point.row(name).error for point in chosen],
                color=SERIES[number % len(SERIES)],
                marker=SIGNS[number % len(SIGNS)],
                markersize=4,
                linewidth=1.3,
                capsize=2,
                label=words,
            )
        for style, (control, words) in zip(((0, (4, 3)), (0, (1, 2))), controls, strict=False):
            axes.axhline(_level(name, control, points), color=_CONTROL, linewidth=1.2, linestyle=style, label=words)
        axes.set_xscale("log", base=2)
        ticks = sorted({point.epsilon for point in points})
        axes.set_xticks(ticks, [f"{epsilon:g}" for epsilon in ticks])
        axes.minorticks_off()
        axes.set(xlabel="epsilon", ylim=(min(-0.05, axes.get_ylim()[0]), 1.05))
        axes.figure.legend(loc="outside upper left", ncols=3, handletextpad=0.4, columnspacing=1.2)

    source = _slug(points[0].title)
    return draw_svg(f"{name.replace('.', '-').replace('_', '-')}-{source}", f"{caption} against epsilon", draw)


def _lines(name: str, points: Sequence[Point]) -> Iterator[tuple[str, list[Point]]]:
    """One line a shape; shapes that were measured at one epsilon only are those of the rule, and share a line."""
    present = sorted((point for point in points if point.has(name)), key=lambda point: point.epsilon)
    by_shape: dict[tuple[int, int, str], list[Point]] = {}
    for point in present:
        by_shape.setdefault((point.gamma, point.group, point.mechanism), []).append(point)
    several = len({point.epsilon for point in present}) > 1
    for (gamma, group, mechanism), chosen in sorted(by_shape.items()):
        if not several or len(chosen) > 1:
            yield f"gamma {gamma}, " + (f"b {group}" if mechanism == "gaussian" else "PrivUnit"), chosen
    ruled = [chosen[0] for chosen in by_shape.values() if several and len(chosen) == 1]
    for mechanism, words in (("gaussian", "map hidden, by rule"), ("privunit", "map hidden, PrivUnit")):
        line = [point for point in ruled if point.mechanism == mechanism]
        if line:
            yield words, sorted(line, key=lambda point: point.epsilon)


def _level(name: str, control: str, points: Sequence[Point]) -> float:
    if control == "own":
        values = [point.row(name).control or 0.0 for point in points]
    else:
        values = [point.row(control).value for point in points]
    return sum(values) / len(values)


def _slug(source: str) -> str:
    """A data set's name as part of an identifier; a path has characters that an identifier may not have."""
    return "".join(character for character in source.lower() if character.isascii() and character.isalnum())[-24:]
