"""A job's training once more, in memory and without its marks: the control for what marks cost.

Same data, seeds, steps and optimizer states; only the embedding is left out, or replaced. Chain, store and audits take
no part.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from clicooper.attacks.marks.marked_job import MarkedJob
from clicooper.commitments.manifest import JobSpec
from clicooper.learning.checkpoint import State
from clicooper.learning.controls import train_alone
from clicooper.learning.schedule import batch_rows
from clicooper.learning.segments import Segment, initial_state

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
    states = [initial_state(spec.model, spec.seeds, seat) for seat in range(len(spec.model.cuts) + 1)]
    optimizers: list[State | None] = [None] * len(states)
    seconds = 0.0
    for round_ in range(len(spec.labels)):
        started = clock()
        segments = [
            Segment(spec.model, spec.training, seat, state, optimizer)
            for seat, (state, optimizer) in enumerate(zip(states, optimizers, strict=True))
        ]
        rows = batch_rows(spec.seeds, round_, spec.rows_until(round_), spec.training)
        train_alone(segments, job.activations, job.pseudo_labels, rows, spec.seeds, round_, spec.training)
        seconds += clock() - started
        optimizers = [segment.optimizer_state() for segment in segments]
        states = [embed(round_, seat, segment.state()) for seat, segment in enumerate(segments)]
    return Rehearsed(tuple(states), seconds)
