"""Tensors altered where two seats meet, openly or behind the neighbour's back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.learning.training import SeatWorker
from clicooper.learning.transcript import Crossing
from tests.adversaries.work import WorkerCheat


class _PoisoningWorker(SeatWorker):
    def compute_output(self, x: NDArray[Any]) -> NDArray[Any]:
        return super().compute_output(x) * np.float32(1.001)


class ScalesItsOutput(WorkerCheat):
    """Sends an output that its weights do not give, and records what it sent. Caught by `replay`; names its seat."""

    worker = _PoisoningWorker


class _TwoFacedForward(SeatWorker):
    def forward(self, step: int, x: NDArray[Any]) -> NDArray[Any]:
        return super().forward(step, x) * np.float32(1.001)


class AltersActivationAtBoundary(WorkerCheat):
    """Records its honest output and sends another. Caught by `boundary`; names the pair."""

    worker = _TwoFacedForward


class _TwoFacedBackward(SeatWorker):
    def backward(self, step: int, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        sent = super().backward(step, grad)
        return None if sent is None else sent * np.float32(1.001)


class AltersGradientAtBoundary(WorkerCheat):
    """Records its honest gradient and sends another. Caught by `boundary`; names the pair."""

    worker = _TwoFacedBackward


class _ScalingBackward(SeatWorker):
    def compute_gradient(self, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        sent = super().compute_gradient(grad)
        return None if sent is None else sent * np.float32(0.5)


class ScalesItsGradient(WorkerCheat):
    """Sends back a gradient that its weights do not give, and records what it sent.

    Caught by `replay`; names its seat.
    """

    worker = _ScalingBackward


class _MisrecordsInput(SeatWorker):
    def record(self, what: Crossing, tensor: NDArray[Any] | None) -> None:
        super().record(what, tensor * np.float32(1.001) if what == "input" and tensor is not None else tensor)


class MisrecordsItsInput(WorkerCheat):
    """Computes on what it received and records something else. Caught by `boundary`; names the pair."""

    worker = _MisrecordsInput


class _MisrecordsGradient(SeatWorker):
    def record(self, what: Crossing, tensor: NDArray[Any] | None) -> None:
        super().record(what, tensor * np.float32(1.001) if what == "grad_received" and tensor is not None else tensor)


class MisrecordsItsGradient(WorkerCheat):
    """Goes back from the gradient that it received and records another. Caught by `boundary`; names the pair."""

    worker = _MisrecordsGradient
