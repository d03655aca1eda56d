"""Whether a step met a number that is not finite, or a division by zero; read once a step.

Not its job: to stop the step. Whoever runs it asks, and stops it.
"""

import math

import torch
from torch import Tensor

__all__ = ["Watch"]


class Watch:
    """The largest number that was seen; nothing waits for the device before it is read.

    Args:
        device: where the step runs.

    Attributes:
        device: the same, as a device.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._peak = self._number(0.0)

    def see(self, largest: Tensor) -> None:
        """Note the largest absolute values of a reduction's input.

        Args:
            largest: float32, any shape, entries not negative; infinities and NaN are what it looks for.
        """
        if largest.numel():
            # Both keep a NaN, on every device: a peak that is not finite stays so.
            self._peak = torch.maximum(self._peak, largest.amax())

    def see_divisor(self, divisor: Tensor) -> None:
        """Note a division: a divisor of zero counts as a number that is not finite.

        Args:
            divisor: float32, any shape.
        """
        if divisor.numel():
            has_zero = torch.eq(divisor, 0).any()
            self.see(torch.where(has_zero, self._number(math.inf), self._number(0.0)))

    def is_finite(self) -> bool:
        """Whether all that was seen since the last call was finite. Waits for the device."""
        finite = bool(torch.isfinite(self._peak))
        self._peak = self._number(0.0)
        return finite

    def _number(self, value: float) -> Tensor:
        return torch.full((), value, dtype=torch.float32, device=self.device)
