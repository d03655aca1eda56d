"""What the operations of a forward pass mean, said by torch in float64; no line of it is shared with the kernels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clicooper.commitments.programme import Constant
from clicooper.learning.programme.builder import Traced

NUMPY_TYPES = {"float32": "<f4", "int64": "<i8", "bool": "?"}


def _normalise(x: Tensor, dims: tuple[int, ...], eps: float) -> tuple[Tensor, ...]:
    mean = x.mean(dims, keepdim=True)
    variance = x.var(dims, keepdim=True, correction=0)
    return (x - mean) * torch.rsqrt(variance + eps), mean, variance


def _slice(x: Tensor, dim: int, start: int, stop: int, step: int) -> Tensor:
    return x.index_select(dim, torch.arange(start, stop, step))


def _unslice(g: Tensor, dim: int, start: int, stop: int, step: int, size: int) -> Tensor:
    whole = torch.zeros(*g.shape[:dim], size, *g.shape[dim + 1 :], dtype=g.dtype)
    return whole.index_copy(dim, torch.arange(start, stop, step), g)


def _pool(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def pool(x: Tensor, kernel: Sequence[int], **how: Sequence[int]) -> Tensor:
        return function(x, kernel, **how)

    return pool


REFERENCE: Mapping[str, Callable[..., Any]] = {
    **{name: getattr(torch, name) for name in ("add", "sub", "mul", "div", "maximum", "minimum")},
    **{name: getattr(torch, name) for name in ("neg", "abs", "sqrt", "relu", "exp", "log", "tanh", "erf", "sigmoid")},
    **{name: getattr(torch, name) for name in ("sin", "cos", "greater", "greater_equal", "where", "matmul")},
    "equal": torch.eq,
    "silu": nn.functional.silu,
    "gelu": lambda x, approximate: nn.functional.gelu(x, approximate="tanh" if approximate else "none"),
    "reshape": lambda x, shape: x.reshape(shape),
    "permute": lambda x, dims: x.permute(dims),
    "expand": lambda x, shape: x.expand(shape),
    "slice": _slice,
    "unslice": _unslice,
    "concatenate": lambda *xs, dim: torch.cat(xs, dim),
    "full": lambda shape, value: torch.full(shape, value, dtype=torch.float64),
    "take_rows": lambda table, index: table[index],
    "flip": lambda x, dims: x.flip(dims),
    "sum": lambda x, dims, keepdims: x.sum(dims, keepdim=bool(keepdims)),
    "mean": lambda x, dims, keepdims: x.mean(dims, keepdim=bool(keepdims)),
    "normalise": _normalise,
    "softmax": lambda x, dim: x.softmax(dim),
    "log_softmax": lambda x, dim: x.log_softmax(dim),
    "conv2d": nn.functional.conv2d,
    "max_pool2d": _pool(nn.functional.max_pool2d),
    "avg_pool2d": _pool(nn.functional.avg_pool2d),
}


def run_reference(traced: Traced, state: Mapping[str, Tensor], batch: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and changed buffers, float64.

    Args:
        state: weights and buffers by name.
    """
    values = [batch.double(), *(state[name].double() for name in traced.weights), *map(_constant, traced.constants)]
    for one in traced.instructions:
        found = REFERENCE[one.operation](*(values[number] for number in one.inputs), **one.attributes)
        values += found if isinstance(found, tuple) else [found]
    return values[traced.output], {name: values[number] for name, number in traced.buffers.items()}


def _constant(constant: Constant) -> Tensor:
    numbers = np.frombuffer(constant.data, NUMPY_TYPES[constant.dtype]).reshape(constant.shape)
    tensor = torch.tensor(numbers)
    return tensor.double() if tensor.is_floating_point() else tensor
