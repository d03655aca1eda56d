"""Rounds in which neighbours vouch for what they send: a lie stops the round, or convicts whoever told it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from clicooper.audit.checks.receipts import BoundaryRefused, check_receipts
from clicooper.audit.verdict import Check
from clicooper.chain.events import Committed
from clicooper.commitments.boundary import BoundaryReceipt, Crossing
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.decision import Accuse, Wait
from clicooper.protocol.owner import RoundRefused
from clicooper.protocol.round import run_round
from clicooper.protocol.trainer import Trainer
from clicooper.types import Ground, JobId, Verdict
from tests import adversaries as cheats
from tests.adversaries.vouching import (
    RecordsAnotherInput,
    SignsTheGradientItSentAndCommitsAnother,
    SignsWhatItSentAndCommitsAnother,
)
from tests.scenario import Rehearsal, failures, quiet, rehearsal, seating, tiny_config

CONFIG = tiny_config(trainers=3, rounds=1)


def vouched_round(job: Rehearsal) -> RoundRefused | None:
    """A round with receipts up to the owner's verdict; its refusal, if it refuses."""
    return judged(job, job.train_and_commit(vouched=True))


def judged(job: Rehearsal, committed: Sequence[CommittedSegment]) -> RoundRefused | None:
    try:
        job.opened.owner.verify_round(0, committed)
    except RoundRefused as refusal:
        return refusal
    return None


def test_honest_neighbours_keep_each_others_receipts_until_the_round_is_paid(tmp_path: Path) -> None:
    with rehearsal(tmp_path, CONFIG) as job:
        assert vouched_round(job) is None
        held = [trainer.receipts(0) for trainer in job.opened.trainers]
        assert [len(one) for one in held] == [1, 2, 1]
        assert {receipt.steps for one in held for receipt in one} == {4}, "the newest covers the round"
        round_logs = [job.folder.trainer(seat) / "round-log" / "round-0" for seat in range(3)]
        files = [sorted(path.name for path in round_log.glob("receipt-*")) for round_log in round_logs]
        assert files == [["receipt-0-backward"], ["receipt-0-forward", "receipt-1-backward"], ["receipt-1-forward"]]
        kept = BoundaryReceipt.from_block((round_logs[0] / "receipt-0-backward").read_bytes())
        assert kept == held[0][0]
        for trainer in job.opened.trainers:
            trainer.settle_round(0)
            assert trainer.receipts(0) == ()


def test_run_round_lets_neighbours_vouch(tmp_path: Path) -> None:
    with rehearsal(tmp_path, tiny_config(rounds=1)) as job:
        settled = run_round(job.opened.owner, job.opened.trainers, 0, job.opened.genesis, None, quiet)
        assert [len(segment.receipts) for segment in settled.commitments] == [1, 1]


@pytest.mark.parametrize(
    ("cheat", "seat", "where"),
    [
        (cheats.AltersActivationAtBoundary, 0, "seat 0 to seat 1, forward, after step 1"),
        (cheats.AltersActivationAtBoundary, 1, "seat 1 to seat 2, forward, after step 1"),
        (cheats.AltersGradientAtBoundary, 2, "seat 2 to seat 1, backward, after step 1"),
    ],
)
def test_receiver_stops_at_the_first_interval_without_a_signature(
    cheat: type[Trainer], seat: int, where: str, tmp_path: Path
) -> None:
    with rehearsal(tmp_path, CONFIG, seating({seat: cheat})) as job:
        with pytest.raises(BoundaryRefused, match=where) as refusal:
            vouched_round(job)
        assert "another running" in refusal.value.message
        assert not any(isinstance(logged.event, Committed) for logged in job.record().events)


def boundary_culprits(refusal: RoundRefused) -> set[int | None]:
    rows = [row for row in refusal.results if row.check is Check.BOUNDARY and row.verdict is Verdict.FAIL]
    return {row.seat for row in rows if row.seat is not None}


LIARS: list[tuple[Callable[..., Trainer], int]] = [
    (SignsWhatItSentAndCommitsAnother, 0),
    (SignsWhatItSentAndCommitsAnother, 1),
    (SignsTheGradientItSentAndCommitsAnother, 2),
    (RecordsAnotherInput, 1),
    (RecordsAnotherInput, 2),
    (cheats.FabricatesTranscript, 1),
]


@pytest.mark.parametrize(("cheat", "seat"), LIARS)
def test_mismatch_names_whoever_lied_and_no_neighbour(cheat: type[Trainer], seat: int, tmp_path: Path) -> None:
    with rehearsal(tmp_path, CONFIG, seating({seat: cheat})) as job:
        refusal = vouched_round(job)
        assert refusal is not None
        assert boundary_culprits(refusal) == {seat}
        decision = refusal.decision
        assert isinstance(decision, Accuse)
        assert (decision.seat, decision.ground) == (seat, Ground.FAULT)
        assert (Check.BOUNDARY, seat) in failures(refusal.results)


def receipts_of_owner(job: Rehearsal) -> Path:
    return job.folder.owner / "receipts" / "round-0"


def test_owner_keeps_what_receivers_show_readable_by_itself_alone(tmp_path: Path) -> None:
    with rehearsal(tmp_path, CONFIG) as job:
        committed = job.train_and_commit(vouched=True)
        job.opened.owner.receive_keys(committed)
        kept = {path.name: path for path in receipts_of_owner(job).iterdir()}
        assert set(kept) == {f"receipt-{boundary}-{way}" for boundary in (0, 1) for way in ("forward", "backward")}
        assert {path.stat().st_mode & 0o777 for path in kept.values()} == {0o600}
        shown = {f"receipt-{one.boundary}-{one.direction}": one for segment in committed for one in segment.receipts}
        assert {name: BoundaryReceipt.from_block(path.read_bytes()) for name, path in kept.items()} == shown


def test_seat_cannot_displace_the_receipt_of_another_by_a_forged_one(tmp_path: Path) -> None:
    """Seat 2 would have seat 1 convicted of what seat 0 did, by handing in a worthless receipt in seat 1's name."""
    with rehearsal(tmp_path, CONFIG, seating({0: SignsWhatItSentAndCommitsAnother})) as job:
        committed = job.train_and_commit(vouched=True)
        true = next(one for one in committed[1].receipts if one.direction == "forward")
        forged = true.model_copy(update={"signature": bytes(64)})
        framing = replace(committed[2], receipts=(*committed[2].receipts, forged))
        refusal = judged(job, (*committed[:2], framing))
        assert refusal is not None
        assert boundary_culprits(refusal) == {0}
        assert BoundaryReceipt.from_block((receipts_of_owner(job) / "receipt-0-forward").read_bytes()) == true


def test_receipts_of_another_job_or_round_or_by_nobody_convict_no_receiver(tmp_path: Path) -> None:
    """Where no receipt of this round holds, seats may have exchanged none, and silence proves nothing."""
    with rehearsal(tmp_path, CONFIG, seating({0: cheats.AltersActivationAtBoundary})) as job:
        committed = job.train_and_commit()
        signer = job.opened.trainers[2]
        place = (job.opened.job, 0, committed[0].head_before, 1, "backward", 4, committed[2].manifest.digest)
        own = signer.sign_sent(Crossing(*place))
        strays = (
            signer.sign_sent(replace(own.crossing, job=JobId(99))),
            signer.sign_sent(replace(own.crossing, round=1)),
            signer.sign_sent(replace(own.crossing, head=committed[0].head)),
            signer.sign_sent(replace(own.crossing, steps=5)),
            own.model_copy(update={"signature": bytes(64)}),
        )
        evidence = job.opened.owner.artifacts()
        assert list(check_receipts(evidence, 0, strays)) == []
        (row,) = check_receipts(evidence, 0, (*strays, own))
        assert row.seat == 1, "once one holds, the round exchanged receipts, and seat 1 has to show its own"


def test_owner_that_cannot_read_its_receipts_leaves_the_round_unpaid(tmp_path: Path) -> None:
    with rehearsal(tmp_path, CONFIG) as job:
        committed = job.train_and_commit(vouched=True)
        job.opened.owner.receive_keys(committed)
        (receipts_of_owner(job) / "receipt-0-forward").write_bytes(b"damaged")
        verified = job.opened.owner.examine_round(0)
        assert isinstance(verified.decision, Wait)
        (row,) = [row for row in verified.results if row.verdict is not Verdict.PASS]
        assert (row.check, row.verdict) == (Check.BOUNDARY, Verdict.INCONCLUSIVE)
        assert "receipt-0-forward is no receipt" in row.detail
