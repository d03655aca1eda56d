"""The operations of a programme: their names, attributes, and the forms of their results.

What numbers they give is defined in docs/arithmetic.md and computed by ``learning.portable``; nothing here computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clicooper.commitments.programme import ElementType
from clicooper.errors import SpecError

__all__ = ["LARGEST", "OPERATIONS", "Form", "Operation", "infer_forms"]

Attributes = Mapping[str, Any]
Forms = Sequence["Form"]

MOST_AXES = 8

LARGEST = float.fromhex("0x1.fffffep127")
"""The largest float32; no number of an operation is beyond it."""


@dataclass(frozen=True)
class Form:
    """Element type and shape of a value."""

    dtype: ElementType
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        """As in ``float32[3, 4]``."""
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class Operation:
    """One kind of operation.

    Attributes:
        attributes: their names and types: ``int``, ``float``, or ``tuple`` for a list of whole numbers.
        inputs: element types of its inputs; one alone with ``is_variadic`` stands for any number of them.
        infer: the forms of its results; raises ``_Misfit`` for inputs that do not fit.
    """

    inputs: tuple[ElementType, ...]
    attributes: Mapping[str, type]
    infer: Callable[[Forms, Attributes], tuple[Form, ...]]
    is_variadic: bool = False


class _Misfit(Exception):
    """Inputs or attributes that an operation cannot take; its message says which."""


def infer_forms(name: str, inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    """The forms of an operation's results.

    Raises:
        SpecError: no such operation, or inputs or attributes that it cannot take.
    """
    hint = "the job's programme was not made by this protocol; do not take part in this job"
    operation = OPERATIONS.get(name)
    if operation is None:
        raise SpecError(f"{name[:40]!a} is no operation of portable/1", hint=hint)
    try:
        _check_inputs(operation, inputs)
        _check_attributes(operation, attributes)
        forms = operation.infer(inputs, attributes)
    except _Misfit as e:
        shown = ", ".join(map(str, inputs[:4]))
        raise SpecError(f"operation {name} cannot take ({shown}): {e}", hint=hint) from e
    return forms


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise _Misfit(what)


def _check_inputs(operation: Operation, inputs: Forms) -> None:
    expected = operation.inputs * len(inputs) if operation.is_variadic else operation.inputs
    _require(bool(inputs) or not operation.inputs, "it needs inputs")
    _require(len(inputs) == len(expected), f"it has {len(expected)} inputs")
    for form, dtype in zip(inputs, expected, strict=True):
        _require(form.dtype == dtype, f"an input is {form.dtype}, not {dtype}")


def _check_attributes(operation: Operation, attributes: Attributes) -> None:
    _require(set(attributes) == set(operation.attributes), f"its attributes are {sorted(operation.attributes)}")
    for name, value in attributes.items():
        kind = operation.attributes[name]
        _require(type(value) is kind, f"{name} is no {kind.__name__}")
        if kind is tuple:
            _require(all(type(item) is int and item >= 0 for item in value), f"{name} has numbers below 0")
        elif kind is int:
            _require(value >= 0, f"{name} is below 0")
        else:
            _require(abs(value) <= LARGEST, f"{name} is not finite")


def _float(*shape: int) -> Form:
    return Form("float32", shape)


def _broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        wide = {size for size in sizes if size != 1}
        _require(len(wide) <= 1, "shapes do not broadcast")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def _axes(form: Form, dims: Sequence[int]) -> tuple[int, ...]:
    _require(len(set(dims)) == len(dims) and all(dim < len(form.shape) for dim in dims), "no such axes")
    return tuple(dims)


def _same(inputs: Forms, _: Attributes) -> tuple[Form, ...]:
    return (inputs[0],)


def _alike(inputs: Forms, _: Attributes) -> tuple[Form, ...]:
    _require(len({form.shape for form in inputs}) == 1, "shapes differ")
    return (inputs[0],)


def _elementwise(inputs: Forms, _: Attributes) -> tuple[Form, ...]:
    return (_float(*_broadcast(*(form.shape for form in inputs))),)


def _compared(inputs: Forms, _: Attributes) -> tuple[Form, ...]:
    return (Form("bool", _broadcast(*(form.shape for form in inputs))),)


def _one_axis(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    (dim,) = _axes(inputs[0], (attributes["dim"],))
    _require(inputs[0].shape[dim] >= 1, "the axis is empty")
    return _alike(inputs, attributes)


def _reshape(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    _require(len(attributes["shape"]) <= MOST_AXES, "too many axes")
    _require(math.prod(attributes["shape"]) == inputs[0].size, "another number of elements")
    return (_float(*attributes["shape"]),)


def _permute(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    dims = _axes(inputs[0], attributes["dims"])
    _require(len(dims) == len(inputs[0].shape), "not all axes")
    return (_float(*(inputs[0].shape[dim] for dim in dims)),)


def _expand(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    shape = attributes["shape"]
    _require(len(shape) <= MOST_AXES, "too many axes")
    _require(_broadcast(inputs[0].shape, shape) == shape, "cannot be expanded")
    return (_float(*shape),)


def _sliced_size(attributes: Attributes, size: int) -> int:
    start, stop, step = (int(attributes[name]) for name in ("start", "stop", "step"))
    _require(0 <= start < stop <= size and step >= 1, "no such slice")
    return -(-(stop - start) // step)


def _with_axis(form: Form, dim: int, size: int) -> Form:
    return _float(*form.shape[:dim], size, *form.shape[dim + 1 :])


def _slice(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    dim = _axes(inputs[0], (attributes["dim"],))[0]
    return (Form(inputs[0].dtype, _with_axis(inputs[0], dim, _sliced_size(attributes, inputs[0].shape[dim])).shape),)


def _unslice(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    dim = _axes(inputs[0], (attributes["dim"],))[0]
    _require(_sliced_size(attributes, attributes["size"]) == inputs[0].shape[dim], "not what such a slice gives")
    return (_with_axis(inputs[0], dim, attributes["size"]),)


def _concatenate(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    dim = _axes(inputs[0], (attributes["dim"],))[0]
    others = {form.shape[:dim] + form.shape[dim + 1 :] for form in inputs if len(form.shape) > dim}
    _require(len(others) == 1 and len({len(form.shape) for form in inputs}) == 1, "shapes differ")
    return (_with_axis(inputs[0], dim, sum(form.shape[dim] for form in inputs)),)


def _full(_: Forms, attributes: Attributes) -> tuple[Form, ...]:
    _require(len(attributes["shape"]) <= MOST_AXES, "too many axes")
    return (_float(*attributes["shape"]),)


def _pick(inputs: Forms, _: Attributes) -> tuple[Form, ...]:
    table, index = inputs
    _require(len(table.shape) == 2 and index.shape == table.shape[:1], "not one index for each row")
    return (_float(*index.shape),)


def _unpick(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    values, index = inputs
    _require(len(values.shape) == 1 and values.shape == index.shape, "not one index for each value")
    return (_float(*values.shape, attributes["size"]),)


def _take_rows(inputs: Forms, _: Attributes) -> tuple[Form, ...]:
    table, index = inputs
    _require(len(table.shape) == 2 and len(index.shape) < MOST_AXES, "not a table and indices")
    return (_float(*index.shape, table.shape[1]),)


def _add_rows(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    rows, index = inputs
    _require(rows.shape[:-1] == index.shape, "not one index for each row")
    return (_float(attributes["rows"], rows.shape[-1]),)


def _flip(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    _axes(inputs[0], attributes["dims"])
    return (inputs[0],)


def _matmul(inputs: Forms, _: Attributes) -> tuple[Form, ...]:
    left, right = (form.shape for form in inputs)
    _require(len(left) >= 2 and len(right) >= 2 and left[-1] == right[-2], "these matrices have no product")
    return (_float(*_broadcast(left[:-2], right[:-2]), left[-2], right[-1]),)


def _reduced(form: Form, dims: Sequence[int], keepdims: bool) -> Form:
    _axes(form, dims)
    _require(bool(dims), "no axes to sum over")
    kept = ((1 if dim in dims else size) for dim, size in enumerate(form.shape) if keepdims or dim not in dims)
    return _float(*kept)


def _sum(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    return (_reduced(inputs[0], attributes["dims"], bool(attributes["keepdims"])),)


def _mean(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    found = _sum(inputs, attributes)
    _require(all(inputs[0].shape[dim] >= 1 for dim in attributes["dims"]), "a mean of nothing")
    return found


def _normalise(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    (statistics,) = _mean(inputs, {"dims": attributes["dims"], "keepdims": 1})
    _require(attributes["eps"] >= 0, "eps is below 0")
    return inputs[0], statistics, statistics


def _normalise_grad(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    gradient, normalised, variance = inputs
    _require(gradient.shape == normalised.shape, "shapes differ")
    _require(variance == _reduced(gradient, attributes["dims"], keepdims=True), "not the variance over these axes")
    return (gradient,)


def _pair(attributes: Attributes, name: str, least: int) -> tuple[int, int]:
    pair = attributes[name]
    _require(len(pair) == 2 and min(pair) >= least, f"{name} is no pair of numbers from {least}")
    return pair[0], pair[1]


def _windows(size: tuple[int, int], kernel: tuple[int, int], attributes: Attributes) -> tuple[int, int]:
    """Height and width of what a kernel gives that slides over an image."""
    stride, padding = _pair(attributes, "stride", 1), _pair(attributes, "padding", 0)
    dilation = _pair(attributes, "dilation", 1) if "dilation" in attributes else (1, 1)
    found = [(size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)]
    _require(min(found) >= 1, "the kernel is larger than the image")
    return found[0], found[1]


def _conv_shape(image: tuple[int, ...], weight: tuple[int, ...], attributes: Attributes) -> tuple[int, ...]:
    groups = attributes["groups"]
    _require(len(image) == 4 and len(weight) == 4 and min(weight) >= 1, "not an image and kernels")
    _require(groups >= 1 and image[1] == weight[1] * groups and weight[0] % groups == 0, "channels do not fit groups")
    return (image[0], weight[0], *_windows((image[2], image[3]), (weight[2], weight[3]), attributes))


def _conv2d(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    return (_float(*_conv_shape(inputs[0].shape, inputs[1].shape, attributes)),)


def _conv2d_input_grad(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    gradient, weight = inputs
    fits = _conv_shape(attributes["shape"], weight.shape, attributes) == gradient.shape
    _require(fits, "not the gradient of such a convolution")
    return (_float(*attributes["shape"]),)


def _conv2d_weight_grad(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    gradient, image = inputs
    fits = _conv_shape(image.shape, attributes["shape"], attributes) == gradient.shape
    _require(fits, "not the gradient of such a convolution")
    return (_float(*attributes["shape"]),)


def _pool_shape(image: tuple[int, ...], attributes: Attributes) -> tuple[int, ...]:
    kernel, padding = _pair(attributes, "kernel", 1), _pair(attributes, "padding", 0)
    _require(len(image) == 4, "not an image")
    _require(all(2 * padding[i] <= kernel[i] for i in range(2)), "padding is more than half of the kernel")
    return (*image[:2], *_windows((image[2], image[3]), kernel, attributes))


def _pool(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    return (_float(*_pool_shape(inputs[0].shape, attributes)),)


def _max_pool2d_grad(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    gradient, image = inputs
    _require(_pool_shape(image.shape, attributes) == gradient.shape, "not the gradient of such a pooling")
    return (image,)


def _avg_pool2d_grad(inputs: Forms, attributes: Attributes) -> tuple[Form, ...]:
    _require(_pool_shape(attributes["shape"], attributes) == inputs[0].shape, "not the gradient of such a pooling")
    return (_float(*attributes["shape"]),)


_F: ElementType = "float32"
_ONE, _TWO, _THREE = (_F,), (_F, _F), (_F, _F, _F)
_SLICE = {"dim": int, "start": int, "stop": int, "step": int}
_CONV = {"stride": tuple, "padding": tuple, "dilation": tuple, "groups": int}
_AVERAGE = {"kernel": tuple, "stride": tuple, "padding": tuple}

OPERATIONS: Mapping[str, Operation] = (
    {name: Operation(_TWO, {}, _elementwise) for name in ("add", "sub", "mul", "div", "maximum", "minimum")}
    | {name: Operation(_ONE, {}, _same) for name in ("neg", "abs", "sqrt", "relu")}
    | {name: Operation(_TWO, {}, _compared) for name in ("greater", "greater_equal", "equal")}
    | {name: Operation(_ONE, {}, _same) for name in ("exp", "log", "tanh", "erf", "sigmoid", "sin", "cos", "silu")}
    | {name: Operation(_ONE, {}, _same) for name in ("erf_slope", "silu_slope")}
    | {name: Operation(_ONE, {"approximate": int}, _same) for name in ("gelu", "gelu_slope")}
    | {name: Operation(_ONE, {"dim": int}, _one_axis) for name in ("softmax", "log_softmax")}
    | {name: Operation(_TWO, {"dim": int}, _one_axis) for name in ("softmax_grad", "log_softmax_grad")}
    | {name: Operation(_ONE, {"dims": tuple, "keepdims": int}, rule) for name, rule in (("sum", _sum), ("mean", _mean))}
    | {
        "where": Operation(("bool", _F, _F), {}, _elementwise),
        "relu_grad": Operation(_TWO, {}, _alike),
        "saturation": Operation(_ONE, {"rate": float}, _same),
        "reshape": Operation(_ONE, {"shape": tuple}, _reshape),
        "permute": Operation(_ONE, {"dims": tuple}, _permute),
        "expand": Operation(_ONE, {"shape": tuple}, _expand),
        "slice": Operation(_ONE, _SLICE, _slice),
        "slice_labels": Operation(("int64",), _SLICE, _slice),
        "unslice": Operation(_ONE, _SLICE | {"size": int}, _unslice),
        "concatenate": Operation(_ONE, {"dim": int}, _concatenate, is_variadic=True),
        "full": Operation((), {"shape": tuple, "value": float}, _full),
        "pick": Operation((_F, "int64"), {}, _pick),
        "unpick": Operation((_F, "int64"), {"size": int}, _unpick),
        "take_rows": Operation((_F, "int64"), {}, _take_rows),
        "add_rows": Operation((_F, "int64"), {"rows": int}, _add_rows),
        "flip": Operation(_ONE, {"dims": tuple}, _flip),
        "matmul": Operation(_TWO, {}, _matmul),
        "normalise": Operation(_ONE, {"dims": tuple, "eps": float}, _normalise),
        "normalise_grad": Operation(_THREE, {"dims": tuple, "eps": float}, _normalise_grad),
        "conv2d": Operation(_TWO, _CONV, _conv2d),
        "conv2d_input_grad": Operation(_TWO, {"shape": tuple, **_CONV}, _conv2d_input_grad),
        "conv2d_weight_grad": Operation(_TWO, {"shape": tuple, **_CONV}, _conv2d_weight_grad),
        "max_pool2d": Operation(_ONE, {**_AVERAGE, "dilation": tuple}, _pool),
        "max_pool2d_grad": Operation(_TWO, {**_AVERAGE, "dilation": tuple}, _max_pool2d_grad),
        "avg_pool2d": Operation(_ONE, _AVERAGE, _pool),
        "avg_pool2d_grad": Operation(_ONE, {"shape": tuple, **_AVERAGE}, _avg_pool2d_grad),
    }
)
"""Every operation of portable/1, by name."""
