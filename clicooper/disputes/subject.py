"""What evidence can be about, and which party it can accuse. ``collect`` collects it."""

from __future__ import annotations

from dataclasses import dataclass

from clicooper.audit.artifacts import Artifacts
from clicooper.disputes.evidence import Claim
from clicooper.errors import UsageError
from clicooper.learning.transcript import interval_bounds
from clicooper.types import ACCUSED_OWNER

__all__ = ["OWNERS", "Subject", "check_subject"]

OWNERS: tuple[Claim, ...] = ("labels", "release")
"""Claims that can only be about the owner."""


@dataclass(frozen=True)
class Subject:
    """What evidence is about.

    Args:
        claim: the check that it repeats.
        round: of the job.
        interval: for a replay.
        accused: a seat, or ``ACCUSED_OWNER``; None, for a replay alone, where the check shall name the seat.
        end_states: whether a replay also takes the states at the interval's end: twice the size, and needed by a
            reader whose machine is of another runtime class.
        release: whether a replay takes the leaves of the release that hold its rows; they are public, and where rows
            are large they are nearly all of it.
    """

    claim: Claim
    round: int
    interval: int | None = None
    accused: int | None = None
    end_states: bool = True
    release: bool = True


def check_subject(artifacts: Artifacts, subject: Subject) -> None:
    """Raises UsageError for a subject that makes no sense for the job."""
    history = artifacts.history
    if not 0 <= subject.round < len(history.rounds) or not history.rounds[subject.round].commitments:
        raise UsageError(f"no seat has committed in round {subject.round}", hint="name a round with --round")
    if (subject.claim == "replay") != (subject.interval is not None):
        raise UsageError("a replay is of one interval, and nothing else is", hint="name it with --step or --interval")
    if subject.interval is not None:
        spec = artifacts.spec
        interval_bounds(subject.interval, spec.training.steps, spec.replay.interval)
        if len(history.rounds[subject.round].commitments) < history.params.seats:
            hint = "wait for the last commitment, or show another claim"
            raise UsageError("an interval is replayed by all seats together, and some have not committed", hint=hint)
    _check_accused(subject)
    committed = range(len(history.rounds[subject.round].commitments))
    if subject.accused not in (None, ACCUSED_OWNER) and subject.accused not in committed:
        raise UsageError(
            f"seat {subject.accused} has committed nothing in round {subject.round}",
            hint="name another seat with --seat",
        )


def _check_accused(subject: Subject) -> None:
    """Raises UsageError for a claim about a party that cannot be at fault."""
    claim, accused = subject.claim, subject.accused
    if claim in OWNERS and accused not in (None, ACCUSED_OWNER):
        raise UsageError(f"{claim} are the owner's doing", hint="leave out --seat")
    if claim in ("boundary", "manifest", "links", "mark", "seal") and accused in (None, ACCUSED_OWNER):
        raise UsageError(f"a claim about {claim} is about a seat", hint="name it with --seat")
    if claim == "withheld" and accused is None:
        raise UsageError("a claim about withheld data needs a party", hint="name it with --seat or --owner")
    if claim == "replay" and accused == ACCUSED_OWNER:
        raise UsageError(
            "an interval is the seats' work", hint="accuse the owner with --claim labels or --claim release"
        )
