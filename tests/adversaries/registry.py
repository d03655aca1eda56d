"""All adversaries of the zoo: which party in which seat, the check that must catch it, and whom that must name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from clicooper.audit.verdict import Check
from clicooper.protocol.trainer import Trainer
from clicooper.types import Verdict
from tests.adversaries import (
    availability,
    batches,
    boundary,
    claims,
    coalitions,
    forgers,
    manifests,
    marks,
    owners,
    spoofs,
    states,
    work,
)
from tests.adversaries import rule_breakers as rules
from tests.adversaries.coalitions import Coalition, members_of
from tests.adversaries.stage import OWNER, Accused, Outcome, in_seats, zoo_config
from tests.scenario import rehearsal

__all__ = ["ZOO", "Adversary", "When"]


class When(Enum):
    """What a verification must look at to catch it."""

    ALWAYS = "always"
    ANY = "by any one interval"
    HIT = "by an interval in which it cheated"
    FULL = "by a full replay"


@dataclass(frozen=True)
class Adversary:
    """One adversary.

    Attributes:
        party: its class, whose docstring says what it does.
        dishonest: who lies; everybody else is honest and must never be named alone.
        check: the check that must catch it.
        names: whom its row must name; two seats are a pair in which one lied.
        verdict: what that check says; inconclusive where something is kept back.
        play: a job with it, in an empty folder.
    """

    party: type
    family: str
    dishonest: Accused
    check: str
    names: Accused
    verdict: Verdict
    when: When
    play: Callable[[Path], Outcome]

    @property
    def name(self) -> str:
        """Its class, and where it sits."""
        return "-".join([self.party.__name__, *(str(seat) for seat in sorted(self.dishonest) if seat != OWNER)])

    @property
    def does(self) -> str:
        """What its class says that it does."""
        said = " ".join((self.party.__doc__ or "").split())
        return re.sub(r" ?Caught by `\w+`; names [^.]+\.", "", said).strip()


def seated(
    party: type[Trainer] | type[Coalition],
    seat: int,
    check: Check,
    when: When = When.ALWAYS,
    *,
    names: tuple[int, ...] = (),
    verdict: Verdict = Verdict.FAIL,
    **changes: Any,
) -> Adversary:
    """Trainers in a job of three seats; ``names`` is the seat itself unless it says otherwise."""
    cheats = dict(members_of(party, seat))
    play = partial(in_seats, cheats=cheats, **changes)
    family = party.__module__.rsplit(".", maxsplit=1)[-1]
    return Adversary(party, family, frozenset(cheats), check.value, frozenset(names or (seat,)), verdict, when, play)


def acting(
    party: type[rules.RuleBreaker] | type[owners.LyingOwner] | type[forgers.Forger], verdict: Verdict = Verdict.FAIL
) -> Adversary:
    """A party that plays by itself in a job with honest seats."""

    def play(root: Path) -> Outcome:
        with rehearsal(root, zoo_config(steps=2, interval=1)) as job:
            return party().play(job)

    family = party.__module__.rsplit(".", maxsplit=1)[-1]
    return Adversary(party, family, party.names, party.check, party.names, verdict, When.ALWAYS, play)


HUNDRED = {"steps": 100, "interval": 10}
TWENTY = {"steps": 20, "interval": 5}
MISSING = Verdict.INCONCLUSIVE

WORK = (
    seated(work.SkipsOnePercent, 1, Check.REPLAY, When.HIT, **HUNDRED),
    seated(work.SkipsFivePercent, 1, Check.REPLAY, When.HIT, **TWENTY),
    seated(work.SkipsTwentyPercent, 2, Check.REPLAY, When.ANY, **TWENTY),
    seated(work.SkipsSteps, 1, Check.REPLAY, When.ANY),
    seated(work.ReusesLastCheckpoint, 1, Check.REPLAY, When.ANY),
    seated(work.StartsFromStaleCheckpoint, 1, Check.REPLAY, When.HIT, rounds=2),
    seated(work.UsesAnotherOptimizer, 1, Check.REPLAY, When.ANY),
    seated(work.UsesAnotherLearningRate, 1, Check.REPLAY, When.ANY),
    seated(work.TrainsOnOtherLabels, 2, Check.REPLAY, When.ANY),
    seated(work.ComputesInHalfPrecision, 1, Check.REPLAY, When.ANY),
)
SPOOFS = (
    seated(spoofs.HandsInRandomWeights, 1, Check.REPLAY, When.HIT),
    seated(spoofs.InterpolatesCheckpoints, 2, Check.REPLAY, When.ANY),
    seated(spoofs.DriftsWithinTolerance, 1, Check.REPLAY, When.ANY),
    seated(spoofs.PoisonsMomentum, 1, Check.REPLAY, When.ANY),
)
BATCHES = (
    seated(batches.TrainsOnWrongBatches, 0, Check.COVERAGE),
    seated(batches.RepeatsOneBatch, 0, Check.COVERAGE),
    seated(batches.DropsHardExamples, 0, Check.COVERAGE),
    seated(batches.AddsBackdoorBatch, 0, Check.COVERAGE),
    seated(batches.ComputesOnAnotherBatch, 0, Check.REPLAY, When.ANY),
)
BOUNDARY = (
    seated(boundary.ScalesItsOutput, 0, Check.REPLAY, When.ANY),
    seated(boundary.ScalesItsGradient, 2, Check.REPLAY, When.ANY),
    seated(boundary.AltersActivationAtBoundary, 0, Check.BOUNDARY, names=(0, 1)),
    seated(boundary.AltersGradientAtBoundary, 2, Check.BOUNDARY, names=(1, 2)),
    seated(boundary.MisrecordsItsInput, 1, Check.BOUNDARY, names=(0, 1)),
    seated(boundary.MisrecordsItsGradient, 1, Check.BOUNDARY, names=(1, 2)),
)
CLAIMS = (
    seated(claims.LiesAboutMetrics, 2, Check.PROGRESS, When.FULL),
    seated(claims.LiesAboutMetrics, 0, Check.PROGRESS),
    seated(claims.FabricatesTranscript, 1, Check.REPLAY, When.ANY),
    seated(claims.StopsHalfWay, 1, Check.MANIFEST),
    seated(claims.StopsHalfWay, 0, Check.MANIFEST),
    seated(claims.DropsIntervalStates, 1, Check.MANIFEST),
)
ADAMW = {"optimizer": "adamw", "learning_rate": 1e-3}
STATES = (
    seated(states.DivergesFromItsStates, 0, Check.REPLAY, When.ANY),
    seated(states.DivergesFromItsStates, 1, Check.REPLAY, When.ANY),
    seated(states.DivergesFromItsStates, 2, Check.REPLAY, When.ANY),
    seated(states.CountsBackwards, 1, Check.STATE, **ADAMW),
    seated(states.CountsTooManySteps, 1, Check.STATE, **ADAMW),
    seated(states.CountsHalfSteps, 2, Check.STATE, **ADAMW),
    seated(states.CommitsNegativeSquares, 0, Check.STATE, **ADAMW),
    seated(states.CommitsIntegers, 1, Check.STATE),
    seated(states.CommitsDoubles, 1, Check.STATE),
    seated(states.AddsTensor, 1, Check.STATE),
    seated(states.DropsTensor, 1, Check.STATE),
    seated(states.CommitsHugeState, 1, Check.STATE),
    seated(states.HandsOverImpossibleMoments, 1, Check.STATE, **ADAMW),
)
MANIFESTS = (
    seated(manifests.NamesWrongPredecessor, 1, Check.LINKS),
    seated(manifests.NamesWrongPrevious, 1, Check.LINKS, rounds=2),
    seated(manifests.StartsFromItsOwnWeights, 1, Check.LINKS),
    seated(manifests.ClaimsAnotherRuntime, 1, Check.MANIFEST),
    seated(manifests.ClaimsAnotherSpec, 2, Check.MANIFEST),
    seated(manifests.MisquotesBoundary, 1, Check.BOUNDARY),
    seated(manifests.MisquotesRoot, 1, Check.BOUNDARY),
    seated(manifests.SwapsOptimizerState, 1, Check.ARTIFACTS),
    seated(manifests.NamesAnotherAuthor, 1, Check.MANIFEST),
    seated(manifests.NamesNeighboursFiles, 1, Check.MANIFEST),
)
MARKS = (
    seated(marks.OmitsMark, 1, Check.EMBED),
    seated(marks.MarksLate, 1, Check.MARK),
    seated(marks.MarksFromWrongHead, 1, Check.MARK),
    seated(marks.MarksWithUncommittedKey, 2, Check.MARK),
    seated(marks.GrantsAnotherKey, 1, Check.MARK, verdict=MISSING),
    seated(marks.EditsWeightsBehindTheMark, 1, Check.EMBED),
    seated(marks.EditsBiasBehindTheMark, 1, Check.EMBED),
)
AVAILABILITY = (
    seated(availability.SealsUnderAnotherSecret, 1, Check.ARTIFACTS),
    seated(availability.SealsSomethingElse, 1, Check.ARTIFACTS),
    seated(availability.CopiesPredecessorsManifest, 2, Check.MANIFEST),
    seated(availability.CommitsGarbage, 2, Check.MANIFEST),
    seated(availability.CommitsUnpublished, 2, Check.MANIFEST, verdict=MISSING),
    seated(availability.WithholdsManifest, 1, Check.MANIFEST, verdict=MISSING),
    seated(availability.WithholdsWeights, 1, Check.ARTIFACTS, verdict=MISSING),
    seated(availability.WithholdsRawWeights, 1, Check.ARTIFACTS, verdict=MISSING),
    seated(availability.WithholdsTranscript, 1, Check.ARTIFACTS, verdict=MISSING),
    seated(availability.WithholdsInterval, 1, Check.ARTIFACTS, verdict=MISSING),
    seated(availability.ChangesThePin, 1, Check.ARTIFACTS, verdict=MISSING),
)
COALITIONS = (
    seated(coalitions.InventsWhatCrossesBetween, 0, Check.REPLAY, When.ANY),
    seated(coalitions.InventsEveryBoundary, 0, Check.REPLAY, When.ANY),
    seated(coalitions.RecordsTheSameAlteredActivation, 0, Check.REPLAY, When.ANY),
    seated(coalitions.RecordsTheSameAlteredGradient, 2, Check.REPLAY, When.ANY),
    seated(coalitions.NeighboursDoNothing, 1, Check.REPLAY, When.ANY),
    seated(coalitions.AllSeatsDoNothing, 0, Check.REPLAY, When.ANY),
    seated(coalitions.PlantsBackdoor, 0, Check.REPLAY, When.ANY),
    seated(coalitions.FramesTheSeatBetween, 0, Check.BOUNDARY, names=(0, 1)),
)
RULE_BREAKERS = (
    acting(rules.SignsTwoCommits),
    acting(rules.CommitsLate),
    acting(rules.CommitsOutOfTurn),
    acting(rules.WithholdsLabelKey),
    acting(rules.ReleasesWrongKey),
    acting(rules.ChallengesFalsely),
)
OWNERS = (
    acting(owners.ReleasesWrongLabels),
    acting(owners.SealsOtherLabels, MISSING),
    acting(owners.ClaimsMorePrivacyThanItGives),
    acting(owners.ClaimsPrivUnitForOtherRows),
    acting(owners.ClaimsLabelsThatNothingHides),
    acting(owners.ReleasesOffTheGrid),
    acting(owners.AsksForWorkThatNobodyCanDo),
    acting(owners.CutsBesideTheModel),
    acting(owners.DemandsMarksWithoutRoom),
    acting(owners.ToleratesEverything),
)
FORGERS = (acting(forgers.ForgesRecord), acting(forgers.DropsEvents), acting(forgers.ShowsReplacedBlocks))

ZOO: tuple[Adversary, ...] = (
    *WORK,
    *SPOOFS,
    *BATCHES,
    *BOUNDARY,
    *CLAIMS,
    *STATES,
    *MANIFESTS,
    *MARKS,
    *AVAILABILITY,
    *COALITIONS,
    *RULE_BREAKERS,
    *OWNERS,
    *FORGERS,
)
