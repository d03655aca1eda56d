"""The group ``clicooper evaluate``: attacks on privacy and on marks, run by the parties themselves."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from clicooper.attacks.marks.evaluation import evaluate_marks
from clicooper.attacks.privacy.grids import evaluate_grids, make_grid
from clicooper.cli.output import finish, output_of
from clicooper.cli.session import settings
from clicooper.errors import UsageError
from clicooper.privacy.release import Mechanism
from clicooper.reports.evaluation import join, render_evaluation
from clicooper.reports.marks_page import render_marks_report
from clicooper.reports.marks_result import marks_result, print_marks
from clicooper.reports.page import write_page
from clicooper.reports.privacy_page import render_privacy_report
from clicooper.reports.privacy_result import privacy_result
from clicooper.reports.privacy_tables import print_privacy

__all__ = ["app"]

EPSILONS = (1.0, 2.0, 4.0, 8.0)
SHAPES = tuple((gamma, group) for gamma in (4, 16, 64) for group in (1, 4))
"""The grid that ``evaluate privacy`` has by default."""

_MECHANISMS: tuple[Mechanism, ...] = ("gaussian", "privunit")

app = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    help="Attack what a job publishes, before and after you trust it.",
)

Data = Annotated[
    str | None, typer.Option("--data", help="digits, an .npz file, CIFAR binary files, or an image folder.")
]


@app.command("privacy", short_help="Attack a release; find the epsilon that is worth it.")
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
    here, and which epsilon to choose, if any. Nothing is published. Finished cells are kept under --home; run the
    command again to go on where it stopped.
    """
    kinds: list[str | None] = [*head] if head else [None]
    configured = [settings(context, label_epsilon=label_epsilon, head=kind) for kind in kinds]
    noise = _numbers("--epsilons", epsilons, float)
    shapes = tuple(product(_numbers("--gammas", gammas, int), _numbers("--groups", groups, int)))
    grids = [
        make_grid(one.job, source, seeds, noise, shapes, hiding, mechanism)
        for source in data or [configured[0].data]
        for one in configured
        for mechanism in _known_mechanisms(mechanisms)
    ]
    with output_of(context).progress() as progress:
        found = evaluate_grids(grids, configured[0].home, progress)
    result = privacy_result(found)
    if report is not None:
        write_page(report, render_privacy_report(result, found.points))
    return finish(context, result, lambda console: print_privacy(console, result, found.points, report))


def _known_mechanisms(text: str) -> list[Mechanism]:
    """The mechanisms named, in their order."""
    named = [part.strip() for part in text.split(",") if part.strip()]
    found: list[Mechanism] = [known for name in named for known in _MECHANISMS if known == name]
    if not named or len(found) != len(named):
        raise UsageError(f"--mechanisms {text}: no such mechanism", hint="gaussian, privunit, or gaussian,privunit")
    return list(dict.fromkeys(found))


def _numbers(option: str, text: str, kind: type) -> tuple[Any, ...]:
    """Different numbers above 0 from text such as ``1,2,4``, in ascending order."""
    try:
        found = sorted({kind(part) for part in text.split(",") if part.strip()})
    except ValueError:
        found = []
    if not found or not 0 < found[0] <= found[-1] < float("inf"):
        raise UsageError(f"{option} {text!r} is not a list of numbers above 0", hint=f"such as {option} 1,2,4")
    return tuple(found)


@app.command("marks", short_help="Remove or forge watermarks.")
def marks(
    context: typer.Context,
    data: Data = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="Attack this finished run folder.  [default: jobs of its own]")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Jobs, or with --run attackers, that rows average over.")] = 3,
    report: Annotated[Path | None, typer.Option("--report", help="Also write the tables as an HTML page.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run this attack alone, or 'forgery'; may be given again.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again, without the outcomes of earlier calls.")] = False,
    trust_model: Annotated[
        list[str] | None, typer.Option("--trust-model", help="A custom model whose code may run here.")
    ] = None,
) -> int:
    """Attacks the marks of finished jobs: some sixty ways to remove them, and eight to forge a claim.

    Takes some minutes a seed. Every outcome is kept under --home, so an interrupted evaluation goes on where it was.
    """
    config = settings(context, data=data)
    if seeds < 1:
        raise UsageError(f"--seeds {seeds}: nothing to average", hint="give at least 1; 5 for intervals worth reading")
    chosen, trusted = frozenset(only or ()), frozenset(trust_model or ())
    with output_of(context).progress() as progress:
        summary = evaluate_marks(config.job, config.home, seeds, progress, run, chosen, trusted, fresh=fresh)
    result = marks_result(summary)
    if report is not None:
        write_page(report, render_marks_report(result))
    return finish(context, result, lambda console: print_marks(console, result), result["code"])


@app.command("all", short_help="Both, in one page and one JSON object.")
def everything(
    context: typer.Context,
    data: Data = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=1000, help="Repetitions, all drawn anew.")] = 3,
    report: Annotated[Path | None, typer.Option("--report", help="Also write everything as one HTML file.")] = None,
) -> int:
    """Attacks a release before it is made, then the marks of finished jobs, all with their defaults.

    Takes long; what is finished is kept under --home, and another call goes on where this one stopped.
    """
    config = settings(context, data=data)
    with output_of(context).progress() as progress:
        grid = make_grid(config.job, config.data, seeds, EPSILONS, SHAPES, hiding=True)
        found = evaluate_grids([grid], config.home, progress)
        summary = evaluate_marks(config.job, config.home, seeds, progress)
    on_privacy, on_marks = privacy_result(found), marks_result(summary)
    if report is not None:
        write_page(report, render_evaluation(on_privacy, found.points, on_marks))
    result = join(on_privacy, on_marks)

    def show(console: Console) -> None:
        print_privacy(console, on_privacy, found.points, None)
        print_marks(console, on_marks)

    return finish(context, result, show, result["code"])
