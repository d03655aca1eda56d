"""Paths that nobody trained along: invented between a start and an end, or bent a little in every interval."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch

from clicooper.commitments.manifest import SegmentManifest
from clicooper.learning.checkpoint import State, state_digest, weight_norm
from clicooper.learning.segments import initial_state
from clicooper.learning.training import SeatWorker, TrainedSegment, train_round
from clicooper.learning.transcript import Transcript, ends_interval
from tests.adversaries.claims import TrainedCheat
from tests.adversaries.work import WorkerCheat


class HandsInRandomWeights(TrainedCheat):
    """Ends its round in random weights, and commits their digest as its last state.

    Caught by `replay`; names its seat.
    """

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        rng = np.random.default_rng(7)
        drawn: State = {n: rng.normal(0, 0.1, a.shape).astype(a.dtype) for n, a in trained.trained.items()}
        *steps, last = trained.transcript.steps
        fitting = replace(last, state=state_digest(drawn, trained.optimizer))
        transcript = Transcript((*steps, fitting), trained.transcript.interval)
        metrics = trained.metrics | {"weight_norm": weight_norm(drawn)}
        return replace(trained, trained=drawn, transcript=transcript, metrics=metrics)


class _StraightLineWorker(SeatWorker):
    """Walks from its start to a given end in equal steps; what it sends on the way is what these weights give."""

    end: State

    def apply_step(self) -> None:
        if self.step == 0:
            self._start = self.segment.state()
        super().apply_step()
        reached = np.float32((self.step + 1) / self._steps)
        with torch.no_grad():
            for name, weight in self.segment._module.named_parameters():
                start = self._start[name]
                weight.copy_(torch.tensor(start + reached * (self.end[name] - start)))


class InterpolatesCheckpoints(WorkerCheat):
    """The last seat buys the end of a round and puts its states on the line to it, which spoofs Proof-of-Learning.

    The end is the one that honest work gives, the best that money can buy. Caught by `replay`; names its seat.
    """

    worker = _StraightLineWorker

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:
        worker = super().start_round(previous)
        assert isinstance(worker, _StraightLineWorker)
        worker.end = self._bought()
        return worker

    def _bought(self) -> State:
        spec = self._spec
        starts = [initial_state(spec.model, spec.seeds, seat) for seat in range(self.seat + 1)]
        honest = [SeatWorker(spec.model, spec.training, spec.replay, *at) for at in enumerate(starts)]
        honest[-1].receive_labels(self.open_labels(0)[self.schedule(0)])
        train_round(honest, self.batches(0))
        return honest[-1].finish().trained


class DriftingWorker(SeatWorker):
    """At every interval's end moves its weights by a little less than another runtime class is allowed to differ."""

    drift: ClassVar[float] = 0.95e-5

    def apply_step(self) -> None:
        super().apply_step()
        if ends_interval(self.step, self._steps, self._interval):
            with torch.no_grad():
                for weight in self.segment._module.parameters():
                    weight.mul_(1 + self.drift)


class DriftsWithinTolerance(WorkerCheat):
    """Steers its weights one way, in every interval just within the tolerance between runtime classes.

    Caught by `replay`; names its seat. In its own runtime class that is; in another one each interval passes, and the
    sum of their residuals fails, which names nobody.
    """

    worker = DriftingWorker


class _PushedMomentum(SeatWorker):
    """Commits honest weights beside a momentum that will carry them away."""

    def apply_step(self) -> None:
        super().apply_step()
        if ends_interval(self.step, self._steps, self._interval):
            for weight, moments in self.segment._optimizer.state.items():
                moments["momentum_buffer"].add_(weight.detach(), alpha=0.05)


class PoisonsMomentum(WorkerCheat):
    """Steers through its optimizer's state: honest weights, and a momentum that will carry them away.

    Caught by `replay`; names its seat.
    """

    worker = _PushedMomentum
