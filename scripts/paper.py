"""Prints the paper's claims beside what is measured here, and writes the figures that docs/privacy.md quotes.

    make paper                      the table: digits and digit pairs, three seeds
    make paper ARGS=--frontier      also the frontier on digits, an owner with few labelled records, and randomised
                                    labels: much longer
    make paper ARGS='--frontier --write'    and puts all of it into docs/figures/privacy.md

Finished trials are kept in the home folder, so that a second run prints what the first one measured.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clicooper.attacks.privacy.catalogue import CATALOGUE
from clicooper.attacks.privacy.frontier import Grid, Point, beats_controls
from clicooper.attacks.privacy.grids import evaluate_grids, make_grid
from clicooper.config import Settings, load_config
from clicooper.privacy.release import Mechanism
from clicooper.reports.measured import MEASURED, measured_settings
from clicooper.reports.privacy_result import privacy_result
from clicooper.reports.privacy_tables import FRONTIER as FIGURES
from clicooper.reports.privacy_tables import LEAKS, WORTH, frontier_cells

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "figures" / "privacy.md"
SEEDS = 3
MECHANISMS: tuple[Mechanism, ...] = ("gaussian", "privunit")
PAPER = {"digits": ((4, 4), (16, 1), (64, 1)), "pairs": ((1, 5), (5, 1))}
"""Gamma and group size: what is easy to learn from, and what hides most, at the paper's epsilon."""

FEW_RECORDS = 40
"""Records of a head that is worth little by itself, so that training has something to add."""

LONGER = {"steps": 80, "learning_rate": 0.03}
"""Training that gets more out of pseudo-labels of one or two rows each; where there are more rows it changes little."""

FRONTIER = ((4, 4), (16, 1), (64, 1))

BELOW_FIVE_SEEDS = 5

HIDDEN = (1.0, 1.4, 1.8, 2.0)

NOISY_LABELS = (None, 4.0, 2.0)
"""Label epsilons; the first row is what they are to be compared with."""
NOISY_SHAPES: tuple[tuple[Mechanism, float, tuple[tuple[int, int], ...]], ...] = (
    ("privunit", 2.0, ((4, 1), (16, 1))),
    ("gaussian", 4.0, ((4, 4), (16, 4))),
)
NAMED = ("labels.named", "labels named")


def claims_table(result: dict[str, Any]) -> str:
    """The claims as Markdown."""
    lines = ["| claim | published | here | honest reading |", "|---|---|---|---|"]
    keys = ("claim", "published", "here", "honest_reading")
    lines += ["| " + " | ".join(claim[key] for key in keys) + " |" for claim in result["claims"]]
    return "\n".join(lines)


def frontier_table(points: Sequence[Point], columns: tuple[tuple[str, str], ...]) -> str:
    """Points and some of their figures as Markdown."""
    headings = ["ε", "γ", "b", *(words for _, words in columns)]
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for point in points:
        setting = [f"{point.epsilon:g}", *point.shape]
        lines.append("| " + " | ".join(setting + frontier_cells(point, columns)) + " |")
    return "\n".join(lines)


def noisy_labels_table(found: Sequence[tuple[str, Point]], columns: tuple[tuple[str, str], ...]) -> str:
    """Points by what their labels cost and by their loss, as Markdown."""
    headings = ["ε", "γ", "b", "label ε", "loss", *(words for _, words in columns)]
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for loss, point in found:
        cost = ("–", "") if point.label_epsilon is None else (f"{point.label_epsilon:g}", loss)
        trials = [f"{point.epsilon:g}", *point.shape, *cost, *frontier_cells(point, columns)]
        lines.append("| " + " | ".join(trials) + " |")
    return "\n".join(lines)


def advice(result: dict[str, Any]) -> str:
    """What follows, as Markdown."""
    found = result["recommendations"]
    return "\n".join(f"- {entry['data']}: {line}" for entry in found for line in entry["lines"])


def write_section(name: str, text: str) -> None:
    """Replaces what stands between the section's markers in the document."""
    document = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {name} -->\n)(?:.*?\n)??(<!-- /{name} -->)", flags=re.DOTALL)
    if not pattern.search(document):
        raise SystemExit(f"{DOCUMENT.name} has no section {name}")
    DOCUMENT.write_text(pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", document), encoding="utf-8")


def show(what: str, done: int, total: int) -> None:
    """Progress, one line a trial."""
    print(f"{done}/{total} {what}", file=sys.stderr, flush=True)


def measure(config: Settings, grids: Sequence[Grid]) -> tuple[dict[str, Any], tuple[Point, ...]]:
    """The result of some grids, and the points behind it."""
    found = evaluate_grids(grids, config.home, show)
    return privacy_result(found), found.points


def measured_record(config: Settings, points: Sequence[Point]) -> dict[str, Any]:
    """What ``measured.json`` holds: the settings, and the table row of the point that has them."""
    wanted = (config.data, config.epsilon, config.gamma, config.group, config.mechanism)
    point = next(p for p in points if (p.source, p.epsilon, p.gamma, p.group, p.mechanism) == wanted)
    cells = zip(FIGURES, frontier_cells(point), strict=True)
    return {
        "settings": measured_settings(config.job),
        "seeds": point.rows[0].seeds,
        "in_words": measured_in_words(point),
        "figures": [{"name": name, "words": CATALOGUE[name].words, "cell": cell} for (name, _), cell in cells],
    }


def measured_in_words(point: Point) -> str:
    """What a run says of its setting."""
    oracle, named = point.row("grouping.oracle"), point.row("grouping.oracle.named")
    paid = "above" if beats_controls(point) else "not above"
    return (
        f"An oracle that knows every record groups pseudo-labels with a Rand index of {oracle.value:.2f} and names "
        f"{100 * named.value:.0f} % of them, where chance names {100 * named.floor:.0f} %. Training is {paid} what "
        "needs no trainers."
    )


def paper(config: Settings) -> dict[str, str]:
    """The sections of the table."""
    grids = [
        make_grid(config.job, source, SEEDS, (2.0,), shapes, source == "digits", mechanism)
        for source, shapes in PAPER.items()
        for mechanism in MECHANISMS
    ]
    result, points = measure(config, grids)
    columns = WORTH + LEAKS
    by_source = [
        f"{source}:\n\n{frontier_table([point for point in points if point.source == source], columns)}"
        for source in PAPER
    ]
    if "--write" in sys.argv:
        record = measured_record(config, points)
        Path(str(MEASURED)).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return {"paper": claims_table(result), "paper-figures": "\n\n".join(by_source)}


def frontier(config: Settings) -> dict[str, str]:
    """The sections of the frontier."""
    epsilons = (1.0, 2.0, 4.0, 8.0)
    grids = [make_grid(config.job, "digits", SEEDS, epsilons, FRONTIER, True, mechanism) for mechanism in MECHANISMS]
    result, points = measure(config, grids)
    tables = f"{frontier_table(points, WORTH)}\n\n{frontier_table(points, LEAKS)}"
    return {"frontier": tables, "advice": advice(result)}


def few_records(config: Settings) -> dict[str, str]:
    """The section of an owner that has labelled few records: is training worth it there, and is its map hidden?"""
    poor = config.model_copy(update={"head_records": FEW_RECORDS})
    grids = [make_grid(poor.job, "digits", SEEDS, (2.0,), ((4, 16),), True, mechanism) for mechanism in MECHANISMS]
    result, points = measure(poor, grids)
    return {"few-records": f"{frontier_table(points, WORTH + LEAKS)}\n\n{advice(result)}"}


def hidden(config: Settings) -> dict[str, str]:
    """The section of hidden maps: how much accuracy is left where an oracle cannot group, if trainers train longer."""
    patient = config.model_copy(update=LONGER)
    grids = [make_grid(patient.job, "digits", SEEDS, HIDDEN, (), True, mechanism) for mechanism in MECHANISMS]
    _, points = measure(patient, grids)
    return {"hidden": f"{frontier_table(points, WORTH)}\n\n{frontier_table(points, LEAKS)}"}


def below_five(config: Settings) -> dict[str, str]:
    """The section of two classes that no plane parts, under a public head: where training pays."""
    patient = config.model_copy(update=LONGER)
    grid = make_grid(patient.job, "halves", BELOW_FIVE_SEEDS, (2.0, 4.0, 8.0), ((4, 1), (16, 1)), True, "privunit")
    result, points = measure(patient, [grid])
    tables = f"{frontier_table(points, WORTH)}\n\n{frontier_table(points, LEAKS)}"
    return {"halves": f"{tables}\n\n{advice(result)}"}


def noisy_labels(config: Settings) -> dict[str, str]:
    """The section of labels that went through randomised response: what it costs, and what it hides."""
    found: list[tuple[str, Point]] = []
    for mechanism, epsilon, shapes in NOISY_SHAPES:
        for label_epsilon in NOISY_LABELS:
            for loss in ("plain", "corrected"):
                if loss == "corrected" and (label_epsilon is None or mechanism == "gaussian"):
                    continue  # Rows of several records have nothing for the loss to correct.
                noisy = config.model_copy(update={"label_epsilon": label_epsilon, "label_loss": loss})
                grid = make_grid(noisy.job, "digits", SEEDS, (epsilon,), shapes, False, mechanism)
                found += [(loss, point) for point in measure(noisy, [grid])[1]]
    return {"noisy-labels": noisy_labels_table(found, (*WORTH[:3], *LEAKS[:2], NAMED))}


def main() -> None:
    """Measures what is missing, prints it, and writes it where it was asked for."""
    config = load_config()
    parts = [paper, hidden, frontier, below_five, few_records, noisy_labels] if "--frontier" in sys.argv else [paper]
    for part in parts:
        for name, text in part(config).items():
            print(f"\n{text}", flush=True)
            if "--write" in sys.argv:
                write_section(name, text)


if __name__ == "__main__":
    main()
