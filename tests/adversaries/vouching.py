"""Liars in rounds whose neighbours vouch for what they send: what they sign, keep and commit to do not fit together."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.boundary import BoundaryReceipt, Crossing, Direction
from clicooper.commitments.canonical import tensor_digest
from clicooper.commitments.manifest import SegmentManifest
from clicooper.learning.training import SeatWorker
from tests.adversaries._invented import running_digest
from tests.adversaries.boundary import MisrecordsItsInput
from tests.adversaries.work import WorkerCheat


class _TwoFacedForward(SeatWorker):
    """Records its honest output, sends another, and remembers what it sent."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.sent: list[bytes] = []

    def forward(self, step: int, x: NDArray[Any]) -> NDArray[Any]:
        return self.altered(super().forward(step, x))

    def altered(self, tensor: NDArray[Any]) -> NDArray[Any]:
        other: NDArray[Any] = tensor * np.float32(1.001)
        self.sent.append(tensor_digest(other))
        return other


class _TwoFacedBackward(_TwoFacedForward):
    """The same with its gradient."""

    def forward(self, step: int, x: NDArray[Any]) -> NDArray[Any]:
        return SeatWorker.forward(self, step, x)

    def backward(self, step: int, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        sent = super().backward(step, grad)
        return None if sent is None else self.altered(sent)


class SignsWhatItSentAndCommitsAnother(WorkerCheat):
    """Vouches for the activation that it altered, so that the round goes on, and commits to the honest one."""

    worker = _TwoFacedForward
    direction: ClassVar[Direction] = "forward"
    at_work: _TwoFacedForward

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:
        worker = super().start_round(previous)
        assert isinstance(worker, _TwoFacedForward)
        self.at_work = worker
        return worker

    def sign_sent(self, crossing: Crossing) -> BoundaryReceipt:
        if crossing.direction == self.direction:
            crossing = Crossing(**vars(crossing) | {"running": running_digest(self.at_work.sent)})
        return super().sign_sent(crossing)


class SignsTheGradientItSentAndCommitsAnother(SignsWhatItSentAndCommitsAnother):
    """The same with its gradient."""

    worker = _TwoFacedBackward
    direction = "backward"


class QuotesWhatItSent(SignsWhatItSentAndCommitsAnother):
    """Also writes what it sent into its manifest: that agrees with its neighbour's, and not with its own transcript."""

    def _publish(self, *args: Any) -> SegmentManifest:
        manifest = super()._publish(*args)
        quoted = manifest.boundary.model_copy(update={"output": running_digest(self.at_work.sent)})
        return manifest.model_copy(update={"boundary": quoted})


class RecordsAnotherInput(MisrecordsItsInput):
    """Claims to have received another tensor, and goes on without a signature over it."""

    def keep_receipt(self, receipt: BoundaryReceipt, expected: Crossing) -> None:
        pass
