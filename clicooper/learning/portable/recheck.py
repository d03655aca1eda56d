"""Single entries of exact reductions, computed again in whole numbers.

A machine draws a few entries of what it has just computed and holds them to this; a difference is a fault
of its own. Floating-point arithmetic takes no part but where blocks are added.

Not its job: to judge numbers that are not finite (the watch stops such a step), and to choose the operation.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clicooper.learning.portable import grid
from clicooper.learning.portable.convolution import records_per_block

__all__ = ["ENTRIES", "Entry", "exact_dot", "exact_total", "float32_of", "on_grid", "recheck"]

Entry: TypeAlias = Callable[[Sequence[Tensor], Mapping[str, Any], tuple[int, ...]], np.float32]
"""``entry(inputs, attributes, place)``: what an operation's result has at a place."""

Numbers = NDArray[np.float32]

_HIDDEN_BIT = 1 << 23
_NO_NUMBER = 255
"""The exponent field of infinities and NaN."""


def recheck(
    operation: str,
    inputs: Sequence[Tensor],
    attributes: Mapping[str, Any],
    output: Tensor,
    *,
    entries: int = 4,
    rng: random.Random | None = None,
) -> bool:
    """Compute a few entries of a result again.

    Args:
        operation: a key of ``ENTRIES``.
        inputs: float32 and int64, as the kernel had them.
        attributes: as the kernel had them.
        output: float32, what the kernel gave.
        entries: how many are drawn.
        rng: draws them; the system's random numbers without it, so that no machine knows them before.

    Returns:
        whether all of them are equal, bit for bit; zeros are equal whatever their sign. An entry that
        depends on numbers that are not finite counts as equal.
    """
    rng = rng or random.SystemRandom()
    if output.numel() == 0:
        return True
    entry = ENTRIES[operation]
    for _ in range(entries):
        place = tuple(rng.randrange(size) for size in output.shape)
        expected, found = entry(inputs, attributes, place), np.float32(output[place].item())
        if not math.isnan(expected) and expected != found:
            return False
    return True


def on_grid(values: Numbers, bits: int) -> tuple[NDArray[np.int64], int]:
    """The multiples that values become on their common grid.

    Args:
        values: float32, (K,), finite, not empty.
        bits: of the grid, at most 48.

    Returns:
        int64 (K,) and the exponent g of the grid: the values are multiples of ``2**g``.
    """
    fields = np.ascontiguousarray(values).view(np.int32).astype(np.int64)
    exponents = (fields >> 23) & _NO_NUMBER
    mantissas = (fields & (_HIDDEN_BIT - 1)) + np.where(exponents > 0, _HIDDEN_BIT, 0)
    exponents = np.maximum(exponents, 1)
    top = int(exponents.max())
    shifts = exponents + (bits - 24 - top)
    # Past 30 places nothing is left of 24 bits, and the half is never reached.
    right = np.clip(-shifts, 0, 30)
    half_to_even = np.where(right > 0, (1 << np.maximum(right - 1, 0)) - 1 + ((mantissas >> right) & 1), 0)
    multiples = ((mantissas + half_to_even) >> right) << np.maximum(shifts, 0)
    return np.where(fields < 0, -multiples, multiples), top - 126 - bits


def float32_of(multiple: int, exponent: int) -> np.float32:
    """``multiple * 2**exponent``, rounded half to even to a float32; infinite past the largest.

    Args:
        multiple: any whole number.
        exponent: of the unit that it counts.

    Returns:
        float32; +0 for 0.
    """
    if multiple == 0:
        return np.float32(0)
    rest = abs(multiple)
    drop = max(rest.bit_length() - 24, -149 - exponent, 0)
    kept = (rest + ((1 << drop) >> 1) - (0 if drop == 0 else 1 - ((rest >> drop) & 1))) >> drop
    exponent += drop
    if kept.bit_length() + exponent > 128:
        return np.float32(math.copysign(math.inf, multiple))
    # A whole number of at most 25 bits times a power of two that a float64 has: no rounding.
    return np.float32(math.copysign(float(kept) * float.fromhex(f"0x1p{exponent}"), multiple))


def exact_total(values: Numbers) -> np.float32:
    """The sum of values on their grids, in blocks of ``MAX_TERMS``.

    Args:
        values: float32 (K,).

    Returns:
        float32; NaN where values are not finite.
    """
    return _add_blocks(_total(block) for block in _blocks(values))


def exact_dot(left: Numbers, right: Numbers) -> np.float32:
    """The sum of products of factors on their grids, in blocks of ``MAX_TERMS``.

    Args:
        left: float32 (K,).
        right: float32 (K,).

    Returns:
        float32; NaN where factors are not finite.
    """
    return _add_blocks(_dot(a, b) for a, b in zip(_blocks(left), _blocks(right), strict=True))


def _blocks(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(values), grid.MAX_TERMS):
        yield values[start : start + grid.MAX_TERMS]


def _add_blocks(totals: Iterator[np.float32]) -> np.float32:
    result = next(totals, np.float32(0))
    with np.errstate(over="ignore", invalid="ignore"):
        for total in totals:
            result = result + total
    return result


def _total(values: Numbers) -> np.float32:
    if not np.isfinite(values).all():
        return np.float32(math.nan)
    multiples, exponent = on_grid(values, grid.sum_bits(len(values)))
    return float32_of(int(multiples.sum()), exponent)


def _dot(left: Numbers, right: Numbers) -> np.float32:
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        return np.float32(math.nan)
    bits = grid.factor_bits(len(left))
    (a, unit_a), (b, unit_b) = on_grid(left, bits), on_grid(right, bits)
    # All partial sums stay within 2**53.
    return float32_of(int((a * b).sum()), unit_a + unit_b)


def _array(x: Tensor) -> NDArray[Any]:
    return x.detach().reshape(-1).cpu().numpy()


def _matmul_entry(inputs: Sequence[Tensor], _: Mapping[str, Any], place: tuple[int, ...]) -> np.float32:
    a, b = inputs
    *batch, row, column = place
    left, right = (x[_batch_place(x, batch)] for x in (a, b))
    return exact_dot(_array(left[row]), _array(right[:, column]))


def _batch_place(x: Tensor, batch: Sequence[int]) -> tuple[int, ...]:
    """Where a broadcast batch has its entry in one factor."""
    sizes = x.shape[:-2]
    own = batch[len(batch) - len(sizes) :]
    return tuple(0 if size == 1 else at for size, at in zip(sizes, own, strict=True))


def _sum_entry(inputs: Sequence[Tensor], attributes: Mapping[str, Any], place: tuple[int, ...]) -> np.float32:
    return exact_total(_array(inputs[0][_summed_places(inputs[0], attributes, place)]))


def _mean_entry(inputs: Sequence[Tensor], attributes: Mapping[str, Any], place: tuple[int, ...]) -> np.float32:
    values = _array(inputs[0][_summed_places(inputs[0], attributes, place)])
    return exact_total(values) / np.float32(len(values))


def _summed_places(x: Tensor, attributes: Mapping[str, Any], place: tuple[int, ...]) -> tuple[int | slice, ...]:
    dims = attributes["dims"]
    kept = iter(place)
    own: list[int | slice] = []
    for dim in range(x.dim()):
        if dim in dims:
            own.append(slice(None))
            if attributes["keepdims"]:
                next(kept)
        else:
            own.append(next(kept))
    return tuple(own)


def _add_rows_entry(inputs: Sequence[Tensor], _: Mapping[str, Any], place: tuple[int, ...]) -> np.float32:
    g, index = inputs
    row, column = place
    values, is_here = _array(g[..., column]), _array(index) == row
    return _add_blocks(_total_of_some(v, here) for v, here in zip(_blocks(values), _blocks(is_here), strict=True))


def _total_of_some(values: Numbers, is_here: NDArray[np.bool_]) -> np.float32:
    """The grid is that of all values of the column, whichever row they go to."""
    if not np.isfinite(values).all():
        return np.float32(math.nan)
    multiples, exponent = on_grid(values, grid.sum_bits(len(values)))
    return float32_of(int(multiples[is_here].sum()), exponent)


def _conv2d_entry(inputs: Sequence[Tensor], attributes: Mapping[str, Any], place: tuple[int, ...]) -> np.float32:
    (x, w), (n, o, i, j) = inputs, place
    bits, first = grid.factor_bits(w[0].numel()), o // (w.shape[0] // attributes["groups"]) * w.shape[1]
    pairs = list(_window(attributes, (i, j), tuple(w.shape[2:]), tuple(x.shape[2:])))
    return _sum_of_products(
        (x[n], w[o]), bits, lambda a, b: [(a[first : first + w.shape[1], r, c], b[:, u, v]) for u, v, r, c in pairs]
    )


def _window(
    attributes: Mapping[str, Any], window: tuple[int, int], kernel: Sequence[int], size: Sequence[int]
) -> Iterator[tuple[int, int, int, int]]:
    """Entries of a window, and where they lie in the picture; without those in the border."""
    (s, t), (p, q), (d, e) = (attributes[name] for name in ("stride", "padding", "dilation"))
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            row, column = window[0] * s - p + u * d, window[1] * t - q + v * e
            if 0 <= row < size[0] and 0 <= column < size[1]:
                yield u, v, row, column


def _input_grad_entry(inputs: Sequence[Tensor], attributes: Mapping[str, Any], place: tuple[int, ...]) -> np.float32:
    (g, w), (n, channel, row, column) = inputs, place
    own, (group, of_group) = w.shape[0] // attributes["groups"], divmod(channel, w.shape[1])
    outputs = slice(group * own, (group + 1) * own)
    pairs = list(_windows_of(attributes, (row, column), tuple(w.shape[2:]), tuple(g.shape[2:])))
    return _sum_of_products(
        (g[n], w[outputs, of_group]),
        grid.factor_bits(own * w.shape[2] * w.shape[3]),
        lambda a, b: [(a[outputs, i, j], b[:, u, v]) for u, v, i, j in pairs],
    )


def _windows_of(
    attributes: Mapping[str, Any], place: tuple[int, int], kernel: Sequence[int], count: Sequence[int]
) -> Iterator[tuple[int, int, int, int]]:
    """Entries of windows that lie at a place of the picture, and the windows."""
    (s, t), (p, q), (d, e) = (attributes[name] for name in ("stride", "padding", "dilation"))
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            (i, down), (j, across) = divmod(place[0] + p - u * d, s), divmod(place[1] + q - v * e, t)
            if down == across == 0 and 0 <= i < count[0] and 0 <= j < count[1]:
                yield u, v, i, j


def _weight_grad_entry(inputs: Sequence[Tensor], attributes: Mapping[str, Any], place: tuple[int, ...]) -> np.float32:
    (g, x), (o, of_group, u, v) = inputs, place
    shape = attributes["shape"]
    channel = o // (shape[0] // attributes["groups"]) * shape[1] + of_group
    step = records_per_block((g.shape[2], g.shape[3]))
    rows, columns = (_reached(attributes, axis, (u, v)[axis], g.shape[2 + axis], x.shape[2 + axis]) for axis in (0, 1))
    return _add_blocks(
        _sum_of_products(
            (g[start : start + step, o], x[start : start + step, channel]),
            grid.factor_bits(min(step, len(g) - start) * g.shape[2] * g.shape[3]),
            lambda a, b: [(a[:, rows[0], columns[0]], b[:, rows[1], columns[1]])],
        )
        for start in range(0, len(g), step)
    )


def _reached(attributes: Mapping[str, Any], axis: int, offset: int, count: int, size: int) -> tuple[slice, slice]:
    """Along one axis: the windows that have an entry within the picture, and its places."""
    step = attributes["stride"][axis]
    shift = offset * attributes["dilation"][axis] - attributes["padding"][axis]
    first = max(0, -(shift // step))
    last = max(first, min(count, (size - 1 - shift) // step + 1))
    begin = first * step + shift
    return slice(first, last), slice(begin, begin + (last - first) * step, step)


def _sum_of_products(factors: tuple[Tensor, Tensor], bits: int, pairs: Callable[..., Iterable[Any]]) -> np.float32:
    """Products of some entries of two sets; all entries of a set make its grid."""
    arrays = [t.detach().contiguous().cpu().numpy() for t in factors]
    if not all(np.isfinite(a).all() for a in arrays):
        return np.float32(math.nan)
    (a, unit_a), (b, unit_b) = (on_grid(x.reshape(-1), bits) for x in arrays)
    chosen = pairs(a.reshape(arrays[0].shape), b.reshape(arrays[1].shape))
    return float32_of(sum(int((p * q).sum()) for p, q in chosen), unit_a + unit_b)


ENTRIES: Mapping[str, Entry] = {
    "matmul": _matmul_entry,
    "sum": _sum_entry,
    "mean": _mean_entry,
    "add_rows": _add_rows_entry,
    "conv2d": _conv2d_entry,
    "conv2d_input_grad": _input_grad_entry,
    "conv2d_weight_grad": _weight_grad_entry,
}
"""Operations of which single entries can be computed again."""
