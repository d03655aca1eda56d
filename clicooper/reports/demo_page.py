"""The HTML report of a demo: what was run, what it showed, and how to replay it.

Job: choose and arrange what ``demo_result`` holds. Non-jobs: the plots (``demo_plots``), and how a page is framed,
escaped and written (``page``).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from clicooper.reports.demo_plots import draw_accuracy, draw_gas, draw_marks
from clicooper.reports.demo_tables import ACCURACIES
from clicooper.reports.page import render_page
from clicooper.reports.plots import draw_loss
from clicooper.watermark.detect import ACCEPT_LOG2_P

__all__ = ["render_demo_report"]


def render_demo_report(result: dict[str, Any], losses: Sequence[Sequence[float]]) -> str:
    """The report as an HTML document; equal input gives equal text.

    Args:
        result: the object of ``demo_result``.
        losses: for each round the training loss of every step, in nats.
    """
    marks_committed, marks_final = draw_marks(result, ACCEPT_LOG2_P)
    return render_page(
        "demo.html.j2",
        result=result,
        accuracies=ACCURACIES,
        threshold=ACCEPT_LOG2_P,
        found=sum(mark["log2_p"] <= ACCEPT_LOG2_P for mark in result["marks_in_final_model"]),
        commitments=sum(len(settled["commitments"]) for settled in result["rounds"]),
        privacy_lines=result["privacy"]["text"].splitlines(),
        command=shlex.join(["clicooper", *result["replay"]]),
        plots={
            "accuracy": draw_accuracy(result["accuracy"]),
            "loss": draw_loss({round_: tuple(enumerate(values)) for round_, values in enumerate(losses)}),
            "marks_committed": marks_committed,
            "marks_final": marks_final,
            "gas": draw_gas(result),
        },
    )
