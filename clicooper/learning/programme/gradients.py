"""The backward part of a list: the gradient of one value with respect to others, by reverse accumulation.

Where several gradients of one value meet, they are added in the reverse order of the instructions that gave them. This
is written into the list, so no machine has an order of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from clicooper.errors import NotPortable
from clicooper.learning.programme.builder import Builder, Value, Written

__all__ = ["backpropagate"]

Gradients = tuple[Value | None, ...]
Rule = Callable[[Builder, Written, Value], Gradients]
"""Gradients of an instruction's inputs from that of its first result."""


def backpropagate(
    builder: Builder, forward: Sequence[Written], seed: tuple[Value, Value], wanted: Collection[Value]
) -> dict[Value, Value]:
    """Adds the instructions that compute gradients.

    Args:
        builder: where they are added.
        forward: the instructions from ``wanted`` to the value that is differentiated, in their order.
        seed: that value, and its gradient.
        wanted: values whose gradients are asked for.

    Returns:
        The gradients, by value; a value that has no part in the result has none.

    Raises:
        NotPortable: a step with no rule, such as through a variance.
    """
    reached = _reached(forward, wanted)
    found: dict[Value, Value] = {seed[0]: seed[1]}
    for one in reversed(forward):
        incoming = [found.get(output) for output in one.outputs]
        if not any(incoming) or not reached.intersection(one.outputs):
            continue
        first, *others = incoming
        if first is None or any(others) or one.operation not in _RULES:
            raise NotPortable(
                f"the gradient of {one.operation} through its result {len(others)} is not in portable/1",
                hint="write the layer with other operations, see docs/arithmetic.md",
            )
        for value, gradient in zip(one.inputs, _RULES[one.operation](builder, one, first), strict=True):
            if gradient is not None and value in reached:
                found[value] = builder.one("add", found[value], gradient) if value in found else gradient
    return {value: found[value] for value in wanted if value in found}


def _reached(forward: Sequence[Written], wanted: Collection[Value]) -> set[Value]:
    """The values that depend on wanted ones."""
    reached = set(wanted)
    for one in forward:
        if reached.intersection(one.inputs):
            reached.update(one.outputs)
    return reached


def _fit(builder: Builder, gradient: Value, shape: tuple[int, ...]) -> Value:
    """Sums a gradient over the axes along which its value was repeated."""
    extra = len(gradient.shape) - len(shape)
    padded = (1,) * extra + shape
    dims = tuple(dim for dim, size in enumerate(gradient.shape) if padded[dim] != size)
    if dims:
        gradient = builder.one("sum", gradient, dims=dims, keepdims=1)
    return gradient if gradient.shape == shape else builder.one("reshape", gradient, shape=shape)


def _add(builder: Builder, one: Written, g: Value) -> Gradients:
    return tuple(_fit(builder, g, value.shape) for value in one.inputs)


def _sub(builder: Builder, one: Written, g: Value) -> Gradients:
    left, right = one.inputs
    return _fit(builder, g, left.shape), builder.one("neg", _fit(builder, g, right.shape))


def _mul(builder: Builder, one: Written, g: Value) -> Gradients:
    left, right = one.inputs
    return (
        _fit(builder, builder.one("mul", g, right), left.shape),
        _fit(builder, builder.one("mul", g, left), right.shape),
    )


def _div(builder: Builder, one: Written, g: Value) -> Gradients:
    left, right = one.inputs
    quotient = builder.one("div", g, right)
    below = builder.one("neg", builder.one("mul", quotient, one.outputs[0]))
    return _fit(builder, quotient, left.shape), _fit(builder, below, right.shape)


def _choose(comparison: str) -> Rule:
    """Of the larger or smaller of two, where equal ones give it to the left."""

    def rule(builder: Builder, one: Written, g: Value) -> Gradients:
        left, right = one.inputs
        pair = (left, right) if comparison == "maximum" else (right, left)
        is_left = builder.one("greater_equal", *pair)
        zero = builder.scalar(0.0)
        kept, other = (builder.one("where", is_left, *sides) for sides in ((g, zero), (zero, g)))
        return _fit(builder, kept, left.shape), _fit(builder, other, right.shape)

    return rule


def _where(builder: Builder, one: Written, g: Value) -> Gradients:
    condition, left, right = one.inputs
    zero = builder.scalar(0.0)
    kept, other = (builder.one("where", condition, *sides) for sides in ((g, zero), (zero, g)))
    return None, _fit(builder, kept, left.shape), _fit(builder, other, right.shape)


def _neg(builder: Builder, _: Written, g: Value) -> Gradients:
    return (builder.one("neg", g),)


def _abs(builder: Builder, one: Written, g: Value) -> Gradients:
    (x,) = one.inputs
    zero = builder.scalar(0.0)
    above = builder.one("where", builder.one("greater", x, zero), g, zero)
    return (builder.one("where", builder.one("greater", zero, x), builder.one("neg", g), above),)


def _sqrt(builder: Builder, one: Written, g: Value) -> Gradients:
    half = builder.one("mul", g, builder.scalar(0.5))
    return (builder.one("div", half, one.outputs[0]),)


def _relu(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("relu_grad", g, one.inputs[0]),)


def _exp(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("mul", g, one.outputs[0]),)


def _log(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("div", g, one.inputs[0]),)


def _tanh(builder: Builder, one: Written, g: Value) -> Gradients:
    (y,) = one.outputs
    return (builder.one("mul", g, builder.one("sub", builder.scalar(1.0), builder.one("mul", y, y))),)


def _sigmoid(builder: Builder, one: Written, g: Value) -> Gradients:
    (y,) = one.outputs
    return (builder.one("mul", g, builder.one("mul", y, builder.one("sub", builder.scalar(1.0), y))),)


def _sin(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("mul", g, builder.one("cos", one.inputs[0])),)


def _cos(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("neg", builder.one("mul", g, builder.one("sin", one.inputs[0]))),)


def _by_slope(slope: str) -> Rule:
    def rule(builder: Builder, one: Written, g: Value) -> Gradients:
        return (builder.one("mul", g, builder.one(slope, one.inputs[0], **one.attributes)),)

    return rule


def _reshape(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("reshape", g, shape=one.inputs[0].shape),)


def _permute(builder: Builder, one: Written, g: Value) -> Gradients:
    dims = one.attributes["dims"]
    return (builder.one("permute", g, dims=tuple(dims.index(dim) for dim in range(len(dims)))),)


def _expand(builder: Builder, one: Written, g: Value) -> Gradients:
    return (_fit(builder, g, one.inputs[0].shape),)


def _slice(builder: Builder, one: Written, g: Value) -> Gradients:
    size = one.inputs[0].shape[one.attributes["dim"]]
    return (builder.one("unslice", g, size=size, **one.attributes),)


def _unslice(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("slice", g, **{name: one.attributes[name] for name in ("dim", "start", "stop", "step")}),)


def _concatenate(builder: Builder, one: Written, g: Value) -> Gradients:
    dim, start, parts = one.attributes["dim"], 0, []
    for value in one.inputs:
        stop = start + value.shape[dim]
        parts.append(builder.one("slice", g, dim=dim, start=start, stop=stop, step=1))
        start = stop
    return tuple(parts)


def _flip(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("flip", g, **one.attributes),)


def _pick(builder: Builder, one: Written, g: Value) -> Gradients:
    table, index = one.inputs
    return builder.one("unpick", g, index, size=table.shape[1]), None


def _take_rows(builder: Builder, one: Written, g: Value) -> Gradients:
    table, index = one.inputs
    return builder.one("add_rows", g, index, rows=table.shape[0]), None


def _transposed(builder: Builder, value: Value) -> Value:
    rank = len(value.shape)
    return builder.one("permute", value, dims=(*range(rank - 2), rank - 1, rank - 2))


def _matmul(builder: Builder, one: Written, g: Value) -> Gradients:
    left, right = one.inputs
    to_left = builder.one("matmul", g, _transposed(builder, right))
    to_right = builder.one("matmul", _transposed(builder, left), g)
    return _fit(builder, to_left, left.shape), _fit(builder, to_right, right.shape)


def _spread(builder: Builder, one: Written, g: Value) -> Value:
    """The gradient of a sum, repeated over what was summed."""
    (x,), dims = one.inputs, one.attributes["dims"]
    kept = tuple(1 if dim in dims else size for dim, size in enumerate(x.shape))
    return builder.one("expand", builder.one("reshape", g, shape=kept), shape=x.shape)


def _sum(builder: Builder, one: Written, g: Value) -> Gradients:
    return (_spread(builder, one, g),)


def _mean(builder: Builder, one: Written, g: Value) -> Gradients:
    count = math.prod(one.inputs[0].shape[dim] for dim in one.attributes["dims"])
    return (_spread(builder, one, builder.one("div", g, builder.scalar(count))),)


def _normalise(builder: Builder, one: Written, g: Value) -> Gradients:
    normalised, _, variance = one.outputs
    return (builder.one("normalise_grad", g, normalised, variance, **one.attributes),)


def _by_result(operation: str) -> Rule:
    def rule(builder: Builder, one: Written, g: Value) -> Gradients:
        return (builder.one(operation, g, one.outputs[0], **one.attributes),)

    return rule


def _conv2d(builder: Builder, one: Written, g: Value) -> Gradients:
    image, weight = one.inputs
    return (
        builder.one("conv2d_input_grad", g, weight, shape=image.shape, **one.attributes),
        builder.one("conv2d_weight_grad", g, image, shape=weight.shape, **one.attributes),
    )


def _max_pool2d(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("max_pool2d_grad", g, one.inputs[0], **one.attributes),)


def _avg_pool2d(builder: Builder, one: Written, g: Value) -> Gradients:
    return (builder.one("avg_pool2d_grad", g, shape=one.inputs[0].shape, **one.attributes),)


_RULES: Mapping[str, Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "maximum": _choose("maximum"),
    "minimum": _choose("minimum"),
    "where": _where,
    "neg": _neg,
    "abs": _abs,
    "sqrt": _sqrt,
    "relu": _relu,
    "exp": _exp,
    "log": _log,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "sin": _sin,
    "cos": _cos,
    "erf": _by_slope("erf_slope"),
    "gelu": _by_slope("gelu_slope"),
    "silu": _by_slope("silu_slope"),
    "reshape": _reshape,
    "permute": _permute,
    "expand": _expand,
    "slice": _slice,
    "unslice": _unslice,
    "concatenate": _concatenate,
    "flip": _flip,
    "pick": _pick,
    "take_rows": _take_rows,
    "matmul": _matmul,
    "sum": _sum,
    "mean": _mean,
    "normalise": _normalise,
    "softmax": _by_result("softmax_grad"),
    "log_softmax": _by_result("log_softmax_grad"),
    "conv2d": _conv2d,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
}
