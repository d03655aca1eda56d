"""The exact reductions of docs/arithmetic.md in fractions: slow, plain, and independent of the kernels.

Numbers are Python floats that a float32 can hold; results too.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = Sequence[float]
Array = NDArray[np.float32]


def to_float32(value: Fraction) -> float:
    """The nearest float32, half to even; subnormals kept, infinite past the largest."""
    if value == 0:
        return 0.0
    size = abs(value)
    exponent = max(-149, size.numerator.bit_length() - size.denominator.bit_length() - 25)
    while size >= Fraction(2) ** (exponent + 24):
        exponent += 1
    # Fraction's own rounding is half to even. A carry to 2**24 is the next power of two.
    rounded = round(size / Fraction(2) ** exponent) * Fraction(2) ** exponent
    result = math.inf if rounded >= Fraction(2) ** 128 else float(rounded)
    return math.copysign(result, value)


def exponent_of(values: Numbers) -> int:
    """The least e, at least -125, with all absolute values below ``2**e``."""
    # frexp says x = m 2**e with 1/2 <= m < 1, exactly.
    return max(-125, *(math.frexp(v)[1] if v else -125 for v in values))


def ceil_log2(terms: int) -> int:
    """The least c with ``2**c >= terms``."""
    c = 0
    while 2**c < terms:
        c += 1
    return c


def factor_bits(terms: int) -> int:
    """Bits of each factor of a sum of products."""
    return min(22, (53 - ceil_log2(terms)) // 2)


def sum_bits(terms: int) -> int:
    """Bits of each term of a sum."""
    return min(48, 53 - ceil_log2(terms))


def on_grid(values: Numbers, bits: int) -> list[Fraction]:
    """Values rounded half to even to multiples of ``2**(e - bits)``."""
    unit = Fraction(2) ** (exponent_of(values) - bits)
    return [round(Fraction(v) / unit) * unit for v in values]


def add32(a: float, b: float) -> float:
    """The float32 sum of two float32."""
    return to_float32(Fraction(a) + Fraction(b)) if math.isfinite(a) and math.isfinite(b) else a + b


def dot(left: Numbers, right: Numbers, block: int = 1 << 21) -> float:
    """The sum of products on grids, in blocks that are added in order."""
    parts = []
    for start in range(0, len(left), block):
        a, b = left[start : start + block], right[start : start + block]
        bits = factor_bits(len(a))
        exact = sum((x * y for x, y in zip(on_grid(a, bits), on_grid(b, bits), strict=True)), Fraction(0))
        parts.append(to_float32(exact))
    return _add_parts(parts)


def total(values: Numbers, block: int = 1 << 21) -> float:
    """The sum of values on a grid, in blocks that are added in order."""
    parts = []
    for start in range(0, len(values), block):
        part = values[start : start + block]
        parts.append(to_float32(sum(on_grid(part, sum_bits(len(part))), Fraction(0))))
    return _add_parts(parts)


def _add_parts(parts: Sequence[float]) -> float:
    result = parts[0] if parts else 0.0
    for part in parts[1:]:
        result = add32(result, part)
    return result


def matmul(a: Array, b: Array, block: int = 1 << 21) -> Array:
    """Products of matrices (n, K) and (K, m)."""
    rows = [[dot(row.tolist(), column.tolist(), block) for column in b.T] for row in a]
    return np.array(rows, dtype=np.float32).reshape(a.shape[0], b.shape[1])


def sum_over(x: Array, dims: Sequence[int], block: int = 1 << 21) -> Array:
    """Sums over dimensions, which stay with size 1."""
    result = np.zeros([1 if d in dims else n for d, n in enumerate(x.shape)], dtype=np.float32)
    for place in product(*map(range, result.shape)):
        chosen = tuple(slice(None) if d in dims else at for d, at in enumerate(place))
        result[place] = total(x[chosen].reshape(-1).tolist(), block)
    return result


def mean(x: Array, dims: Sequence[int]) -> Array:
    """Sums divided by the number of terms, which is rounded to float32."""
    count = Fraction(to_float32(Fraction(math.prod(x.shape[d] for d in dims))))
    return each(lambda s: to_float32(Fraction(s) / count), sum_over(x, dims))


def add_rows(g: Array, index: NDArray[np.int64], rows: int, block: int = 1 << 21) -> Array:
    """Rows added at their indices: g (R, D), index (R,)."""
    result = np.zeros((rows, g.shape[1]), dtype=np.float32)
    for row, column in product(range(rows), range(g.shape[1])):
        parts = []
        for start in range(0, len(g), block):
            values, places = g[start : start + block, column].tolist(), index[start : start + block]
            gridded = on_grid(values, sum_bits(len(values)))
            here = (v for v, at in zip(gridded, places, strict=True) if at == row)
            parts.append(to_float32(sum(here, Fraction(0))))
        result[row, column] = _add_parts(parts)
    return result


def normalise(x: Array, dims: Sequence[int], eps: float) -> tuple[Array, Array, Array]:
    """Every step rounded: mean, distances, squares, variance, deviation, quotients."""
    average = mean(x, dims)
    distance = each(lambda a, b: to_float32(Fraction(a) - Fraction(b)), x, average)
    variance = mean(each(lambda d: to_float32(Fraction(d) * Fraction(d)), distance), dims)
    return each(_quotient, distance, deviation(variance, eps)), average, variance


def normalise_grad(g: Array, xhat: Array, variance: Array, dims: Sequence[int], eps: float) -> Array:
    """Every step rounded: products, their mean, the two differences, quotients."""
    along = mean(each(_multiplied, g, xhat), dims)
    centred = each(lambda a, b: to_float32(Fraction(a) - Fraction(b)), g, mean(g, dims))
    rest = each(lambda a, b: to_float32(Fraction(a) - Fraction(b)), centred, each(_multiplied, xhat, along))
    return each(_quotient, rest, deviation(variance, eps))


def deviation(variance: Array, eps: float) -> Array:
    """``sqrt(variance + eps)``, both operations rounded."""
    return each(lambda v: square_root(add32(v, to_float32(Fraction(eps)))), variance)


def square_root(value: float) -> float:
    """The float32 nearest to a root: of a whole number of more than 60 bits, whose rest decides ties."""
    if value == 0:
        return 0.0
    scaled = Fraction(value) * 4**150
    root = math.isqrt(int(scaled))
    # A root of 24 bits and a half has no more than 50 in its square: what is left over lies above it.
    is_exact = root * root == scaled
    return to_float32((Fraction(root) if is_exact else Fraction(root) + Fraction(1, 2)) / 2**150)


def _multiplied(a: float, b: float) -> float:
    return to_float32(Fraction(a) * Fraction(b))


def _quotient(a: float, b: float) -> float:
    return to_float32(Fraction(a) / Fraction(b))


def each(function: Any, *arrays: Array) -> Array:
    """A function of floats over broadcast arrays."""
    wide = np.broadcast_arrays(*arrays)
    values = [function(*map(float, entries)) for entries in zip(*(x.reshape(-1) for x in wide), strict=True)]
    return np.array(values, dtype=np.float32).reshape(wide[0].shape)
