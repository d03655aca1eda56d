"""Random numbers from the words of a bit generator, by formulas of our own: no library's stream or logarithm.

NumPy keeps the words of PCG64 and the mixing of its ``SeedSequence`` as they are; what it makes of words may change
with a release, and its normal numbers with the C library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clicooper.learning.portable.elementary import log, polynomial
from clicooper.learning.portable.roots import square_root64

__all__ = ["normal", "permutation"]

_CENTRE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_MIDDLE = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_FAR = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)
"""Numerators and denominators of PPND16 (Wichura, "Algorithm AS 241", Applied Statistics 37, 1988)."""


def normal(words: np.random.BitGenerator, shape: Sequence[int]) -> NDArray[np.float32]:
    """Standard normal numbers, each from one word, in the order of the words.

    A word w gives ``u = (floor(w / 2**11) + 1/2) / 2**53``, never 0 or 1, and u its quantile in float64.

    Returns:
        float32, of the shape.
    """
    drawn = np.asarray(words.random_raw(math.prod(shape)), dtype=np.uint64) >> np.uint64(11)
    whole = torch.from_numpy(drawn.astype(np.int64)).to(torch.float64)
    # Distance from the median, exact: 2**53 u - 2**52.
    distance = (whole - 2.0**52 + 0.5) * 2.0**-53
    return np.asarray(_quantile(distance).to(torch.float32).numpy()).reshape(shape)


def permutation(words: np.random.BitGenerator, count: int) -> NDArray[np.int64]:
    """The numbers from 0 to ``count - 1`` in the order of as many words; int64 (count,)."""
    return np.argsort(np.asarray(words.random_raw(count), dtype=np.uint64), kind="stable").astype(np.int64)


def _quantile(distance: Tensor) -> Tensor:
    """The number below which a normal one falls with probability ``distance + 1/2``; float64, within 1e-15 of it."""
    result = _ratio(_CENTRE, 0.180625 - distance * distance) * distance
    outside = (distance.abs() > 0.425).nonzero(as_tuple=True)[0]
    far = distance[outside]
    # The smaller of both tails: at least 2**-54, and exact.
    tail = square_root64(-log(0.5 - far.abs()))
    size = torch.where(tail <= 5.0, _ratio(_MIDDLE, tail - 1.6), _ratio(_FAR, tail - 5.0))
    result[outside] = torch.where(far < 0, -size, size)
    return result


def _ratio(polynomials: tuple[Sequence[float], Sequence[float]], x: Tensor) -> Tensor:
    above, below = (polynomial(x, coefficients) for coefficients in polynomials)
    return above / below
