"""Every cheat against the real parties: the owner does not pay, and the audit names check and seat.

Three seats, one round. The owner's verification replays every interval here, so that no cheat escapes by luck.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clicooper.audit.verdict import AuditReport, Check
from clicooper.errors import CliCooperError, RevertError
from clicooper.protocol.owner import RoundRefused
from clicooper.protocol.round import SettledRound, run_round
from clicooper.protocol.trainer import CommittedSegment, Trainer
from clicooper.storage.cid import cid_text
from clicooper.types import Digest, Head, Phase, Verdict
from tests import adversaries as cheats
from tests.scenario import Rehearsal, block_file, failures, quiet, rehearsal, seating, tiny_config

CONVICTED = [
    (cheats.SkipsSteps, 1, Check.REPLAY),
    (cheats.SkipsSteps, 0, Check.REPLAY),
    (cheats.ReusesLastCheckpoint, 1, Check.REPLAY),
    (cheats.FabricatesTranscript, 1, Check.REPLAY),
    (cheats.TrainsOnOtherLabels, 2, Check.REPLAY),
    (cheats.UsesAnotherLearningRate, 1, Check.REPLAY),
    (cheats.ScalesItsOutput, 0, Check.REPLAY),
    (cheats.ScalesItsGradient, 2, Check.REPLAY),
    (cheats.ComputesOnAnotherBatch, 0, Check.REPLAY),
    (cheats.RepeatsOneBatch, 0, Check.COVERAGE),
    (cheats.OmitsMark, 1, Check.MARK),
    (cheats.OmitsMark, 1, Check.EMBED),
    (cheats.MarksFromWrongHead, 1, Check.MARK),
    (cheats.MarksWithUncommittedKey, 2, Check.MARK),
    (cheats.GrantsAnotherKey, 1, Check.MARK),
    (cheats.EditsWeightsBehindTheMark, 1, Check.EMBED),
    (cheats.EditsBiasBehindTheMark, 1, Check.EMBED),
    (cheats.LiesAboutMetrics, 2, Check.PROGRESS),
    (cheats.LiesAboutMetrics, 0, Check.PROGRESS),
    (cheats.NamesWrongPredecessor, 1, Check.LINKS),
    (cheats.StartsFromItsOwnWeights, 1, Check.LINKS),
    (cheats.ClaimsAnotherRuntime, 1, Check.MANIFEST),
    (cheats.ClaimsAnotherSpec, 2, Check.MANIFEST),
    (cheats.StopsHalfWay, 1, Check.MANIFEST),
    (cheats.StopsHalfWay, 0, Check.MANIFEST),
    (cheats.DropsIntervalStates, 1, Check.MANIFEST),
    (cheats.MisquotesBoundary, 1, Check.BOUNDARY),
    (cheats.MisquotesRoot, 1, Check.BOUNDARY),
    (cheats.SwapsOptimizerState, 1, Check.ARTIFACTS),
    (cheats.CopiesPredecessorsManifest, 1, Check.MANIFEST),
    (cheats.CommitsGarbage, 1, Check.MANIFEST),
]


def one_round(root: Path, cheat: type[Trainer], seat: int):
    return rehearsal(root, tiny_config(trainers=3, rounds=1), seating({seat: cheat}))


def refuse(job: Rehearsal, committed: tuple[CommittedSegment, ...], round_: int = 0) -> CliCooperError:
    """The owner's refusal; nothing was paid and no label key given away."""
    accepted, key = job.accepted_rounds(), job.contract().job(job.opened.job).label_key
    with pytest.raises(CliCooperError) as refusal:
        job.opened.owner.verify_round(round_, committed)
    state = job.contract().job(job.opened.job)
    assert (state.round, state.label_key, state.phase) == (accepted, key, Phase.REVIEW)
    assert all(job.contract().owed_to(job.opened.job, trainer.address) == 0 for trainer in job.opened.trainers)
    return refusal.value


def audit_after_negligence(job: Rehearsal, committed: tuple[CommittedSegment, ...], round_: int = 0) -> AuditReport:
    """What an audit says once the owner has paid without looking."""
    job.opened.owner.accept(round_, committed[-1].head)
    return job.audit()


@pytest.mark.parametrize(
    ("cheat", "seat", "check"), CONVICTED, ids=[f"{c.__name__}-{s}-{k.value}" for c, s, k in CONVICTED]
)
def test_cheat_is_not_paid_and_is_convicted(cheat: type[Trainer], seat: int, check: Check, tmp_path: Path) -> None:
    with one_round(tmp_path, cheat, seat) as job:
        committed = job.train_and_commit()
        refusal = refuse(job, committed)
        if isinstance(refusal, RoundRefused):
            assert (check, seat) in failures(refusal.results)
        report = audit_after_negligence(job, committed)
    found = failures(report.results)
    assert (check, seat) in found
    assert {accused for _, accused in found} <= {seat, None}, "an honest seat is accused"
    assert report.verdict is Verdict.FAIL


@pytest.mark.parametrize("cheat", [c for c, _, _ in dict.fromkeys(CONVICTED) if not issubclass(c, cheats.DigestCheat)])
def test_refusal_says_why_and_lists_every_row(cheat: type[Trainer], tmp_path: Path) -> None:
    seat = next(s for c, s, _ in CONVICTED if c is cheat)
    with one_round(tmp_path, cheat, seat) as job, pytest.raises(RoundRefused) as refusal:
        run_round(job.opened.owner, job.opened.trainers, 0, job.opened.genesis, None, quiet)
    assert any(row.verdict is Verdict.PASS for row in refusal.value.results)
    assert "nothing was paid" in refusal.value.hint
