"""What torch's operations are in ours: one function for each, which writes instructions and gives their results.

A function takes the watcher, the operation, and its arguments. Tensors among these stand for values; a Python number
becomes a tensor of its own, since devices divide by a number in ways of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from torch import Tensor, float32

from clicooper.learning.programme.builder import Builder, Value
from clicooper.learning.programme.operations import LARGEST

__all__ = ["TRANSLATIONS", "Untranslatable", "finite"]

INFINITE = 3e38
"""Stands for infinity, as in a mask: its negative is so low that its exponential is 0."""


class Untranslatable(Exception):
    """Something that no list of operations can say; its message names it."""


class Values(Protocol):
    """Who knows the values behind tensors."""

    builder: Builder

    def value_of(self, tensor: Tensor, *, as_float: bool = False) -> Value:
        """The value that a tensor stands for; as float32, where torch would take truths or whole numbers so."""
        ...

    def rebind(self, tensor: Tensor, value: Value) -> None:
        """Says which value a tensor stands for from now on."""
        ...


Result: TypeAlias = "Value | tuple[Value | None, ...]"
Translation: TypeAlias = Callable[..., Result]


def finite(number: float) -> float:
    """A number as a list can state it.

    Raises:
        Untranslatable: no number, or one beyond float32.
    """
    if math.isinf(number):
        return math.copysign(INFINITE, number)
    if math.isnan(number) or abs(number) > LARGEST:
        raise Untranslatable(f"the constant {number}")
    return number


def _value(t: Values, item: Any) -> Value:
    return t.value_of(item, as_float=True) if isinstance(item, Tensor) else t.builder.scalar(finite(float(item)))


def _dim(dim: int, rank: int) -> int:
    return dim % rank if rank else 0


def _dims(dims: Any, rank: int) -> tuple[int, ...]:
    if dims is None or dims == []:
        return tuple(range(rank))
    return tuple(sorted(_dim(dim, rank) for dim in ([dims] if isinstance(dims, int) else dims)))


def _pair(value: Sequence[int], otherwise: Sequence[int] | None = None) -> tuple[int, int]:
    items = list(value) or list(otherwise or ())
    return (items[0], items[0]) if len(items) == 1 else (items[0], items[1])


def _one(operation: str) -> Translation:
    """The same operation under our name, of values and numbers that broadcast."""

    def translate(t: Values, _: Any, *items: Any) -> Result:
        return t.builder.one(operation, *(_value(t, item) for item in items))

    return translate


def _scaled(operation: str) -> Translation:
    """Addition or subtraction of a multiple."""

    def translate(t: Values, _: Any, a: Any, b: Any, *, alpha: float = 1) -> Result:
        left, right = _value(t, a), _value(t, b)
        if alpha != 1:
            right = t.builder.one("mul", right, t.builder.scalar(alpha))
        return t.builder.one(operation, left, right)

    return translate


def _rsub(t: Values, _: Any, a: Any, b: Any, *, alpha: float = 1) -> Result:
    if alpha != 1:
        raise Untranslatable("rsub with a factor")
    return t.builder.one("sub", _value(t, b), _value(t, a))


def _div(t: Values, _: Any, a: Any, b: Any, *, rounding_mode: str | None = None) -> Result:
    if rounding_mode is not None:
        raise Untranslatable("a division with rounding")
    return t.builder.one("div", _value(t, a), _value(t, b))


def _less(t: Values, _: Any, a: Any, b: Any) -> Result:
    return t.builder.one("greater", _value(t, b), _value(t, a))


def _less_equal(t: Values, _: Any, a: Any, b: Any) -> Result:
    return t.builder.one("greater_equal", _value(t, b), _value(t, a))


def _reciprocal(t: Values, _: Any, x: Tensor) -> Result:
    return t.builder.one("div", t.builder.scalar(1.0), t.value_of(x))


def _rsqrt(t: Values, _: Any, x: Tensor) -> Result:
    return t.builder.one("div", t.builder.scalar(1.0), t.builder.one("sqrt", t.value_of(x)))


def _pow(t: Values, _: Any, x: Any, power: Any) -> Result:
    builder = t.builder
    if isinstance(power, Tensor) or not isinstance(x, Tensor):
        raise Untranslatable("a power that is a tensor")
    value = t.value_of(x)
    if power in (2, 3):
        square = builder.one("mul", value, value)
        return square if power == 2 else builder.one("mul", square, value)
    if power == 0.5:
        return builder.one("sqrt", value)
    if power in (-1, -0.5):
        root = value if power == -1 else builder.one("sqrt", value)
        return builder.one("div", builder.scalar(1.0), root)
    raise Untranslatable(f"pow({power})")


def _leaky_relu(t: Values, _: Any, x: Tensor, slope: float = 0.01) -> Result:
    value = t.value_of(x)
    small = t.builder.one("mul", value, t.builder.scalar(slope))
    return t.builder.one("where", t.builder.one("greater", value, t.builder.scalar(0.0)), value, small)


def _clamp(t: Values, _: Any, x: Tensor, low: Any = None, high: Any = None, **named: Any) -> Result:
    low, high = named.get("min", low), named.get("max", high)
    value = t.value_of(x)
    if low is not None:
        value = t.builder.one("maximum", value, _value(t, low))
    return value if high is None else t.builder.one("minimum", value, _value(t, high))


def _hardtanh(t: Values, func: Any, x: Tensor, low: float = -1, high: float = 1) -> Result:
    return _clamp(t, func, x, low, high)


def _gelu(t: Values, _: Any, x: Tensor, *, approximate: str = "none") -> Result:
    return t.builder.one("gelu", t.value_of(x), approximate=int(approximate == "tanh"))


def _where(t: Values, _: Any, condition: Tensor, a: Any, b: Any) -> Result:
    return t.builder.one("where", t.value_of(condition), _value(t, a), _value(t, b))


def _masked_fill(t: Values, _: Any, x: Tensor, mask: Tensor, number: Any) -> Result:
    return t.builder.one("where", t.value_of(mask), _value(t, number), t.value_of(x))


def _copied(t: Values, _: Any, target: Tensor, source: Tensor, *_args: Any) -> Result:
    """``copy_``: the source's numbers in the target's shape."""
    value, shape = t.value_of(source, as_float=target.is_floating_point()), tuple(target.shape)
    return value if value.shape == shape else t.builder.one("expand", value, shape=shape)


def _same(t: Values, _: Any, x: Tensor, *__: Any, **named: Any) -> Result:
    dtype = named.get("dtype") or x.dtype
    if dtype == float32:
        return t.value_of(x, as_float=True)
    if dtype != x.dtype:
        raise Untranslatable(f"a conversion to {dtype}")
    return t.value_of(x)


def _reshaped(t: Values, func: Any, x: Tensor, *args: Any, **named: Any) -> Result:
    """Every view that keeps the order of the elements; torch says what shape comes out."""
    return t.builder.one("reshape", t.value_of(x), shape=tuple(func(x, *args, **named).shape))


def _expand(t: Values, func: Any, x: Tensor, *args: Any, **named: Any) -> Result:
    return t.builder.one("expand", t.value_of(x), shape=tuple(func(x, *args, **named).shape))


def _repeat(t: Values, _: Any, x: Tensor, times: Sequence[int]) -> Result:
    """Copies along every axis, as an axis of its own before it."""
    shape = (*(1,) * (len(times) - x.dim()), *x.shape)
    apart = [size for one in shape for size in (1, one)]
    wide = [size for count, one in zip(times, shape, strict=True) for size in (count, one)]
    value = t.builder.one("reshape", t.value_of(x), shape=tuple(apart))
    value = t.builder.one("expand", value, shape=tuple(wide))
    return t.builder.one("reshape", value, shape=tuple(a * b for a, b in zip(times, shape, strict=True)))


def _permuted(t: Values, x: Tensor, dims: Sequence[int]) -> Value:
    return t.builder.one("permute", t.value_of(x), dims=tuple(_dim(dim, x.dim()) for dim in dims))


def _permute(t: Values, _: Any, x: Tensor, dims: Sequence[int]) -> Result:
    return _permuted(t, x, dims)


def _transpose(t: Values, _: Any, x: Tensor, first: int = 0, second: int = 1) -> Result:
    dims = list(range(x.dim()))
    a, b = _dim(first, x.dim()), _dim(second, x.dim())
    dims[a], dims[b] = dims[b], dims[a]
    return _permuted(t, x, dims)


def _matrix_transpose(t: Values, func: Any, x: Tensor) -> Result:
    return t.value_of(x) if x.dim() < 2 else _transpose(t, func, x)


def _sliced(t: Values, x: Value, dim: int, start: int, stop: int, step: int = 1) -> Value:
    return t.builder.one("slice", x, dim=dim, start=start, stop=stop, step=step)


def _slice(
    t: Values, _: Any, x: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Result:
    axis = _dim(dim, x.dim())
    first, stop, _ = slice(start, end, step).indices(x.shape[axis])
    return _sliced(t, t.value_of(x), axis, first, stop, step)


def _select(t: Values, _: Any, x: Tensor, dim: int, index: int) -> Result:
    axis = _dim(dim, x.dim())
    place = index % x.shape[axis]
    part = _sliced(t, t.value_of(x), axis, place, place + 1)
    return t.builder.one("reshape", part, shape=(*x.shape[:axis], *x.shape[axis + 1 :]))


def _unfold(t: Values, _: Any, x: Tensor, dim: int, size: int, step: int) -> Result:
    """Windows along an axis: all their first elements, all their second ones, and so on, behind each other."""
    axis = _dim(dim, x.dim())
    count = (x.shape[axis] - size) // step + 1
    parts = []
    for place in range(size):
        part = _sliced(t, t.value_of(x), axis, place, place + (count - 1) * step + 1, step)
        parts.append(t.builder.one("reshape", part, shape=(*part.shape, 1)))
    return t.builder.one("concatenate", *parts, dim=x.dim())


def _split(t: Values, _: Any, x: Tensor, size: Any, dim: int = 0) -> Result:
    axis, start, parts = _dim(dim, x.dim()), 0, []
    whole = x.shape[axis]
    sizes = size if isinstance(size, (list, tuple)) else [min(size, whole - at) for at in range(0, whole, size)]
    for one in sizes:
        parts.append(_sliced(t, t.value_of(x), axis, start, start + one))
        start += one
    return tuple(parts)


def _unbind(t: Values, func: Any, x: Tensor, dim: int = 0) -> Result:
    return tuple(_select(t, func, x, dim, place) for place in range(x.shape[dim]))  # type: ignore[misc]


def _cat(t: Values, _: Any, tensors: Sequence[Tensor], dim: int = 0) -> Result:
    return t.builder.one("concatenate", *(t.value_of(x) for x in tensors), dim=_dim(dim, tensors[0].dim()))


def _stack(t: Values, _: Any, tensors: Sequence[Tensor], dim: int = 0) -> Result:
    axis = _dim(dim, tensors[0].dim() + 1)
    shape = tensors[0].shape
    wide = (*shape[:axis], 1, *shape[axis:])
    parts = (t.builder.one("reshape", t.value_of(x), shape=wide) for x in tensors)
    return t.builder.one("concatenate", *parts, dim=axis)


def _flip(t: Values, _: Any, x: Tensor, dims: Sequence[int]) -> Result:
    return t.builder.one("flip", t.value_of(x), dims=_dims(list(dims), x.dim()))


def _pad(t: Values, _: Any, x: Tensor, widths: Sequence[int], number: float = 0) -> Result:
    if number or min(widths) < 0:
        raise Untranslatable("a frame of other numbers than zeros")
    value = t.value_of(x)
    for place in range(len(widths) // 2):
        before, behind = widths[2 * place : 2 * place + 2]
        axis = x.dim() - 1 - place
        width = value.shape[axis]
        where = {"dim": axis, "start": before, "stop": before + width, "step": 1}
        value = t.builder.one("unslice", value, **where, size=before + width + behind)
    return value


def _matmul(t: Values, _: Any, a: Tensor, b: Tensor) -> Result:
    return t.builder.one("matmul", t.value_of(a), t.value_of(b))


def _matrix_vector(t: Values, _: Any, a: Tensor, b: Tensor) -> Result:
    column = t.builder.one("reshape", t.value_of(b), shape=(b.shape[0], 1))
    return t.builder.one("reshape", t.builder.one("matmul", t.value_of(a), column), shape=(a.shape[0],))


def _addmm(t: Values, _: Any, c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Result:
    product = t.builder.one("matmul", t.value_of(a), t.value_of(b))
    if alpha != 1:
        product = t.builder.one("mul", product, t.builder.scalar(alpha))
    if beta == 0:
        return product
    added = t.value_of(c)
    if beta != 1:
        added = t.builder.one("mul", added, t.builder.scalar(beta))
    return t.builder.one("add", product, added)


def _reduction(operation: str) -> Translation:
    def translate(
        t: Values, _: Any, x: Tensor, dims: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Result:
        if dtype not in (None, x.dtype):
            raise Untranslatable(f"{operation} in {dtype}")
        axes = _dims(dims, x.dim())
        return t.builder.one(operation, t.value_of(x), dims=axes, keepdims=int(keepdim)) if axes else t.value_of(x)

    return translate


def _variance(
    t: Values, _: Any, x: Tensor, dims: Any = None, *, correction: float = 1, keepdim: bool = False
) -> Result:
    axes = _dims(dims, x.dim())
    count = math.prod(x.shape[axis] for axis in axes)
    mean = t.builder.one("mean", t.value_of(x), dims=axes, keepdims=1)
    distance = t.builder.one("sub", t.value_of(x), mean)
    total = t.builder.one("sum", t.builder.one("mul", distance, distance), dims=axes, keepdims=int(keepdim))
    return t.builder.one("div", total, t.builder.scalar(count - correction))


def _softmax(operation: str) -> Translation:
    def translate(t: Values, _: Any, x: Tensor, dim: int, *_half_to_float: bool) -> Result:
        return t.builder.one(operation, t.value_of(x), dim=_dim(dim, x.dim()))

    return translate


def _affine(t: Values, value: Value, weight: Tensor | None, bias: Tensor | None, shape: Sequence[int]) -> Value:
    """``value * weight + bias``, both in a shape that broadcasts."""
    for operation, tensor in (("mul", weight), ("add", bias)):
        if tensor is not None:
            factor = t.builder.one("reshape", t.value_of(tensor), shape=tuple(shape))
            value = t.builder.one(operation, value, factor)
    return value


def _layer_norm(
    t: Values, _: Any, x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Result:
    dims = tuple(range(x.dim() - len(shape), x.dim()))
    value = t.builder.emit("normalise", t.value_of(x), dims=dims, eps=float(eps))[0]
    return (_affine(t, value, weight, bias, tuple(shape)), None, None)


def _group_norm(
    t: Values, _: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, n: int, c: int, hw: int, groups: int,
    eps: float,
) -> Result:  # fmt: skip
    grouped = t.builder.one("reshape", t.value_of(x), shape=(n, groups, c // groups * hw))
    value = t.builder.emit("normalise", grouped, dims=(2,), eps=float(eps))[0]
    value = t.builder.one("reshape", value, shape=tuple(x.shape))
    return (_affine(t, value, weight, bias, (1, c, *(1,) * (x.dim() - 2))), None, None)


def _batch_norm(
    t: Values,
    _: Any,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Result:
    shape = (1, x.shape[1], *(1,) * (x.dim() - 2))
    if training:
        value = _train_norm(t, x, running_mean, running_var, momentum, eps)
    else:
        if running_mean is None or running_var is None:
            raise Untranslatable("batch normalisation in evaluation without running statistics")
        mean, variance = (t.builder.one("reshape", t.value_of(r), shape=shape) for r in (running_mean, running_var))
        spread = t.builder.one("sqrt", t.builder.one("add", variance, t.builder.scalar(eps)))
        value = t.builder.one("div", t.builder.one("sub", t.value_of(x), mean), spread)
    return (_affine(t, value, weight, bias, shape), None, None, None, None)


def _train_norm(
    t: Values, x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, momentum: float, eps: float
) -> Value:
    """Normalises a batch by its own numbers, and takes the running ones on."""
    builder, dims = t.builder, (0, *range(2, x.dim()))
    count = math.prod(x.shape[dim] for dim in dims)
    if count < 2:
        raise Untranslatable("batch normalisation of one number")
    value, mean, variance = builder.emit("normalise", t.value_of(x), dims=dims, eps=float(eps))
    if running_mean is not None and running_var is not None:
        unbiased = builder.one("mul", variance, builder.scalar(count / (count - 1)))
        for running, new in ((running_mean, mean), (running_var, unbiased)):
            kept = builder.one("mul", t.value_of(running), builder.scalar(1.0 - momentum))
            flat = builder.one("reshape", new, shape=tuple(running.shape))
            taken = builder.one("mul", flat, builder.scalar(momentum))
            t.rebind(running, builder.one("add", kept, taken))
    return value


def _convolution(
    t: Values,
    _: Any,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    groups: int,
) -> Result:
    if transposed or x.dim() not in (3, 4):
        raise Untranslatable("a transposed convolution" if transposed else f"a convolution of {x.dim() - 2} dimensions")
    builder, image, kernel = t.builder, t.value_of(x), t.value_of(w)
    if x.dim() == 3:
        image = builder.one("reshape", image, shape=(*x.shape[:2], 1, x.shape[2]))
        kernel = builder.one("reshape", kernel, shape=(*w.shape[:2], 1, w.shape[2]))
        stride, padding, dilation = (1, *stride), (0, *padding), (1, *dilation)
    how = {"stride": _pair(stride), "padding": _pair(padding), "dilation": _pair(dilation), "groups": groups}
    value = builder.one("conv2d", image, kernel, **how)
    if x.dim() == 3:
        value = builder.one("reshape", value, shape=(*value.shape[:2], value.shape[3]))
    return _affine(t, value, None, bias, (1, w.shape[0], *(1,) * (x.dim() - 2)))


def _max_pool2d(
    t: Values, _: Any, x: Tensor, kernel: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,), ceil_mode: bool = False,
) -> Result:  # fmt: skip
    if ceil_mode:
        raise Untranslatable("pooling with ceil_mode")
    how = {"kernel": _pair(kernel), "stride": _pair(stride, kernel)}
    value = t.builder.one("max_pool2d", t.value_of(x), **how, padding=_pair(padding), dilation=_pair(dilation))
    return (value, None)


def _avg_pool2d(
    t: Values, _: Any, x: Tensor, kernel: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Result:  # fmt: skip
    if ceil_mode or divisor_override or (any(padding) and not count_include_pad):
        raise Untranslatable("average pooling with these options")
    how = {"kernel": _pair(kernel), "stride": _pair(stride, kernel), "padding": _pair(padding)}
    return t.builder.one("avg_pool2d", t.value_of(x), **how)


def _adaptive_avg_pool2d(t: Values, _: Any, x: Tensor, size: Sequence[int]) -> Result:
    if any(x.shape[2 + i] % size[i] for i in range(2)):
        raise Untranslatable(f"adaptive pooling of {list(x.shape[2:])} to {list(size)}, which does not divide it,")
    kernel = (x.shape[2] // size[0], x.shape[3] // size[1])
    return t.builder.one("avg_pool2d", t.value_of(x), kernel=kernel, stride=kernel, padding=(0, 0))


def _embedding(
    t: Values,
    _: Any,
    table: Tensor,
    index: Tensor,
    padding: int = -1,
    by_frequency: bool = False,
    _sparse: bool = False,
) -> Result:
    if padding >= 0 or by_frequency:
        raise Untranslatable("an embedding with rows that are trained otherwise than the rest")
    return t.builder.one("take_rows", t.value_of(table), t.value_of(index))


_RESHAPES = ("view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "flatten", "_reshape_alias", "_reshape_copy")
_PLAIN = ("neg", "abs", "sqrt", "relu", "exp", "log", "tanh", "erf", "sigmoid", "sin", "cos", "silu")

TRANSLATIONS: Mapping[str, Translation] = (
    {name: _one(name) for name in (*_PLAIN, "mul", "maximum", "minimum")}
    | dict.fromkeys(_RESHAPES, _reshaped)
    | dict.fromkeys(("clone", "detach", "alias", "contiguous", "_to_copy", "lift_fresh"), _same)
    | {
        "add": _scaled("add"),
        "sub": _scaled("sub"),
        "rsub": _rsub,
        "div": _div,
        "gt": _one("greater"),
        "ge": _one("greater_equal"),
        "eq": _one("equal"),
        "lt": _less,
        "le": _less_equal,
        "reciprocal": _reciprocal,
        "rsqrt": _rsqrt,
        "pow": _pow,
        "leaky_relu": _leaky_relu,
        "clamp": _clamp,
        "clamp_min": _clamp,
        "hardtanh": _hardtanh,
        "gelu": _gelu,
        "where": _where,
        "masked_fill": _masked_fill,
        "copy": _copied,
        "expand": _expand,
        "repeat": _repeat,
        "permute": _permute,
        "transpose": _transpose,
        "t": _matrix_transpose,
        "slice": _slice,
        "select": _select,
        "split": _split,
        "split_with_sizes": _split,
        "unbind": _unbind,
        "unfold": _unfold,
        "cat": _cat,
        "stack": _stack,
        "flip": _flip,
        "constant_pad_nd": _pad,
        "mm": _matmul,
        "bmm": _matmul,
        "mv": _matrix_vector,
        "addmm": _addmm,
        "baddbmm": _addmm,
        "sum": _reduction("sum"),
        "mean": _reduction("mean"),
        "var": _variance,
        "_softmax": _softmax("softmax"),
        "_safe_softmax": _softmax("softmax"),
        "_log_softmax": _softmax("log_softmax"),
        "native_layer_norm": _layer_norm,
        "native_group_norm": _group_norm,
        "native_batch_norm": _batch_norm,
        "convolution": _convolution,
        "max_pool2d_with_indices": _max_pool2d,
        "avg_pool2d": _avg_pool2d,
        "_adaptive_avg_pool2d": _adaptive_avg_pool2d,
        "embedding": _embedding,
    }
)
"""By the name of torch's operation; one that works in place goes by the name of the one that does not."""
