"""Kernels of functions: each number is taken to float64, the function computed there, and rounded once to float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from clicooper.learning.portable import elementary
from clicooper.learning.portable.free import Kernel
from clicooper.learning.portable.watch import Watch

__all__ = ["FUNCTIONS"]

_ROOT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
_ROOT_TWO_BY_PI = float.fromhex("0x1.9884533d43651p-1")
_TWO_BY_ROOT_PI = float.fromhex("0x1.20dd750429b6dp+0")
_DENSITY = float.fromhex("0x1.9884533d43651p-2")
"""``1 / sqrt(2 pi)``."""

_CUBE = 0.044715
"""Of the approximate GELU (Hendrycks and Gimpel, 2016)."""


def _in_float64(function: Callable[[Tensor], Tensor]) -> Kernel:
    def kernel(_: Watch, x: Tensor) -> Tensor:
        return function(x.to(torch.float64)).to(torch.float32)

    return kernel


def _log(watch: Watch, x: Tensor) -> Tensor:
    result = elementary.log(x.to(torch.float64)).to(torch.float32)
    watch.see(result.abs())
    return result


def _silu(x: Tensor) -> Tensor:
    return x * elementary.sigmoid(x)


def _silu_slope(x: Tensor) -> Tensor:
    share = elementary.sigmoid(x)
    return share * (x * (1.0 - share) + 1.0)


def _erf_slope(x: Tensor) -> Tensor:
    return elementary.exp(-(x * x)) * _TWO_BY_ROOT_PI


def _gelu(_: Watch, x: Tensor, *, approximate: int) -> Tensor:
    """``x`` times the share of a normal distribution below it; with ``approximate``, by tanh."""
    wide = x.to(torch.float64)
    share = elementary.sigmoid(_inner(wide) * 2.0) if approximate else elementary.erfc(wide * -_ROOT_HALF) * 0.5
    return (wide * share).to(torch.float32)


def _gelu_slope(_: Watch, x: Tensor, *, approximate: int) -> Tensor:
    wide = x.to(torch.float64)
    if approximate:
        share = elementary.sigmoid(_inner(wide) * 2.0)
        inner_slope = ((wide * wide) * (3.0 * _CUBE) + 1.0) * _ROOT_TWO_BY_PI
        return (share + wide * share * (1.0 - share) * inner_slope * 2.0).to(torch.float32)
    share = elementary.erfc(wide * -_ROOT_HALF) * 0.5
    return (share + wide * elementary.exp(wide * wide * -0.5) * _DENSITY).to(torch.float32)


def _inner(x: Tensor) -> Tensor:
    return (x * x * x * _CUBE + x) * _ROOT_TWO_BY_PI


def _saturation(_: Watch, x: Tensor, *, rate: float) -> Tensor:
    return (1.0 - elementary.exp(x.to(torch.float64) * rate)).to(torch.float32)


FUNCTIONS: Mapping[str, Kernel] = {
    "exp": _in_float64(elementary.exp),
    "log": _log,
    "tanh": _in_float64(elementary.tanh),
    "erf": _in_float64(elementary.erf),
    "sigmoid": _in_float64(elementary.sigmoid),
    "sin": _in_float64(elementary.sin),
    "cos": _in_float64(elementary.cos),
    "silu": _in_float64(_silu),
    "erf_slope": _in_float64(_erf_slope),
    "silu_slope": _in_float64(_silu_slope),
    "gelu": _gelu,
    "gelu_slope": _gelu_slope,
    "saturation": _saturation,
}
