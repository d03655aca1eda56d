"""An audit's result in the terminal: checks, the tree of rounds and seats, what did not pass, the verdict."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from clicooper.audit.verdict import AuditReport, Branch, Check, combine, verdict_tree
from clicooper.reports.contradictions import list_contradictions, list_open_claims
from clicooper.reports.tables import print_lines, table
from clicooper.types import Verdict

__all__ = ["print_audit", "print_result"]

MOST_PASSED_ROUNDS = 12
"""Rounds that passed are named one by one up to so many."""


def print_result(console: Console, report: AuditReport, written: dict[str, Any]) -> None:
    """The audit, where its record is from, and the files that were written besides.

    Args:
        written: as ``audited.packed`` returns it, by kind.
    """
    print_audit(console, report)
    found = report.verified
    against = "not compared with a node" if found is None else f"verified against {found.source} at block {found.block}"
    print_lines(console, f"Record: from {report.source}, {against}")
    for one in written.values():
        print_lines(console, f"Bundle: {one['path']}" if one["path"] else f"No bundle was written: {one['why']}")


def print_audit(console: Console, report: AuditReport) -> None:
    """One line a check, the tree of rounds, what is contradicted or open, then the verdict."""
    by_check = {check: [row for row in report.results if row.check is check] for check in Check}
    checks = [(check.value, _colored(combine(rows)), str(len(rows))) for check, rows in by_check.items() if rows]
    console.print(table("Audit", "check", "verdict", "claims", numeric=("claims",), rows=checks))
    console.print(_tree(verdict_tree(report.results)))
    _print_reasons(console, report)
    replayed = report.replayed
    resumed = f", {report.resumed} of them before an interruption" if report.resumed else ""
    console.print(
        f"Replayed {replayed.intervals} intervals{resumed}, {replayed.steps} steps, {replayed.share:.0%} of the "
        f"training, in {report.seconds:.1f} s"
    )
    _print_sample(console, report)
    console.print("Verdict:", _colored(report.verdict))


def _tree(job: Branch) -> Tree:
    """Rounds and seats; what passed is not unfolded, and many rounds that passed are one line."""
    tree = Tree(_line(job))
    rounds = [branch for branch in job.branches if branch.level == "round"]
    passed = [branch for branch in rounds if branch.verdict is Verdict.PASS]
    if len(passed) > MOST_PASSED_ROUNDS:
        tree.add(Text.assemble(f"{len(passed)} rounds: ", _colored(Verdict.PASS)))
        rounds = [branch for branch in rounds if branch.verdict is not Verdict.PASS]
    for branch in (*(one for one in job.branches if one.level == "check"), *rounds):
        if branch.level == "round" or branch.verdict is not Verdict.PASS:
            _unfold(tree, branch)
    return tree


def _unfold(tree: Tree, branch: Branch) -> None:
    node = tree.add(_line(branch))
    for part in branch.branches:
        if part.level == "seat" or part.verdict is not Verdict.PASS:
            _unfold(node, part)


def _line(branch: Branch) -> Text:
    passed, failed, unknown = branch.counts
    parts = [f"{count} {word}" for count, word in ((failed, "failed"), (unknown, "open")) if count]
    claims = passed + failed + unknown
    return Text.assemble(f"{branch.name}: ", _colored(branch.verdict), f" ({', '.join([f'{claims} claims', *parts])})")


def _print_reasons(console: Console, report: AuditReport) -> None:
    """Each contradiction in a sentence, then why other claims are open; ``--json`` has the rows."""
    for sentence, next_step in list_contradictions(report):
        console.print(Text("contradicted", style="bold red"))
        print_lines(console, f"  {sentence}", f"  next: {next_step}")
    for sentence, remedy in list_open_claims(report):
        console.print(Text("not checked", style="yellow"))
        print_lines(console, f"  {sentence}", *((f"  next: {remedy}",) if remedy else ()))


def _print_sample(console: Console, report: AuditReport) -> None:
    sampled = report.sampled
    if sampled is None:
        return
    drawn = {name for _, draw in sampled.draws for name in draw.seeds}
    words = [words for name, words in (("chain", "the chain"), ("secret", "your secret draw")) if name in drawn]
    source = " and ".join(words) or "nothing"
    console.print(f"Sample: at least {sampled.least} of {sampled.intervals} intervals a round, drawn from {source}")
    for share, chance in sampled.escapes():
        console.print(f"  a seat that cheated in {share:.0%} of a round escapes with probability {chance:.2g}")
    if sampled.secret is not None:
        print_lines(console, f"Repeat it with --sample {sampled.per_seat} --secret-draw 0x{sampled.secret.hex()}")


def _colored(verdict: Verdict) -> Text:
    return Text(verdict.value, {Verdict.PASS: "green", Verdict.FAIL: "bold red"}.get(verdict, "yellow"))
