"""Trainers that do other work than the job's, with a transcript that fits what they did."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from clicooper.commitments.manifest import SegmentManifest, TrainingSpec
from clicooper.learning.training import SeatWorker
from clicooper.protocol.trainer import Trainer


class WorkerCheat(Trainer):
    """A trainer that does its round with another worker than the protocol's, or under other terms."""

    worker: ClassVar[type[SeatWorker]] = SeatWorker

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:
        links, spec = self.state_in(previous), self._spec
        terms = self.terms(spec.training)
        return self.worker(spec.model, terms, spec.replay, self.seat, *self._open_state(links))

    def terms(self, training: TrainingSpec) -> TrainingSpec:
        return training


class SkippingWorker(SeatWorker):
    """Leaves out a share of its steps, evenly spread; forward and backward passes stay, so neighbours see nothing."""

    share: ClassVar[float] = 0.5

    @classmethod
    def skips(cls, step: int) -> bool:
        """Whether the running total of skipped steps grows here; the share is of all steps so far."""
        return int((step + 1) * cls.share + 1e-9) > int(step * cls.share + 1e-9)

    def apply_step(self) -> None:
        if not self.skips(self.step):
            super().apply_step()


class SkippingOnePercent(SkippingWorker):
    share = 0.01


class SkippingFivePercent(SkippingWorker):
    share = 0.05


class SkippingTwentyPercent(SkippingWorker):
    share = 0.2


class SkipsSteps(WorkerCheat):
    """Updates its weights in every second step only. Caught by `replay`; names its seat."""

    worker = SkippingWorker


class SkipsOnePercent(WorkerCheat):
    """Leaves out one step in a hundred. Caught by `replay`; names its seat."""

    worker = SkippingOnePercent


class SkipsFivePercent(WorkerCheat):
    """Leaves out one step in twenty. Caught by `replay`; names its seat."""

    worker = SkippingFivePercent


class SkipsTwentyPercent(WorkerCheat):
    """Leaves out one step in five. Caught by `replay`; names its seat."""

    worker = SkippingTwentyPercent


class _IdleWorker(SeatWorker):
    def apply_step(self) -> None:
        pass


class ReusesLastCheckpoint(WorkerCheat):
    """Hands in the weights that it started from, under a fitting transcript. Caught by `replay`; names its seat."""

    worker = _IdleWorker


class StartsFromStaleCheckpoint(WorkerCheat):
    """Starts every round from the initial weights, and links those it should have started from.

    Caught by `replay`; names its seat.
    """

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:  # noqa: ARG002 - what it disregards
        return super().start_round(None)


class UsesAnotherLearningRate(WorkerCheat):
    """Trains ten times as fast as agreed. Caught by `replay`; names its seat."""

    def terms(self, training: TrainingSpec) -> TrainingSpec:
        return training.model_copy(update={"learning_rate": 10 * training.learning_rate})


class UsesAnotherOptimizer(WorkerCheat):
    """Trains with AdamW where SGD was agreed. Caught by `replay`; names its seat."""

    def terms(self, training: TrainingSpec) -> TrainingSpec:
        return training.model_copy(update={"optimizer": "adamw", "learning_rate": 1e-3})


class _MislabellingWorker(SeatWorker):
    def receive_labels(self, labels: NDArray[np.int64]) -> None:
        super().receive_labels(np.roll(labels, 1, axis=1))


class TrainsOnOtherLabels(WorkerCheat):
    """The last seat: gives every record its neighbour's label. Caught by `replay`; names its seat."""

    worker = _MislabellingWorker


class _HalfWorker(SeatWorker):
    """Half the memory and, on some hardware, twice the speed."""

    def compute_output(self, x: NDArray[Any]) -> NDArray[Any]:
        return _halved(super().compute_output(_halved(x)))

    def compute_gradient(self, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        sent = super().compute_gradient(None if grad is None else _halved(grad))
        return None if sent is None else _halved(sent)

    def apply_step(self) -> None:
        super().apply_step()
        with torch.no_grad():
            for weight in self.segment._module.parameters():
                weight.copy_(weight.half().float())


def _halved(tensor: NDArray[Any]) -> NDArray[Any]:
    return tensor.astype(np.float16).astype(np.float32)


class ComputesInHalfPrecision(WorkerCheat):
    """Keeps weights and tensors in float16 where float32 was agreed. Caught by `replay`; names its seat."""

    worker = _HalfWorker
