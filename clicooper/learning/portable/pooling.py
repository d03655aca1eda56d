"""Pooling and its gradients: largest entries by comparison, sums of numbers on grids rounded once to float32.

docs/arithmetic.md, "Pooling", defines them. One grid for each plane, that is, each channel of each record.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from clicooper.learning.portable import grid
from clicooper.learning.portable.watch import Watch
from clicooper.learning.portable.windows import Windows, bordered, parts_of

__all__ = ["avg_pool2d", "avg_pool2d_grad", "max_pool2d", "max_pool2d_grad"]

Pair = tuple[int, int]


def max_pool2d(watch: Watch, x: Tensor, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """The largest entry of every window; the border takes no part.

    Args:
        x: float32 (N, C, H, W).
        kernel: rows and columns of a window.
        stride: rows and columns from one window to the next.
        padding: rows and columns of the border on either side.
        dilation: rows and columns from one entry of a window to the next.

    Returns:
        float32 (N, C, windows down, windows across). A window that lies in the border alone has no largest
        entry: the watch sees it as a number that is not finite.
    """
    windows = Windows((x.shape[2], x.shape[3]), kernel, stride, padding, dilation)
    planes = x.flatten(0, 1)
    result = torch.empty((len(planes), *windows.count), dtype=torch.float32, device=x.device)
    for start, stop in _plane_parts(planes, windows):
        result[start:stop] = _largest_entries(bordered(windows, planes[start:stop], -torch.inf, x.dtype), windows)
    watch.see(result.abs())
    return result.view(*x.shape[:2], *windows.count)


def max_pool2d_grad(
    watch: Watch, g: Tensor, x: Tensor, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """The gradient of ``max_pool2d``: each window's goes to its first largest entry, in row-major order.

    Args:
        g: float32 (N, C, windows down, windows across).
        x: float32 (N, C, H, W).
        kernel: as given to ``max_pool2d``.
        stride: as given to ``max_pool2d``.
        padding: as given to ``max_pool2d``.
        dilation: as given to ``max_pool2d``.

    Returns:
        float32 as ``x``; where windows overlap, exact sums.
    """
    windows = Windows((x.shape[2], x.shape[3]), kernel, stride, padding, dilation)
    planes, gradients = x.flatten(0, 1), g.flatten(0, 1)
    result = torch.empty((x.shape[0] * x.shape[1], *windows.size), dtype=torch.float32, device=x.device)
    for start, stop in _plane_parts(planes, windows):
        pictures = bordered(windows, planes[start:stop], -torch.inf, x.dtype)
        top = _largest_entries(pictures, windows)
        watch.see(top.abs())
        gridded = _on_grids(watch, gradients[start:stop], windows)
        total = torch.zeros(pictures.shape, dtype=torch.float64, device=x.device)
        is_open = torch.ones_like(top, dtype=torch.bool)
        zero = gridded.new_zeros(())
        for offset in windows.offsets():
            place = (slice(None), *windows.entry(offset))
            is_first = torch.eq(pictures[place], top).logical_and_(is_open)
            is_open.logical_xor_(is_first)
            total[place].add_(torch.where(is_first, gridded, zero))
        result[start:stop] = total[(slice(None), *windows.inside())]
    return result.view(x.shape)


def avg_pool2d(watch: Watch, x: Tensor, *, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
    """The exact sum of every window, rounded to float32, divided by the window's size; the border counts as zeros.

    Args:
        x: float32 (N, C, H, W).
        kernel: rows and columns of a window.
        stride: rows and columns from one window to the next.
        padding: rows and columns of zeros on either side.

    Returns:
        float32 (N, C, windows down, windows across).
    """
    windows = Windows((x.shape[2], x.shape[3]), kernel, stride, padding)
    planes = x.flatten(0, 1)
    result = torch.empty((len(planes), *windows.count), dtype=torch.float32, device=x.device)
    for start, stop in _plane_parts(planes, windows):
        pictures = bordered(windows, _on_grids(watch, planes[start:stop], windows), 0.0, torch.float64)
        total = torch.zeros((stop - start, *windows.count), dtype=torch.float64, device=x.device)
        for offset in windows.offsets():
            total.add_(pictures[(slice(None), *windows.entry(offset))])
        result[start:stop] = total
    return result.div_(_size_of(windows, x.device)).view(*x.shape[:2], *windows.count)


def avg_pool2d_grad(
    watch: Watch, g: Tensor, *, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair
) -> Tensor:
    """The gradient of ``avg_pool2d``: the exact sum over the windows of an entry, divided by a window's size.

    Args:
        g: float32 (N, C, windows down, windows across).
        shape: of the input, (N, C, H, W).
        kernel: as given to ``avg_pool2d``.
        stride: as given to ``avg_pool2d``.
        padding: as given to ``avg_pool2d``.

    Returns:
        float32 of ``shape``.
    """
    windows = Windows((shape[2], shape[3]), kernel, stride, padding)
    gradients = g.flatten(0, 1)
    result = torch.empty((len(gradients), *windows.size), dtype=torch.float32, device=g.device)
    for start, stop in parts_of(len(result), _entries(windows), g.device):
        gridded = _on_grids(watch, gradients[start:stop], windows)
        total = torch.zeros((stop - start, *windows.padded), dtype=torch.float64, device=g.device)
        for offset in windows.offsets():
            total[(slice(None), *windows.entry(offset))].add_(gridded)
        result[start:stop] = total[(slice(None), *windows.inside())]
    return result.div_(_size_of(windows, g.device)).view(shape)


def _largest_entries(pictures: Tensor, windows: Windows) -> Tensor:
    """The largest entry of every window of pictures with their border."""
    places = [(slice(None), *windows.entry(offset)) for offset in windows.offsets()]
    top = pictures[places[0]].clone()
    for place in places[1:]:
        top = torch.maximum(top, pictures[place])
    return top


def _on_grids(watch: Watch, planes: Tensor, windows: Windows) -> Tensor:
    """Planes on their grids, for sums of as many terms as a window has entries; float64."""
    bits = grid.sum_bits(windows.kernel[0] * windows.kernel[1])
    return grid.to_grid64(planes, grid.largest(planes, (1, 2)), bits, watch)


def _plane_parts(planes: Tensor, windows: Windows) -> Iterator[tuple[int, int]]:
    return parts_of(len(planes), _entries(windows), planes.device)


def _entries(windows: Windows) -> int:
    return 2 * windows.padded[0] * windows.padded[1]


def _size_of(windows: Windows, device: torch.device) -> Tensor:
    """A tensor on the device: by a Python number a GPU would multiply with its reciprocal."""
    return torch.full((), windows.kernel[0] * windows.kernel[1], dtype=torch.float32, device=device)
