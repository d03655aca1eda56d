"""``clicooper evaluate privacy``: the strongest attacks on the owner's own records, before anything is released."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli.output import Output, Show
from clicooper.errors import UsageError

if TYPE_CHECKING:
    from clicooper.attacks.privacy.frontier import Grid, Point, Trials
    from clicooper.config import Settings
    from clicooper.privacy.release import Mechanism

__all__ = ["evaluate_grids", "make_grid", "privacy"]

_KNOWN: tuple[Mechanism, ...] = ("gaussian", "privunit")

SHELF = "evaluations"
"""Folder of finished trials under the home folder."""

WARNING = (
    "These figures were measured on the records themselves: no epsilon covers them, nor a choice made by them. "
    "Keep them to yourself, or choose on records that are public."
)


def privacy(
    context: typer.Context,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", help="digits, pairs, halves, an .npz file, CIFAR binary files, or an image folder; repeatable."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=1000, help="Repetitions, all drawn anew.")] = 3,
    epsilons: Annotated[str, typer.Option("--epsilons", help="Privacy of the release, several.")] = "1,2,4,8",
    gammas: Annotated[str, typer.Option("--gammas", help="Pseudo-labels per class, several.")] = "4,16,64",
    groups: Annotated[str, typer.Option("--groups", help="Records in a released row, several.")] = "1,4",
    head: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            help="disjoint, random, dp-sgd (half of epsilon) or a .safetensors file; repeatable.  [default: disjoint]",
        ),
    ] = None,
    label_epsilon: Annotated[
        float | None,
        typer.Option("--label-epsilon", help="Privacy of one record's label.  [default: none]"),
    ] = None,
    mechanisms: Annotated[
        str, typer.Option("--mechanisms", help="gaussian, privunit, or both with a comma between them.")
    ] = "gaussian,privunit",
    hiding: Annotated[
        bool, typer.Option("--hiding/--no-hiding", help="Also gamma and group that hide the label map, by rule.")
    ] = True,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write table, frontier and recommendation as one HTML file.")
    ] = None,
) -> int:
    """Makes releases in memory, trains on them, and attacks them with everything that is known to work.

    Prints every figure beside its floor and control, the frontier over epsilon, the paper's claims beside what is found
    here, and which epsilon to choose, if any. Nothing is published. Finished trials are kept under --home; run the
    command again to go on where it stopped.
    """
    from clicooper.cli import session  # noqa: PLC0415

    kinds: list[str | None] = [*head] if head else [None]
    configured = [session.settings(context, label_epsilon=label_epsilon, head=kind) for kind in kinds]
    config, output = configured[0], _output(context)
    noise = _numbers("--epsilons", epsilons, float)
    sizes = _numbers("--gammas", gammas, int), _numbers("--groups", groups, int)
    grids = [
        make_grid(one, source, seeds, noise, tuple(product(*sizes)), hiding, mechanism)
        for source in data or [config.data]
        for one in configured
        for mechanism in _mechanisms(mechanisms)
    ]
    with output.progress() as progress:
        result, points = evaluate_grids(config, grids, progress)
    if report is not None:
        from clicooper.reports.privacy_page import write_privacy_report  # noqa: PLC0415 - matplotlib is slow to import

        write_privacy_report(report, result, points)
    from clicooper.reports.privacy_tables import print_privacy  # noqa: PLC0415

    output.finish(result, lambda console: print_privacy(console, result, points, report))
    return 0


def evaluate_grids(config: Settings, grids: Sequence[Grid], progress: Show) -> tuple[dict[str, Any], tuple[Point, ...]]:
    """Evaluates grids, each of one data set and mechanism; the command's result object, and the points behind it."""
    from clicooper.attacks.privacy.frontier import evaluate_grid, recommend  # noqa: PLC0415 - torch is slow to import
    from clicooper.attacks.privacy.results_cache import ResultsCache  # noqa: PLC0415

    started = time.perf_counter()
    cache = ResultsCache(config.home / SHELF)
    trials = [evaluate_grid(grid, cache, progress) for grid in grids]
    points = tuple(point for found in trials for point in found.points)
    by_source = {
        (source, kind): [point for point in points if (point.source, point.head) == (source, kind)]
        for source, kind in dict.fromkeys((grid.config.data, grid.config.head) for grid in grids)
    }
    result = {
        "ok": True,
        "code": 0,
        "seeds": grids[0].seeds,
        "rows": [row for point in points for row in _rows(point)],
        "claims": _claims(trials),
        "recommendations": [
            {"data": found[0].source, "title": found[0].title, "lines": recommend(found)}
            for found in by_source.values()
        ],
        "impossible": [words for found in trials for words in found.impossible],
        "warning": WARNING,
        "seconds": round(time.perf_counter() - started, 2),
    }
    return result, points


def _output(context: typer.Context) -> Output:
    output: Output = context.obj["output"]
    return output


def make_grid(
    config: Settings,
    source: str,
    seeds: int,
    epsilons: tuple[float, ...],
    shapes: tuple[tuple[int, int], ...],
    hiding: bool,
    mechanism: Mechanism = "gaussian",
) -> Grid:
    """A grid that trains and divides its records as a job of this configuration does."""
    from clicooper.attacks.privacy.frontier import Grid  # noqa: PLC0415

    job = config.job.model_copy(update={"data": source, "mechanism": mechanism})
    return Grid(job, epsilons, shapes, seeds, hiding)


def _mechanisms(text: str) -> list[Mechanism]:
    """The mechanisms named, in their order.

    Raises:
        UsageError: a name that is none, or no name.
    """
    named = [part.strip() for part in text.split(",") if part.strip()]
    found: list[Mechanism] = [known for name in named for known in _KNOWN if known == name]
    if not named or len(found) != len(named):
        raise UsageError(f"--mechanisms {text}: no such mechanism", hint="gaussian, privunit, or gaussian,privunit")
    return list(dict.fromkeys(found))


def _rows(point: Point) -> list[dict[str, Any]]:
    from clicooper.attacks.privacy.catalogue import CATALOGUE  # noqa: PLC0415
    from clicooper.config import DISJOINT  # noqa: PLC0415

    setting: dict[str, Any] = {
        "data": point.source,
        "epsilon": point.epsilon,
        "gamma": point.gamma,
        "group": point.group,
        "mechanism": point.mechanism,
    }
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


def _claims(trials: list[Trials]) -> list[dict[str, str]]:
    """The paper's claims at the settings of its epsilon, 2; where there is none, at the nearest epsilon measured."""
    from dataclasses import asdict  # noqa: PLC0415

    from clicooper.attacks.privacy.paper import compare_with_paper  # noqa: PLC0415

    claims = []
    for found in trials:
        nearest = min((point.epsilon for point in found.points), key=lambda epsilon: abs(epsilon - 2))
        for point in found.points:
            if point.epsilon == nearest:
                claims += [asdict(claim) for claim in compare_with_paper(point)]
    return claims


def _numbers(option: str, text: str, kind: type) -> tuple[Any, ...]:
    """Different numbers above 0 from text such as ``1,2,4``, in ascending order."""
    try:
        found = sorted({kind(part) for part in text.split(",") if part.strip()})
    except ValueError:
        found = []
    if not found or not 0 < found[0] <= found[-1] < float("inf"):
        raise UsageError(f"{option} {text!r} is not a list of numbers above 0", hint=f"such as {option} 1,2,4")
    return tuple(found)
