"""An audit's findings as one HTML file for people.

Job: order the rows, count them, explain the checks, tell the job's timeline, render. Non-jobs: verdicts
(``audit.verdict``), and how a page is framed, escaped and written (``page``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from markupsafe import Markup

from clicooper.audit.verdict import AuditReport, Check, CheckResult, combine
from clicooper.history.timeline import Timeline, TimelineEntry
from clicooper.reports.audit_plots import draw_gas, draw_timeline
from clicooper.reports.page import render_page
from clicooper.reports.plots import draw_loss
from clicooper.types import Verdict

__all__ = ["render_report"]

_DEMANDS = {
    Check.RECORD: "Every event was allowed where it stands and every head follows from the events before it.",
    Check.TERMS: "The job's specification keeps every limit, and its model can be made.",
    Check.MANIFEST: "Each committed manifest says what the chain and the job's specification say.",
    Check.LINKS: "Each segment continues the weights of its last accepted round and its neighbour's manifest.",
    Check.ARTIFACTS: "Every file is there, hashes to its name and has the digests that were committed.",
    Check.STATE: "Every committed state is such as training gives, whatever was trained on.",
    Check.COVERAGE: "Training used exactly the scheduled batches of the release, in order.",
    Check.BOUNDARY: "Neighbours agree on every activation and gradient that passed between them.",
    Check.LABELS: "The labels of each round are those fixed before the first one, evenly dealt.",
    Check.RELEASE: "The declared noise suffices for the privacy claim, and the rows are as declared.",
    Check.MARK: "The trainer's mark, bound to head, round, seat and work, is in the committed weights.",
    Check.EMBED: "Nothing but the marks was changed between the trained and the committed weights.",
    Check.REPLAY: "Training again from a committed state gives the committed numbers.",
    Check.PROGRESS: "The metrics that trainers report are those that the replay measures.",
    Check.PAYMENT: "Nobody withdrew more than was owed and all money is accounted for.",
}
"""What each check demands, in one sentence."""


def render_report(report: AuditReport) -> str:
    """The report as an HTML document; equal reports give equal text."""
    by_round = _split(report.results, "round")
    whole = [row for row in report.results if row.round is None]
    groups = [("The job as a whole", whole), *((f"Round {round_}", rows) for round_, rows in by_round.items())]
    return render_page(
        "audit.html.j2",
        report=report,
        counts=_count(report.results),
        in_words=_in_words(report),
        checks=[_summarise(check, report.results) for check in Check],
        not_passed=[
            row for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) for row in report.results if row.verdict is verdict
        ],
        groups=[(title, _count_in_words(rows), rows) for title, rows in groups if rows],
        matrix=[(round_, combine(rows).value, _by_seat(rows)) for round_, rows in by_round.items()],
        seats=sorted({row.seat for rows in by_round.values() for row in rows if row.seat is not None}),
        sampled=report.sampled,
        timeline=report.timeline,
        chapters=_chapters(report.timeline),
        plots=_plots(report.timeline),
    )


def _split(rows: Iterable[CheckResult], part: str) -> dict[int, list[CheckResult]]:
    """The rows by round or seat, in ascending order; those of neither are left out."""
    found: dict[int, list[CheckResult]] = {}
    for row in rows:
        if getattr(row, part) is not None:
            found.setdefault(getattr(row, part), []).append(row)
    return dict(sorted(found.items()))


def _by_seat(rows: Iterable[CheckResult]) -> dict[int, str]:
    """By seat the verdict over the claims about it."""
    return {seat: combine(some).value for seat, some in _split(rows, "seat").items()}


def _chapters(timeline: Timeline | None) -> list[tuple[str, list[TimelineEntry]]]:
    """The entries in order, cut where another round begins."""
    entries = () if timeline is None else timeline.entries
    return [
        ("Before and after the rounds" if round_ is None else f"Round {round_}", list(some))
        for round_, some in groupby(entries, key=lambda entry: entry.round)
    ]


def _plots(timeline: Timeline | None) -> dict[str, Markup | None]:
    if timeline is None or not timeline.entries:
        return {}
    loss = draw_loss(timeline.losses) if any(timeline.losses.values()) else None
    return {"timeline": draw_timeline(timeline), "loss": loss, "gas": draw_gas(timeline)}


def _in_words(report: AuditReport) -> str:
    failed, unknown, total = report.count(Verdict.FAIL), report.count(Verdict.INCONCLUSIVE), len(report.results)
    if not total:
        return "Nothing could be checked, so nothing is confirmed."
    if failed:
        return f"{_share(failed, total)} contradicted by the record or its artifacts."
    if unknown:
        return f"No contradiction was found, but {_share(unknown, total)} not checked."
    return f"All {total:,} claims that were checked hold."


def _share(number: int, total: int) -> str:
    return f"{number:,} of {total:,} claims {'is' if number == 1 else 'are'}"


def _count(rows: Sequence[CheckResult]) -> dict[str, int]:
    return {verdict.value: sum(row.verdict is verdict for row in rows) for verdict in Verdict}


def _count_in_words(rows: Sequence[CheckResult]) -> str:
    return ", ".join(f"{count:,} {verdict}" for verdict, count in _count(rows).items() if count)


def _summarise(check: Check, results: Iterable[CheckResult]) -> tuple[str, str, dict[str, int], str]:
    """A check's name, its verdict over all rounds, its counts and its demand; no verdict where there is no claim."""
    rows = [row for row in results if row.check is check]
    return check.value, combine(rows).value if rows else "", _count(rows), _DEMANDS[check]
