"""What the HTML reports are made of in their tests, and a parser of the pages."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any

from clicooper.audit.replay.sampling import Draw
from clicooper.audit.verdict import AuditReport, Check, CheckResult, Replayed, Sampled
from clicooper.history.timeline import Timeline, TimelineEntry
from clicooper.reports.audit_page import render_report
from clicooper.reports.demo_page import render_demo_report
from clicooper.storage.ipld.cid import block_cid
from clicooper.types import Digest, Verdict

VOID = frozenset({"br", "link", "meta", "hr", "img", "input"})


def _digest(text: str) -> str:
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def _cid(text: str) -> str:
    return str(block_cid(text.encode(), "raw"))


def _mark(matched: int) -> dict[str, Any]:
    log2_p = math.log2(sum(math.comb(128, k) for k in range(matched, 129))) - 128
    return {"bits": 128, "matched": matched, "log2_p": round(log2_p, 2)}


def _commitment(round_: int, seat: int) -> dict[str, Any]:
    return {
        "seat": seat,
        "trainer": _digest(f"trainer {seat}")[:42],
        "manifest": _cid(f"manifest {round_} {seat}"),
        "head": _digest(f"head {round_} {seat}"),
        "gas": 35_000 + 120 * seat + 14_900 * (round_ == 0),
        "mark": _mark(128 - seat),
        "ownership_mark": _mark(127 - seat),
    }


def _round(round_: int, seats: int) -> dict[str, Any]:
    return {
        "round": round_,
        "accepted": True,
        "paid_wei": seats * 10**15,
        "labels_released": True,
        "head": _digest(f"head {round_} {seats - 1}"),
        "gas_accept": 61_402 - 9_000 * (round_ > 0),
        "loss": 2.9 / (round_ + 1),
        "verified": {"checks": 26 + round_, "intervals_replayed": seats},
        "commitments": [_commitment(round_, seat) for seat in range(seats)],
    }


def _final_marks(rounds: int, seats: int) -> list[dict[str, Any]]:
    return [
        {"round": round_, "seat": seat, "purpose": purpose, **_mark(124 - 7 * (rounds - round_ - 1) - seat)}
        for round_ in range(rounds)
        for seat in range(seats)
        for purpose in ("progress", "ownership")
    ]


def demo_object(rounds: int = 3, seats: int = 3) -> dict[str, Any]:
    """What ``clicooper demo`` reports, of the same shape."""
    accuracy: dict[str, Any] = {
        "protected": 0.911,
        "protected_naive_readout": 0.628,
        "unprotected": 0.972,
        "head_only": 0.886,
        "release_only": 0.894,
        "chance": 0.103,
        "test_records": 360,
        "readout_draws": 256,
        "conclusive": True,
        "doubt": "",
        "in_words": "Training does not clearly beat the best control, the release alone: +1.7 points.",
    }
    text = "INSECURE: derived from a seed.\n(8, 1e-05)-differential privacy per source record.\nCovers: one input."
    return {
        "ok": True,
        "code": 0,
        "run_dir": ".clicooper/runs/run 001",
        "replay": ["audit", ".clicooper/runs/run 001"],
        "contract": _digest("contract")[:42],
        "chain_id": 31337,
        "job": 1,
        "seats": seats,
        "rounds": [_round(round_, seats) for round_ in range(rounds)],
        "accuracy": accuracy,
        "privacy": {
            "epsilon": 8.0,
            "delta": 1e-05,
            "secure": False,
            "text": text,
            "label_map": {"in_words": "Label map: noise-to-prototype ratio 0.20."},
        },
        "marks_in_final_model": _final_marks(rounds, seats),
        "audit": {"verdict": "pass", "passed": 117, "failed": 0, "inconclusive": 0, "seconds": 4.81},
        "seconds": 31.4,
        "peak_rss_mib": 612.3,
    }


def training_losses(rounds: int = 3, steps: int = 60) -> list[list[float]]:
    """Losses that fall over all rounds, with the wobble of batches."""
    return [
        [3.4 / (1 + 0.04 * (steps * round_ + step)) + 0.2 * math.sin(9.7 * step) ** 2 for step in range(steps)]
        for round_ in range(rounds)
    ]


def audit_of(*rows: CheckResult, seconds: float = 4.81) -> AuditReport:
    """An audit that found ``rows``."""
    return AuditReport("runs/run-001/record.json", (1, 42), 9, rows, Replayed(9, 180, 1 / 3), seconds)


def told_audit(rounds: int = 2) -> AuditReport:
    """A sampled audit with the story of its job: a seat commits in each round."""
    digests = [("manifest", _cid(f"m {n}")) for n in range(rounds)]
    heads = [("head", "0x" + hashlib.sha256(bytes([n])).hexdigest()) for n in range(rounds)]
    trainer = "0x" + "Ab" * 20
    entries = [TimelineEntry("the owner opened the job", "owner", None, 3, 1_700_000_000, trainer, 250_000, ())]
    for n in range(rounds):
        place = (4 + n, 1_700_000_000 + 90_000 * (n + 1), trainer, 41_000 + n)
        entries.append(TimelineEntry(f"seat 0 committed round {n}", "seats", n, *place, (digests[n], heads[n])))
    losses = {n: tuple((step, 3.0 / (step + n + 1)) for step in (0, 1, 2, 40, 41)) for n in range(rounds)}
    draws = tuple(
        (n, Draw((1, 4, 7), {"secret": Digest(bytes([n]) * 32)}, "the hash of block 9")) for n in range(rounds)
    )
    sampled = Sampled(2, Digest(b"\x07" * 32), draws, 20, dict.fromkeys(range(rounds), 3))
    timeline = Timeline(31337, "0x" + "cD" * 20, 7, tuple(entries), losses)
    return replace(audit_of(*honest_rows()), sampled=sampled, timeline=timeline)


def honest_rows(rounds: int = 3, seats: int = 3) -> list[CheckResult]:
    """One row for every check, of the job or of every commitment."""
    rows = [
        CheckResult(Check.RECORD, Verdict.PASS, "state machine", "37 events"),
        CheckResult(Check.RELEASE, Verdict.PASS, _cid("release"), "agrees on shape, rows, finite"),
        CheckResult.compare(Check.PAYMENT, "all money locked in the job", 9 * 10**15, 9 * 10**15),
    ]
    per_seat = [check for check in Check if check not in {Check.RECORD, Check.RELEASE, Check.PAYMENT}]
    for round_ in range(rounds):
        for seat in range(seats):
            for check in per_seat:
                subject = _cid(f"{check} {round_} {seat}")
                rows.append(CheckResult(check, Verdict.PASS, subject, "agrees on job, round", round_, seat))
    return rows


def tampered_rows() -> list[CheckResult]:
    """The honest rows, with one contradiction and one claim that could not be checked."""
    rows = honest_rows()
    expected, actual = hashlib.sha256(b"replayed").digest(), hashlib.sha256(b"committed").digest()
    detail = "the state committed for step 39 is not what state, data and labels give"
    sealed = CheckResult(Check.MARK, Verdict.INCONCLUSIVE, "seat 0", "the progress key was not granted", 0, 0)
    failed = CheckResult.compare(Check.REPLAY, "step 39", expected, actual, round_=1, seat=2, detail=detail)
    return [rows[0], sealed, *rows[1:], failed]


@dataclass
class Page(HTMLParser):
    """What a parser finds in a page; closing tags must match."""

    text: str = ""
    tags: Counter[str] = field(default_factory=Counter)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    tables: list[list[str]] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, html: str) -> Page:
        page = cls()
        page.feed(html)
        page.close()
        assert page._open == []
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif self.tables:
            self.tables[-1].append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self._open[-1:] != ["style"]:
            self.text += data
        if self._open[-1:] == ["code"]:
            self.codes.append(data)

    def values(self, *names: str) -> list[str]:
        """Values of all attributes of these names."""
        return [value for _, name, value in self.attributes if name in names]


REPORTS: dict[str, Callable[[], str]] = {
    "demo": lambda: render_demo_report(demo_object(), training_losses()),
    "demo, many seats": lambda: render_demo_report(demo_object(14, 11), training_losses(14, 3)),
    "demo, one round": lambda: render_demo_report(demo_object(1, 2), training_losses(1, 1)),
    "audit, passed": lambda: render_report(audit_of(*honest_rows())),
    "audit, tampered": lambda: render_report(audit_of(*tampered_rows())),
    "audit, nothing checked": lambda: render_report(audit_of()),
    "audit, with its story": lambda: render_report(told_audit()),
}
