"""Sums, means and normalisation: exact sums of numbers on grids, each rounded once to float32.

docs/arithmetic.md, "Sums", defines them; "Normalisation" says which roundings come in which order.
Softmax has sums of its own.
"""

import math

import torch
from torch import Tensor

from clicooper.learning.portable import grid
from clicooper.learning.portable.roots import square_root
from clicooper.learning.portable.watch import Watch

__all__ = ["exact_sum", "mean", "normalise", "normalise_grad", "sum_over"]

Dims = tuple[int, ...]


def exact_sum(watch: Watch, x: Tensor, dims: Dims) -> Tensor:
    """The sum over dimensions, which stay with size 1; one grid for each set that is summed.

    Args:
        x: float32, any shape.
        dims: the dimensions summed over, none negative.

    Returns:
        float32 as ``x`` with ``dims`` of size 1; zeros where the sets are empty. Past ``MAX_TERMS`` terms
        a set is cut into blocks in row-major order, and their float32 sums are added in float32, in order.
    """
    terms = math.prod(x.shape[dim] for dim in dims)
    shape = [1 if dim in dims else size for dim, size in enumerate(x.shape)]
    if x.numel() == 0:
        return x.new_zeros(shape)
    if terms == 1:
        # One float32 lies on its own grid of 48 bits: it is its sum.
        watch.see(x.abs())
        return x
    if terms <= grid.MAX_TERMS:
        return _sum_on_grids(watch, x, dims)
    kept = tuple(dim for dim in range(x.dim()) if dim not in dims)
    flat = x.permute(*kept, *sorted(dims)).reshape(-1, terms)
    total = _sum_on_grids(watch, flat[:, : grid.MAX_TERMS], (1,))
    for start in range(grid.MAX_TERMS, terms, grid.MAX_TERMS):
        total = torch.add(total, _sum_on_grids(watch, flat[:, start : start + grid.MAX_TERMS], (1,)))
    return total.reshape(shape)


def _sum_on_grids(watch: Watch, x: Tensor, dims: Dims) -> Tensor:
    """Exact sums of at most ``MAX_TERMS`` terms, dimensions kept."""
    terms = math.prod(x.shape[dim] for dim in dims)
    peaks, bits = grid.largest(x, dims), grid.sum_bits(terms)
    watch.see(peaks)
    magic = grid.shifter(peaks, bits, torch.float64)
    total = torch.zeros(peaks.shape, dtype=torch.float64, device=x.device)
    for part, its_magic, its_total in grid.chunks(x, magic, total):
        its_total.add_(_add_up(part.to(torch.float64).add_(its_magic).sub_(its_magic), dims))
    return total.to(torch.float32)


def _add_up(gridded: Tensor, dims: Dims) -> Tensor:
    """The sum of float64 numbers on their grids: all partial sums are exact, so any order gives the same."""
    return gridded.sum(dims, keepdim=True) if dims else gridded


def sum_over(watch: Watch, x: Tensor, *, dims: Dims, keepdims: int) -> Tensor:
    """The sum over dimensions: ``exact_sum``, with or without them.

    Args:
        x: float32, any shape.
        dims: the dimensions summed over, none negative.
        keepdims: 1 keeps them with size 1, 0 drops them.

    Returns:
        float32.
    """
    return _without(exact_sum(watch, x, dims), dims, keepdims)


def mean(watch: Watch, x: Tensor, *, dims: Dims, keepdims: int) -> Tensor:
    """The exact sum, rounded to float32, divided by the number of terms as a float32.

    Args:
        x: float32, any shape; the sets must not be empty.
        dims: the dimensions averaged over, none negative.
        keepdims: 1 keeps them with size 1, 0 drops them.

    Returns:
        float32.
    """
    return _without(_mean(watch, x, dims), dims, keepdims)


def normalise(watch: Watch, x: Tensor, *, dims: Dims, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """``(x - mean) / sqrt(variance + eps)``, with the variance of the population.

    Args:
        x: float32, any shape; the sets must not be empty.
        dims: the dimensions of a set, none negative.
        eps: rounded to float32 before it is added.

    Returns:
        the result, float32 as ``x``; mean and variance, float32 as ``x`` with ``dims`` of size 1.
    """
    average = _mean(watch, x, dims)
    distance = torch.sub(x, average)
    variance = _mean(watch, torch.mul(distance, distance), dims)
    return distance.div_(_deviation(watch, variance, eps)), average, variance


def normalise_grad(watch: Watch, g: Tensor, xhat: Tensor, variance: Tensor, *, dims: Dims, eps: float) -> Tensor:
    """The gradient of ``normalise``'s input: ``(g - mean(g) - xhat mean(g xhat)) / sqrt(variance + eps)``.

    Args:
        g: float32, gradient of the first result.
        xhat: float32, the first result.
        variance: float32, the third result.
        dims: as given to ``normalise``.
        eps: as given to ``normalise``.

    Returns:
        float32 as ``g``.
    """
    along = _mean(watch, torch.mul(g, xhat), dims)
    centred = torch.sub(g, _mean(watch, g, dims))
    return centred.sub_(torch.mul(xhat, along)).div_(_deviation(watch, variance, eps))


def _mean(watch: Watch, x: Tensor, dims: Dims) -> Tensor:
    count = math.prod(x.shape[dim] for dim in dims)
    # A tensor on the device: by a Python number a GPU would multiply with its reciprocal.
    return torch.div(exact_sum(watch, x, dims), torch.full((), count, dtype=torch.float32, device=x.device))


def _deviation(watch: Watch, variance: Tensor, eps: float) -> Tensor:
    deviation = square_root(torch.add(variance, torch.full((), eps, dtype=torch.float32, device=variance.device)))
    watch.see_divisor(deviation)
    return deviation


def _without(x: Tensor, dims: Dims, keepdims: int) -> Tensor:
    return x if keepdims else x.reshape([size for dim, size in enumerate(x.shape) if dim not in dims])
