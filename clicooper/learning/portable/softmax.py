"""Softmax, its logarithm, and their gradients; exponentials are put on one fixed grid, on which they add up exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from clicooper.learning.portable.elementary import exp, log
from clicooper.learning.portable.grid import largest, sum_bits
from clicooper.learning.portable.sums import exact_sum
from clicooper.learning.portable.watch import Watch

__all__ = ["log_softmax", "log_softmax_grad", "softmax", "softmax_grad"]

MOST_BITS = 40
"""Of an exponential behind the point, if the axis has no more than 2**13 numbers."""


def softmax(watch: Watch, x: Tensor, *, dim: int) -> Tensor:
    """``exp(x - largest)`` in float64, divided by the sum along an axis, rounded once to float32."""
    powers, total = _powers(watch, x, dim)[1:]
    return (powers / total).to(torch.float32)


def log_softmax(watch: Watch, x: Tensor, *, dim: int) -> Tensor:
    """``x - largest - log(sum)`` in float64, rounded once to float32."""
    distance, _, total = _powers(watch, x, dim)
    return (distance - log(total)).to(torch.float32)


def softmax_grad(watch: Watch, g: Tensor, y: Tensor, *, dim: int) -> Tensor:
    """``y (g - sum(g y))``, every operation rounded to float32, the sum exact."""
    return y * (g - exact_sum(watch, g * y, (dim,)))


def log_softmax_grad(watch: Watch, g: Tensor, y: Tensor, *, dim: int) -> Tensor:
    """``g - exp(y) sum(g)``, every operation rounded to float32, the sum exact."""
    return g - exp(y.to(torch.float64)).to(torch.float32) * exact_sum(watch, g, (dim,))


def _powers(watch: Watch, x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Distances from the largest, their exponentials on the grid, and the sum of these; float64."""
    watch.see(largest(x, (dim,)))
    top = x.amax(dim, keepdim=True)
    distance = x.to(torch.float64) - top
    rounding = 1.5 * float(1 << 52 - min(MOST_BITS, sum_bits(x.shape[dim])))
    powers = (exp(distance) + rounding) - rounding
    return distance, powers, _add_up(powers, dim)


def _add_up(powers: Tensor, dim: int) -> Tensor:
    """The sum of numbers on one grid, exact in any order."""
    return powers.sum(dim, keepdim=True)
