"""Square roots with the same bits everywhere.

torch hands long arrays to a vector library whose roots are not correctly rounded: of a million, seven
thousand are a unit off, in float32 as in float64, and short arrays are rounded otherwise than long ones.
"""

import torch
from torch import Tensor

__all__ = ["square_root", "square_root64"]

_HALF_OF_BIAS = 0x1FF8 << 48
_STEPS = 4


def square_root(x: Tensor) -> Tensor:
    """The correctly rounded root.

    A root of 24 bits lies two units of a float64 or more from the middle between two float32, so that a
    float64 root that is less than one unit off rounds as the exact one does.

    Args:
        x: float32, any shape.

    Returns:
        float32; NaN below 0.
    """
    return torch.sqrt(x.to(torch.float64)).to(torch.float32)


def square_root64(x: Tensor) -> Tensor:
    """The root by four of Newton's steps, from free operations alone.

    Args:
        x: float64, any shape; positive normal numbers and zeros.

    Returns:
        float64, within one unit in the last place.
    """
    # Half of the exponent, and of the mantissa: 6 % off at most. Each step squares that.
    root = ((x.view(torch.int64) >> 1) + _HALF_OF_BIAS).view(torch.float64)
    for _ in range(_STEPS):
        root = torch.mul(torch.add(root, torch.div(x, root)), 0.5)
    return torch.where(torch.eq(x, 0), x, root)
