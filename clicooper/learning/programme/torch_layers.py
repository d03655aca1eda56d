"""Torch's layers, in ours: normalisation, convolution, pooling and embedding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from clicooper.learning.programme.builder import Value
from clicooper.learning.programme.translation import Result, Translation, Untranslatable, Values

__all__ = ["LAYERS"]


def _pair(value: Sequence[int], otherwise: Sequence[int] | None = None) -> tuple[int, int]:
    items = list(value) or list(otherwise or ())
    return (items[0], items[0]) if len(items) == 1 else (items[0], items[1])


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


LAYERS: Mapping[str, Translation] = {
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "native_batch_norm": _batch_norm,
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "_adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "embedding": _embedding,
}
"""By the name of torch's operation."""
