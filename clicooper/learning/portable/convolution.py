"""Convolutions and their gradients: exact sums of products of numbers on grids, each rounded once to float32.

docs/arithmetic.md, "Convolution", defines them. Windows are copied into rows, channels last, and multiplied
as matrices. All partial sums are exact: how records and windows are cut into blocks changes nothing.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from clicooper.learning.portable import grid
from clicooper.learning.portable.watch import Watch
from clicooper.learning.portable.windows import Windows, parts_of

__all__ = ["conv2d", "conv2d_input_grad", "conv2d_weight_grad", "records_per_block"]

Pair = tuple[int, int]


def conv2d(watch: Watch, x: Tensor, w: Tensor, *, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Tensor:
    """The convolution: one grid for each record of ``x`` and each output channel of ``w``.

    Args:
        x: float32 (N, C, H, W).
        w: float32 (O, C / groups, kh, kw).
        stride: rows and columns from one window to the next.
        padding: rows and columns of zeros on either side.
        dilation: rows and columns from one entry of a window to the next.
        groups: of channels; output channels of a group see its input channels alone.

    Returns:
        float32 (N, O, windows down, windows across).
    """
    windows = _windows(tuple(x.shape), tuple(w.shape), stride, padding, dilation)
    down, across = windows.count
    result = torch.zeros((x.shape[0], w.shape[0], down, across), dtype=torch.float32, device=x.device)
    if 0 in (result.numel(), x.numel(), w.numel()):
        return result
    bits = grid.factor_bits(w[0].numel())
    # (groups, O / groups, kh kw C / groups), as the rows that windows become.
    turned = w.permute(0, 2, 3, 1)
    factor = grid.to_wide_grid(turned, grid.largest(w, (1, 2, 3)), bits, watch).view(groups, -1, w[0].numel())
    for first, last in _record_parts(x.shape[0], windows, w[0].numel() * groups, x.device):
        records = x[first:last]
        gridded = grid.to_grid(records, grid.largest(records, (1, 2, 3)), bits, watch)
        place = result[first:last].view(last - first, groups, -1, down, across)
        for start, stop, rows in _rows_of_windows(_channels_last(gridded, windows, groups), windows):
            product = _multiply(factor, rows.transpose(1, 2))
            shape = (groups, -1, last - first, stop - start, across)
            place[:, :, :, start:stop] = product.view(shape).permute(2, 0, 1, 3, 4)
    return result


def conv2d_input_grad(
    watch: Watch,
    g: Tensor,
    w: Tensor,
    *,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """The gradient of ``conv2d``'s input: one grid for each record of ``g`` and each input channel of ``w``.

    Args:
        g: float32 (N, O, windows down, windows across).
        w: float32 (O, C / groups, kh, kw).
        shape: of the input, (N, C, H, W).
        stride: as given to ``conv2d``.
        padding: as given to ``conv2d``.
        dilation: as given to ``conv2d``.
        groups: as given to ``conv2d``.

    Returns:
        float32 of ``shape``.
    """
    windows = _windows(shape, tuple(w.shape), stride, padding, dilation)
    result = torch.zeros(shape, dtype=torch.float32, device=g.device)
    if 0 in (result.numel(), g.numel(), w.numel()):
        return result
    bits = grid.factor_bits(w[:, 0].numel() // groups)
    # (groups, kh, kw, C / groups, O / groups): what a window's entries get from the output channels.
    turned = w.reshape(groups, w.shape[0] // groups, -1).transpose(1, 2).contiguous()
    turned = turned.view(groups, *w.shape[1:], -1).permute(0, 2, 3, 1, 4)
    factor = grid.to_wide_grid(turned, grid.largest(turned, (1, 2, 4)), bits, watch).flatten(1, 3)
    for first, last in _record_parts(shape[0], windows, w[0].numel() * groups, g.device):
        records = g[first:last]
        gridded = grid.to_grid(records, grid.largest(records, (1, 2, 3)), bits, watch)
        padded = _spread(_by_group(gridded, groups), factor, windows)
        rows, columns = windows.inside()
        result[first:last] = padded[:, rows, columns].flatten(3).permute(0, 3, 1, 2)
    return result


def _spread(gridded: Tensor, factor: Tensor, windows: Windows) -> Tensor:
    """Gradients (r, groups, O / groups, down, across) added to their windows' places; float64, channels last."""
    records, groups, _, _, across = gridded.shape
    depth = factor.shape[1] // (windows.kernel[0] * windows.kernel[1])
    padded = torch.zeros((records, *windows.padded, groups, depth), dtype=torch.float64, device=gridded.device)
    for start, stop in _window_parts(windows, records * factor.shape[1] * groups, gridded.device):
        lines = _to64(gridded[:, :, :, start:stop].permute(1, 0, 3, 4, 2)).flatten(1, 3)
        spread = _multiply(lines, factor.transpose(1, 2))
        spread = spread.view(groups, records, stop - start, across, *windows.kernel, depth)
        for i, j in windows.offsets():
            rows, columns = windows.entry((i, j), start, stop)
            # Numbers on one grid: exact, whichever windows overlap.
            padded[:, rows, columns].add_(spread[:, :, :, :, i, j].permute(1, 2, 3, 0, 4))
    return padded


def conv2d_weight_grad(
    watch: Watch,
    g: Tensor,
    x: Tensor,
    *,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """The gradient of ``conv2d``'s weights: one grid for each output channel of ``g`` and input channel of ``x``.

    Args:
        g: float32 (N, O, windows down, windows across).
        x: float32 (N, C, H, W).
        shape: of the weights, (O, C / groups, kh, kw).
        stride: as given to ``conv2d``.
        padding: as given to ``conv2d``.
        dilation: as given to ``conv2d``.
        groups: as given to ``conv2d``.

    Returns:
        float32 of ``shape``. Past ``MAX_TERMS`` windows the float32 results of blocks of whole records are
        added in float32, in their order.
    """
    windows = _windows(tuple(x.shape), shape, stride, padding, dilation)
    result = torch.zeros(shape, dtype=torch.float32, device=g.device)
    if 0 in (result.numel(), g.numel(), x.numel()):
        return result
    step = records_per_block(windows.count)
    for start in range(0, len(x), step):
        part = _weight_grad_block(watch, g[start : start + step], x[start : start + step], windows, groups)
        result = part if start == 0 else torch.add(result, part)
    return result


def records_per_block(count: Pair) -> int:
    """Records whose windows make one exact sum of the weights' gradient.

    Args:
        count: windows down and across.

    Returns:
        as many whole records as have at most ``MAX_TERMS`` windows; at least one.
    """
    return max(1, grid.MAX_TERMS // (count[0] * count[1]))


def _weight_grad_block(watch: Watch, g: Tensor, x: Tensor, windows: Windows, groups: int) -> Tensor:
    kernel, depth = windows.kernel, x.shape[1] // groups
    bits = grid.factor_bits(g[:, 0].numel())
    peaks_g, peaks_x = grid.largest(g, (0, 2, 3)), grid.largest(x, (0, 2, 3))
    width = kernel[0] * kernel[1] * depth
    total = torch.zeros((groups, g.shape[1] // groups, width), dtype=torch.float64, device=g.device)
    for first, last in _record_parts(len(x), windows, width * groups, x.device):
        lines = _by_group(grid.to_grid(g[first:last], peaks_g, bits, watch), groups)
        pictures = _channels_last(grid.to_grid(x[first:last], peaks_x, bits, watch), windows, groups)
        for start, stop, rows in _rows_of_windows(pictures, windows):
            left = _to64(lines[:, :, :, start:stop].permute(1, 2, 0, 3, 4)).flatten(2)
            total.add_(_multiply(left, rows))
    return total.to(torch.float32).view(-1, *kernel, depth).permute(0, 3, 1, 2).contiguous()


def _windows(x: tuple[int, ...], w: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair) -> Windows:
    return Windows((x[2], x[3]), (w[2], w[3]), stride, padding, dilation)


def _record_parts(records: int, windows: Windows, width: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Records at once: the rows of all their windows fit, or one record."""
    return parts_of(records, windows.count[0] * windows.count[1] * width, device)


def _window_parts(windows: Windows, width: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Rows of windows at once, within the records at hand."""
    return parts_of(windows.count[0], windows.count[1] * width, device)


def _channels_last(gridded: Tensor, windows: Windows, groups: int) -> Tensor:
    """Pictures with a border of zeros, float64 (r, padded H, padded W, groups, C / groups)."""
    records, channels = gridded.shape[:2]
    padded = torch.zeros((records, *windows.padded, channels), dtype=torch.float64, device=gridded.device)
    rows, columns = windows.inside()
    padded[:, rows, columns] = gridded.permute(0, 2, 3, 1)
    return padded.view(*padded.shape[:3], groups, channels // groups)


def _rows_of_windows(padded: Tensor, windows: Windows) -> Iterator[tuple[int, int, Tensor]]:
    """Rows of windows, from and to, with their entries: float64 (groups, windows, kh kw C / groups)."""
    records, _, _, groups, depth = padded.shape
    across, (kh, kw) = windows.count[1], windows.kernel
    by_record, by_row, by_column, by_group, by_channel = padded.stride()
    (down_step, across_step), (down_gap, across_gap) = windows.stride, windows.dilation
    offsets = (by_row * down_gap, by_column * across_gap, by_channel)
    steps = (by_group, by_record, by_row * down_step, by_column * across_step, *offsets)
    for start, stop in _window_parts(windows, records * groups * kh * kw * depth, padded.device):
        sizes = (groups, records, stop - start, across, kh, kw, depth)
        view = padded.as_strided(sizes, steps, start * down_step * by_row)
        yield start, stop, view.contiguous().view(groups, -1, kh * kw * depth)


def _by_group(x: Tensor, groups: int) -> Tensor:
    """(N, C, H, W) as (N, groups, C / groups, H, W)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def _to64(gridded: Tensor) -> Tensor:
    """A row-major copy in float64."""
    return gridded.to(torch.float64).contiguous()


def _multiply(left: Tensor, right: Tensor) -> Tensor:
    """Products of groups of matrices on their grids: all partial sums are exact, so any library gives the same."""
    return torch.bmm(left, right)
