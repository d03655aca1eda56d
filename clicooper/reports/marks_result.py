"""The object that ``clicooper evaluate marks --json`` prints, and the same as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from clicooper.attacks.marks.mark_summary import ForgeryRow, MarkSummary, RemovalRow
from clicooper.reports.tables import table

__all__ = ["marks_result", "print_marks"]


def marks_result(summary: MarkSummary) -> dict[str, Any]:
    """Everything that was measured, as plain JSON values.

    A removal row's ``value`` is the share of ownership marks that their trainers can still show, its ``floor`` the same
    under keys of nobody, its ``control`` that before the attack. A forgery's ``value`` is the share of its claims that
    stand.
    """
    sound = summary.found == 1.0 and not any(row.floor for row in summary.removals)
    unforged = not any(row.stands for row in summary.forgeries)
    code = 0 if sound and unforged else 1
    return {
        "ok": code == 0,
        "code": code,
        "seeds": summary.seeds,
        "rows": [
            _cost_row(summary),
            *(_removal(row) for row in summary.removals),
            *(_forgery(row) for row in summary.forgeries),
        ],
        "open_weaknesses": [f"{row.name}: {row.setting}" for row in summary.open_weaknesses],
        "claims": _claims(summary),
    }


def _cost_row(summary: MarkSummary) -> dict[str, Any]:
    return {
        "kind": "accuracy cost",
        "name": "accuracy lost to marks",
        "setting": "contrastive readout, marks of all rounds",
        "value": round(summary.cost, 5),
        "floor": 0.0,
        "control": round(summary.unmarked, 5),
        "seeds": summary.seeds,
        "std": round(summary.cost_std, 5),
        "interval": _interval(summary),
        "marks_found": summary.found,
    }


def _interval(summary: MarkSummary) -> list[float] | None:
    """The 95 % interval, which one seed does not give."""
    if summary.seeds == 1:
        return None
    return [round(summary.cost + sign * summary.cost_half_width, 5) for sign in (-1, 1)]


def _removal(row: RemovalRow) -> dict[str, Any]:
    return {
        "kind": "removal",
        "name": row.name,
        "setting": row.setting,
        "value": round(row.detectable, 4),
        "floor": round(row.floor, 4),
        "control": round(row.control, 4),
        "seeds": row.seeds,
        "std": round(row.detectable_std, 4),
        "knows": row.knows,
        "found": {way: round(getattr(row, way), 4) for way in ("blind", "informed", "trainer", "joint")},
        "weakest_z": round(row.weakest_z, 2),
        "accuracy": round(row.accuracy, 4),
        "accuracy_std": round(row.accuracy_std, 4),
        "accuracy_change": round(row.change, 4),
        "accuracy_change_half_width": round(row.half_width, 4),
        "seconds": round(row.seconds, 3),
        "share_of_training": round(row.share, 3),
        "keeps_accuracy": row.keeps_accuracy,
        "open_weakness": row.is_open_weakness,
    }


def _forgery(row: ForgeryRow) -> dict[str, Any]:
    return {
        "kind": "forgery",
        "name": row.name,
        "setting": row.setting,
        "value": row.stands,
        "floor": 0.0,
        "control": 1.0,
        "seeds": row.seeds,
        "std": 0.0,
        "mark_reads": row.reads,
        "refused_by": row.refused_by,
        "measured": row.measured,
    }


def _claims(summary: MarkSummary) -> list[dict[str, str]]:
    kept = [row for row in summary.removals if row.keeps_accuracy]
    survived = [row for row in kept if not row.is_open_weakness]
    tuned = [row.weakest_z for row in kept if row.name.startswith("fine-tune") and "clean" not in row.name]
    standing = sum(row.stands > 0 for row in summary.forgeries)
    return [
        {
            "claim": "marks are detected in the final model",
            "published": "more than 99 % (the paper)",
            "here": f"{summary.found:.1%} of all marks of all rounds and seats, blind, at p <= 2^-64",
            "honest_reading": "before any attack; the published figure comes without a false-positive rate",
        },
        {
            "claim": "marks survive removal",
            "published": "more than 95 % at p < 0.03 (RISE)",
            "here": f"{len(survived)} of {len(kept)} attacks that keep accuracy within 2 points leave at least 90 % "
            "detectable at p <= 2^-64",
            "honest_reading": "the others are open weaknesses, listed with their price; distillation and whoever can "
            "replay a round remove every mark",
        },
        {
            "claim": "the statistic after fine-tuning",
            "published": "z >= 4 (Collaborative Threshold Watermarking)",
            "here": f"z >= {min(tuned):.1f} for the weakest trainer" if tuned else "no fine-tuning kept accuracy",
            "honest_reading": "pooled over a trainer's rounds and read beside its committed raw weights, which a claim "
            "has to open anyway",
        },
        {
            "claim": "the price of a forged claim",
            "published": "1.1 to 4 times the honest cost (PoLO)",
            "here": f"{standing} of {len(summary.forgeries)} forgeries stand",
            "honest_reading": "not one price: without an earlier commitment 2^64 keys, with one a whole training that "
            "still is not the suspect's",
        },
    ]


def print_marks(console: Console, result: dict[str, Any]) -> None:
    """The tables."""
    cost = result["rows"][0]
    span = "one seed, no interval"
    if cost["interval"] is not None:
        low, high = (100 * bound for bound in cost["interval"])
        span = f"95 % interval {low:+.2f} to {high:+.2f} over {result['seeds']} seeds"
    console.print(f"Accuracy lost to marks: {100 * cost['value']:+.2f} points ({span})")
    console.print(f"Marks found before any attack, blind, at 2^-64: {cost['marks_found']:.0%}")
    columns = ("attack", "setting", "points", "blind", "trainer", "all", "cost")
    attacks = table("Removal: ownership marks still shown at 2^-64", *columns, numeric=columns[2:])
    for row in _of_kind(result, "removal"):
        attacks.add_row(*_cells(row), style="bold" if row["open_weakness"] else "" if row["keeps_accuracy"] else "dim")
    console.print(attacks)
    console.print(
        "Points of accuracy gained or lost; dim rows lose more than 2. Shown blind in the suspect, by each trainer, by "
        "all seats together. Cost is a share of the job's training time. Bold rows are open weaknesses."
    )
    forged = table("Forgery", "attempt", "setting", "mark reads", "refused by", "measured")
    for row in _of_kind(result, "forgery"):
        reads = {0: "no", 1: "yes"}.get(row["mark_reads"], f"{row['mark_reads']:.0%}")
        forged.add_row(row["name"], row["setting"], reads, row["refused_by"], row["measured"])
    console.print(forged)
    claims = [
        (claim["claim"], claim["published"], claim["here"], claim["honest_reading"]) for claim in result["claims"]
    ]
    console.print(table("Claims", "claim", "published", "here", "honest reading", rows=claims))


def _of_kind(result: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [row for row in result["rows"] if row["kind"] == kind]


def _cells(row: dict[str, Any]) -> list[str]:
    shares = (row["found"]["blind"], row["value"], row["found"]["joint"])
    return [
        row["name"],
        row["setting"],
        f"{100 * row['accuracy_change']:+.1f}",
        *(f"{share:.0%}" for share in shares),
        f"{row['share_of_training']:.2f}",
    ]
