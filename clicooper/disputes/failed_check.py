"""From a check that failed to the evidence that shows it: what an owner that refuses a round does next."""

from __future__ import annotations

from collections.abc import Sequence

from clicooper.audit.verdict import Check, CheckResult
from clicooper.disputes.evidence import Claim
from clicooper.disputes.subject import Subject
from clicooper.types import Verdict

__all__ = ["choose_subject"]

CLAIMS: dict[Check, Claim] = {
    Check.MANIFEST: "manifest",
    Check.LINKS: "links",
    Check.MARK: "mark",
    Check.EMBED: "mark",
    Check.LABELS: "labels",
    Check.RELEASE: "release",
}
"""Checks that evidence repeats as they are; where steps or files decide, more has to be known."""


def choose_subject(results: Sequence[CheckResult], round_: int, interval_steps: int) -> Subject | None:
    """The subject of evidence on the first failed check that small evidence can show, None where there is none.

    Checks of a seat's own records come before replays: they need less, and a replay may not be possible without them.

    Args:
        results: rows of a verification or an audit.
        round_: the round that they are about.
        interval_steps: steps of an interval, as the spec has it.
    """
    failed = [row for row in results if row.verdict is Verdict.FAIL and row.round in (None, round_)]
    for row in failed:
        if (claim := CLAIMS.get(row.check)) is not None:
            return Subject(claim, round_, None, row.culprit)
        if row.check is Check.STATE and row.seat is not None and row.step is None:
            # The marked weights, which no interval starts from or ends in.
            return Subject("mark", round_, None, row.seat)
        if row.check is Check.BOUNDARY and row.seat is not None and row.expected and not row.seats:
            # Its own transcript; whom a receipt convicts, evidence on the step shows where two seats differ.
            return Subject("boundary", round_, None, row.seat)
    for row in failed:
        if row.step is not None:
            return Subject("replay", round_, row.step // interval_steps, row.seat)
    return None
