"""A seat's whole training step: the traced segment, the loss, the gradients and the optimizer, as one programme.

A batch goes through in ``micro_batches`` parts, one after the other: batch normalisation sees one part at a time, and
the gradients of the parts are added in their order. Every record's loss is divided by the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clicooper.commitments.manifest import TrainingSpec
from clicooper.commitments.programme import Instruction, Programme, StateTensor
from clicooper.errors import NotPortable, SpecError
from clicooper.learning.programme.builder import Builder, Traced, Value, Written
from clicooper.learning.programme.gradients import backpropagate
from clicooper.learning.programme.operations import Form
from clicooper.learning.programme.optimizers import clip_gradients, moment_shapes, update_weights

__all__ = ["make_programme"]


@dataclass(frozen=True)
class _Part:
    """One micro-batch that went forward."""

    input: Value
    output: Value
    written: Sequence[Written]


@dataclass
class _Step:
    """The list in the making, and its values by name."""

    training: TrainingSpec
    traced: Traced
    micro_batches: int
    builder: Builder
    batch: Value
    weights: dict[str, Value]
    moments: dict[str, Value]
    constants: list[Value]
    incoming: Value

    @property
    def parameters(self) -> dict[str, Value]:
        return {name: value for name, value in self.weights.items() if name in self.traced.parameters}


def make_programme(
    seat: int,
    training: TrainingSpec,
    trained: Traced,
    evaluated: Traced,
    starts: Mapping[str, float],
    *,
    is_last: bool,
    micro_batches: int = 1,
    clip_norm: float = 0.0,
) -> Programme:
    """The programme of one seat.

    Args:
        starts: by name, the number that fills a weight at first; others start He-normal.
        trained: the segment in training, on one micro-batch.
        evaluated: the segment in evaluation, on the whole batch; of the same weights and constants.
        is_last: whether its output are logits, and labels enter from behind.
        micro_batches: equal parts of a batch, which go through one after the other.
        clip_norm: most that the L2 norm of the segment's gradients may be; 0 for no limit.

    Raises:
        SpecError: an output that fits no labels.
        NotPortable: a layer whose gradient is not in portable/1.
    """
    needed = _names_with_gradient(trained)
    moments = moment_shapes(training, {name: trained.weights[name] for name in needed})
    step = _begin(training, trained, dict(sorted(moments.items())), micro_batches, is_last=is_last)
    builder = step.builder
    buffers = dict(step.weights)
    parts = [_forward(step, place, buffers) for place in range(micro_batches)]
    output = _join(builder, [part.output for part in parts])
    forward_end = len(builder.written)
    loss, input_gradient, gradients = _backward(step, parts, is_first=seat == 0, is_last=is_last)
    backward_end = len(builder.written)
    changed, kept = _update(step, needed, gradients, clip_norm)
    after = buffers | changed
    results = [output, input_gradient, loss, *(after[n] for n in step.weights), *(kept[n] for n in step.moments)]
    live, numbers = _live(builder, [value for value in results if value is not None])
    evaluation, evaluated_number = _evaluation(step, evaluated)
    return Programme(
        seat=seat,
        batch=step.batch.shape,
        incoming="labels" if is_last else "gradient",
        outputs=output.shape[1] if is_last else 0,
        weights=_state_tensors(step.weights, starts),
        moments=_state_tensors(step.moments, dict.fromkeys(step.moments, 0.0)),
        constants=trained.constants,
        training=_renumbered(builder, live, numbers),
        forward_end=sum(live[:forward_end]),
        backward_end=sum(live[:backward_end]),
        output=numbers[output],
        input_gradient=None if input_gradient is None else numbers[input_gradient],
        loss=None if loss is None else numbers[loss],
        weights_after=tuple(numbers[after[name]] for name in step.weights),
        moments_after=tuple(numbers[kept[name]] for name in step.moments),
        evaluation=evaluation,
        evaluated=evaluated_number,
    )


def _update(
    step: _Step, needed: Sequence[str], gradients: Mapping[str, Value], clip_norm: float
) -> tuple[dict[str, Value], dict[str, Value]]:
    """Weights and moments after the optimizer's step."""
    if missing := [name for name in needed if name not in gradients]:
        raise NotPortable(
            f"weight {missing[0]} takes part in the output, but no gradient leads to it",
            hint="freeze it with requires_grad=False, or write the layer otherwise",
        )
    found = {name: gradients[name] for name in needed}
    if clip_norm:
        found = clip_gradients(step.builder, found, clip_norm)
    weights = {name: step.weights[name] for name in needed}
    return update_weights(step.builder, step.training, weights, found, step.moments)


def _names_with_gradient(traced: Traced) -> list[str]:
    """Parameters on which the output depends, in the order of their names."""
    reached = {number: {name} for number, name in enumerate(traced.weights, start=1) if name in traced.parameters}
    number = 1 + len(traced.weights) + len(traced.constants)
    builder = Builder(_forms_before(traced))
    for value in builder.inline(traced.instructions, builder.inputs)[number:]:
        reached.setdefault(value.number, set())
    for one in builder.written:
        found = set().union(*(reached.get(value.number, set()) for value in one.inputs))
        for output in one.outputs:
            reached[output.number] = found
    return sorted(reached.get(traced.output, set()))


def _forms_before(traced: Traced) -> list[Form]:
    """Forms of the values before a traced segment's first instruction."""
    constants = [Form(constant.dtype, constant.shape) for constant in traced.constants]
    return [traced.batch, *(Form("float32", shape) for shape in traced.weights.values()), *constants]


def _begin(
    training: TrainingSpec,
    traced: Traced,
    moments: Mapping[str, tuple[int, ...]],
    micro_batches: int,
    *,
    is_last: bool,
) -> _Step:
    batch = Form("float32", (training.batch, *traced.batch.shape[1:]))
    out = _output_shape(traced)
    incoming = Form("int64", (training.batch,)) if is_last else Form("float32", (training.batch, *out[1:]))
    _, *fixed = _forms_before(traced)
    weights = len(traced.weights)
    kept = [Form("float32", shape) for shape in moments.values()]
    builder = Builder([batch, *fixed[:weights], *kept, *fixed[weights:], incoming])
    first, *rest = builder.inputs
    return _Step(
        training,
        traced,
        micro_batches,
        builder,
        first,
        dict(zip(traced.weights, rest[:weights], strict=True)),
        dict(zip(moments, rest[weights : weights + len(kept)], strict=True)),
        rest[weights + len(kept) : -1],
        rest[-1],
    )


def _output_shape(traced: Traced) -> tuple[int, ...]:
    builder = Builder(_forms_before(traced))
    return builder.inline(traced.instructions, builder.inputs)[traced.output].shape


def _part_of(step: _Step, value: Value, place: int, operation: str = "slice") -> Value:
    """The records of one micro-batch."""
    size = step.training.batch // step.micro_batches
    if step.micro_batches == 1:
        return value
    return step.builder.one(operation, value, dim=0, start=place * size, stop=(place + 1) * size, step=1)


def _join(builder: Builder, parts: Sequence[Value]) -> Value:
    return parts[0] if len(parts) == 1 else builder.one("concatenate", *parts, dim=0)


def _forward(step: _Step, place: int, buffers: dict[str, Value]) -> _Part:
    """Takes one micro-batch through the segment, and the buffers on."""
    part = _part_of(step, step.batch, place)
    start = len(step.builder.written)
    given = [part, *buffers.values(), *step.constants]
    values = step.builder.inline(step.traced.instructions, given)
    buffers.update({name: values[number] for name, number in step.traced.buffers.items()})
    return _Part(part, values[step.traced.output], step.builder.written[start:])


def _backward(
    step: _Step, parts: Sequence[_Part], *, is_first: bool, is_last: bool
) -> tuple[Value | None, Value | None, dict[str, Value]]:
    """Loss, gradient of the input, and gradients of the parameters."""
    builder, parameters = step.builder, step.parameters
    gradients: dict[str, Value] = {}
    losses, sent = [], []
    for place, part in enumerate(parts):
        written, seed = part.written, (part.output, part.output)
        if is_last:
            start = len(builder.written)
            each = _losses(step, part.output, _part_of(step, step.incoming, place, "slice_labels"))
            written = [*written, *builder.written[start:]]
            share = builder.one("div", builder.scalar(1.0), builder.scalar(step.training.batch))
            seed = each, builder.one("expand", share, shape=each.shape)
            losses.append(each)
        else:
            seed = part.output, _part_of(step, step.incoming, place)
        wanted = [*parameters.values(), *(() if is_first else (part.input,))]
        found = backpropagate(builder, written, seed, wanted)
        for name, value in parameters.items():
            if value in found:
                new = found[value]
                gradients[name] = builder.one("add", gradients[name], new) if name in gradients else new
        if not is_first:
            sent.append(found.get(part.input) or builder.one("full", shape=part.input.shape, value=0.0))
    loss = builder.one("mean", _join(builder, losses), dims=(0,), keepdims=0) if is_last else None
    return loss, _join(builder, sent) if sent else None, gradients


def _losses(step: _Step, logits: Value, labels: Value) -> Value:
    """The loss of every record: cross entropy with label smoothing, or corrected for labels drawn uniformly.

    With P outputs and softmax p the corrected loss is ``-log((1 - rho) p_label + rho / P)``, the cross entropy of what
    the noise makes of p: forward correction (Patrini et al., "Making Deep Neural Networks Robust to Label Noise",
    CVPR 2017, theorem 2). It is least in expectation at the posterior of the clean labels, never exceeds
    ``log(P / rho)``, and is the plain one at rho = 0. Exact where every class has as many pseudo-labels; else a
    replaced label falls on each of class c with 1 / (K gamma_c), not 1 / P, and trainers do not know which those are.
    """
    builder, training = step.builder, step.training
    if len(logits.shape) != 2:
        raise SpecError(f"the last segment gives {list(logits.shape)}", hint="end in one number for each output")
    outputs = logits.shape[1]
    log_p = builder.one("log_softmax", logits, dim=1)
    picked = builder.one("pick", log_p, labels)
    if rho := training.label_noise:
        kept = builder.one("mul", builder.one("exp", picked), builder.scalar(1.0 - rho))
        mixed = builder.one("add", kept, builder.scalar(rho / outputs))
        return builder.one("neg", builder.one("log", mixed))
    plain = builder.one("neg", picked)
    if not (smoothing := training.label_smoothing):
        return plain
    even = builder.one("neg", builder.one("mean", log_p, dims=(1,), keepdims=0))
    return builder.one(
        "add",
        builder.one("mul", plain, builder.scalar(1.0 - smoothing)),
        builder.one("mul", even, builder.scalar(smoothing)),
    )


def _live(builder: Builder, results: Sequence[Value]) -> tuple[list[bool], dict[Value, int]]:
    """Which instructions the results need, and the numbers of all values once the others are gone."""
    needed, live = set(results), [False] * len(builder.written)
    for place in reversed(range(len(builder.written))):
        one = builder.written[place]
        if needed.intersection(one.outputs):
            live[place] = True
            needed.update(one.inputs)
    numbers = {value: value.number for value in builder.inputs}
    for place, one in enumerate(builder.written):
        if live[place]:
            for output in one.outputs:
                numbers[output] = len(numbers)
    return live, numbers


def _renumbered(builder: Builder, live: Sequence[bool], numbers: Mapping[Value, int]) -> tuple[Instruction, ...]:
    return tuple(
        Instruction(
            operation=one.operation,
            inputs=tuple(numbers[value] for value in one.inputs),
            attributes=dict(one.attributes),
        )
        for one, is_live in zip(builder.written, live, strict=True)
        if is_live
    )


def _evaluation(step: _Step, evaluated: Traced) -> tuple[tuple[Instruction, ...], int]:
    """Evaluation of a whole batch, its values numbered behind the same inputs as those of training."""
    if (evaluated.weights, evaluated.constants) != (step.traced.weights, step.traced.constants):
        raise SpecError("a segment has other tensors in evaluation than in training", hint="make both in __init__")
    builder = Builder([value.form for value in step.builder.inputs])
    given = [builder.inputs[value.number] for value in (step.batch, *step.weights.values(), *step.constants)]
    result = builder.inline(evaluated.instructions, given)[evaluated.output]
    live, numbers = _live(builder, [result])
    return _renumbered(builder, live, numbers), numbers[result]


def _state_tensors(values: Mapping[str, Value], starts: Mapping[str, float]) -> tuple[StateTensor, ...]:
    return tuple(StateTensor(name=name, shape=value.shape, start=starts.get(name)) for name, value in values.items())
