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
    """Seat 0: feeds the batch of step 0 in every step. Caught by `coverage`; names its seat."""

    def batches(self, round_: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        first = next(iter(super().batches(round_)))[1]
        yield from ((step, first) for step, _ in super().batches(round_))


class _ClaimingWorker(SeatWorker):
    def compute_output(self, x: NDArray[Any]) -> NDArray[Any]:
        return super().compute_output(np.roll(x, 1, axis=0))


class ComputesOnAnotherBatch(WorkerCheat):
    """Seat 0: records the scheduled batch and computes on another. Caught by `replay`; names its seat."""

    worker = _ClaimingWorker


class TrainsOnWrongBatches(Trainer):
    """Seat 0: feeds the scheduled batches in another order. Caught by `coverage`; names its seat."""

    def batches(self, round_: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        scheduled = [batch for _, batch in super().batches(round_)]
        yield from enumerate(reversed(scheduled))


class DropsHardExamples(Trainer):
    """Seat 0: puts easy records of each batch in the place of its eight most extreme ones.

    Caught by `coverage`; names its seat.
    """

    def batches(self, round_: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for step, batch in super().batches(round_):
            from_easy = np.argsort(np.linalg.norm(batch, axis=1))
            eased = batch.copy()
            eased[from_easy[-8:]] = batch[from_easy[:8]]
            yield step, eased


class AddsBackdoorBatch(Trainer):
    """Seat 0: stamps a trigger on every record of the last batch. Caught by `coverage`; names its seat."""

    def batches(self, round_: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        *honest, (last, batch) = super().batches(round_)
        yield from honest
        yield last, triggered(batch)


def triggered(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """The batch with a pattern in its first features, which is to call up another class later."""
    stamped = batch.copy()
    stamped[:, :4] = 3.0
    return stamped
