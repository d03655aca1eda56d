"""Products of matrices: exact sums of products of numbers on grids, each rounded once to float32.

docs/arithmetic.md, "Sums of products", defines them.
"""

import torch
from torch import Tensor

from clicooper.learning.portable import grid
from clicooper.learning.portable.watch import Watch

__all__ = ["matmul"]


def matmul(watch: Watch, a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``: one grid for each row of ``a`` and each column of ``b``.

    Args:
        a: float32 (..., n, K).
        b: float32 (..., K, m); the dimensions before the last two broadcast.

    Returns:
        float32 (..., n, m); zeros where K is 0. Past ``MAX_TERMS`` terms the float32 results of the
        blocks are added in float32, in their order.
    """
    terms = a.shape[-1]
    if terms == 0 or a.numel() == 0 or b.numel() == 0:
        # Nothing is added: this gives zeros, of the shape of the result.
        return _multiply(a, b)
    total = _block(watch, a[..., : grid.MAX_TERMS], b[..., : grid.MAX_TERMS, :])
    for start in range(grid.MAX_TERMS, terms, grid.MAX_TERMS):
        stop = start + grid.MAX_TERMS
        total = torch.add(total, _block(watch, a[..., start:stop], b[..., start:stop, :]))
    return total


def _block(watch: Watch, a: Tensor, b: Tensor) -> Tensor:
    """Rows of both factors lie along memory: the layout in which no library of matrix products is slow."""
    left = _factor(watch, a, "left")
    right = _factor(watch, b.transpose(-1, -2), "right")
    return _multiply(left, right.transpose(-1, -2)).to(torch.float32)


def _factor(watch: Watch, rows: Tensor, side: str) -> Tensor:
    """Rows (..., n, K) on their grids, float64, row-major; in room that the next product takes again."""
    peaks = grid.largest(rows, (rows.dim() - 1,))
    room = watch.room(side, tuple(rows.shape))
    return grid.to_wide_grid(rows, peaks, grid.factor_bits(rows.shape[-1]), watch, out=room)


def _multiply(left: Tensor, right: Tensor) -> Tensor:
    """The product of factors on their grids: all partial sums are exact, so any library gives the same."""
    return torch.matmul(left, right)
