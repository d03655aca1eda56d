"""The kernels of the ``native`` arithmetic: torch's own, in float32, as fast as this machine can.

Their last bits depend on torch's build, the processor and the number of threads: see ``learning.runtime``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

from clicooper.learning.portable.free import FREE, Kernel
from clicooper.learning.portable.watch import Watch

__all__ = ["NATIVE"]

Shape = tuple[int, ...]


def _dims(keepdims: int, dims: Shape) -> dict[str, Any]:
    return {"dim": dims, "keepdim": bool(keepdims)}


def _sum(_: Watch, x: Tensor, *, dims: Shape, keepdims: int) -> Tensor:
    return x.sum(**_dims(keepdims, dims))


def _mean(_: Watch, x: Tensor, *, dims: Shape, keepdims: int) -> Tensor:
    return x.mean(**_dims(keepdims, dims))


def _add_rows(_: Watch, g: Tensor, index: Tensor, *, rows: int) -> Tensor:
    flat = g.reshape(-1, g.shape[-1])
    return torch.zeros(rows, g.shape[-1], device=g.device).index_add_(0, index.reshape(-1), flat)


def _normalise(_: Watch, x: Tensor, *, dims: Shape, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    variance, mean = torch.var_mean(x, dim=dims, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps), mean, variance


def _normalise_grad(_: Watch, g: Tensor, xhat: Tensor, variance: Tensor, *, dims: Shape, eps: float) -> Tensor:
    shared = g.mean(dim=dims, keepdim=True) + xhat * (g * xhat).mean(dim=dims, keepdim=True)
    return (g - shared) * torch.rsqrt(variance + eps)


def _softmax(_: Watch, x: Tensor, *, dim: int) -> Tensor:
    return torch.softmax(x, dim)


def _log_softmax(_: Watch, x: Tensor, *, dim: int) -> Tensor:
    return torch.log_softmax(x, dim)


def _softmax_grad(_: Watch, g: Tensor, y: Tensor, *, dim: int) -> Tensor:
    return y * (g - (g * y).sum(dim, keepdim=True))


def _log_softmax_grad(_: Watch, g: Tensor, y: Tensor, *, dim: int) -> Tensor:
    return g - y.exp() * g.sum(dim, keepdim=True)


def _conv2d(_: Watch, x: Tensor, w: Tensor, **how: Any) -> Tensor:
    return torch.conv2d(x, w, **how)


def _conv2d_input_grad(_: Watch, g: Tensor, w: Tensor, *, shape: Shape, **how: Any) -> Tensor:
    found: Tensor = conv2d_input(shape, w, g, **how)  # type: ignore[no-untyped-call]
    return found


def _conv2d_weight_grad(_: Watch, g: Tensor, x: Tensor, *, shape: Shape, **how: Any) -> Tensor:
    found: Tensor = conv2d_weight(x, shape, g, **how)  # type: ignore[no-untyped-call]
    return found


def _max_pool2d(_: Watch, x: Tensor, *, kernel: Shape, **how: Any) -> Tensor:
    return torch.max_pool2d(x, kernel, **how)


def _max_pool2d_grad(_: Watch, g: Tensor, x: Tensor, *, kernel: Shape, **how: Any) -> Tensor:
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(functional.max_pool2d(x, kernel, **how), x, g)
    return gradient


def _avg_pool2d(_: Watch, x: Tensor, *, kernel: Shape, **how: Any) -> Tensor:
    return functional.avg_pool2d(x, kernel, **how)


def _avg_pool2d_grad(_: Watch, g: Tensor, *, shape: Shape, kernel: Shape, **how: Any) -> Tensor:
    x = torch.zeros(shape, device=g.device, requires_grad=True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(functional.avg_pool2d(x, kernel, **how), x, g)
    return gradient


def _gelu(_: Watch, x: Tensor, *, approximate: int) -> Tensor:
    return functional.gelu(x, approximate="tanh" if approximate else "none")


def _gelu_slope(_: Watch, x: Tensor, *, approximate: int) -> Tensor:
    name = "tanh" if approximate else "none"
    slope: Tensor = torch.ops.aten.gelu_backward(torch.ones_like(x), x, approximate=name)
    return slope


def _silu_slope(_: Watch, x: Tensor) -> Tensor:
    slope: Tensor = torch.ops.aten.silu_backward(torch.ones_like(x), x)
    return slope


def _erf_slope(_: Watch, x: Tensor) -> Tensor:
    return torch.exp(-x * x) * (2.0 / math.sqrt(math.pi))


def _saturation(_: Watch, x: Tensor, *, rate: float) -> Tensor:
    return -torch.expm1(x.double() * rate).float()


NATIVE: Mapping[str, Kernel] = {
    **FREE,
    "exp": lambda _, x: x.exp(),
    "log": lambda _, x: x.log(),
    "tanh": lambda _, x: x.tanh(),
    "erf": lambda _, x: x.erf(),
    "sigmoid": lambda _, x: x.sigmoid(),
    "sin": lambda _, x: x.sin(),
    "cos": lambda _, x: x.cos(),
    "silu": lambda _, x: functional.silu(x),
    "gelu": _gelu,
    "erf_slope": _erf_slope,
    "gelu_slope": _gelu_slope,
    "silu_slope": _silu_slope,
    "saturation": _saturation,
    "matmul": lambda _, a, b: a @ b,
    "sum": _sum,
    "mean": _mean,
    "add_rows": _add_rows,
    "normalise": _normalise,
    "normalise_grad": _normalise_grad,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "softmax_grad": _softmax_grad,
    "log_softmax_grad": _log_softmax_grad,
    "conv2d": _conv2d,
    "conv2d_input_grad": _conv2d_input_grad,
    "conv2d_weight_grad": _conv2d_weight_grad,
    "max_pool2d": _max_pool2d,
    "max_pool2d_grad": _max_pool2d_grad,
    "avg_pool2d": _avg_pool2d,
    "avg_pool2d_grad": _avg_pool2d_grad,
}
"""By operation; free and layout operations are one call each in both arithmetics."""
