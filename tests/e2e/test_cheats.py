"""What a refused round looks like, where a mismatch is found, and the calls that the contract refuses.

Who is caught by which check is the business of ``test_zoo``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from clicooper.audit.verdict import AuditReport, Check
from clicooper.chain.events import Committed
from clicooper.errors import RevertError
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.owner import RoundRefused
from clicooper.protocol.round import run_round
from clicooper.protocol.trainer import Trainer
from clicooper.types import Digest, Head, Phase, Verdict
from tests import adversaries as cheats
from tests.scenario import Rehearsal, failures, quiet, rehearsal, seating, tiny_config


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
