"""The tables that ``clicooper demo`` prints for people; they fit a terminal of 80 columns."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from typing import Any

from rich.console import Console
from rich.text import Text

from clicooper.reports.tables import coin, print_lines, table

__all__ = ["ACCURACIES", "print_demo"]

ACCURACIES = (
    ("protected", "protected", "protected, contrastive readout after the last marks"),
    ("protected_naive_readout", "protected, naive readout", "protected, naive readout"),
    ("unprotected", "unprotected", "unprotected: same model, clean activations, true labels"),
    ("head_only", "head only", "control: the owner's head and its own labelled records"),
    ("release_only", "release only", "control: the release alone, no trainers"),
    ("chance", "chance", "control: chance"),
)
"""What was measured: its name in the result, in a plot and in a table."""


def print_demo(console: Console, result: dict[str, Any]) -> None:
    """Rounds, accuracy, privacy, marks and verdict of a demo."""
    _print_rounds(console, result)
    _print_accuracy(console, result["accuracy"])
    _print_privacy(console, result["privacy"])
    _print_audit(console, result)


def _print_rounds(console: Console, result: dict[str, Any]) -> None:
    rows = table(
        f"Job {result['job']} on chain {result['chain_id']}, contract {result['contract']}",
        *("round", "seat", "manifest", "head", "gas", "mark bits", "by chance", "paid"),
        numeric=("round", "seat", "gas", "mark bits", "by chance", "paid"),
    )
    for settled in result["rounds"]:
        paid = settled["paid_wei"] // len(settled["commitments"])
        for commitment in settled["commitments"]:
            mark = commitment["mark"]
            rows.add_row(
                str(settled["round"]) if commitment["seat"] == 0 else "",
                str(commitment["seat"]),
                f"…{commitment['manifest'][-8:]}",
                f"{commitment['head'][:10]}…",
                f"{commitment['gas']:,}",
                f"{mark['matched']}/{mark['bits']}",
                f"2^{mark['log2_p']:.0f}",
                coin(paid),
            )
    console.print(rows)


def _print_accuracy(console: Console, accuracy: dict[str, Any]) -> None:
    rows = [(words, f"{accuracy[name]:.3f}") for name, _, words in ACCURACIES]
    title = f"Accuracy on {accuracy['test_records']} test records"
    console.print(table(title, "measured", "accuracy", numeric=("accuracy",), rows=rows))
    _print_indented(console, accuracy["in_words"])
    if accuracy["doubt"]:
        _print_indented(console, accuracy["doubt"])
    console.print()


def _print_privacy(console: Console, privacy: dict[str, Any]) -> None:
    console.print("Privacy", style="bold")
    for line in privacy["text"].splitlines():
        _print_indented(console, line)
    _print_indented(console, privacy["label_map"]["in_words"])
    console.print()
    if privacy["measured"]:
        _print_measured(console, privacy["measured"])


def _print_measured(console: Console, measured: dict[str, Any]) -> None:
    """What is known of this setting: the row of docs/privacy.md that belongs to it."""
    title = f"The same setting under attack, {measured['seeds']} seeds, ± standard error"
    rows = [(figure["words"], figure["cell"]) for figure in measured["figures"]]
    console.print(table(title, "figure", "measured", numeric=("measured",), rows=rows))
    _print_indented(console, measured["in_words"])
    console.print()


def _print_audit(console: Console, result: dict[str, Any]) -> None:
    audit, marks = result["audit"], result["marks_in_final_model"]
    found = sum(mark["log2_p"] <= -64 for mark in marks)
    claims = audit["passed"] + audit["failed"] + audit["inconclusive"]
    color = "green" if audit["verdict"] == "pass" else "bold red"
    exceptions = [f"{audit[name]} {name}" for name in ("failed", "inconclusive") if audit[name]]
    console.print("Audit", style="bold")
    _print_indented(console, f"{found} of {len(marks)} marks of all rounds found in the final model, at 2^-64")
    _print_indented(
        console, ", ".join([f"{audit['passed']} of {claims} claims hold, from the artifacts alone", *exceptions])
    )
    console.print(Text.assemble(" verdict: ", (audit["verdict"], color)))
    console.print()
    console.print(f"{result['seconds']:.0f} s, {result['peak_rss_mib']:.0f} MiB", style="dim")
    replay = f"{_command()} {shlex.join(result['replay'])}"
    print_lines(console, f"Report: {result['run_dir']}/report.html", f"Replay: {replay}")


def _command() -> str:
    """How the user can call this program again: by name where the shell finds it, else by the path just used."""
    return "clicooper" if shutil.which("clicooper") else shlex.quote(sys.argv[0])


def _print_indented(console: Console, text: str) -> None:
    """A paragraph in line with the tables' cells, its further lines indented once more."""
    for line in textwrap.wrap(text, console.width - 1, initial_indent=" ", subsequent_indent="   "):
        console.print(line, markup=False)
