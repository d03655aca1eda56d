"""Runs a checked programme: one training step in its three parts, or an evaluation.

``Step`` holds the values of one step, each until its last use. Which arithmetic computes them is the caller's choice of
kernels; nothing here knows a torch module, and no gradient is torch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from clicooper.commitments.programme import Instruction
from clicooper.errors import ArithmeticFault
from clicooper.learning.portable.free import Kernel
from clicooper.learning.portable.recheck import recheck
from clicooper.learning.portable.watch import Watch
from clicooper.learning.programme.check import CheckedProgramme, constant_array

__all__ = ["Step", "constants_on", "evaluate"]


def constants_on(checked: CheckedProgramme, device: torch.device) -> list[Tensor]:
    """A programme's constants as tensors."""
    return [torch.tensor(constant_array(constant), device=device) for constant in checked.programme.constants]


class Step:
    """One training step.

    ``forward``, ``backward`` and ``update`` in this order, each once.

    Args:
        state: weights, moments and constants, in the programme's order; none is changed.
        rechecked: place of an instruction of which some results are computed again in whole numbers.
    """

    def __init__(
        self,
        checked: CheckedProgramme,
        kernels: Mapping[str, Kernel],
        state: Sequence[Tensor],
        watch: Watch,
        rechecked: int | None = None,
    ) -> None:
        self._checked, self._programme = checked, checked.programme
        self._run = _Run(kernels, checked.training_frees, watch, len(state) + 2, rechecked)
        self._state = state

    def forward(self, batch: Tensor) -> Tensor:
        """The output for a batch, float32."""
        self._run.give(0, [batch, *self._state])
        self._run.instructions(self._programme.training, 0, self._programme.forward_end)
        return _recorded(self._run[self._programme.output])

    def backward(self, incoming: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The mean loss in nats, in the last seat, and the gradient of the input, but in seat 0.

        Args:
            incoming: the output's gradient, float32, or labels, int64 below the programme's outputs.
        """
        programme = self._programme
        self._run.give(1 + len(self._state), [incoming])
        self._run.instructions(programme.training, programme.forward_end, programme.backward_end)
        loss = None if programme.loss is None else self._run[programme.loss]
        sent = None if programme.input_gradient is None else _recorded(self._run[programme.input_gradient])
        return loss, sent

    def update(self) -> tuple[list[Tensor], list[Tensor]]:
        """Weights and moments after the step."""
        programme = self._programme
        self._run.instructions(programme.training, programme.backward_end, len(programme.training))
        weights, moments = programme.weights_after, programme.moments_after
        return [_recorded(self._run[n]) for n in weights], [_recorded(self._run[n]) for n in moments]


def evaluate(
    checked: CheckedProgramme, kernels: Mapping[str, Kernel], state: Sequence[Tensor], batch: Tensor, watch: Watch
) -> Tensor:
    """The output of a whole batch in evaluation.

    Args:
        state: weights, any moments and constants, in the programme's order.
    """
    programme = checked.programme
    run = _Run(kernels, checked.evaluation_frees, watch, len(state) + 2)
    run.give(0, [batch, *state])
    run.instructions(programme.evaluation, 0, len(programme.evaluation))
    return _recorded(run[programme.evaluated])


class _Run:
    """The values of one list while it runs.

    Args:
        first: number of the first instruction's first result.
        rechecked: as ``Step`` takes it.
    """

    def __init__(
        self,
        kernels: Mapping[str, Kernel],
        frees: Sequence[Iterable[int]],
        watch: Watch,
        first: int,
        rechecked: int | None = None,
    ) -> None:
        self._kernels, self._frees, self._watch, self._rechecked = kernels, frees, watch, rechecked
        self._values: dict[int, Tensor] = {}
        self._next = first

    def __getitem__(self, number: int) -> Tensor:
        return self._values[number]

    def give(self, first: int, values: Iterable[Tensor]) -> None:
        """Sets values from a number on."""
        self._values.update(enumerate(values, start=first))

    def instructions(self, instructions: Sequence[Instruction], first: int, end: int) -> None:
        values = self._values
        for place in range(first, end):
            one = instructions[place]
            inputs = [values[number] for number in one.inputs]
            found = self._kernels[one.operation](self._watch, *inputs, **one.attributes)
            results = found if isinstance(found, tuple) else (found,)
            self.give(self._next, results)
            self._next += len(results)
            if place == self._rechecked and not recheck(one.operation, inputs, one.attributes, results[0]):
                raise ArithmeticFault(
                    f"this machine computed {one.operation} otherwise than whole numbers give it",
                    hint="look at its memory and processor; until then compute on another machine",
                )
            for number in self._frees[place]:
                del values[number]


def _recorded(value: Tensor) -> Tensor:
    """What is recorded or kept: a zero is +0, whatever sign it had inside."""
    return value + 0.0
