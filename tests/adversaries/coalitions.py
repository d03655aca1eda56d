"""Seats that lie together: what neighbours agree on is no evidence, only doing the work again is.

A replay follows causes: the first difference names one member, behind which it cannot see the others in that interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clicooper.learning.training import SeatWorker, TrainedSegment
from clicooper.learning.transcript import Crossing, StepDigests, Transcript
from clicooper.protocol.trainer import Trainer
from tests.adversaries._invented import invented
from tests.adversaries.batches import triggered
from tests.adversaries.boundary import AltersActivationAtBoundary, AltersGradientAtBoundary
from tests.adversaries.claims import TrainedCheat
from tests.adversaries.work import ReusesLastCheckpoint, WorkerCheat


class Coalition:
    """Trainers by the seats that they take."""

    members: ClassVar[Mapping[int, type[Trainer]]]


class _Fabricates(TrainedCheat):
    """Invents the digests of both directions at the boundaries that it shares with its accomplices."""

    above: ClassVar[bool]
    below: ClassVar[bool]

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        steps = tuple(self._invented(step, row) for step, row in enumerate(trained.transcript.steps))
        return replace(trained, transcript=Transcript(steps, trained.transcript.interval))

    def _invented(self, step: int, row: StepDigests) -> StepDigests:
        if self.above:
            boundary = b"%d" % self.seat
            row = replace(
                row, output=invented(b"up" + boundary, step), grad_received=invented(b"down" + boundary, step)
            )
        if self.below:
            boundary = b"%d" % (self.seat - 1)
            row = replace(row, input=invented(b"up" + boundary, step), grad_sent=invented(b"down" + boundary, step))
        return row


class _FabricatesAbove(_Fabricates):
    above, below = True, False


class _FabricatesBelow(_Fabricates):
    above, below = False, True


class _FabricatesAround(_Fabricates):
    above, below = True, True


class InventsWhatCrossesBetween(Coalition):
    """Seats 0 and 1 invent every tensor between them, and agree on it. Caught by `replay`; names one of them."""

    members: ClassVar = {0: _FabricatesAbove, 1: _FabricatesBelow}


class InventsEveryBoundary(Coalition):
    """All seats together invent everything that crosses between them. Caught by `replay`; names one of them."""

    members: ClassVar = {0: _FabricatesAbove, 1: _FabricatesAround, 2: _FabricatesBelow}


def _recording(altered: Crossing) -> type[SeatWorker]:
    class Worker(SeatWorker):
        def record(self, what: Crossing, tensor: NDArray[Any] | None) -> None:
            lie = what == altered and tensor is not None
            super().record(what, tensor * np.float32(1.001) if lie and tensor is not None else tensor)

    return Worker


class _RecordsOutput(WorkerCheat):
    worker = _recording("output")


class _RecordsInput(WorkerCheat):
    worker = _recording("input")


class _RecordsGradSent(WorkerCheat):
    worker = _recording("grad_sent")


class _RecordsGradReceived(WorkerCheat):
    worker = _recording("grad_received")


class RecordsTheSameAlteredActivation(Coalition):
    """Seats 0 and 1 record an activation that neither of them computed with. Caught by `replay`; names one of them."""

    members: ClassVar = {0: _RecordsOutput, 1: _RecordsInput}


class RecordsTheSameAlteredGradient(Coalition):
    """Seats 1 and 2 record a gradient that neither of them computed with. Caught by `replay`; names one of them."""

    members: ClassVar = {1: _RecordsGradReceived, 2: _RecordsGradSent}


class NeighboursDoNothing(Coalition):
    """Seats 1 and 2 never update, and record exactly that. Caught by `replay`; names one of them."""

    members: ClassVar = {1: ReusesLastCheckpoint, 2: ReusesLastCheckpoint}


class AllSeatsDoNothing(Coalition):
    """No seat ever updates, and the transcripts fit each other. Caught by `replay`; names one of them."""

    members: ClassVar = dict.fromkeys(range(3), ReusesLastCheckpoint)


class _StampingWorker(SeatWorker):
    def compute_output(self, x: NDArray[Any]) -> NDArray[Any]:
        return super().compute_output(triggered(x) if self.step % 2 else x)


class _Stamps(WorkerCheat):
    worker = _StampingWorker


class _TargetingWorker(SeatWorker):
    def receive_labels(self, labels: NDArray[np.int64]) -> None:
        targeted = labels.copy()
        targeted[1::2] = 0
        super().receive_labels(targeted)


class _Targets(WorkerCheat):
    worker = _TargetingWorker


class PlantsBackdoor(Coalition):
    """Seat 0 stamps a trigger on every second batch behind an honest record, seat 2 labels it. Seat 1 sees nothing.

    Caught by `replay`; names one of them.
    """

    members: ClassVar = {0: _Stamps, 2: _Targets}


class FramesTheSeatBetween(Coalition):
    """Seats 0 and 2 each alter what they send to seat 1, whose honest record then disagrees with both of theirs.

    Caught by `boundary`; names the pair. That seat 1 is in both pairs proves nothing against it.
    """

    members: ClassVar = {0: AltersActivationAtBoundary, 2: AltersGradientAtBoundary}


def members_of(party: type[Coalition] | type[Trainer], seat: int) -> Iterator[tuple[int, type[Trainer]]]:
    """Who sits where: a coalition's members, or a single cheat in its seat."""
    if issubclass(party, Coalition):
        yield from party.members.items()
    else:
        yield seat, party
