"""The object that ``clicooper demo --json`` prints and ``report.json`` keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clicooper.audit.verdict import AuditReport, exit_code
from clicooper.protocol.evaluation import Accuracies, FinalMark
from clicooper.protocol.job import OpenJob
from clicooper.protocol.round import SettledRound
from clicooper.protocol.trainer import CommittedSegment
from clicooper.reports.measured import measured_claims
from clicooper.types import Verdict
from clicooper.watermark.detect import MarkReading

__all__ = ["demo_result"]


def demo_result(
    root: Path,
    opened: OpenJob,
    rounds: Sequence[SettledRound],
    accuracy: Accuracies,
    marks: Sequence[FinalMark],
    audit: AuditReport,
) -> dict[str, Any]:
    """Everything that a run showed, as plain JSON values."""
    code = exit_code(audit.verdict)
    statement = opened.owner.prepared.release.statement
    kind = opened.owner.prepared.spec.model.kind
    hiding = opened.owner.prepared.map_hiding()
    privacy = asdict(statement) | {
        "text": statement.text(),
        "label_map": {"ratio": round(hiding.ratio, 4), "hidden": hiding.holds, "in_words": hiding.text()},
        "measured": measured_claims(opened.owner.prepared.config),
    }
    return {
        "ok": code == 0,
        "code": code,
        "run_dir": str(root),
        "replay": ["audit", str(root), *(["--trust-model", kind] if ":" in kind else [])],
        "contract": opened.contract,
        "chain_id": opened.node.chain_id,
        "job": opened.job,
        "seats": len(opened.trainers),
        "rounds": [_round(settled) for settled in rounds],
        "accuracy": asdict(accuracy) | {"in_words": accuracy.verdict_in_words(), "doubt": accuracy.doubt_in_words()},
        "privacy": privacy,
        "marks_in_final_model": [
            {"round": mark.round, "seat": mark.seat, "purpose": mark.purpose, **_mark(mark.reading)} for mark in marks
        ],
        "audit": {
            "verdict": audit.verdict.value,
            "passed": audit.count(Verdict.PASS),
            "failed": audit.count(Verdict.FAIL),
            "inconclusive": audit.count(Verdict.INCONCLUSIVE),
            "seconds": round(audit.seconds, 2),
        },
    }


def _round(settled: SettledRound) -> dict[str, Any]:
    return {
        "round": settled.round,
        "accepted": True,
        "paid_wei": settled.paid_wei,
        "labels_released": True,
        "head": "0x" + settled.head.hex(),
        "gas_accept": settled.accepted.gas_used,
        "loss": settled.commitments[-1].manifest.metrics["loss"],
        "verified": {"checks": len(settled.checks), "intervals_replayed": settled.replayed_intervals},
        "commitments": [_commitment(commitment) for commitment in settled.commitments],
    }


def _commitment(commitment: CommittedSegment) -> dict[str, Any]:
    return {
        "seat": commitment.seat,
        "trainer": commitment.trainer,
        "manifest": str(commitment.manifest.cid),
        "head": "0x" + commitment.head.hex(),
        "gas": commitment.receipt.gas_used,
        "mark": _mark(commitment.progress),
        "ownership_mark": _mark(commitment.ownership),
    }


def _mark(reading: MarkReading) -> dict[str, Any]:
    return {"bits": reading.bits, "matched": reading.matched, "log2_p": round(reading.log2_p, 2)}
