"""``clicooper demo``: the whole job in one process, on real handwritten digits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from clicooper.cli.output import finish, output_of
from clicooper.cli.session import connected, settings
from clicooper.config import Settings
from clicooper.protocol.whole_job import run_whole_job
from clicooper.reports.demo_page import render_demo_report
from clicooper.reports.demo_result import demo_result
from clicooper.reports.demo_tables import print_demo
from clicooper.reports.page import write_page
from clicooper.reports.plots import require_plots
from clicooper.storage.open_store import open_store, send_pending
from clicooper.storage.pins.node_pins import pin_on_node
from clicooper.storage.pins.pin_sets import PinSets
from clicooper.storage.run_folder import RunFolder

__all__ = ["demo"]


def demo(
    context: typer.Context,
    rounds: Annotated[int | None, typer.Option("--rounds", help="Rounds of training.  [default: 3]")] = None,
    trainers: Annotated[int | None, typer.Option("--trainers", help="Trainers, 2 to 32.  [default: 3]")] = None,
    epsilon: Annotated[float | None, typer.Option("--epsilon", help="Privacy of one record.  [default: 2]")] = None,
    head: Annotated[
        str | None,
        typer.Option("--head", help="disjoint, random, dp-sgd, or a .safetensors file.  [default: disjoint]"),
    ] = None,
    gamma: Annotated[int | None, typer.Option("--gamma", help="Pseudo-labels per class.  [default: 4]")] = None,
    mechanism: Annotated[
        str | None, typer.Option("--mechanism", help="What makes the noise: privunit or gaussian.  [default: privunit]")
    ] = None,
    group: Annotated[
        int | None, typer.Option("--group", help="Records in a row; above 1 for gaussian only.  [default: 1]")
    ] = None,
    label_epsilon: Annotated[
        float | None, typer.Option("--label-epsilon", help="Privacy of one record's label.  [default: none]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Repeatable run; INSECURE, since the seed fixes every secret.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="digits, an .npz file, CIFAR binary files, or an image folder.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="mlp, cnn, resnet18, vit or package.module:function.  [default: mlp]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder to create.  [default: next free one under --home]")
    ] = None,
) -> int:
    """Runs a whole job: a data owner hires trainers, every round is trained, marked, committed, verified and paid.

    Then the history is audited from its artifacts. Writes a run folder with the record, the artifacts and a report.
    """
    config = settings(
        context,
        rounds=rounds,
        trainers=trainers,
        epsilon=epsilon,
        head=head,
        gamma=gamma,
        mechanism=mechanism,
        group=group,
        label_epsilon=label_epsilon,
        seed=seed,
        data=data,
        model=model,
    )
    require_plots()
    folder = RunFolder.create(out) if out is not None else RunFolder.create_next(config.home / "runs")
    with _kept_once_begun(folder):
        result = _run(context, config, folder)
    return finish(context, result, lambda console: print_demo(console, result), result["code"])


def _run(context: typer.Context, config: Settings, folder: RunFolder) -> dict[str, Any]:
    started = time.perf_counter()
    store = open_store(config, folder.store)
    with output_of(context).progress() as progress, connected(config) as node:
        done = run_whole_job(config.job, node, store, folder, progress)
    result = demo_result(folder.root, done, time.perf_counter() - started)
    folder.write("report.json", json.dumps(result, indent=2, allow_nan=False).encode() + b"\n")
    write_page(folder.root / "report.html", render_demo_report(result, [settled.losses for settled in done.rounds]))
    folder.finish()
    # The folder is complete from here on, even where an IPFS node is still without some artifacts.
    send_pending(store)
    pin_on_node(store, PinSets(folder.pins))
    return result


@contextmanager
def _kept_once_begun(folder: RunFolder) -> Iterator[None]:
    """Takes the folder back where a run fails before anything was published: bad input leaves nothing behind."""
    try:
        yield
    except BaseException:
        if not folder.holds_keys:
            folder.discard()
        raise
