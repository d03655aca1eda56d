"""Rounds in which neighbours vouch for what they send: a lie stops the round, or convicts whoever told it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clicooper.audit.receipts import BoundaryRefused
from clicooper.audit.verdict import Check
from clicooper.chain.events import Committed
from clicooper.commitments.boundary import BoundaryReceipt, Crossing
from clicooper.commitments.canonical import tensor_digest
from clicooper.commitments.manifest import SegmentManifest
from clicooper.learning.training import SeatWorker
from clicooper.learning.transcript import running_digest
from clicooper.protocol.decision import Challenge
from clicooper.protocol.owner import RoundRefused
from clicooper.protocol.round import commit_in_order, run_round, train_segments
from clicooper.protocol.trainer import Trainer
from clicooper.types import Ground, Verdict
from tests import adversaries as cheats
from tests.scenario import Rehearsal, failures, quiet, rehearsal, seating, tiny_config

CONFIG = tiny_config(trainers=3, rounds=1)


def vouched_round(job: Rehearsal) -> RoundRefused | None:
    """A round with receipts up to the owner's verdict; its refusal, if it refuses."""
    trainers, nothing = job.opened.trainers, (None,) * 3
    trained = train_segments(trainers, 0, nothing, quiet, job.head)
    committed = commit_in_order(trainers, 0, job.head, trained, nothing)
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
        spools = [job.folder.trainer(seat) / "spool" / "round-0" for seat in range(3)]
        files = [sorted(path.name for path in spool.glob("receipt-*")) for spool in spools]
        assert files == [["receipt-0-backward"], ["receipt-0-forward", "receipt-1-backward"], ["receipt-1-forward"]]
        kept = BoundaryReceipt.from_block((spools[0] / "receipt-0-backward").read_bytes())
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


class _TwoFacedWorker(SeatWorker):
    """Records its honest output, sends another, and remembers what it sent."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.sent: list[bytes] = []

    def forward(self, step: int, x: NDArray[Any]) -> NDArray[Any]:
        altered = super().forward(step, x) * np.float32(1.001)
        self.sent.append(tensor_digest(altered))
        return altered


class SignsWhatItSentAndCommitsAnother(Trainer):
    """Vouches for the tensor that it altered, so that the round goes on, and commits to the honest one."""

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:
        links, spec = self.state_in(previous), self._spec
        self.worker = _TwoFacedWorker(spec.model, spec.training, spec.replay, self.seat, self._load(links.weights))
        return self.worker

    def sign_sent(self, crossing: Crossing) -> BoundaryReceipt:
        if crossing.direction == "forward":
            crossing = Crossing(**vars(crossing) | {"running": running_digest(self.worker.sent)})
        return super().sign_sent(crossing)


class _MisrecordingWorker(SeatWorker):
    """Computes on what it got and records something else."""

    def record(self, what: Any, tensor: NDArray[Any] | None) -> None:
        lie = what == "input" and tensor is not None
        super().record(what, tensor * np.float32(1.001) if lie and tensor is not None else tensor)


class RecordsAnotherInput(cheats.WorkerCheat):
    """Claims to have received another tensor, and goes on without a signature over it."""

    worker = _MisrecordingWorker

    def keep_receipt(self, receipt: BoundaryReceipt, expected: Crossing) -> None:
        pass


def boundary_culprits(refusal: RoundRefused) -> set[int | None]:
    rows = [row for row in refusal.results if row.check is Check.BOUNDARY and row.verdict is Verdict.FAIL]
    return {row.seat for row in rows if row.seat is not None}


LIARS: list[tuple[Callable[..., Trainer], int]] = [
    (SignsWhatItSentAndCommitsAnother, 0),
    (SignsWhatItSentAndCommitsAnother, 1),
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
        assert isinstance(decision, Challenge)
        assert (decision.seat, decision.ground) == (seat, Ground.FAULT)
        assert (Check.BOUNDARY, seat) in failures(refusal.results)
