"""Rows added at indices: exact sums of numbers on grids, so that even atomic additions give the same.

docs/arithmetic.md, "Sums at indices", defines them.
"""

import torch
from torch import Tensor

from clicooper.learning.portable import grid
from clicooper.learning.portable.watch import Watch

__all__ = ["add_rows"]


def add_rows(watch: Watch, g: Tensor, index: Tensor, *, rows: int) -> Tensor:
    """The gradient of ``take_rows``: zeros with every row of ``g`` added at its index; one grid for each column.

    Args:
        g: float32 (..., D).
        index: int64 (...), from 0 to ``rows`` - 1.
        rows: of the result.

    Returns:
        float32 (rows, D). Past ``MAX_TERMS`` rows of ``g`` the float32 results of the blocks are added
        in float32, in their order.
    """
    width = g.shape[-1]
    places = index.reshape(-1)
    flat = g.reshape(len(places), width)
    total = _block(watch, flat[: grid.MAX_TERMS], places[: grid.MAX_TERMS], rows)
    for start in range(grid.MAX_TERMS, len(places), grid.MAX_TERMS):
        stop = start + grid.MAX_TERMS
        total = torch.add(total, _block(watch, flat[start:stop], places[start:stop], rows))
    return total


def _block(watch: Watch, flat: Tensor, places: Tensor, rows: int) -> Tensor:
    """At most ``MAX_TERMS`` rows: a sum at one index has no more terms than there are rows."""
    gridded = grid.to_grid64(flat, grid.largest(flat, (0,)), grid.sum_bits(len(flat)), watch)
    total = torch.zeros((rows, flat.shape[1]), dtype=torch.float64, device=flat.device)
    return total.index_add_(0, places, gridded).to(torch.float32)
