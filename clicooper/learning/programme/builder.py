"""Writes lists of operations, one instruction at a time; every one is held to its operation's rules at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clicooper.commitments.programme import Constant, Instruction
from clicooper.learning.programme.operations import Form, infer_forms

__all__ = ["Builder", "Traced", "Value", "Written"]


@dataclass(frozen=True)
class Value:
    """A value of a list that is being written: its number and its form."""

    number: int
    form: Form

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.form.shape


@dataclass(frozen=True)
class Written:
    """An instruction with the values that it takes and gives."""

    operation: str
    inputs: tuple[Value, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[Value, ...]


@dataclass(frozen=True)
class Traced:
    """What a segment computes of one batch, as the tracer found it.

    Attributes:
        batch: form of the input, value 0.
        weights: shapes of parameters and buffers by name, in the order of their names: values 1 and up.
        parameters: names of those that are trained.
        constants: the values behind the weights.
        instructions: from the first value behind the constants on.
        output: value of the result.
        buffers: by name, the new value of each buffer that the batch changes.
    """

    batch: Form
    weights: Mapping[str, tuple[int, ...]]
    parameters: frozenset[str]
    constants: tuple[Constant, ...]
    instructions: tuple[Instruction, ...]
    output: int
    buffers: Mapping[str, int]


class Builder:
    """A list in the making.

    Args:
        inputs: forms of the values that are there before the first instruction.
    """

    def __init__(self, inputs: Sequence[Form]) -> None:
        self.inputs = tuple(Value(number, form) for number, form in enumerate(inputs))
        self.written: list[Written] = []
        self._next = len(self.inputs)
        self._scalars: dict[float, Value] = {}

    def emit(self, operation: str, *inputs: Value, **attributes: Any) -> tuple[Value, ...]:
        """Adds an instruction and gives its results.

        Raises:
            SpecError: no such operation, or inputs or attributes that it cannot take.
        """
        forms = infer_forms(operation, [value.form for value in inputs], attributes)
        outputs = tuple(Value(self._next + place, form) for place, form in enumerate(forms))
        self._next += len(outputs)
        self.written.append(Written(operation, inputs, attributes, outputs))
        return outputs

    def one(self, operation: str, *inputs: Value, **attributes: Any) -> Value:
        """``emit`` of an operation with one result."""
        (result,) = self.emit(operation, *inputs, **attributes)
        return result

    def scalar(self, number: float) -> Value:
        """A float32 number without axes; the same one again for an equal number."""
        if number not in self._scalars:
            self._scalars[number] = self.one("full", shape=(), value=float(number))
        return self._scalars[number]

    def inline(self, instructions: Sequence[Instruction], given: Sequence[Value]) -> list[Value]:
        """Adds instructions that are numbered behind ``given``.

        Returns:
            the values under their numbers there: first the given ones, then the results.
        """
        values = list(given)
        for instruction in instructions:
            inputs = (values[number] for number in instruction.inputs)
            values += self.emit(instruction.operation, *inputs, **instruction.attributes)
        return values

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """The list as it is now."""
        return tuple(
            Instruction(
                operation=one.operation, inputs=tuple(v.number for v in one.inputs), attributes=dict(one.attributes)
            )
            for one in self.written
        )
