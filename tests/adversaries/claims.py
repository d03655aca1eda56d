"""Trainers that train honestly and say something else about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clicooper.learning.training import TrainedSegment
from clicooper.learning.transcript import StepDigests, Transcript
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.trainer import Trainer
from clicooper.types import Head
from tests.adversaries._invented import invented


class TrainedCheat(Trainer):
    """A trainer that trains honestly and hands in something else."""

    def commit_segment(self, round_: int, head: Head, trained: TrainedSegment, *rest: Any) -> CommittedSegment:
        return super().commit_segment(round_, head, self.handed_in(trained), *rest)

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        return trained


class LiesAboutMetrics(TrainedCheat):
    """Reports a tenth of its loss, or a larger weight norm where it knows no loss.

    Caught by `progress`; names its seat.
    """

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        name = "loss" if "loss" in trained.metrics else "weight_norm"
        return replace(trained, metrics=trained.metrics | {name: trained.metrics[name] / 10})


class FabricatesTranscript(TrainedCheat):
    """Invents every output and gradient that it recorded. Caught by `replay`; names its seat."""

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        steps = tuple(
            StepDigests(d.input, invented(b"output", n), d.grad_received, invented(b"gradient", n), d.state)
            for n, d in enumerate(trained.transcript.steps)
        )
        return replace(trained, transcript=Transcript(steps, trained.transcript.interval))


class StopsHalfWay(TrainedCheat):
    """Hands in the work up to its first committed state, and says so. Caught by `manifest`; names its seat."""

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        weights, optimizer = trained.interval_states[0]
        interval = trained.transcript.interval
        steps = Transcript(trained.transcript.steps[:interval], interval)
        return replace(trained, trained=weights, optimizer=optimizer, transcript=steps, interval_states=())


class DropsIntervalStates(TrainedCheat):
    """Publishes no state between start and end, so that nothing in between can be replayed.

    Caught by `manifest`; names its seat.
    """

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        return replace(trained, interval_states=())
