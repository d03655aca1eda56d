"""How a plot is drawn: as an SVG element in the colours of its page, of numbers and the program's own words alone."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from clicooper.extras import extra
from clicooper.reports.page import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SERIES", "SIGNS", "draw_loss", "draw_svg", "require_plots"]

SERIES = tuple(light for name, (light, _) in PALETTE.items() if name.startswith("series-"))
"""The colours of data in a plot."""

SIGNS = "osDv^P>X"
"""The markers of data in a plot, so that lines differ by more than colour."""

_MANY_ROUNDS = 12
_MUTED = PALETTE["muted"][0]
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def require_plots() -> None:
    """Call before long work whose report has plots.

    Raises:
        UsageError: the library that draws is not installed.
    """
    with extra("report"):
        import matplotlib  # noqa: F401, PLC0415 - an extra


def draw_loss(losses: Mapping[int, Sequence[tuple[int, float]]]) -> Markup:
    """Training loss against the step, rounds in a row.

    Args:
        losses: by round, step and loss in nats of every step that is known.
    """

    def draw(axes: Axes) -> None:
        start, top = 0, axes.get_xaxis_transform()
        for round_, steps in sorted(losses.items()):
            at = [start + step for step, _ in steps]
            is_sparse = len(at) < 2 or max(at) - min(at) >= len(at)
            axes.plot(at, [loss for _, loss in steps], "o" if is_sparse else "-", color=SERIES[0], markersize=2.5)
            axes.axvline(start, color=_MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
            if len(losses) <= _MANY_ROUNDS:
                axes.text(start, 1.02, f" round {round_}", transform=top, color=_MUTED, fontsize=8.5)
            start = max([start - 1, *at]) + 1
        axes.set(xlabel="step over all rounds", ylabel="loss (nats)", xlim=(0, max(start - 1, 1)))
        axes.set_ylim(bottom=0)

    return draw_svg("loss", f"Line plot: training loss against the step, in {len(losses)} rounds", draw)


def draw_svg(
    name: str, alt: str, draw: Callable[[Axes], None], *, width_in: float = 4.7, height_in: float = 2.8
) -> Markup:
    """Draws one plot and returns it as an element for a page.

    Text stays text, colours of ``PALETTE`` follow the page's scheme, and identifiers start with ``name``.

    Args:
        name: unique in its page, lower-case letters and hyphens.
        alt: what the plot shows, for those who cannot see it.
        draw: draws on the axes that it is given; any text it adds must be the program's own.
        width_in, height_in: size in inches at which fonts are 9 points; the page scales it.
    """
    with extra("report"):
        from matplotlib import style  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415

    buffer = io.StringIO()
    with style.context(["default", _plot_style(name)]):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        draw(figure.subplots())
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA, transparent=True)
    return _embed(name, alt, buffer.getvalue())


def _plot_style(name: str) -> dict[str, object]:
    ink, muted, line = (PALETTE[color][0] for color in ("ink", "muted", "line"))
    return {
        "svg.hashsalt": f"clicooper {name}",
        "svg.fonttype": "none",
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "text.color": ink,
        "axes.labelcolor": muted,
        "axes.edgecolor": line,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "xtick.color": line,
        "ytick.color": line,
        "xtick.labelcolor": muted,
        "ytick.labelcolor": muted,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
    }


def _embed(name: str, alt: str, document: str) -> Markup:
    """An SVG document as an HTML element: no prolog, size or global style, identifiers and colours of the page."""
    box = re.search(r'viewBox="([^"]*)"', document)
    body = document[document.index(">", document.index("<svg")) + 1 :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*|<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body).replace('xlink:href="#', f'href="#{name}-')
    for color, (light, _) in PALETTE.items():
        body = body.replace(light, f"var(--{color})")
    opening = Markup('<svg class="plot" role="img" aria-label="{}" viewBox="{}">').format(alt, box[1] if box else "")
    return opening + Markup(body.strip())  # noqa: S704 - made here, from text of the program alone
