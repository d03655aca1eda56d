"""Trainers that do other work than the job's, with a transcript that fits what they did."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.manifest import SegmentManifest, TrainingSpec
from clicooper.learning.training import SeatWorker
from clicooper.protocol.trainer import Trainer


class WorkerCheat(Trainer):
    """A trainer that does its round with another worker than the protocol's, or under other terms."""

    worker: ClassVar[type[SeatWorker]] = SeatWorker

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:
        links, spec = self.state_in(previous), self._spec
        optimizer = None if links.optimizer is None else self._load(links.optimizer)
        terms = self.terms(spec.training)
        return self.worker(spec.model, terms, spec.replay, self.seat, self._load(links.weights), optimizer)

    def terms(self, training: TrainingSpec) -> TrainingSpec:
        return training


class _SkippingWorker(SeatWorker):
    def apply_step(self) -> None:
        if self.step % 2 == 0:
            super().apply_step()


class SkipsSteps(WorkerCheat):
    """Updates its weights in every second step only."""

    worker = _SkippingWorker


class _IdleWorker(SeatWorker):
    def apply_step(self) -> None:
        pass


class ReusesLastCheckpoint(WorkerCheat):
    """Hands in the weights that it started from, with a transcript that fits them."""

    worker = _IdleWorker


class UsesAnotherLearningRate(WorkerCheat):
    """Trains ten times as fast as agreed."""

    def terms(self, training: TrainingSpec) -> TrainingSpec:
        return training.model_copy(update={"learning_rate": 10 * training.learning_rate})


class _MislabellingWorker(SeatWorker):
    def receive_labels(self, labels: NDArray[np.int64]) -> None:
        super().receive_labels(np.roll(labels, 1, axis=1))


class TrainsOnOtherLabels(WorkerCheat):
    """The last seat: gives every record its neighbour's label."""

    worker = _MislabellingWorker
