"""Kernels of the free operations, one call each, and of those that only move entries.

IEEE 754 defines the free ones to the last bit: docs/arithmetic.md, "Free operations". Inputs are never
changed; a result may share memory with an input.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from clicooper.learning.portable.roots import square_root
from clicooper.learning.portable.watch import Watch

__all__ = ["FREE", "Kernel"]

Kernel: TypeAlias = Callable[..., Tensor | tuple[Tensor, ...]]
"""``kernel(watch, *tensors, **attributes)``: float32 at rest, int64 indices, bool masks."""

Sizes = tuple[int, ...]


def _elementwise(operation: Callable[..., Tensor]) -> Kernel:
    def kernel(_: Watch, *tensors: Tensor) -> Tensor:
        return operation(*tensors)

    return kernel


def _div(watch: Watch, a: Tensor, b: Tensor) -> Tensor:
    """A division by zero stops the step: what it gives depends on the zero's sign."""
    watch.see_divisor(b)
    return torch.div(a, b)


def _relu_grad(_: Watch, g: Tensor, x: Tensor) -> Tensor:
    return torch.where(torch.gt(x, 0), g, torch.zeros((), dtype=g.dtype, device=g.device))


def _reshape(_: Watch, x: Tensor, *, shape: Sizes) -> Tensor:
    return x.reshape(shape)


def _permute(_: Watch, x: Tensor, *, dims: Sizes) -> Tensor:
    return x.permute(dims)


def _expand(_: Watch, x: Tensor, *, shape: Sizes) -> Tensor:
    return x.expand(shape)


def _places(dim: int, start: int, stop: int, step: int) -> tuple[slice, ...]:
    return (*(slice(None),) * dim, slice(start, stop, step))


def _slice(_: Watch, x: Tensor, *, dim: int, start: int, stop: int, step: int) -> Tensor:
    return x[_places(dim, start, stop, step)]


def _unslice(_: Watch, g: Tensor, *, dim: int, start: int, stop: int, step: int, size: int) -> Tensor:
    result = g.new_zeros((*g.shape[:dim], size, *g.shape[dim + 1 :]))
    result[_places(dim, start, stop, step)] = g
    return result


def _concatenate(_: Watch, *tensors: Tensor, dim: int) -> Tensor:
    return torch.cat(tensors, dim)


def _full(watch: Watch, *, shape: Sizes, value: float) -> Tensor:
    return torch.full(shape, value, dtype=torch.float32, device=watch.device)


def _pick(_: Watch, x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index.unsqueeze(1)).squeeze(1)


def _unpick(_: Watch, g: Tensor, index: Tensor, *, size: int) -> Tensor:
    return g.new_zeros((len(g), size)).scatter_(1, index.unsqueeze(1), g.unsqueeze(1))


def _take_rows(_: Watch, table: Tensor, index: Tensor) -> Tensor:
    return table.index_select(0, index.reshape(-1)).reshape(*index.shape, *table.shape[1:])


def _flip(_: Watch, x: Tensor, *, dims: Sizes) -> Tensor:
    return x.flip(dims)


FREE: Mapping[str, Kernel] = {
    "add": _elementwise(torch.add),
    "sub": _elementwise(torch.sub),
    "mul": _elementwise(torch.mul),
    "div": _div,
    "maximum": _elementwise(torch.maximum),
    "minimum": _elementwise(torch.minimum),
    "neg": _elementwise(torch.neg),
    "abs": _elementwise(torch.abs),
    "sqrt": _elementwise(square_root),
    "relu": _elementwise(torch.relu),
    "relu_grad": _relu_grad,
    "greater": _elementwise(torch.gt),
    "greater_equal": _elementwise(torch.ge),
    "equal": _elementwise(torch.eq),
    "where": _elementwise(torch.where),
    "reshape": _reshape,
    "permute": _permute,
    "expand": _expand,
    "slice": _slice,
    "slice_labels": _slice,
    "unslice": _unslice,
    "concatenate": _concatenate,
    "full": _full,
    "pick": _pick,
    "unpick": _unpick,
    "take_rows": _take_rows,
    "flip": _flip,
}
"""The free operations and those that move entries, by name."""
