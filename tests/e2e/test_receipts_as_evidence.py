"""Receipts beside evidence: they clear the receiver and convict its sender, and nothing else does.

Two seats, one round with receipts. Evidence is on one interval, or on a boundary; the receipts are what the receiver's
trainer kept, or what somebody would like to pass off as that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from clicooper.audit.checks.receipts import BoundaryRefused, transports_of
from clicooper.commitments.boundary import BoundaryReceipt, Crossing
from clicooper.disputes.collect import make_evidence
from clicooper.disputes.evidence_file import OpenedEvidence, enclose, open_evidence
from clicooper.disputes.judge import judge_evidence
from clicooper.disputes.opinion import Answer, Opinion
from clicooper.disputes.shown_receipts import ShownReceipts
from clicooper.disputes.subject import Subject
from clicooper.protocol.boundary import sign_crossing
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.trainer import Trainer
from clicooper.types import Address, Digest, Head, JobId
from tests.adversaries.vouching import (
    QuotesWhatItSent,
    RecordsAnotherInput,
    SignsTheGradientItSentAndCommitsAnother,
    SignsWhatItSentAndCommitsAnother,
)
from tests.evidence_files import CHALLENGER, artifacts_of
from tests.scenario import Rehearsal, keys_of, rehearsal, seating, tiny_config

INTERVAL = Subject("replay", 0, 0)
ELSEWHERE = "another machine"


@dataclass(frozen=True)
class Disputed:
    """A committed round with a liar in one seat."""

    job: Rehearsal
    committed: tuple[CommittedSegment, ...]
    transports: dict[Address, bytes]

    def opened(self, subject: Subject) -> OpenedEvidence:
        artifacts = artifacts_of(self.job, keys_of(self.job, self.committed))
        packed = make_evidence(self.job.record(), artifacts, subject, CHALLENGER)
        return open_evidence(enclose(artifacts.history.genesis, packed.evidence, packed.plaintext, None))

    def kept_by(self, seat: int) -> BoundaryReceipt:
        """The one receipt of a seat at the only boundary."""
        (receipt,) = self.committed[seat].receipts
        return receipt

    def shown(self, *receipts: BoundaryReceipt) -> ShownReceipts:
        return ShownReceipts(receipts, self.transports)


@contextmanager
def disputed(root: Path, liar: type[Trainer], seat: int) -> Iterator[Disputed]:
    with rehearsal(root, tiny_config(rounds=1), seating({seat: liar})) as job:
        committed = job.train_and_commit(vouched=True)
        holders = artifacts_of(job).history.holders
        yield Disputed(job, committed, transports_of((one.trainer, one.key_record) for one in holders))


@pytest.fixture(scope="module")
def altered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disputed]:
    """Seat 0 sent another activation than it committed to, and signed that one; seat 1 is honest."""
    with disputed(tmp_path_factory.mktemp("altered") / "run", SignsWhatItSentAndCommitsAnother, 0) as case:
        yield case


@pytest.fixture(scope="module")
def interval(altered: Disputed) -> OpenedEvidence:
    return altered.opened(INTERVAL)


def found(opinion: Opinion) -> tuple[Answer, int | None, int | None]:
    """The finding, whose fault, and who is cleared of it."""
    assert opinion.fault is not None, opinion.detail
    assert opinion.fault.pair == (0, 1)
    return opinion.answer, opinion.fault.seat, opinion.fault.cleared


@pytest.mark.parametrize("runtime", ["", ELSEWHERE], ids=["same class", "another class"])
def test_late_receipt_acquits_the_receiver_and_convicts_the_sender(
    runtime: str, altered: Disputed, interval: OpenedEvidence
) -> None:
    shown = altered.shown(altered.kept_by(1))
    acquitted = judge_evidence(interval, 1, runtime=runtime, shown=shown)
    assert found(acquitted) == (Answer.NOT_GUILTY, 0, 1)
    assert "seat 0 signed what seat 1 has, and committed to another value" in acquitted.detail
    assert found(judge_evidence(interval, 0, runtime=runtime, shown=shown)) == (Answer.GUILTY, 0, 1)
    unnamed = judge_evidence(interval, runtime=runtime, shown=shown)
    assert found(unnamed) == (Answer.GUILTY, 0, 1)
    printed = unnamed.to_json()
    assert (printed["guilty"], printed["seat"], printed["pair"], printed["cleared"]) == ("seat 0", 0, [0, 1], 1)


def test_without_a_receipt_the_receiver_answers_where_a_replay_confirms_the_sender(interval: OpenedEvidence) -> None:
    assert found(judge_evidence(interval, 1)) == (Answer.GUILTY, 1, None)
    assert found(judge_evidence(interval, 0)) == (Answer.CANNOT_TELL, 1, None)
    for accused in (None, 0, 1):
        elsewhere = judge_evidence(interval, accused, runtime=ELSEWHERE)
        assert found(elsewhere) == (Answer.CANNOT_TELL, None, None), "a pair alone convicts nobody"


def test_receipt_decides_on_evidence_of_a_boundary_without_a_replay(altered: Disputed, tmp_path: Path) -> None:
    forward = altered.opened(Subject("boundary", 0, None, 1))
    assert found(judge_evidence(forward)) == (Answer.CANNOT_TELL, None, None)
    assert found(judge_evidence(forward, shown=altered.shown(altered.kept_by(1)))) == (Answer.NOT_GUILTY, 0, 1)
    with disputed(tmp_path, SignsTheGradientItSentAndCommitsAnother, 1) as case:
        backward = case.opened(Subject("boundary", 0, None, 1))
        assert found(judge_evidence(backward)) == (Answer.CANNOT_TELL, None, None)
        assert found(judge_evidence(backward, shown=case.shown(case.kept_by(0)))) == (Answer.GUILTY, 1, 0)


Forgery = Callable[[Disputed, BoundaryReceipt], BoundaryReceipt]


def about(**changes: object) -> Forgery:
    """A receipt that the sender did sign, about something else."""

    def forge(case: Disputed, true: BoundaryReceipt) -> BoundaryReceipt:
        return sign_crossing(case.job.parties.trainers[0], Crossing(**vars(true.crossing) | changes))  # type: ignore[arg-type]

    return forge


def signed_by(seat: int) -> Forgery:
    return lambda case, true: sign_crossing(case.job.parties.trainers[seat], true.crossing)


def sent_value(case: Disputed, true: BoundaryReceipt) -> BoundaryReceipt:
    value = Digest(case.committed[0].manifest.boundary.output)
    return sign_crossing(case.job.parties.trainers[0], replace(true.crossing, running=value))


def unsigned(_case: Disputed, true: BoundaryReceipt) -> BoundaryReceipt:
    return true.model_copy(update={"signature": b"\x01" * 64})


FORGERIES: dict[str, tuple[Forgery, str]] = {
    "receipt of another job": (about(job=JobId(9)), "says another job"),
    "receipt of another round": (about(round=1), "says another round"),
    "receipt of another attempt": (about(head=Head(bytes(32))), "says another head"),
    "receipt of another direction": (about(direction="backward"), "says another direction"),
    "receipt of another boundary": (about(boundary=1), "says another boundary"),
    "receipt of an earlier step": (about(steps=2), "says another steps"),
    "receipt over what the sender committed to": (sent_value, "says another running"),
    "receipt signed by the receiver": (signed_by(1), "shows no signature of seat 0"),
    "receipt signed by nobody": (unsigned, "shows no signature of seat 0"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_or_foreign_receipt_acquits_nobody(name: str, altered: Disputed, interval: OpenedEvidence) -> None:
    forge, why = FORGERIES[name]
    shown = altered.shown(forge(altered, altered.kept_by(1)))
    opinion = judge_evidence(interval, 1, shown=shown)
    assert found(opinion) == (Answer.GUILTY, 1, None)
    assert why in opinion.detail
    assert judge_evidence(interval, 0, shown=shown).answer is Answer.CANNOT_TELL
    beside = altered.shown(*shown.receipts, altered.kept_by(1))
    assert found(judge_evidence(interval, 1, shown=beside)) == (Answer.NOT_GUILTY, 0, 1), "the true one still does"


def test_forged_receipt_convicts_no_honest_sender(tmp_path: Path) -> None:
    """A receiver that records another input signs itself what its neighbour refuses to."""
    with disputed(tmp_path, RecordsAnotherInput, 1) as case:
        opened, said = case.opened(INTERVAL), Digest(case.committed[1].manifest.boundary.input)
        wished = Crossing(case.job.opened.job, 0, case.committed[0].head_before, 0, "forward", 4, said)
        with pytest.raises(BoundaryRefused, match="vouched for another value"):
            case.job.opened.trainers[0].sign_sent(wished)
        forged = sign_crossing(case.job.parties.trainers[1], wished)
        sent = replace(wished, running=Digest(case.committed[0].manifest.boundary.output))
        true = sign_crossing(case.job.parties.trainers[0], sent)
        for receipt in (forged, true, true.model_copy(update={"running": said})):
            assert found(judge_evidence(opened, 0, shown=case.shown(receipt))) == (Answer.CANNOT_TELL, 1, None)
            assert found(judge_evidence(opened, 1, shown=case.shown(receipt))) == (Answer.GUILTY, 1, None)


def test_receipt_whose_senders_key_is_not_known_decides_nothing(altered: Disputed, interval: OpenedEvidence) -> None:
    receiver = altered.committed[1].trainer
    for known in ({}, {receiver: altered.transports[receiver]}):
        for accused in (None, 0, 1):
            opinion = judge_evidence(interval, accused, shown=ShownReceipts((altered.kept_by(1),), known))
            assert found(opinion) == (Answer.CANNOT_TELL, None, None)
            assert "the key that seat 0 registered is not known" in opinion.detail


def test_manifests_that_agree_over_steps_that_differ_leave_both_seats_unjudged(tmp_path: Path) -> None:
    """The sender quotes in its manifest what it sent, so that an honest receiver's other step would look like a lie."""
    with disputed(tmp_path, QuotesWhatItSent, 0) as case:
        opened, shown = case.opened(INTERVAL), case.shown(case.kept_by(1))
        for accused in (None, 0, 1):
            for receipts in (ShownReceipts(), shown):
                opinion = judge_evidence(opened, accused, shown=receipts)
                assert found(opinion) == (Answer.CANNOT_TELL, None, None)
                assert "one misquotes its transcript" in opinion.detail
        own = judge_evidence(case.opened(Subject("boundary", 0, None, 0)))
        assert own.fault is not None
        assert (own.answer, own.fault.seat, own.fault.pair) == (Answer.GUILTY, 0, None)
        assert judge_evidence(case.opened(Subject("boundary", 0, None, 1)), shown=shown).answer is Answer.CANNOT_TELL
