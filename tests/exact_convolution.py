"""Convolutions and pooling of docs/arithmetic.md in fractions: slow, plain, and independent of the kernels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.exact_reference import add32, factor_bits, on_grid, sum_bits, to_float32

Array = NDArray[np.float32]
Exact = NDArray[Any]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """How windows lie on pictures of a size."""

    size: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def count(self) -> Pair:
        """Windows down and across."""
        down, across = (len(list(self._starts(axis))) for axis in (0, 1))
        return down, across

    def _starts(self, axis: int) -> Iterator[int]:
        start, reach = -self.padding[axis], self.dilation[axis] * (self.kernel[axis] - 1)
        while start + reach < self.size[axis] + self.padding[axis]:
            yield start
            start += self.stride[axis]

    def entries(self) -> Iterator[tuple[Pair, Pair, Pair]]:
        """Window, entry of the window and place in the picture; what lies in the border is left out."""
        for (i, top), (j, left) in product(enumerate(self._starts(0)), enumerate(self._starts(1))):
            for u, v in product(range(self.kernel[0]), range(self.kernel[1])):
                row, column = top + u * self.dilation[0], left + v * self.dilation[1]
                if 0 <= row < self.size[0] and 0 <= column < self.size[1]:
                    yield (i, j), (u, v), (row, column)


def exact_grids(x: Array, sets: Sequence[int], bits: int) -> Exact:
    """Entries on grids: one exponent for each index along the dimensions ``sets``."""
    result = np.empty(x.shape, dtype=object)
    for place in product(*(range(x.shape[d]) for d in sets)):
        chosen = tuple(place[sets.index(d)] if d in sets else slice(None) for d in range(x.ndim))
        values = on_grid(x[chosen].reshape(-1).tolist(), bits)
        part = np.empty(len(values), dtype=object)
        part[:] = values
        result[chosen] = part.reshape(x[chosen].shape)
    return result


def zeros(shape: Sequence[int]) -> Exact:
    """Fractions of 0."""
    return np.full(shape, Fraction(0), dtype=object)


def rounded(exact: Exact) -> Array:
    """Every fraction as a float32."""
    values = [to_float32(v) for v in exact.reshape(-1)]
    return np.array(values, dtype=np.float32).reshape(exact.shape)


def conv2d(x: Array, w: Array, at: Geometry, groups: int) -> Array:
    """The convolution."""
    bits = factor_bits(w[0].size)
    a, b = exact_grids(x, (0,), bits), exact_grids(w, (0,), bits)
    result = zeros((len(x), len(w), *at.count()))
    for n, o, c, of_group, (window, entry, place) in _terms(len(x), w.shape, at, groups):
        result[(n, o, *window)] += a[(n, c, *place)] * b[(o, of_group, *entry)]
    return rounded(result)


def conv2d_input_grad(g: Array, w: Array, shape: Sequence[int], at: Geometry, groups: int) -> Array:
    """The gradient of its input."""
    own = len(w) // groups
    bits = factor_bits(own * w.shape[2] * w.shape[3])
    a = exact_grids(g, (0,), bits)
    # An input channel is a group and a channel of it.
    b = exact_grids(w.reshape(groups, own, *w.shape[1:]), (0, 2), bits).reshape(w.shape)
    result = zeros(shape)
    for n, o, c, of_group, (window, entry, place) in _terms(len(g), w.shape, at, groups):
        result[(n, c, *place)] += a[(n, o, *window)] * b[(o, of_group, *entry)]
    return rounded(result)


def conv2d_weight_grad(
    g: Array, x: Array, shape: Sequence[int], at: Geometry, groups: int, block: int = 1 << 21
) -> Array:
    """The gradient of its weights, in blocks of whole records."""
    windows = g.shape[2] * g.shape[3]
    step = max(1, block // windows)
    parts = [_weight_grad(g[s : s + step], x[s : s + step], shape, at, groups) for s in range(0, len(x), step)]
    result = parts[0]
    for part in parts[1:]:
        pairs = zip(result.reshape(-1).tolist(), part.reshape(-1).tolist(), strict=True)
        result = np.array([add32(p, q) for p, q in pairs], dtype=np.float32).reshape(shape)
    return result


def _weight_grad(g: Array, x: Array, shape: Sequence[int], at: Geometry, groups: int) -> Array:
    bits = factor_bits(g[:, 0].size)
    a, b = exact_grids(g, (1,), bits), exact_grids(x, (1,), bits)
    result = zeros(shape)
    for n, o, c, of_group, (window, entry, place) in _terms(len(x), shape, at, groups):
        result[(o, of_group, *entry)] += a[(n, o, *window)] * b[(n, c, *place)]
    return rounded(result)


def _terms(
    records: int, w: Sequence[int], at: Geometry, groups: int
) -> Iterator[tuple[int, int, int, int, tuple[Pair, Pair, Pair]]]:
    """Record, output channel, input channel, that within its group, and where."""
    entries = list(at.entries())
    for n, o, of_group in product(range(records), range(w[0]), range(w[1])):
        c = o // (w[0] // groups) * w[1] + of_group
        for entry in entries:
            yield n, o, c, of_group, entry


def max_pool2d(x: Array, at: Geometry) -> Array:
    """The largest entry of every window."""
    result = np.full((*x.shape[:2], *at.count()), -np.inf, dtype=np.float32)
    for window, _, place in at.entries():
        result[(..., *window)] = np.maximum(result[(..., *window)], x[(..., *place)])
    return result


def max_pool2d_grad(g: Array, x: Array, at: Geometry) -> Array:
    """Its gradient."""
    top, gridded, result = max_pool2d(x, at), _plane_grids(g, at), zeros(x.shape)
    for n, c in product(range(x.shape[0]), range(x.shape[1])):
        done: set[Pair] = set()
        for window, _, place in at.entries():
            if window not in done and x[(n, c, *place)] == top[(n, c, *window)]:
                done.add(window)
                result[(n, c, *place)] += gridded[(n, c, *window)]
    return rounded(result)


def avg_pool2d(x: Array, at: Geometry) -> Array:
    """Averages of windows."""
    gridded, result = _plane_grids(x, at), zeros((*x.shape[:2], *at.count()))
    for window, _, place in at.entries():
        result[(..., *window)] += gridded[(..., *place)]
    return _divided(rounded(result), at)


def avg_pool2d_grad(g: Array, shape: Sequence[int], at: Geometry) -> Array:
    """Its gradient."""
    gridded, result = _plane_grids(g, at), zeros(shape)
    for window, _, place in at.entries():
        result[(..., *place)] += gridded[(..., *window)]
    return _divided(rounded(result), at)


def _plane_grids(x: Array, at: Geometry) -> Exact:
    return exact_grids(x, (0, 1), sum_bits(at.kernel[0] * at.kernel[1]))


def _divided(sums: Array, at: Geometry) -> Array:
    values = [to_float32(Fraction(v) / (at.kernel[0] * at.kernel[1])) for v in sums.reshape(-1).tolist()]
    return np.array(values, dtype=np.float32).reshape(sums.shape)
