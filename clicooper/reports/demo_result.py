"""The object that ``clicooper demo --json`` prints and ``report.json`` keeps."""

from __future__ import annotations

import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clicooper.audit.verdict import exit_code
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.round import SettledRound
from clicooper.protocol.whole_job import WholeJob
from clicooper.reports.measured import measured_claims
from clicooper.types import Verdict
from clicooper.watermark.detect import MarkReading

__all__ = ["demo_result"]


def demo_result(root: Path, done: WholeJob, seconds: float) -> dict[str, Any]:
    """Everything that a run showed, as plain JSON values."""
    opened, accuracy, audit = done.opened, done.accuracy, done.audit
    prepared, code = opened.owner.prepared, exit_code(audit.verdict)
    statement, kind, hiding = prepared.release.statement, prepared.spec.model.kind, prepared.map_hiding()
    privacy = asdict(statement) | {
        "text": statement.text(),
        "label_map": {"ratio": round(hiding.ratio, 4), "hidden": hiding.holds, "in_words": hiding.text()},
        "measured": measured_claims(prepared.config),
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
        "rounds": [_round(settled) for settled in done.rounds],
        "accuracy": asdict(accuracy) | {"in_words": accuracy.verdict_in_words(), "doubt": accuracy.doubt_in_words()},
        "privacy": privacy,
        "marks_in_final_model": [
            {"round": mark.round, "seat": mark.seat, "purpose": mark.purpose, **_mark(mark.reading)}
            for mark in done.marks
        ],
        "audit": {
            "verdict": audit.verdict.value,
            "passed": audit.count(Verdict.PASS),
            "failed": audit.count(Verdict.FAIL),
            "inconclusive": audit.count(Verdict.INCONCLUSIVE),
            "seconds": round(audit.seconds, 2),
        },
        "seconds": round(seconds, 2),
        "peak_rss_mib": _peak_rss_mib(),
    }


def _peak_rss_mib() -> float:
    """Largest resident set of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


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
