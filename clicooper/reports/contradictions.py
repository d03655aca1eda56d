"""What an audit found, in sentences for people: who is contradicted, what could not be checked, and what to do next.

Job: words. Non-jobs: verdicts (``audit.verdict``); ``audit --json`` and the HTML report hold every row in full.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from clicooper.audit.verdict import AuditReport, Check, CheckResult
from clicooper.disputes.failed_check import CLAIMS
from clicooper.types import ACCUSED_OWNER, Verdict

__all__ = ["list_contradictions", "list_open_claims", "shorten"]

_ABOUT = {
    Check.RECORD: "the job's record",
    Check.TERMS: "the job's specification",
    Check.MANIFEST: "its manifest",
    Check.LINKS: "what its work continues",
    Check.ARTIFACTS: "its files",
    Check.STATE: "its committed state",
    Check.COVERAGE: "the batches that it trained on",
    Check.BOUNDARY: "what crossed between neighbours",
    Check.LABELS: "the labels",
    Check.RELEASE: "the release",
    Check.MARK: "its progress mark",
    Check.EMBED: "what changed beside the marks",
    Check.REPLAY: "its training",
    Check.PROGRESS: "its metrics",
    Check.PAYMENT: "the payments",
}

_DIGEST = re.compile(r"0x[0-9a-f]{40,}|\bb[a-z2-7]{58}\b")
_SHOWN = 6

MOST_OPEN = 12
"""Reasons why claims were not checked, of which so many are told one by one."""


def shorten(text: str) -> str:
    """The text with its digests, addresses and CIDs folded to their ends."""
    return _DIGEST.sub(lambda found: f"{found[0][: 2 + _SHOWN]}…{found[0][-_SHOWN:]}", text)


def list_contradictions(report: AuditReport) -> Iterator[tuple[str, str]]:
    """For each failed claim a sentence (who, about what, by which bytes, how sure), and what to do next."""
    for row in report.results:
        if row.verdict is Verdict.FAIL:
            yield shorten(f"{_who(report, row)} {_what(row)}. {_how_sure(row)}"), _next(row)


def list_open_claims(report: AuditReport) -> Iterator[tuple[str, str]]:
    """Why claims could not be checked, each reason once with the number of claims, and what to do about it."""
    reasons: defaultdict[tuple[str, str], list[CheckResult]] = defaultdict(list)
    bystanders = []
    for row in report.results:
        if row.verdict is Verdict.INCONCLUSIVE and row.cause is not None:
            reasons[f"{row.cause.value}: {row.detail}", row.remedy].append(row)
        elif row.verdict is Verdict.INCONCLUSIVE:
            bystanders.append(row)
    for (why, remedy), rows in list(reasons.items())[:MOST_OPEN]:
        yield shorten(f"{why} ({_claims(rows)})"), remedy
    left = list(reasons.values())[MOST_OPEN:]
    if left:
        yield f"{_count(sum(map(len, left)))} more, for {len(left)} other reasons", "--json lists all of them"
    if bystanders:
        yield f"not judged, since they build on something else that does not hold: {_claims(bystanders)}", ""


def _who(report: AuditReport, row: CheckResult) -> str:
    if row.culprit is not None:
        name = "the owner" if row.culprit == ACCUSED_OWNER else f"seat {row.culprit}"
        address = report.parties.get((row.round, row.culprit)) or report.parties.get((None, row.culprit))
        named = f"{name} ({address})" if address else name
    elif len(row.seats) == 2:
        named = f"one of seats {row.seats[0]} and {row.seats[1]}"
    else:
        named = "nobody in particular"
    when = "" if row.round is None else f" in round {row.round}"
    return f"{named[:1].upper()}{named[1:]}{when} is contradicted about {_ABOUT[row.check]}:"


def _what(row: CheckResult) -> str:
    sides = f": committed {row.actual}, where the job demands {row.expected}" if row.expected and row.actual else ""
    return f"{row.detail or row.subject}{sides}"


def _how_sure(row: CheckResult) -> str:
    if row.check in (Check.MARK, Check.EMBED):
        return "As sure as the test of marks is: docs/watermark.md has its error rates"
    if row.check is Check.PROGRESS and row.seat is None:
        return "It is a measurement on records of the owner's own, and convicts nobody"
    if row.culprit is None and len(row.seats) == 2:
        return "Certain of the pair; a receipt tells which of them"
    return "Certain: both sides are committed bytes, or follow from them by computing"


def _next(row: CheckResult) -> str:
    at = "" if row.round is None else f" --round {row.round}"
    if row.culprit == ACCUSED_OWNER:
        claim = CLAIMS.get(row.check)
        if claim is None:
            return "do not take part in this job, and do not count on its pay"
        return f"clicooper evidence make JOB{at} --claim {claim} --owner"
    if row.check is Check.RECORD or row.culprit is None:
        return "compare it with the chain: clicooper audit JOB --network URL"
    return f"the owner, before it pays: clicooper verify RUN_DIR{at} --challenge; anybody: {_evidence(row, at)}"


def _evidence(row: CheckResult, at: str) -> str:
    claim = CLAIMS.get(row.check)
    if claim is None and row.step is not None:
        return f"clicooper evidence make JOB{at} --step {row.step} --seat {row.culprit}"
    if claim is None and row.interval is not None:
        return f"clicooper evidence make JOB{at} --interval {row.interval} --seat {row.culprit}"
    return f"clicooper evidence make JOB{at} --claim {claim or 'boundary'} --seat {row.culprit}"


def _claims(rows: list[CheckResult]) -> str:
    """How many claims, of which checks, about whom."""
    checks = ", ".join(dict.fromkeys(row.check.value for row in rows))
    seats = sorted({row.seat for row in rows if row.seat is not None})
    about = "" if not seats else f" about seat{'s' if len(seats) > 1 else ''} {', '.join(map(str, seats))}"
    return f"{_count(len(rows))}{about}: {checks}"


def _count(number: int) -> str:
    return f"{number:,} claim{'' if number == 1 else 's'}"
