"""Rounding to grids on which sums are exact: docs/arithmetic.md, "Grids".

An entry becomes a multiple of ``2**(e - b)``, half to even, where ``2**e`` lies above every entry of the
set that is summed. Sums of such multiples, and of products of two, fit in the 53 bits of a float64,
so that their order does not matter.

Not its job: to say which entries form a set, and to add them.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from clicooper.learning.portable.watch import Watch

__all__ = [
    "MAX_TERMS",
    "chunks",
    "factor_bits",
    "largest",
    "shifter",
    "sum_bits",
    "to_grid",
    "to_grid64",
    "to_wide_grid",
]

MAX_TERMS = 1 << 21
"""Terms that one exact sum may have; longer sums are cut into blocks of as many."""

_CHUNK = 1 << 16
"""Entries that are on their way at once on a CPU, so that they stay in its cache. Any number gives the same."""

_MANTISSA64 = 53
_FACTOR_BITS = 22
_SUM_BITS = 48
_EXPONENT_FIELD = 0x7F80_0000
_LEAST_EXPONENT = 0x0080_0000
"""The exponent field of the least normal float32: subnormal numbers and zeros count as having it."""


def factor_bits(terms: int) -> int:
    """Bits of each factor where ``terms`` products are added.

    Args:
        terms: number of products, at most ``MAX_TERMS``.

    Returns:
        ``min(22, (53 - ceil(log2 terms)) // 2)``.
    """
    return min(_FACTOR_BITS, (_MANTISSA64 - _ceil_log2(terms)) // 2)


def sum_bits(terms: int) -> int:
    """Bits of each entry where ``terms`` entries are added.

    Args:
        terms: number of entries, at most ``MAX_TERMS``.

    Returns:
        ``min(48, 53 - ceil(log2 terms))``.
    """
    return min(_SUM_BITS, _MANTISSA64 - _ceil_log2(terms))


def _ceil_log2(terms: int) -> int:
    return (max(terms, 1) - 1).bit_length()


def largest(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The largest absolute value of every set along ``dims``.

    Args:
        x: float32, any shape.
        dims: the dimensions that are summed over; none of them negative. Without one, ``x.abs()``.

    Returns:
        float32 as ``x`` with ``dims`` of size 1. NaN where the set has one; a zero, of either sign, where
        it has only zeros or nothing.
    """
    if not dims:
        return x.abs()
    if x.numel() == 0:
        return x.new_zeros([1 if dim in dims else size for dim, size in enumerate(x.shape)])
    # Two reading passes; abs() would write a copy of x first.
    return torch.maximum(x.amax(dims, keepdim=True), x.amin(dims, keepdim=True).neg_())


def shifter(largest: Tensor, bits: int, dtype: torch.dtype) -> Tensor:
    """The number M for which ``(x + M) - M`` rounds x to its grid.

    M is ``1.5 * 2**(23 - bits + e)`` in float32 and ``1.5 * 2**(52 - bits + e)`` in float64, made from bits.

    Args:
        largest: float32, any shape, from ``largest``.
        bits: of the grid; at most 22 for float32.
        dtype: ``torch.float32`` (only where M is finite, see ``to_grid``) or ``torch.float64``.

    Returns:
        ``dtype``, shape of ``largest``.
    """
    exponents = (largest.view(torch.int32) & _EXPONENT_FIELD).clamp_min_(_LEAST_EXPONENT)
    if dtype == torch.float32:
        return exponents.add_(((24 - bits) << 23) | (1 << 22)).view(torch.float32)
    # From bias 127 to bias 1023; e is the biased exponent less 126.
    wide = (exponents >> 23).to(torch.int64).add_(1023 + 52 - 126 - bits)
    return (wide << 52).bitwise_or_(1 << 51).view(torch.float64)


def to_grid(x: Tensor, largest: Tensor, bits: int, watch: Watch) -> Tensor:
    """Round entries to their grids, in the narrowest type that holds the way there.

    Args:
        x: float32, any shape and strides; not changed.
        largest: float32, of as many dimensions as ``x``, broadcasting to it: ``largest(x, dims)``.
        bits: of the grid, ``factor_bits`` or ``sum_bits`` of the number of terms.
        watch: sees ``largest``.

    Returns:
        float32 on a CPU, where ``bits`` <= 22 and all M + x are finite in float32; else float64. The numbers are
        the same in both. Convert the float32 ones to float64 (``.to``, or ``copy_`` into a buffer) before
        they are multiplied or added. On other devices always float64: a choice would have to wait for them.
    """
    if not _fits_float32(largest, bits):
        return to_grid64(x, largest, bits, watch)
    magic = shifter(largest, bits, torch.float32)
    return torch.add(x, magic).sub_(magic)


def _fits_float32(largest: Tensor, bits: int) -> bool:
    """Whether the additions may be float32; then all of ``largest`` is finite, and a watch need not see it."""
    if largest.device.type != "cpu" or bits > _FACTOR_BITS or largest.numel() == 0:
        return False
    # M is finite up to e = 104 + bits, but an x that rounds to 2**e may then carry M + x to 2**128.
    # NaN and infinity fail the comparison.
    return float(largest.amax()) < float(1 << (103 + bits))


def to_grid64(x: Tensor, largest: Tensor, bits: int, watch: Watch, out: Tensor | None = None) -> Tensor:
    """Round entries to their grids in float64.

    Args:
        x: float32, any shape and strides; not changed.
        largest: float32, of as many dimensions as ``x``, broadcasting to it: ``largest(x, dims)``.
        bits: of the grid, ``factor_bits`` or ``sum_bits`` of the number of terms; at most 51.
        watch: sees ``largest``.
        out: float64 of the shape of ``x``, written and returned; a new tensor without it.

    Returns:
        float64, the shape of ``x``.
    """
    watch.see(largest)
    magic = shifter(largest, bits, torch.float64)
    wide = x.to(torch.float64, copy=True) if out is None else out.copy_(x)
    return wide.add_(magic).sub_(magic)


def to_wide_grid(x: Tensor, largest: Tensor, bits: int, watch: Watch, out: Tensor | None = None) -> Tensor:
    """As ``to_grid``, then converted: what products of matrices take.

    Args:
        x: float32, any shape and strides; not changed.
        largest: float32, of as many dimensions as ``x``, broadcasting to it: ``largest(x, dims)``.
        bits: of the grid, ``factor_bits`` or ``sum_bits`` of the number of terms.
        watch: sees ``largest``.
        out: float64 of the shape of ``x``, written and returned; a new row-major tensor without it.

    Returns:
        float64, the shape of ``x``.
    """
    wide = torch.empty(x.shape, dtype=torch.float64, device=x.device) if out is None else out
    if not _fits_float32(largest, bits):
        return to_grid64(x, largest, bits, watch, out=wide)
    magic = shifter(largest, bits, torch.float32)
    for part, its_magic, its_place in chunks(x, magic, wide):
        its_place.copy_(torch.add(part, its_magic).sub_(its_magic))
    return wide


def chunks(x: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors into parts that fit a CPU's cache; on other devices, and where ``x`` is small, into one.

    Args:
        x: at least one dimension, not empty.
        others: of as many dimensions as ``x``, broadcasting to it.

    Yields:
        the parts of ``x`` and of ``others`` along the first dimension of ``x`` that is not 1, in order.
    """
    tensors = (x, *others)
    axis = next((dim for dim, size in enumerate(x.shape) if size > 1), 0)
    size = x.shape[axis]
    step = max(1, _CHUNK * size // x.numel())
    if x.device.type != "cpu" or x.numel() <= 4 * _CHUNK or step >= size:
        yield tensors
        return
    for start in range(0, size, step):
        length = min(step, size - start)
        yield tuple(t if t.shape[axis] == 1 else t.narrow(axis, start, length) for t in tensors)
