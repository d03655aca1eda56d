"""Windows that slide over pictures: their sizes and places, for convolutions and pooling.

Not its job: to compute with what lies in a window.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Windows", "bordered", "parts_of"]

Pair = tuple[int, int]

_CPU_ENTRIES = 1 << 20
_DEVICE_ENTRIES = 1 << 26


@dataclass(frozen=True)
class Windows:
    """Windows of a kernel over pictures with a border.

    Attributes:
        size: rows and columns of a picture.
        kernel: rows and columns of a window's entries.
        stride: from one window to the next.
        padding: rows and columns of the border, on either side.
        dilation: from one entry of a window to the next.
    """

    size: Pair
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair = (1, 1)

    @property
    def padded(self) -> Pair:
        """Rows and columns of a picture with its border."""
        return self.size[0] + 2 * self.padding[0], self.size[1] + 2 * self.padding[1]

    @property
    def count(self) -> Pair:
        """Windows down and across; 0 where none fits."""
        return self._count(0), self._count(1)

    def _count(self, axis: int) -> int:
        free = self.padded[axis] - self.dilation[axis] * (self.kernel[axis] - 1) - 1
        return max(0, free // self.stride[axis] + 1)

    def offsets(self) -> Iterator[Pair]:
        """The entries of a window in row-major order, as row and column."""
        return ((i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1]))

    def entry(self, offset: Pair, start: int = 0, stop: int | None = None) -> tuple[slice, slice]:
        """Where windows have one of their entries in the picture with its border.

        Args:
            offset: row and column within a window.
            start: the first row of windows.
            stop: one past the last; all without it.

        Returns:
            slices of rows and columns; windows down by windows across.
        """
        down, across = self.count
        first_row = offset[0] * self.dilation[0] + start * self.stride[0]
        first_column = offset[1] * self.dilation[1]
        return (
            _every(first_row, (down if stop is None else stop) - start, self.stride[0]),
            _every(first_column, across, self.stride[1]),
        )

    def inside(self) -> tuple[slice, slice]:
        """Where the picture lies within its border, as slices of rows and columns."""
        (top, left), (rows, columns) = self.padding, self.size
        return slice(top, top + rows), slice(left, left + columns)


def _every(first: int, count: int, step: int) -> slice:
    return slice(first, first + (count - 1) * step + 1 if count else first, step)


def parts_of(length: int, entries: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Cut a range so that what is on its way at once stays small. Any cut gives the same numbers.

    Args:
        length: of the range.
        entries: float64 numbers that one of its members needs.
        device: where they lie; a CPU's parts fit near its cache.

    Yields:
        start and stop of every part, in order; each has one member at least.
    """
    limit = _CPU_ENTRIES if device.type == "cpu" else _DEVICE_ENTRIES
    step = max(1, limit // max(1, entries))
    for start in range(0, length, step):
        yield start, min(length, start + step)


def bordered(windows: Windows, planes: Tensor, fill: float, dtype: torch.dtype) -> Tensor:
    """Pictures with their border.

    Args:
        windows: whose ``size`` is that of the pictures.
        planes: (..., H, W).
        fill: what the border has.
        dtype: of the result.

    Returns:
        ``dtype`` (..., padded H, padded W), a copy.
    """
    padded = torch.full((*planes.shape[:-2], *windows.padded), fill, dtype=dtype, device=planes.device)
    padded[(..., *windows.inside())] = planes
    return padded
