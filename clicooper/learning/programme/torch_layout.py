"""Torch's operations that move numbers, in ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, float32

from clicooper.learning.programme.builder import Value
from clicooper.learning.programme.translation import Result, Translation, Untranslatable, Values, axes_of, axis_of

__all__ = ["LAYOUT"]


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
    return t.builder.one("permute", t.value_of(x), dims=tuple(axis_of(dim, x.dim()) for dim in dims))


def _permute(t: Values, _: Any, x: Tensor, dims: Sequence[int]) -> Result:
    return _permuted(t, x, dims)


def _transpose(t: Values, _: Any, x: Tensor, first: int = 0, second: int = 1) -> Result:
    dims = list(range(x.dim()))
    a, b = axis_of(first, x.dim()), axis_of(second, x.dim())
    dims[a], dims[b] = dims[b], dims[a]
    return _permuted(t, x, dims)


def _matrix_transpose(t: Values, func: Any, x: Tensor) -> Result:
    return t.value_of(x) if x.dim() < 2 else _transpose(t, func, x)


def _sliced(t: Values, x: Value, dim: int, start: int, stop: int, step: int = 1) -> Value:
    return t.builder.one("slice", x, dim=dim, start=start, stop=stop, step=step)


def _slice(
    t: Values, _: Any, x: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Result:
    axis = axis_of(dim, x.dim())
    first, stop, _ = slice(start, end, step).indices(x.shape[axis])
    return _sliced(t, t.value_of(x), axis, first, stop, step)


def _select(t: Values, _: Any, x: Tensor, dim: int, index: int) -> Result:
    axis = axis_of(dim, x.dim())
    place = index % x.shape[axis]
    part = _sliced(t, t.value_of(x), axis, place, place + 1)
    return t.builder.one("reshape", part, shape=(*x.shape[:axis], *x.shape[axis + 1 :]))


def _unfold(t: Values, _: Any, x: Tensor, dim: int, size: int, step: int) -> Result:
    """Windows along an axis: all their first elements, all their second ones, and so on, behind each other."""
    axis = axis_of(dim, x.dim())
    count = (x.shape[axis] - size) // step + 1
    parts = []
    for place in range(size):
        part = _sliced(t, t.value_of(x), axis, place, place + (count - 1) * step + 1, step)
        parts.append(t.builder.one("reshape", part, shape=(*part.shape, 1)))
    return t.builder.one("concatenate", *parts, dim=x.dim())


def _split(t: Values, _: Any, x: Tensor, size: Any, dim: int = 0) -> Result:
    axis, start, parts = axis_of(dim, x.dim()), 0, []
    whole = x.shape[axis]
    sizes = size if isinstance(size, (list, tuple)) else [min(size, whole - at) for at in range(0, whole, size)]
    for one in sizes:
        parts.append(_sliced(t, t.value_of(x), axis, start, start + one))
        start += one
    return tuple(parts)


def _unbind(t: Values, func: Any, x: Tensor, dim: int = 0) -> Result:
    return tuple(_select(t, func, x, dim, place) for place in range(x.shape[dim]))  # type: ignore[misc]


def _cat(t: Values, _: Any, tensors: Sequence[Tensor], dim: int = 0) -> Result:
    return t.builder.one("concatenate", *(t.value_of(x) for x in tensors), dim=axis_of(dim, tensors[0].dim()))


def _stack(t: Values, _: Any, tensors: Sequence[Tensor], dim: int = 0) -> Result:
    axis = axis_of(dim, tensors[0].dim() + 1)
    shape = tensors[0].shape
    wide = (*shape[:axis], 1, *shape[axis:])
    parts = (t.builder.one("reshape", t.value_of(x), shape=wide) for x in tensors)
    return t.builder.one("concatenate", *parts, dim=axis)


def _flip(t: Values, _: Any, x: Tensor, dims: Sequence[int]) -> Result:
    return t.builder.one("flip", t.value_of(x), dims=axes_of(list(dims), x.dim()))


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


_RESHAPES = ("view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "flatten", "_reshape_alias", "_reshape_copy")

LAYOUT: Mapping[str, Translation] = (
    dict.fromkeys(_RESHAPES, _reshaped)
    | dict.fromkeys(("clone", "detach", "alias", "contiguous", "_to_copy", "lift_fresh"), _same)
    | {
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
    }
)
"""By the name of torch's operation."""
