"""The record of a seat's training step, as a list of operations that any machine can run.

Values are numbered: the seat's input is 0, then come weights, moments and constants in their order, then what enters
from the next seat (gradient or labels), then the results of the instructions in their order. Every number is written
once, so a list has no order of its own to be interpreted. What the operations are, and whether a list is fit to be run,
is the job of ``learning.programme``.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from clicooper.commitments.records import Count, Ints, Number, Part, Record

__all__ = ["Attribute", "Constant", "ElementType", "Instruction", "Programme", "StateTensor"]

ElementType: TypeAlias = Literal["float32", "int64", "bool"]

Attribute: TypeAlias = Count | Number | Ints
"""A number of an operation that no tensor gives: an axis, a shape, a rate."""


class StateTensor(Part):
    """A float32 tensor of the seat's state.

    Attributes:
        name: as in the state's file.
        start: the number that fills it at first; None, which is not written, for He-normal weights.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    shape: Ints
    start: Number | None = None

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        if self.start is None:
            del fields["start"]
        return fields


class Constant(Part):
    """A small tensor that is the same in every step, such as positions.

    Attributes:
        data: its elements in C order, little-endian; a bool takes a byte.
    """

    dtype: ElementType
    shape: Ints
    data: bytes


class Instruction(Part):
    """One operation.

    Attributes:
        inputs: numbers of the values that it takes.
    """

    operation: Annotated[str, Field(max_length=40)]
    inputs: Ints
    attributes: dict[str, Attribute]


class Programme(Record):
    """What one seat computes in a training step, and in evaluation.

    A step runs ``training`` in three parts: forward up to ``forward_end``; backward, once the gradient or the labels
    are there, up to ``backward_end``; the optimizer. Evaluation numbers its values alike, and takes weights alone.

    Attributes:
        batch: shape of the seat's input, records first.
        incoming: what enters the backward part: the gradient of the output, or the labels, int64 (records,).
        outputs: labels are below it.
        weights: parameters and buffers, in the order of their names.
        moments: the optimizer's, in the order of their names; zeros before the first step.
        output: the value that goes to the next seat; in the last seat, the logits.
        input_gradient: what goes back to the seat before; None in seat 0.
        loss: the mean training loss in nats, in the last seat.
        weights_after, moments_after: the new values of ``weights`` and ``moments``, in their order.
        evaluated: the output of ``evaluation``.
    """

    kind: ClassVar[str] = "Programme"
    seat: Count
    batch: Ints
    incoming: Literal["gradient", "labels"]
    outputs: Count
    weights: Annotated[tuple[StateTensor, ...], Field(strict=False)]
    moments: Annotated[tuple[StateTensor, ...], Field(strict=False)]
    constants: Annotated[tuple[Constant, ...], Field(strict=False)]
    training: Annotated[tuple[Instruction, ...], Field(strict=False)]
    forward_end: Count
    backward_end: Count
    output: Count
    input_gradient: Count | None
    loss: Count | None
    weights_after: Ints
    moments_after: Ints
    evaluation: Annotated[tuple[Instruction, ...], Field(strict=False)]
    evaluated: Count
