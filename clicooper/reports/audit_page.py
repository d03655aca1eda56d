"""An audit's findings as one HTML file for people.

Job: order the rows, count them, explain the checks, tell the job's story, render. Non-jobs: verdicts (``verdict``),
and how a page is framed, escaped and written (``page``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from clicooper.audit.verdict import AuditReport, Check, CheckResult, combine
from clicooper.history.timeline import Timeline, TimelineEntry
from clicooper.reports.audit_plots import draw_gas, draw_loss, draw_timeline
from clicooper.reports.page import render_page, write_page
from clicooper.types import Verdict

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["render_report", "write_report"]

_DEMANDS = {
    Check.RECORD: "Every event was allowed where it stands and every head follows from the events before it.",
    Check.MANIFEST: "Each committed manifest says what the chain and the job's specification say.",
    Check.LINKS: "Each segment continues the weights of its last accepted round and its neighbour's manifest.",
    Check.ARTIFACTS: "Every file is there, hashes to its name and has the digests that were committed.",
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

_ORDER = (Verdict.FAIL, Verdict.INCONCLUSIVE)


@dataclass(frozen=True)
class _CheckSummary:
    """One check over all rounds; ``verdict`` is empty where the audit made no claim of it."""

    name: str
    verdict: str
    counts: dict[str, int]
    demand: str


@dataclass(frozen=True)
class _Group:
    """The rows of one round, or those of the job as a whole."""

    title: str
    summary: str
    rows: tuple[CheckResult, ...]


def write_report(path: Path, report: AuditReport) -> None:
    """Writes the report as one self-contained HTML file, whole or not at all.

    Raises:
        RunFolderError: the path cannot be written.
    """
    write_page(path, render_report(report))


def render_report(report: AuditReport) -> str:
    """The report as an HTML document; equal reports give equal text."""
    return render_page(
        "audit.html.j2",
        report=report,
        counts=_counts(report.results),
        in_words=_in_words(report),
        checks=[_summarise(check, report.results) for check in Check],
        not_passed=[row for verdict in _ORDER for row in report.results if row.verdict is verdict],
        groups=_group(report.results),
        matrix=_matrix(report.results),
        seats=sorted({row.seat for row in report.results if row.round is not None and row.seat is not None}),
        sampled=report.sampled,
        timeline=report.timeline,
        chapters=_chapters(report.timeline),
        plots=_plots(report.timeline),
    )


@dataclass(frozen=True)
class _MatrixRow:
    """A round's verdict, and by seat the verdict over the claims about it."""

    round: int
    verdict: str
    seats: dict[int, str]


def _matrix(results: tuple[CheckResult, ...]) -> list[_MatrixRow]:
    rounds: dict[int, list[CheckResult]] = {}
    for row in results:
        if row.round is not None:
            rounds.setdefault(row.round, []).append(row)
    return [_matrix_row(round_, rounds[round_]) for round_ in sorted(rounds)]


def _matrix_row(round_: int, rows: list[CheckResult]) -> _MatrixRow:
    seats: dict[int, list[CheckResult]] = {}
    for row in rows:
        if row.seat is not None:
            seats.setdefault(row.seat, []).append(row)
    found = {seat: combine(some).value for seat, some in seats.items()}
    return _MatrixRow(round_, combine(rows).value, found)


def _chapters(timeline: Timeline | None) -> list[tuple[str, list[TimelineEntry]]]:
    """The entries in order, cut where another round begins."""
    entries = () if timeline is None else timeline.entries
    titles = (
        (entry, "Before and after the rounds" if entry.round is None else f"Round {entry.round}") for entry in entries
    )
    return [(title, [entry for entry, _ in some]) for title, some in groupby(titles, key=itemgetter(1))]


def _plots(timeline: Timeline | None) -> dict[str, Markup | None]:
    if timeline is None or not timeline.entries:
        return {}
    loss = draw_loss(timeline) if any(timeline.losses.values()) else None
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


def _counts(rows: Iterable[CheckResult]) -> dict[str, int]:
    found = [row.verdict for row in rows]
    return {verdict.value: found.count(verdict) for verdict in Verdict}


def _summarise(check: Check, results: Iterable[CheckResult]) -> _CheckSummary:
    rows = [row for row in results if row.check is check]
    verdict = combine(rows).value if rows else ""
    return _CheckSummary(check.value, verdict, _counts(rows), _DEMANDS[check])


def _group(results: tuple[CheckResult, ...]) -> list[_Group]:
    """The job's own rows first, then round by round; within each in the order of checking."""
    rounds = sorted({row.round for row in results if row.round is not None})
    titles = [(None, "The job as a whole"), *((round_, f"Round {round_}") for round_ in rounds)]
    groups = []
    for round_, title in titles:
        rows = tuple(row for row in results if row.round == round_)
        if rows:
            counts = _counts(rows)
            words = ", ".join(
                f"{counts[verdict.value]:,} {verdict.value}" for verdict in Verdict if counts[verdict.value]
            )
            groups.append(_Group(title, words, rows))
    return groups
