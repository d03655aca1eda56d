"""Seat 0 and the data: it alone sees the release, and decides what enters the first layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.learning.training import SeatWorker
from clicooper.protocol.trainer import Trainer
from tests.adversaries.work import WorkerCheat


class RepeatsOneBatch(Trainer):
    """Seat 0: feeds the batch of step 0 in every step."""

    def batches(self, round_: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        first = next(iter(super().batches(round_)))[1]
        yield from ((step, first) for step, _ in super().batches(round_))


class _ClaimingWorker(SeatWorker):
    def compute_output(self, x: NDArray[Any]) -> NDArray[Any]:
        return super().compute_output(np.roll(x, 1, axis=0))


class ComputesOnAnotherBatch(WorkerCheat):
    """Seat 0: records the scheduled batch and computes on another."""

    worker = _ClaimingWorker
