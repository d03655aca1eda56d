"""``clicooper demo``: the whole job in one process, on real handwritten digits."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli.output import Output

if TYPE_CHECKING:
    from clicooper.access.grants import AuditKeys
    from clicooper.chain.rpc.node import Node
    from clicooper.config import Settings
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
        str | None, typer.Option("--model", help="mlp, cnn, resnet18 or package.module:function.  [default: mlp]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder to create.  [default: next free one under --home]")
    ] = None,
) -> int:
    """Runs a whole job: a data owner hires trainers, every round is trained, marked, committed, verified and paid.

    Then the history is audited from its artifacts. Writes a run folder with the record, the artifacts and a report.
    """
    from clicooper.config import load_config  # noqa: PLC0415 - keeps --help fast
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    output: Output = context.obj["output"]
    config = load_config(
        **context.obj["settings"],
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
    folder = RunFolder.create(out) if out is not None else RunFolder.create_next(config.home / "runs")
    with _kept_once_begun(folder):
        result = run_demo(config, folder, output)
    from clicooper.reports.demo_tables import print_demo  # noqa: PLC0415

    output.finish(result, lambda console: print_demo(console, result))
    return int(result["code"])


def run_demo(config: Settings, folder: RunFolder, output: Output) -> dict[str, Any]:
    """Runs the job, audits it, measures it, and fills the run folder.

    Raises:
        StorageError: an IPFS node is still without some artifacts; the run folder is complete all the same.
    """
    from clicooper.audit.auditor import audit_record  # noqa: PLC0415 - torch and the EVM are slow to import
    from clicooper.chain.record import write_record  # noqa: PLC0415
    from clicooper.cli.stores import open_store, send_pending  # noqa: PLC0415
    from clicooper.protocol.evaluation import final_states, measure_accuracy, read_final_marks  # noqa: PLC0415
    from clicooper.protocol.job import JobParties, finish_job, open_job, run_rounds  # noqa: PLC0415
    from clicooper.reports.demo_page import write_demo_report  # noqa: PLC0415
    from clicooper.reports.demo_result import demo_result  # noqa: PLC0415
    from clicooper.storage.pins.node_pins import pin_on_node  # noqa: PLC0415
    from clicooper.storage.pins.pin_sets import PinSets  # noqa: PLC0415
    from clicooper.types import Verdict  # noqa: PLC0415

    started = time.perf_counter()
    store = open_store(config, folder.store)
    parties = JobParties.drawn(config.job)
    with output.progress() as progress, _connected(config.network_url) as node:
        progress("preparing the job", 0, 0)
        opened = open_job(config.job, parties, node, store, folder)
        rounds = run_rounds(opened, progress)
        record = finish_job(opened, parties)
        write_record(folder.record, record)

        keys = opened.owner.keys()
        _write_grants(folder, keys)
        audit = audit_record(
            record,
            store,
            keys,
            trusted_models={config.model},
            progress=lambda what, done, total: progress(f"auditing: {what}", done, total),
        )

        if audit.verdict is Verdict.PASS:
            opened.owner.retention.record_audit(rounds[-1].head)

        progress("measuring accuracy", 0, 0)
        prepared = opened.owner.prepared
        states = final_states(opened.owner.artifacts())
        accuracy = measure_accuracy(prepared, states)
        progress("reading the marks", 0, 0)
        marks = read_final_marks(
            rounds, states, prepared.mark_params, lambda round_, seat: parties.mark_keys(seat, opened.job, round_)
        )
    result = demo_result(folder.root, opened, rounds, accuracy, marks, audit)
    result |= {"seconds": round(time.perf_counter() - started, 2), "peak_rss_mib": peak_rss_mib()}
    folder.write("report.json", json.dumps(result, indent=2, allow_nan=False).encode() + b"\n")
    write_demo_report(folder.root / "report.html", result, [list(settled.losses) for settled in rounds])
    folder.finish()
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


def _connected(network: str) -> Node:
    from clicooper.chain.rpc.node import Node  # noqa: PLC0415 - the EVM is slow to import

    return Node.embedded() if network == "embedded" else Node.connect(network)


def _write_grants(folder: RunFolder, keys: AuditKeys) -> None:
    """Grants everything to a throw-away auditor, whose identity lies beside."""
    from clicooper.access.grants import IDENTITY_NAME, write_grants  # noqa: PLC0415
    from clicooper.access.sealing import new_identity  # noqa: PLC0415
    from clicooper.files import write_secret  # noqa: PLC0415

    identity, recipient = new_identity()
    write_secret(folder.auditor / IDENTITY_NAME, identity.encode() + b"\n")
    write_grants(folder.auditor, keys, recipient)


def peak_rss_mib() -> float:
    """Largest resident set of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
