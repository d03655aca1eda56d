"""The loop of a round, and what a seat does in it.

Activations flow from seat 0 to the last, gradients back, then every seat steps. Nothing here knows who the parties are,
how they reach each other, or what becomes of a trained segment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.manifest import ModelSpec, ReplaySpec, TrainingSpec
from clicooper.errors import SpecError
from clicooper.learning.checkpoint import State, weight_norm
from clicooper.learning.recorder import Recorder
from clicooper.learning.round_log import MemoryRoundLog, RoundLog
from clicooper.learning.runtime import use_threads
from clicooper.learning.segments import Segment, TrainingDiverged
from clicooper.learning.transcript import Crossing, Transcript, ends_interval

__all__ = ["Party", "SeatWorker", "TrainedSegment", "train_round"]


@dataclass(frozen=True, eq=False)
class TrainedSegment:
    """What a seat has after a round.

    Attributes:
        trained: weights and buffers, before any mark is embedded.
        optimizer: the optimizer's state.
        interval_states: weights and optimizer state at the end of every interval before the last; where the round went
            to a round log on disk, each is read when it is asked for.
        losses: in the last seat, the training loss of every step in nats.
        metrics: ``weight_norm``; in the last seat also ``loss`` and ``final_loss``, mean training loss in nats over the
            round and over its last interval.
    """

    trained: State
    optimizer: State
    transcript: Transcript
    interval_states: Sequence[tuple[State, State]]
    losses: tuple[float, ...]
    metrics: dict[str, float]


class Party(Protocol):
    """A seat as the loop sees it; the one behind it may be in another process."""

    def forward(self, step: int, x: NDArray[Any]) -> NDArray[Any]:
        """Output for a batch (batch, ...)."""
        ...

    def backward(self, step: int, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        """Gradient at the input; ``grad`` is None for the last seat, which has the labels, the result for seat 0."""
        ...

    def update(self, step: int) -> None:
        """The optimizer's step."""
        ...


def train_round(parties: Sequence[Party], batches: Iterable[tuple[int, NDArray[Any]]], *, threads: int = 1) -> None:
    """Trains all seats on ``batches`` of ``(step, input of seat 0)``, bit for bit the same each time."""
    with use_threads(threads):
        for step, batch in batches:
            x = batch
            for party in parties:
                x = party.forward(step, x)
            grad = None
            for party in reversed(parties):
                grad = party.backward(step, grad)
            for party in parties:
                party.update(step)


class SeatWorker:
    """One seat: computes, records, and keeps the states at interval ends.

    ``compute_output``, ``compute_gradient``, ``apply_step``, ``record`` and ``keep_state`` are its parts, for the step
    ``self.step``; a subclass that cheats replaces one of them.

    Args:
        model, training, replay: parts of the job's specification.
        weights: the state in which the seat starts.
        optimizer: the optimizer's, or None to start afresh.
        round_log: where rows and interval states go; by default they stay in memory.

    Raises:
        SpecError: states that do not fit the specification.
    """

    def __init__(
        self,
        model: ModelSpec,
        training: TrainingSpec,
        replay: ReplaySpec,
        seat: int,
        weights: State,
        optimizer: State | None = None,
        round_log: RoundLog | None = None,
    ) -> None:
        self.segment = Segment(model, training, seat, weights, optimizer)
        self._round_log: RoundLog = MemoryRoundLog() if round_log is None else round_log
        self.recorder = Recorder(self._round_log)
        self.step = 0
        self._model, self._training = model, training
        self._steps, self._interval = training.steps, replay.interval
        self._labels: NDArray[np.int64] | None = None
        self._losses: list[float] = []

    @property
    def losses(self) -> tuple[float, ...]:
        """Training loss of every step so far, in nats; empty but in the last seat."""
        return tuple(self._losses)

    @property
    def whole_intervals(self) -> int:
        """Intervals before the last that an interrupted round left whole in the round log."""
        return self._round_log.whole_intervals(self._interval)

    def resume(self, intervals: int) -> int:
        """Goes on behind the first ``intervals`` intervals that the round log holds, forgetting what follows them.

        All seats of a round go on from the same interval: the least of their ``whole_intervals``. The result is the
        one that no interruption would have changed, bit for bit.

        Returns:
            the step that comes next.
        """
        self._round_log.cut(intervals, self._interval)
        self.recorder.restart()
        self._losses = list(self._round_log.losses)
        if intervals:
            weights, optimizer = self._round_log.states[intervals - 1]
            self.segment = Segment(self._model, self._training, self.segment.seat, weights, optimizer)
        return intervals * self._interval

    def receive_labels(self, labels: NDArray[np.int64]) -> None:
        """Takes the round's pseudo-labels, int64 (steps, batch): the last seat's alone, before its first step.

        Raises:
            SpecError: another seat, or another number of steps.
        """
        if not self.segment.is_last or len(labels) != self._steps:
            seat = self.segment.seat
            raise SpecError(f"labels of {len(labels)} steps for seat {seat}", hint="one row a step, to the last seat")
        self._labels = labels

    def forward(self, step: int, x: NDArray[Any]) -> NDArray[Any]:
        """Output for a batch; both are recorded.

        Raises:
            TrainingDiverged: it is not finite; so do ``backward`` and ``update``.
        """
        self.step = step
        self.record("input", x)
        output = self.compute_output(x)
        self._require_finite("output", output)
        self.record("output", output)
        return output

    def backward(self, step: int, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        """Gradient at the input; both gradients are recorded."""
        self.step = step
        self.record("grad_received", grad)
        sent = self.compute_gradient(grad)
        self._require_finite("grad_sent", sent)
        self.record("grad_sent", sent)
        return sent

    def update(self, step: int) -> None:
        """The optimizer's step; at an interval's end the state is recorded and kept."""
        self.step = step
        self.apply_step()
        if ends_interval(step, self._steps, self._interval):
            weights, optimizer = self.segment.state(), self.segment.optimizer_state()
            self._require_finite("state", *weights.values(), *optimizer.values())
            self.recorder.note_state(weights, optimizer)
            if step + 1 < self._steps:
                self.keep_state(weights, optimizer)
        self.recorder.close_step(loss=self._losses[-1] if self._losses else None)

    def finish(self) -> TrainedSegment:
        """The result, after the last step.

        Raises:
            SpecError: steps are missing.
        """
        steps = self.recorder.steps
        if len(steps) != self._steps:
            raise SpecError(f"{len(steps)} of {self._steps} steps trained", hint="finish the round first")
        return TrainedSegment(
            trained=self.segment.state(),
            optimizer=self.segment.optimizer_state(),
            transcript=Transcript(steps, self._interval),
            interval_states=self._round_log.states,
            losses=self.losses,
            metrics=self._metrics(),
        )

    def compute_output(self, x: NDArray[Any]) -> NDArray[Any]:
        """What the seat sends forward."""
        return self.segment.forward(x)

    def compute_gradient(self, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        """What the seat sends back; the last seat computes it from its labels."""
        if self._labels is not None:
            loss, sent = self.segment.loss_backward(self._labels[self.step])
            self._losses.append(loss)
            return sent
        if grad is None:
            hint = "the last seat needs the round's labels, every other one its successor's gradient"
            raise SpecError(f"seat {self.segment.seat} has nothing to go back from", hint=hint)
        return self.segment.backward(grad)

    def apply_step(self) -> None:
        """How the seat changes its weights."""
        self.segment.step()

    def record(self, what: Crossing, tensor: NDArray[Any] | None) -> None:
        """What the seat claims crossed its boundary."""
        self.recorder.note(what, tensor)

    def keep_state(self, weights: State, optimizer: State) -> None:
        """Keeps the state at an interval's end in the round log."""
        index, size_bytes = self.step // self._interval, sum(array.nbytes for array in weights.values())
        self.recorder.run(lambda: self._round_log.add_state(index, weights, optimizer), size_bytes)

    def _require_finite(self, field: str, *arrays: NDArray[Any] | None) -> None:
        if not all(array is None or np.isfinite(array).all() for array in arrays):
            raise TrainingDiverged(self.segment.seat, field, field.replace("grad_sent", "gradient"))

    def _metrics(self) -> dict[str, float]:
        metrics = {"weight_norm": weight_norm(self.segment.state())}
        if self._losses:
            last = (self._steps - 1) % self._interval + 1
            metrics |= {"loss": fmean(self._losses), "final_loss": fmean(self._losses[-last:])}
        return metrics
