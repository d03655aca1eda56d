"""Functions of float64 numbers from free operations alone, so that every machine gets the same bits.

Each call of torch here is one IEEE operation an element: nothing is fused, and no library's function is asked. Errors
are stated in units of the last place of a float64 (ulp); a result is rounded to float32 by whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

__all__ = ["cos", "erf", "erfc", "exp", "log", "polynomial", "sigmoid", "sin", "tanh"]

_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 in two parts; the first has 21 zero bits at its end, so that its multiples by exponents are exact."""

_INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")

_EXP = tuple(float(Fraction(1, math.factorial(n))) for n in range(14))

_FRACTION_BITS = 52

_SIGNS = (1, -1)


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """A polynomial by Horner's rule, its coefficients from the constant one on."""
    *rest, result = coefficients
    total = torch.full_like(x, result)
    for coefficient in reversed(rest):
        total = total.mul_(x).add_(coefficient)
    return total


def _scale(x: Tensor, exponent: Tensor) -> Tensor:
    """``x * 2**exponent`` for int64 exponents from -1022 to 1023, by the bits of the power."""
    return x * ((exponent + 1023) << _FRACTION_BITS).view(torch.float64)


def exp(x: Tensor) -> Tensor:
    """The exponential function; within 2 ulp, 0 below -745.2 and infinity above 709.8."""
    bounded = x.clamp(-746.0, 710.0)
    k = torch.round(bounded * _INVERSE_LN2)
    r = (bounded - k * _LN2_HIGH) - k * _LN2_LOW
    # In two factors, since the power itself may be no normal number.
    whole = k.long()
    half = whole >> 1
    return _scale(_scale(polynomial(r, _EXP), half), whole - half)


def log(x: Tensor) -> Tensor:
    """The natural logarithm; within 2 ulp of positive normal numbers, minus infinity at 0, not a number below.

    ``x = 2**k m`` with m from sqrt(1/2) to sqrt(2), and ``log m = 2 atanh(s)`` with ``s = (m - 1) / (m + 1)``.
    """
    bits = x.view(torch.int64)
    # The bits of sqrt(1/2): what is subtracted carries into the exponent where m would be below it.
    offset = bits - 0x3FE6A09E667F3BCD
    exponent = offset >> _FRACTION_BITS
    m = (bits - (exponent << _FRACTION_BITS)).view(torch.float64)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    tail = polynomial(z, _LOG).mul_(z)
    half_square = f * f * 0.5
    # log(1 + f) = f - (f^2/2 - s (f^2/2 + tail)): small corrections of an exact f.
    k = exponent.to(torch.float64)
    correction = s * (half_square + tail) + k * _LN2_LOW
    result = k * _LN2_HIGH - ((half_square - correction) - f)
    result = torch.where(x == torch.inf, x, result)
    return torch.where(x > 0, result, torch.where(x == 0, -torch.inf, torch.nan))


_LOG = tuple(float(Fraction(2, n)) for n in range(3, 26, 2))


def sigmoid(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``; within 4 ulp."""
    e = exp(-x.abs())
    one = torch.ones_like(x)
    return torch.where(x >= 0, one, e) / (e + 1.0)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent; within 4 ulp, by its series below 1/4."""
    magnitude = x.abs()
    e = exp(magnitude * -2.0)
    large = (1.0 - e) / (e + 1.0)
    z = x * x
    small = polynomial(z, _TANH).mul_(z).mul_(magnitude).add_(magnitude)
    result = torch.where(magnitude < 0.25, small, large)
    return torch.where(x < 0, -result, result)


_TANH = tuple(
    float(Fraction(*ratio))
    for ratio in (
        (-1, 3),
        (2, 15),
        (-17, 315),
        (62, 2835),
        (-1382, 155925),
        (21844, 6081075),
        (-929569, 638512875),
        (6404582, 10854718875),
        (-443861162, 1856156927625),
        (18888466084, 194896477400625),
        (-113927491862, 2900518163668125),
        (58870668456604, 3698160658676859375),
    )
)
"""The series of ``tanh(x) / x`` behind its 1, in powers of x^2."""


_ERFC = (
    0.5107913526210115,
    0.3435803422069053,
    0.13973604627801434,
    0.01822111575344406,
    -0.01075533094401701,
    -0.0032395925341297785,
    0.0015453060137318342,
    0.00041864803692931907,
    -0.0003315365730859826,
    -1.7185781852311767e-05,
    7.223416759239389e-05,
    -1.707402515170848e-05,
    -1.0842910058395442e-05,
    8.05865461413893e-06,
    -5.77822298179878e-07,
    -1.8167079024791187e-06,
    1.0308565838096152e-06,
    -1.1319613509521392e-08,
    -3.265474979200386e-07,
    1.7630181517105487e-07,
    3.620168326093879e-08,
    -6.818076599065568e-08,
    6.443597925046653e-09,
    1.2683080316045675e-08,
    -1.89831857179008e-09,
    -9.743115754914082e-10,
)
"""``exp(x^2) erfc(x) / t`` in powers of ``2 t - 1``, ``t = 2 / (2 + x)``: its Chebyshev expansion for x from 0 on."""

_ERF = tuple(float(Fraction(_SIGNS[n % 2], math.factorial(n) * (2 * n + 1))) for n in range(18))

_TWO_BY_ROOT_PI = float.fromhex("0x1.20dd750429b6dp+0")


def erfc(x: Tensor) -> Tensor:
    """``1 - erf(x)``; its relative error stays below 1e-13 down to 1e-300."""
    magnitude = x.abs()
    t = torch.full_like(x, 2.0) / (magnitude + 2.0)
    scaled = polynomial(t * 2.0 - 1.0, _ERFC) * t
    # The square in two parts: its rounding would be a relative error of exp.
    high = (magnitude.to(torch.float32)).to(torch.float64)
    rest = (magnitude - high) * (magnitude + high)
    right = exp(-(high * high)) * exp(-rest) * scaled
    return torch.where(x < 0, 2.0 - right, right)


def erf(x: Tensor) -> Tensor:
    """The error function; within 4 ulp, by its series below 1/2."""
    z = x * x
    small = polynomial(z, _ERF) * x * _TWO_BY_ROOT_PI
    large = 1.0 - erfc(x.abs())
    return torch.where(x.abs() < 0.5, small, torch.where(x < 0, -large, large))


_HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
"""pi / 2 in parts of 33 bits, so that their multiples by whole numbers below 2**20 are exact."""

_TWO_BY_PI = float.fromhex("0x1.45f306dc9c883p-1")

_SIN = tuple(float(Fraction(_SIGNS[n % 2], math.factorial(2 * n + 1))) for n in range(9))
_COS = tuple(float(Fraction(_SIGNS[n % 2], math.factorial(2 * n))) for n in range(10))

MOST_ANGLE = float(1 << 20)
"""Beyond it the parts of pi do not suffice, and there is no result."""


def sin(x: Tensor) -> Tensor:
    """The sine, within 2e-16 of the exact one; not a number beyond an angle of 2**20."""
    return _circular(x, 0)


def cos(x: Tensor) -> Tensor:
    """The cosine; as ``sin``."""
    return _circular(x, 1)


def _circular(x: Tensor, quarters: int) -> Tensor:
    k = torch.round(torch.where(x.abs() <= MOST_ANGLE, x, torch.nan) * _TWO_BY_PI)
    r = x
    for part in _HALF_PI:
        r = r - k * part
    z = r * r
    sine, cosine = polynomial(z, _SIN) * r, polynomial(z, _COS)
    # Numbers of quarter turns, modulo four, in floating point: conversions of NaN are not defined.
    quarter = k + float(quarters)
    quarter = quarter - torch.floor(quarter * 0.25) * 4.0
    value = torch.where((quarter == 1) | (quarter == 3), cosine, sine)
    return torch.where(quarter >= 2, -value, value)
