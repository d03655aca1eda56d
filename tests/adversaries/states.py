"""Trainers that train honestly and commit interval states that are none, under a transcript that fits them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clicooper.learning.checkpoint import State, state_digest
from clicooper.learning.training import TrainedSegment
from tests.adversaries.claims import TrainedCheat


class ForgingCheat(TrainedCheat):
    """Commits other states between intervals than it had."""

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        transcript = trained.transcript
        states = [self.forge(dict(weights), dict(moments)) for weights, moments in trained.interval_states]
        steps = list(transcript.steps)
        for index, state in enumerate(states):
            at = (index + 1) * transcript.interval - 1
            steps[at] = replace(steps[at], state=state_digest(*state))
        return replace(trained, interval_states=states, transcript=replace(transcript, steps=tuple(steps)))

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return weights, moments


def _recounted(moments: State, change: float) -> State:
    return {n: np.asarray(a + np.float32(change)) if n.startswith("step/") else a for n, a in moments.items()}


class DivergesFromItsStates(ForgingCheat):
    """Multiplies them by 1e25, so that training from any of them diverges. Caught by `replay`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        weights, moments = ({n: a * np.float32(1e25) for n, a in part.items()} for part in (weights, moments))
        return weights, moments


class CountsBackwards(ForgingCheat):
    """Says that AdamW has done one step less than none. Caught by `state`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return weights, {n: np.asarray(np.float32(-1)) if n.startswith("step/") else a for n, a in moments.items()}


class CountsTooManySteps(ForgingCheat):
    """Says that AdamW has done a step more. Caught by `state`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return weights, _recounted(moments, 1)


class CountsHalfSteps(ForgingCheat):
    """Says that AdamW has done half a step more. Caught by `state`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return weights, _recounted(moments, 0.5)


class CommitsNegativeSquares(ForgingCheat):
    """Turns the sign of AdamW's second moments, whose roots no number is. Caught by `state`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return weights, {n: -a - np.float32(1e-6) if n.startswith("exp_avg_sq/") else a for n, a in moments.items()}


class CommitsIntegers(ForgingCheat):
    """Rounds its weights to whole numbers, in tensors of whole numbers. Caught by `state`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return {n: np.rint(a).astype(np.int64) for n, a in weights.items()}, moments


class CommitsDoubles(ForgingCheat):
    """Writes float64 where float32 is computed. Caught by `state`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return {n: a.astype(np.float64) for n, a in weights.items()}, moments


class AddsTensor(ForgingCheat):
    """Adds a tensor that its segment has not. Caught by `state`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return weights | {"another": np.zeros(3, dtype=np.float32)}, moments


class DropsTensor(ForgingCheat):
    """Leaves out a tensor that its segment has. Caught by `state`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return {n: a for n, a in weights.items() if n != min(weights)}, moments


class CommitsHugeState(ForgingCheat):
    """Commits a file many times as large as a state of its segment. Caught by `state`; names its seat."""

    def forge(self, weights: State, moments: State) -> tuple[State, State]:
        return weights | {"ballast": np.zeros(1 << 20, dtype=np.float32)}, moments


class HandsOverImpossibleMoments(TrainedCheat):
    """Ends its round in a count of AdamW's steps with which the next one cannot begin.

    Caught by `state`; names its seat.
    """

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        moments = _recounted(trained.optimizer, -1.0 - len(trained.transcript.steps))
        *steps, last = trained.transcript.steps
        fitting = replace(last, state=state_digest(trained.trained, moments))
        return replace(trained, optimizer=moments, transcript=replace(trained.transcript, steps=(*steps, fitting)))
