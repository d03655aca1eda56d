"""Every cheat against the real parties: the owner does not pay, and the audit names check and seat.

Three seats, one round. The owner's verification replays every interval here, so that no cheat escapes by luck.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from multiformats import CID

from clicooper.audit.verdict import AuditReport, Check
from clicooper.chain.events import Committed
from clicooper.commitments.manifest import SegmentManifest
from clicooper.errors import RevertError
from clicooper.protocol.owner import RoundRefused
from clicooper.protocol.round import run_round
from clicooper.protocol.trainer import CommittedSegment, Trainer
from clicooper.storage.cid import cid_text
from clicooper.types import Digest, Head, Phase, Verdict
from tests import adversaries as cheats
from tests.scenario import Rehearsal, block_file, failures, quiet, rehearsal, seating, tiny_config

CONVICTED = [
    (cheats.SkipsSteps, 1, Check.REPLAY),
    (cheats.ReusesLastCheckpoint, 1, Check.REPLAY),
    (cheats.FabricatesTranscript, 1, Check.REPLAY),
    (cheats.TrainsOnOtherLabels, 2, Check.REPLAY),
    (cheats.UsesAnotherLearningRate, 1, Check.REPLAY),
    (cheats.ScalesItsOutput, 0, Check.REPLAY),
    (cheats.ScalesItsGradient, 2, Check.REPLAY),
    (cheats.ComputesOnAnotherBatch, 0, Check.REPLAY),
    (cheats.RepeatsOneBatch, 0, Check.COVERAGE),
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
    (cheats.CopiesPredecessorsManifest, 2, Check.MANIFEST),
    (cheats.CommitsGarbage, 2, Check.MANIFEST),
    (cheats.SealsUnderAnotherSecret, 1, Check.ARTIFACTS),
    (cheats.SealsSomethingElse, 1, Check.ARTIFACTS),
    (cheats.NamesAnotherAuthor, 1, Check.MANIFEST),
]


def one_round(root: Path, cheat: type[Trainer], seat: int) -> AbstractContextManager[Rehearsal]:
    return rehearsal(root, tiny_config(trainers=3, rounds=1), seating({seat: cheat}))


def refuse(job: Rehearsal, committed: tuple[CommittedSegment, ...], round_: int = 0) -> RoundRefused:
    """The owner's refusal; nothing was paid and no label key given away."""
    accepted, key = job.accepted_rounds(), job.contract().job(job.opened.job).label_key
    with pytest.raises(RoundRefused) as refusal:
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
        assert (check, seat) in failures(refusal.results)
        report = audit_after_negligence(job, committed)
    found = failures(report.results)
    assert (check, seat) in found
    assert {accused for _, accused in found} <= {seat, None}, "an honest seat is accused"
    assert report.verdict is Verdict.FAIL


def test_refusal_names_the_first_objection_and_keeps_every_row(tmp_path: Path) -> None:
    with one_round(tmp_path, cheats.OmitsMark, 1) as job, pytest.raises(RoundRefused) as refusal:
        run_round(job.opened.owner, job.opened.trainers, 0, job.opened.genesis, None, quiet)
    assert refusal.value.message.startswith("round 0: check mark of seat 1: fail")
    assert "nothing was paid" in refusal.value.hint
    assert {row.verdict for row in refusal.value.results} >= {Verdict.PASS, Verdict.FAIL}


def test_altered_activation_is_localised_to_the_pair(tmp_path: Path) -> None:
    with one_round(tmp_path, cheats.AltersActivationAtBoundary, 0) as job:
        committed = job.train_and_commit()
        refuse(job, committed)
        report = audit_after_negligence(job, committed)
    (mismatch,) = [row for row in report.results if row.check is Check.BOUNDARY and row.verdict is Verdict.FAIL]
    assert (mismatch.subject, mismatch.seat) == ("seats 0 and 1", None)
    assert mismatch.detail == "activation of step 0 differs"
    assert failures(report.results) == {(Check.BOUNDARY, None), (Check.REPLAY, None)}, "either may be the liar"


def test_altered_gradient_is_localised_to_the_pair(tmp_path: Path) -> None:
    with one_round(tmp_path, cheats.AltersGradientAtBoundary, 2) as job:
        committed = job.train_and_commit()
        refuse(job, committed)
        report = audit_after_negligence(job, committed)
    (mismatch,) = [row for row in report.results if row.check is Check.BOUNDARY and row.verdict is Verdict.FAIL]
    assert (mismatch.subject, mismatch.detail) == ("seats 1 and 2", "gradient of step 0 differs")
    assert failures(report.results) == {(Check.BOUNDARY, None), (Check.REPLAY, None)}, "either may be the liar"


class LiesInSecondRound(cheats.NamesWrongPrevious):
    """Honest in round 0."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return super().lies(manifest) if manifest.round else {}


def test_wrong_link_to_the_last_accepted_manifest(tmp_path: Path) -> None:
    with rehearsal(tmp_path, None, seating({1: LiesInSecondRound})) as job:
        first = run_round(job.opened.owner, job.opened.trainers, 0, job.opened.genesis, None, quiet)
        committed = job.train_and_commit(1, first.commitments)
        with pytest.raises(RoundRefused) as refusal:
            job.opened.owner.verify_round(1, committed)
        assert job.accepted_rounds() == 1
        report = audit_after_negligence(job, committed, round_=1)
    for rows in (refusal.value.results, report.results):
        (wrong,) = [row for row in rows if row.verdict is Verdict.FAIL]
        assert (wrong.check, wrong.round, wrong.seat, wrong.detail) == (Check.LINKS, 1, 1, "previous differs")


WITHHELD: dict[str, Callable[[SegmentManifest], CID]] = {
    "manifest": lambda manifest: manifest.cid,
    "out": lambda manifest: manifest.out.ciphertext,
    "trained": lambda manifest: manifest.trained.ciphertext,
    "transcript": lambda manifest: manifest.transcript.leaves.ciphertext,
    "state": lambda manifest: manifest.transcript.states[0].weights.ciphertext,
}


@pytest.mark.parametrize("what", WITHHELD)
def test_withheld_artifact_is_not_paid_and_is_named(what: str, tmp_path: Path) -> None:
    with one_round(tmp_path, Trainer, 1) as job:
        committed = job.train_and_commit()
        cid = WITHHELD[what](committed[1].manifest)
        block_file(job.folder.store, cid).unlink()
        refuse(job, committed)
        report = audit_after_negligence(job, committed)
    assert report.verdict is Verdict.INCONCLUSIVE
    unproven = [row for row in report.results if row.verdict is Verdict.INCONCLUSIVE]
    assert any((row.subject, row.seat) == (cid_text(cid), 1) for row in unproven)
    assert not failures(report.results), "what is missing proves nothing against anybody"


def test_manifest_that_was_never_published(tmp_path: Path) -> None:
    with one_round(tmp_path, cheats.CommitsUnpublished, 2) as job:
        committed = job.train_and_commit()
        refuse(job, committed)
        report = audit_after_negligence(job, committed)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert not failures(report.results)
    assert 2 in {row.seat for row in report.results if row.subject == cid_text(cheats.NOWHERE)}


def refused(name: str, call: Callable[[], object]) -> None:
    with pytest.raises(RevertError) as refusal:
        call()
    assert refusal.value.name == name


def test_contract_refuses_commits_out_of_order_stale_and_twice(tmp_path: Path) -> None:
    digest, mark = Digest(b"\x01" * 32), Digest(b"\x02" * 32)
    with rehearsal(tmp_path) as job:
        number, genesis = job.opened.job, job.opened.genesis
        first, second = job.contract(0), job.contract(1)
        refused("NotYourTurn", lambda: second.commit(number, genesis, digest, mark))
        refused("StaleHead", lambda: first.commit(number, Head(b"\x09" * 32), digest, mark))
        first.commit(number, genesis, digest, mark)
        refused("NotYourTurn", lambda: first.commit(number, job.head, digest, mark))
        refused("StaleHead", lambda: second.commit(number, genesis, digest, mark))
        second.commit(number, job.head, digest, mark)
        refused("WrongPhase", lambda: second.commit(number, job.head, digest, mark))
        assert sum(isinstance(logged.event, Committed) for logged in job.record().events) == 2


def test_contract_refuses_an_owner_with_a_wrong_key_or_a_stale_head(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as job:
        number, genesis, key = job.opened.job, job.opened.genesis, job.opened.owner.label_key
        owner = job.contract()
        refused("WrongPhase", lambda: owner.accept(number, genesis, key(1)))
        first, last = (committed.head for committed in job.train_and_commit())
        refused("WrongLabelKey", lambda: owner.accept(number, last, key(0)))
        refused("WrongLabelKey", lambda: owner.accept(number, last, key(2)))
        refused("StaleHead", lambda: owner.accept(number, genesis, key(1)))
        refused("StaleHead", lambda: owner.accept(number, first, key(1)))
        refused("NotOwner", lambda: job.contract(0).accept(number, last, key(1)))
        assert job.accepted_rounds() == 0


def test_contract_refuses_a_wrong_first_label_key(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as job:
        key, params, owner = job.opened.owner.label_key, job.opened.owner.params, job.contract()
        refused("WrongPhase", lambda: owner.release_labels(job.opened.job, key(0)))
        number, _ = owner.create_job(params)
        for seat in range(params.seats):
            contract = job.contract(seat)
            contract.join(number, contract.genesis_of(number), seat, b"keys", params.stake_wei)
        refused("WrongLabelKey", lambda: owner.release_labels(number, key(1)))
        assert owner.job(number).phase is Phase.LABELS
