"""One seat's interval on its own: what crossed its boundaries is enough to do its work again, and nobody else's.

The transcript holds digests of what crossed. A *witness* holds the tensors themselves, for one interval: the seat's
inputs and, unless it is the last, the gradients that it received; in the last seat the labels of the batches. Whoever
has it and the seat's state at the start computes the same outputs, gradients and states, bit for bit in the same
runtime class. It shows nothing of other seats but what they sent here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.manifest import JobSpec
from clicooper.errors import SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.replay import IntervalInputs, ReplayingWorker
from clicooper.learning.runtime import use_threads
from clicooper.learning.training import train_round
from clicooper.learning.transcript import Crossing, StepDigests, interval_bounds

__all__ = ["ReplayedSeat", "Witness", "replay_seat", "take_witness"]

States = tuple[State, State | None]


@dataclass(frozen=True, eq=False)
class Witness:
    """What crossed one seat's boundaries in one interval.

    Attributes:
        inputs: (steps, batch, ...), floating.
        gradients: (steps, batch, ...), floating; None in the last seat.
        labels: (steps, batch), int64 pseudo-labels; in the last seat alone.
    """

    inputs: NDArray[Any]
    gradients: NDArray[Any] | None = None
    labels: NDArray[np.int64] | None = None

    def to_state(self) -> State:
        """As the tensors of a safetensors file."""
        named = {"inputs": self.inputs, "gradients": self.gradients, "labels": self.labels}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    @classmethod
    def from_state(cls, state: State) -> Witness:
        """Reads the tensors of a safetensors file.

        Raises:
            SpecError: others than a witness has, or for different numbers of steps.
        """
        if set(state) not in ({"inputs", "gradients"}, {"inputs", "labels"}):
            raise SpecError(
                f"a witness with tensors {sorted(state)}",
                hint="give the inputs, and the gradients of an inner seat or the labels of the last one",
            )
        labels = state.get("labels")
        if len({array.shape[:2] for array in state.values()}) != 1 or state["inputs"].ndim < 2:
            raise SpecError("the tensors of a witness have different steps or batches", hint="make the bundle again")
        if labels is not None and (labels.ndim, labels.dtype) != (2, np.dtype(np.int64)):
            raise SpecError("the labels of a witness are not whole numbers a record", hint="make the bundle again")
        return cls(state["inputs"], state.get("gradients"), labels)


@dataclass(frozen=True, eq=False)
class ReplayedSeat:
    """What a seat's interval gives: digests of every step, and the state at its end."""

    first_step: int
    steps: tuple[StepDigests, ...]
    end: tuple[State, State]


class _Witnessing(ReplayingWorker):
    """Keeps what its seat receives."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.received: dict[Crossing, list[NDArray[Any]]] = {"input": [], "grad_received": []}

    def record(self, what: Crossing, tensor: NDArray[Any] | None) -> None:
        super().record(what, tensor)
        if tensor is not None and what in self.received:
            self.received[what].append(np.array(tensor))


def take_witness(spec: JobSpec, inputs: IntervalInputs, seat: int, start_states: Sequence[States]) -> Witness:
    """Trains an interval again, all seats together, and keeps what one of them received.

    Args:
        inputs: of the interval.
        start_states: by seat, weights and optimizer state before it.

    Raises:
        SpecError: a state that does not fit its segment, or from which training diverges.
    """
    count = len(inputs.batches)
    workers = [ReplayingWorker(spec, count, other, states) for other, states in enumerate(start_states)]
    workers[seat] = witnessing = _Witnessing(spec, count, seat, start_states[seat])
    workers[-1].receive_labels(inputs.labels)
    train_round(workers, enumerate(inputs.batches))
    received, gradients = (np.stack(found) if found else None for found in witnessing.received.values())
    if received is None:
        raise SpecError("an interval has no steps", hint="the job's specification is damaged")
    return Witness(received, labels=inputs.labels) if witnessing.segment.is_last else Witness(received, gradients)


def replay_seat(spec: JobSpec, index: int, seat: int, start: States, witness: Witness) -> ReplayedSeat:
    """Does one seat's work of an interval again.

    Args:
        index: of the interval.
        start: the seat's weights and optimizer state before it.
        witness: of this seat and interval.

    Raises:
        SpecError: a witness of another number of steps, or a start that does not fit the model.
        TrainingDiverged: numbers that are not finite; whoever committed to more did other work.
        DataError: tensors that the segment cannot take.
    """
    first, last = interval_bounds(index, spec.training.steps, spec.replay.interval)
    count = len(witness.inputs)
    if count != last - first:
        raise SpecError(f"a witness of {count} steps for an interval of {last - first}", hint="make the bundle again")
    worker = ReplayingWorker(spec, count, seat, start)
    if worker.segment.is_last:
        if witness.labels is None:
            raise SpecError("the witness of the last seat has no labels", hint="make the bundle again")
        worker.receive_labels(witness.labels)
    with use_threads(1):
        for step in range(count):
            worker.forward(step, witness.inputs[step])
            worker.backward(step, None if witness.gradients is None else witness.gradients[step])
            worker.update(step)
    return ReplayedSeat(first, worker.recorder.steps, (worker.segment.state(), worker.segment.optimizer_state()))
