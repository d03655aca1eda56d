"""The tables that ``clicooper demo`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clicooper.cli.output import table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_demo"]

ACCURACIES = (
    ("protected", "protected, contrastive readout after the last marks"),
    ("protected_naive_readout", "protected, naive readout"),
    ("unprotected", "unprotected: same model, clean activations, true labels"),
    ("head_only", "control: the owner's head and its own labelled records"),
    ("release_only", "control: the release alone, no trainers"),
    ("chance", "control: chance"),
)


def print_demo(console: Console, result: dict[str, Any]) -> None:
    """Rounds, accuracy, privacy, marks and verdict of a demo."""
    _print_rounds(console, result)
    _print_accuracy(console, result["accuracy"])
    console.print("Privacy", style="bold")
    console.print(result["privacy"]["text"], markup=False)
    console.print()
    _print_audit(console, result)


def _print_rounds(console: Console, result: dict[str, Any]) -> None:
    columns = ("round", "seat", "manifest", "head", "gas", "mark bits", "log2 p", "paid")
    rows = table(
        f"Job {result['job']} on chain {result['chain_id']}, contract {result['contract']}",
        *columns,
        numeric=("round", "seat", "gas", "mark bits", "log2 p", "paid"),
    )
    for settled in result["rounds"]:
        paid = settled["paid_wei"] // len(settled["commitments"])
        for commitment in settled["commitments"]:
            mark = commitment["mark"]
            rows.add_row(
                str(settled["round"]),
                str(commitment["seat"]),
                f"{commitment['manifest'][:8]}…{commitment['manifest'][-6:]}",
                f"{commitment['head'][:10]}…",
                f"{commitment['gas']:,}",
                f"{mark['matched']}/{mark['bits']}",
                f"{mark['log2_p']:.0f}",
                f"{paid:,} wei",
            )
    console.print(rows)


def _print_accuracy(console: Console, accuracy: dict[str, Any]) -> None:
    rows = table(f"Accuracy on {accuracy['test_records']} test records", "measured", "accuracy", numeric=("accuracy",))
    for name, words in ACCURACIES:
        rows.add_row(words, f"{accuracy[name]:.3f}")
    console.print(rows)
    console.print(accuracy["in_words"], markup=False)
    if not accuracy["conclusive"]:
        console.print("The readout is inconclusive: more draws still change its predictions.")
    console.print()


def _print_audit(console: Console, result: dict[str, Any]) -> None:
    audit, marks = result["audit"], result["marks_in_final_model"]
    found = sum(mark["log2_p"] <= -64 for mark in marks)
    console.print(f"Marks of all rounds found in the final model at 2^-64: {found} of {len(marks)}")
    color = "green" if audit["verdict"] == "pass" else "bold red"
    console.print(
        f"Audit from the artifacts alone: [{color}]{audit['verdict']}[/], "
        f"{audit['passed']} claims passed, {audit['failed']} failed, {audit['inconclusive']} inconclusive"
    )
    console.print(f"{result['seconds']:.0f} s, {result['peak_rss_mib']:.0f} MiB; everything is in {result['run_dir']}")
    console.print(f"Replay it yourself: clicooper audit {result['run_dir']}", markup=False, soft_wrap=True)
