"""Ownership claims in the terminal: each part with its verdict, and which claim comes first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from clicooper.ownership.claims import PARTS, JudgedClaim
from clicooper.reports.tables import print_lines, table

__all__ = ["print_claims", "print_proof"]


def print_proof(console: Console, result: dict[str, Any], claim: JudgedClaim) -> None:
    """A claim that was just made, judged without a node."""
    _print_claim(console, claim, f"Claim {result['bundle']}")
    if result["unshown"]:
        print_lines(console, f"Its work is not shown: {result['unshown']}")
    print_lines(
        console,
        f"{result['size_bytes']:,} bytes, root {result['root']}",
        "It opens this round's ownership key and weights to whoever gets it.",
    )


def print_claims(console: Console, result: dict[str, Any], claims: Sequence[JudgedClaim]) -> None:
    """Claims that were judged together, and the verdict over all."""
    for row, one in zip(result["claims"], claims, strict=True):
        _print_claim(console, one, f"Claim {row['bundle']}")
    for path in result["copied_start"]:
        print_lines(console, f"{path}: its job took over the starting weights of an earlier one")
    if len(claims) > 1 and result["order"]:
        print_lines(console, f"First: {result['order'][0]}")
    print_lines(console, f"Verdict: {result['verdict']}")


def _print_claim(console: Console, claim: JudgedClaim, title: str) -> None:
    rows = [(f"{part.part} {PARTS[part.part]}", part.verdict.value, part.detail) for part in claim.parts]
    console.print(table(title, "part", "verdict", "why", rows=rows))
