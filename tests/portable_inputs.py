"""Inputs that are hard for sums: cancellations, extreme exponents, subnormal numbers, zeros of both signs."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch import Tensor

TINY, LEAST_NORMAL, MOST = 2.0**-149, 2.0**-126, (2 - 2.0**-23) * 2.0**127
EDGES = (0.0, -0.0, TINY, -TINY, LEAST_NORMAL, -LEAST_NORMAL, 1.0, -1.0, 1 + 2.0**-23, 2.0**-24, 3 * 2.0**-23, 2.0**40)

WIDE = st.floats(width=32, allow_nan=False, allow_infinity=False, max_value=MOST, min_value=-MOST)
TAME = st.floats(width=32, allow_nan=False, min_value=-(2.0**20), max_value=2.0**20)
SMALL = st.floats(width=32, allow_nan=False, min_value=-(2.0**-120), max_value=2.0**-120)
EDGE = st.sampled_from(EDGES)


def arrays(shape: tuple[int, ...], *, wide: bool = True) -> st.SearchStrategy[NDArray[np.float32]]:
    """float32 arrays of one kind of numbers or of mixed kinds; ``wide`` includes those up to 2**128."""
    kinds: list[Any] = [TAME, SMALL, EDGE, st.one_of(TAME, EDGE)]
    if wide:
        kinds += [WIDE, st.one_of(WIDE, EDGE)]
    return st.one_of([hnp.arrays(np.float32, shape, elements=kind, fill=st.nothing()) for kind in kinds])


def cancelling(x: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Values and their negatives along an axis, so that only what is added besides remains."""
    return np.concatenate([x, -x, np.ones_like(x[:1] if axis == 0 else x[:, :1])], axis)


def same_bits(found: Tensor, expected: NDArray[np.float32] | Tensor) -> bool:
    """Whether float32 numbers are equal bit for bit, but for the signs of zeros."""
    ours = found.detach().cpu() + 0.0
    theirs = (expected if isinstance(expected, Tensor) else torch.from_numpy(expected.copy())) + 0.0
    return ours.shape == theirs.shape and torch.equal(ours.view(torch.int32), theirs.view(torch.int32))
