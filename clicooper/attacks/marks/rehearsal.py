"""A job's training once more, in memory and without its marks: the control for what marks cost.

Same data, seeds, steps and optimizer states; only the embedding is left out, or replaced. Chain, store and audits take
no part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clicooper.attacks.marks.marked_job import MarkedJob
from clicooper.commitments.manifest import JobSpec
from clicooper.learning.checkpoint import State
from clicooper.learning.schedule import batch_rows, round_batches
from clicooper.learning.segments import initial_state
from clicooper.learning.training import SeatWorker, train_round

__all__ = ["Rehearsed", "embed_nothing", "train_again"]

Embed = Callable[[int, int, State], State]
"""Of round, seat and raw weights: what the next round starts from."""


@dataclass(frozen=True, eq=False)
class Rehearsed:
    """The final model, and how long its training took without embedding, in seconds of the clock."""

    states: tuple[State, ...]
    seconds: float


def embed_nothing(_round: int, _seat: int, raw: State) -> State:
    """Leaves the raw weights as they are."""
    return raw


def train_again(
    job: MarkedJob,
    embed: Embed = embed_nothing,
    spec: JobSpec | None = None,
    clock: Callable[[], float] = time.process_time,
) -> Rehearsed:
    """Trains all rounds of a job on its release and its pseudo-labels.

    Args:
        embed: what becomes of raw weights after each round.
        spec: another specification for the same data, by default the job's own.
    """
    spec = job.spec if spec is None else spec
    states: list[State] = [initial_state(spec.model, spec.seeds, seat) for seat in range(len(spec.model.cuts) + 1)]
    optimizers: list[State | None] = [None] * len(states)
    seconds = 0.0
    for round_ in range(len(spec.labels)):
        started = clock()
        workers = _train(spec, round_, states, optimizers, job.activations, job.pseudo_labels)
        seconds += clock() - started
        optimizers = [worker.segment.optimizer_state() for worker in workers]
        states = [embed(round_, seat, worker.segment.state()) for seat, worker in enumerate(workers)]
    return Rehearsed(tuple(states), seconds)


def _train(
    spec: JobSpec,
    round_: int,
    states: Sequence[State],
    optimizers: Sequence[State | None],
    activations: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> list[SeatWorker]:
    workers = [
        SeatWorker(spec.model, spec.training, spec.replay, seat, state, optimizer)
        for seat, (state, optimizer) in enumerate(zip(states, optimizers, strict=True))
    ]
    rows = batch_rows(spec.seeds, round_, spec.rows_until(round_), spec.training)
    workers[-1].receive_labels(labels[rows])
    train_round(workers, round_batches(activations, rows, spec.seeds, round_, spec.training))
    return workers
