"""Whether a programme is fit to be run, and what it takes; told from its numbers alone, before anything runs.

Nothing here takes memory that grows with a number in it. A list that is refused is a fault of the job's terms. Freeing
values is no instruction: whoever runs a list frees each value after its last use, so no list can use a freed one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from clicooper.commitments.programme import Constant, ElementType, Instruction, Programme, StateTensor
from clicooper.errors import SpecError
from clicooper.learning.programme.operations import Form, infer_forms

__all__ = ["CheckedProgramme", "check_programme", "constant_array", "read_programme"]

MOST_INSTRUCTIONS = 1 << 14
MOST_ELEMENTS = 1 << 28
"""Of one value: a tensor of 1 GiB."""

MOST_BYTES = 1 << 34
"""Of all values that live at once, 16 GiB."""

MOST_WORK = 1 << 43
"""Multiplications of one step."""

_BYTES: Mapping[ElementType, int] = {"float32": 4, "int64": 8, "bool": 1}
_HINT = "the job's programme was not made by this protocol; do not take part in this job"
_INDEXED = {"pick": "", "take_rows": "", "unpick": "size", "add_rows": "rows"}
"""Operations with an index, and the attribute that says of how many; of the first two, it is the table's size."""


@dataclass(frozen=True, eq=False)
class CheckedProgramme:
    """A programme that is fit to be run.

    Attributes:
        output: form of what goes to the next seat.
        training_frees, evaluation_frees: after each instruction, the values that nothing needs any more.
        peak_bytes: most that the values of a step, or of an evaluation, take at once.
        work: multiplications of a step.
    """

    programme: Programme
    output: Form
    training_frees: tuple[tuple[int, ...], ...]
    evaluation_frees: tuple[tuple[int, ...], ...]
    peak_bytes: int
    work: int


@lru_cache(maxsize=256)
def read_programme(block: bytes) -> CheckedProgramme:
    """The programme in a block, checked; see ``check_programme``."""
    return check_programme(Programme.from_block(block))


def check_programme(programme: Programme) -> CheckedProgramme:
    """Holds a programme to the rules of its record, of its operations, and of what a machine can hold.

    Raises:
        SpecError: names the first thing that is wrong.
    """
    _check_state(programme)
    state = _state_forms(programme)
    before = [*state, _incoming_form(programme, state)]
    first_moment = 1 + len(programme.weights)
    behind = len(state)
    ends = programme.forward_end, programme.backward_end, len(programme.training)
    _require(0 <= ends[0] <= ends[1] <= ends[2], "the parts of its training do not follow each other")
    training = _walk(programme, programme.training, before, lambda place: {behind} if place < ends[0] else set())
    hidden = {behind, *range(first_moment, first_moment + len(programme.moments))}
    evaluation = _walk(programme, programme.evaluation, before, lambda _: hidden)
    _check_results(programme, training, evaluation)
    kept = [programme.output, programme.input_gradient, programme.loss]
    results = [number for number in kept if number is not None]
    results += [*programme.weights_after, *programme.moments_after]
    training_frees, training_peak = _liveness(programme.training, training, results)
    evaluation_frees, evaluation_peak = _liveness(programme.evaluation, evaluation, [programme.evaluated])
    peak, work = max(training_peak, evaluation_peak), training.work
    _require(max(work, evaluation.work) <= MOST_WORK, f"it needs {work:,} multiplications, at most {MOST_WORK:,}")
    _require(peak <= MOST_BYTES, f"its values take {peak:,} bytes at once, at most {MOST_BYTES:,}")
    output = training.forms[programme.output]
    return CheckedProgramme(programme, output, training_frees, evaluation_frees, peak, work)


def constant_array(constant: Constant) -> np.ndarray[Any, Any]:
    """The elements of a constant.

    Raises:
        SpecError: other bytes than its shape has elements, or numbers that are not finite.
    """
    dtype = {"float32": "<f4", "int64": "<i8", "bool": "?"}[constant.dtype]
    size = math.prod(constant.shape) * np.dtype(dtype).itemsize
    _require(len(constant.data) == size, f"a constant {list(constant.shape)} has {len(constant.data)} bytes")
    array = np.frombuffer(constant.data, dtype=dtype).reshape(constant.shape)
    _require(constant.dtype != "float32" or bool(np.isfinite(array).all()), "a constant is not finite")
    return array


@dataclass
class _Walk:
    """What a list gives.

    Attributes:
        forms: of all its values.
        largest: by number, the largest index that an int64 value may hold.
        bounds: of each instruction, the number of its first result and of the next one's.
    """

    forms: list[Form]
    largest: dict[int, int]
    bounds: list[tuple[int, int]]
    work: int = 0


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise SpecError(f"a programme of the job cannot be run: {what}", hint=_HINT)


def _check_state(programme: Programme) -> None:
    weights = {tensor.name: tensor.shape for tensor in programme.weights}
    for tensors in (programme.weights, programme.moments):
        names = [tensor.name for tensor in tensors]
        _require(all(a < b for a, b in pairwise(names)), "its tensors are not in the order of their names")
        _require(all(name.isprintable() and name.isascii() for name in names), "a tensor's name cannot be printed")
    _require(bool(weights), "it has no weights")
    for tensor in programme.moments:
        kind, _, name = tensor.name.partition("/")
        is_count = tensor.name == "step" and tensor.shape == ()
        is_moment = kind in ("momentum_buffer", "exp_avg", "exp_avg_sq") and weights.get(name) == tensor.shape
        _require(is_count or is_moment, f"{tensor.name} is no moment of its weights")
    _require(len(programme.batch) >= 2 and min(programme.batch) >= 1, "it takes no batch of records")


def _state_forms(programme: Programme) -> list[Form]:
    """Forms of the values that are there before anything enters from behind."""
    state: tuple[StateTensor, ...] = (*programme.weights, *programme.moments)
    return [
        Form("float32", programme.batch),
        *(Form("float32", tensor.shape) for tensor in state),
        *(Form(constant.dtype, constant.shape) for constant in programme.constants),
    ]


def _incoming_form(programme: Programme, state: Sequence[Form]) -> Form:
    """What enters from behind: labels, or a gradient of the shape that the forward part gives its output."""
    if programme.incoming == "labels":
        return Form("int64", programme.batch[:1])
    forms = [*state, Form("bool", ())]
    for place, instruction in enumerate(programme.training[: programme.forward_end]):
        forms += _results(place, instruction, forms, {len(state)})
    _require(programme.output < len(forms), "its output is no value of its forward part")
    return forms[programme.output]


def _results(place: int, instruction: Instruction, forms: Sequence[Form], hidden: Collection[int]) -> tuple[Form, ...]:
    for number in instruction.inputs:
        _require(number < len(forms), f"instruction {place} uses value {number} before there is one")
        _require(number not in hidden, f"instruction {place} uses value {number}, which is not there yet")
    found = infer_forms(instruction.operation, [forms[n] for n in instruction.inputs], instruction.attributes)
    for form in found:
        _require(form.size <= MOST_ELEMENTS, f"instruction {place} gives {form.size:,} elements")
    return found


def _walk(
    programme: Programme,
    instructions: Sequence[Instruction],
    given: Sequence[Form],
    hidden: Callable[[int], Collection[int]],
) -> _Walk:
    """Follows a list from value to value."""
    _require(len(instructions) <= MOST_INSTRUCTIONS, f"it has more than {MOST_INSTRUCTIONS:,} instructions")
    for form in given:
        _require(form.size <= MOST_ELEMENTS, f"a tensor has {form.size:,} elements, at most {MOST_ELEMENTS:,}")
    walk = _Walk([*given], _largest_indices(programme, len(given) - 1), [])
    for place, instruction in enumerate(instructions):
        found, number = _results(place, instruction, walk.forms, hidden(place)), len(walk.forms)
        inputs = [walk.forms[used] for used in instruction.inputs]
        if instruction.operation == "slice_labels":
            walk.largest[number] = walk.largest[instruction.inputs[0]]
        elif instruction.operation in _INDEXED:
            _check_index(instruction, inputs, walk)
        walk.work += _work(instruction.operation, inputs, found)
        walk.forms += found
        walk.bounds.append((number, number + len(found)))
    return walk


def _largest_indices(programme: Programme, incoming: int) -> dict[int, int]:
    """The largest index in whole-numbered constants, and in labels, which are below the outputs when they come."""
    first, largest = 1 + len(programme.weights) + len(programme.moments), {incoming: MOST_ELEMENTS}
    for number, constant in enumerate(programme.constants, start=first):
        array = constant_array(constant)
        if constant.dtype == "int64":
            _require(array.size == 0 or int(array.min()) >= 0, "a constant has an index below 0")
            largest[number] = int(array.max(initial=0))
    if programme.incoming == "labels":
        largest[incoming] = programme.outputs - 1
    return largest


def _check_index(instruction: Instruction, inputs: Sequence[Form], walk: _Walk) -> None:
    """An index leads into what it is an index of."""
    name = instruction.operation
    largest = walk.largest[instruction.inputs[1]]
    tables = {"pick": inputs[0].shape[-1], "take_rows": inputs[0].shape[0]}
    room = tables.get(name, instruction.attributes.get(_INDEXED[name], 0))
    _require(isinstance(room, int) and largest < room, f"{name} has an index of {largest} among {room}")


def _work(operation: str, inputs: Sequence[Form], found: Sequence[Form]) -> int:
    """Multiplications, or elements written where there are none."""
    if operation == "matmul":
        return found[0].size * inputs[0].shape[-1]
    if operation == "conv2d":
        return found[0].size * math.prod(inputs[1].shape[1:])
    if operation == "conv2d_input_grad":
        return inputs[0].size * math.prod(inputs[1].shape[1:])
    if operation == "conv2d_weight_grad":
        return inputs[0].size * math.prod(found[0].shape[1:])
    return sum(form.size for form in (*inputs, *found))


def _check_results(programme: Programme, training: _Walk, evaluation: _Walk) -> None:
    forms = training.forms
    starts = [first for first, _ in training.bounds] + [len(forms)]
    behind_forward, behind_backward = starts[programme.forward_end], starts[programme.backward_end]
    _require(programme.output < behind_forward, "its output is no value of its forward part")
    output, is_last = forms[programme.output], programme.incoming == "labels"
    _require(output.dtype == "float32" and output.shape[:1] == programme.batch[:1], "its output is no batch")
    _require(is_last == (programme.loss is not None), "a loss goes with labels")
    if programme.loss is not None:
        _require(programme.loss < behind_backward and forms[programme.loss] == Form("float32", ()), "its loss is none")
        _require(output.shape[1:] == (programme.outputs,), "its output is not one number for each of its outputs")
    _require((programme.seat == 0) == (programme.input_gradient is None), "seat 0 alone sends no gradient back")
    if programme.input_gradient is not None:
        _require(programme.input_gradient < behind_backward, "its gradient is no value of its backward part")
        _require(forms[programme.input_gradient] == forms[0], "its gradient has not the shape of its input")
    for tensors, after in ((programme.weights, programme.weights_after), (programme.moments, programme.moments_after)):
        _require(len(tensors) == len(after), "it does not give a new value for each tensor of the state")
        for tensor, number in zip(tensors, after, strict=True):
            known = number < len(forms) and forms[number] == Form("float32", tensor.shape)
            _require(known, f"the new value of {tensor.name} has another form")
    known = programme.evaluated < len(evaluation.forms) and evaluation.forms[programme.evaluated] == output
    _require(known, "its evaluation gives another output than its training")


def _liveness(
    instructions: Sequence[Instruction], walk: _Walk, results: Sequence[int]
) -> tuple[tuple[tuple[int, ...], ...], int]:
    """What can be freed after each instruction, and the most bytes that live at once."""
    last = dict.fromkeys(results, len(instructions))
    for place, (instruction, bounds) in enumerate(zip(instructions, walk.bounds, strict=True)):
        for used in (*instruction.inputs, *range(*bounds)):
            last[used] = max(last.get(used, 0), place)
    given = walk.bounds[0][0] if walk.bounds else len(walk.forms)
    frees: list[list[int]] = [[] for _ in instructions]
    for used, place in last.items():
        if used >= given and place < len(instructions):
            frees[place].append(used)
    live = peak = sum(map(_bytes, walk.forms[:given]))
    for place, (first, end) in enumerate(walk.bounds):
        live += sum(map(_bytes, walk.forms[first:end]))
        peak = max(peak, live)
        live -= sum(_bytes(walk.forms[used]) for used in frees[place])
    return tuple(tuple(sorted(freed)) for freed in frees), peak


def _bytes(form: Form) -> int:
    return form.size * _BYTES[form.dtype]
