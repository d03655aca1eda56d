"""One seat's working segment: its programme, and its state on a device.

A segment made from ``(state(), optimizer_state())`` of another continues it bit for bit. In each step one reduction is
drawn, of which a few results are computed again in whole numbers.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clicooper.commitments.manifest import SeedSpec
from clicooper.commitments.programme import StateTensor
from clicooper.errors import DataError, SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.portable.draws import normal
from clicooper.learning.portable.free import Kernel
from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.recheck import ENTRIES
from clicooper.learning.portable.watch import Watch
from clicooper.learning.programme.check import CheckedProgramme
from clicooper.learning.programme.execution import Step, constants_on, evaluate
from clicooper.learning.programme.native import NATIVE
from clicooper.learning.schedule import Purpose
from clicooper.learning.segments import TrainingDiverged

__all__ = ["Arithmetic", "ProgrammedSegment", "first_weights"]

Arithmetic: TypeAlias = Literal["portable/1", "native"]
"""How the numbers of a step are computed: the same bits everywhere, or as fast as this machine can."""

_KERNELS: Mapping[Arithmetic, Mapping[str, Kernel]] = {"portable/1": PORTABLE, "native": NATIVE}

CPU = torch.device("cpu")


def first_weights(checked: CheckedProgramme, seeds: SeedSpec) -> State:
    """The weights with which round 0 starts.

    A tensor starts as the programme says: as one number, or He-normal, ``N(0, 2 / fan_in)`` with ``fan_in`` the product
    of all dimensions but the first (He et al., 2015), from a stream of its name, which no cut changes.

    Returns:
        float32 arrays.
    """
    return {tensor.name: _initial(tensor, seeds) for tensor in checked.programme.weights}


def _initial(tensor: StateTensor, seeds: SeedSpec) -> NDArray[np.float32]:
    if tensor.start is not None:
        return np.full(tensor.shape, tensor.start, dtype=np.float32)
    name = np.frombuffer(hashlib.sha256(tensor.name.encode()).digest(), dtype="<u4")
    words = np.random.PCG64(np.random.SeedSequence([seeds.weights, int(Purpose.WEIGHTS), *map(int, name)]))
    # A square root of float64 is rounded correctly on every machine.
    scale = np.float32(math.sqrt(2.0 / math.prod(tensor.shape[1:])))
    return normal(words, tensor.shape) * scale


class ProgrammedSegment:
    """The layers of one seat, in training.

    A step is ``forward``, then ``backward`` (or ``loss_backward`` in the last seat), then ``step``.

    Args:
        state: weights, float32, of the programme's names; copied.
        optimizer_state: as ``optimizer_state()`` gave it, or None to start afresh; copied.
        device: where it computes.

    Raises:
        SpecError: states that do not fit the programme.
    """

    def __init__(
        self,
        checked: CheckedProgramme,
        arithmetic: Arithmetic,
        state: State,
        optimizer_state: State | None = None,
        device: torch.device = CPU,
    ) -> None:
        programme = checked.programme
        self.seat, self.is_last = programme.seat, programme.incoming == "labels"
        self._checked, self._kernels, self._device = checked, _KERNELS[arithmetic], device
        self._watch = Watch(device)
        self._reductions = _reductions(checked) if arithmetic == "portable/1" else ()
        self._weights = _take(self.seat, programme.weights, state, device)
        self._has_stepped = bool(optimizer_state)
        zeros = {tensor.name: np.zeros(tensor.shape, dtype=np.float32) for tensor in programme.moments}
        self._moments = _take(self.seat, programme.moments, optimizer_state or zeros, device)
        self._constants = constants_on(checked, device)
        self._step: Step | None = None
        self._went_back = False

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        """Output for a batch (batch, ...).

        Raises:
            DataError: a batch of another shape than the programme's.
        """
        expected = self._checked.programme.batch
        if x.shape != expected:
            raise DataError(
                f"seat {self.seat} cannot take a batch {list(x.shape)}",
                hint=f"give the segment a batch of the shape that its programme has, {list(expected)}",
            )
        state = [*self._weights, *self._moments, *self._constants]
        rechecked = secrets.choice(self._reductions) if self._reductions else None
        self._step = Step(self._checked, self._kernels, state, self._watch, rechecked)
        self._went_back = False
        return _array(self._step.forward(_tensor(x, self._device)))

    def backward(self, grad: NDArray[Any]) -> NDArray[Any] | None:
        """Gradient of the loss at the input, from that at the output; None in seat 0, where nobody needs it.

        Raises:
            DataError: a gradient of another shape than the output, or no forward pass before.
        """
        step, expected = self._pending(), self._checked.output.shape
        if grad.shape != expected or self.is_last:
            raise DataError(f"seat {self.seat} got a gradient {list(grad.shape)}", hint=f"not {list(expected)}")
        _, sent = step.backward(_tensor(grad, self._device))
        return None if sent is None else _array(sent)

    def loss_backward(self, labels: NDArray[np.int64]) -> tuple[float, NDArray[Any] | None]:
        """Last seat: mean loss (nats) of the last forward pass, and its input gradient.

        Args:
            labels: int64 (batch,), pseudo-labels in [0, outputs).

        Raises:
            DataError: labels out of range or of another length, or no forward pass before.
            TrainingDiverged: the loss is not finite.
        """
        programme = self._checked.programme
        if labels.shape != programme.batch[:1] or labels.min() < 0 or labels.max() >= programme.outputs:
            raise DataError("labels do not fit the batch", hint=f"one in [0, {programme.outputs}) for each record")
        loss, sent = self._pending().backward(torch.tensor(labels, device=self._device))
        value = math.nan if loss is None else loss.item()
        if not math.isfinite(value):
            raise TrainingDiverged(self.seat, "grad_sent", "loss")
        return value, None if sent is None else _array(sent)

    def step(self) -> None:
        """One optimizer step with the gradients of the last backward pass.

        Raises:
            DataError: no backward pass before.
            TrainingDiverged: a sum in this step was not over finite numbers.
        """
        if self._step is None or not self._went_back:
            raise DataError(f"seat {self.seat} has no gradients to step with", hint="call forward and backward first")
        self._weights, self._moments = self._step.update()
        self._step, self._has_stepped = None, True
        if not self._watch.is_finite():
            raise TrainingDiverged(self.seat, "state", "input of a sum")

    def state(self) -> State:
        """A copy of parameters and buffers."""
        return _named(self._checked.programme.weights, self._weights)

    def optimizer_state(self) -> State:
        """A copy of the optimizer's moments; empty before the first step and for plain SGD."""
        return _named(self._checked.programme.moments, self._moments) if self._has_stepped else {}

    def evaluate(self, x: NDArray[Any]) -> NDArray[Any]:
        """Output for a batch in evaluation; the batch has the programme's shape.

        Raises:
            TrainingDiverged: a sum was not over finite numbers.
        """
        state = [*self._weights, *self._moments, *self._constants]
        output = evaluate(self._checked, self._kernels, state, _tensor(x, self._device), self._watch)
        if not self._watch.is_finite():
            raise TrainingDiverged(self.seat, "output", "input of a sum")
        return _array(output)

    def _pending(self) -> Step:
        if self._step is None or self._went_back:
            raise DataError(f"seat {self.seat} has no forward pass to go back through", hint="call forward first")
        self._went_back = True
        return self._step


def _reductions(checked: CheckedProgramme) -> tuple[int, ...]:
    """Places of instructions whose results can be computed again."""
    training = checked.programme.training
    return tuple(place for place, one in enumerate(training) if one.operation in ENTRIES)


Tensors: TypeAlias = tuple[StateTensor, ...]


def _take(seat: int, expected: Tensors, state: State, device: torch.device) -> list[Tensor]:
    """A state's tensors in the order of the programme."""
    forms = {tensor.name: ("float32", tensor.shape) for tensor in expected}
    found = {name: (array.dtype.name, array.shape) for name, array in state.items()}
    if forms != found:
        wrong = next(name for name in sorted({*forms, *found}) if forms.get(name) != found.get(name))
        raise SpecError(
            f"the state of seat {seat} does not fit its segment at {wrong}",
            hint="give the state of this model and these cuts",
        )
    return [_tensor(state[tensor.name], device) for tensor in expected]


def _tensor(array: NDArray[Any], device: torch.device) -> Tensor:
    """A copy, also because torch's own memory is aligned as its fastest loops like it."""
    return torch.tensor(array, dtype=torch.float32, device=device)


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.array(tensor.cpu().numpy())


def _named(tensors: Tensors, values: list[Tensor]) -> State:
    return {tensor.name: _array(value) for tensor, value in zip(tensors, values, strict=True)}
