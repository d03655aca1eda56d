"""Whether the reductions of a step met a number that is not finite; read once a step.

Not its job: to stop the step. Whoever runs it asks, and stops it.
"""

import torch
from torch import Tensor

__all__ = ["Watch"]


class Watch:
    """The largest number that the reductions have met; nothing waits for the device before it is read.

    Args:
        device: where the reductions run.

    Attributes:
        device: the same, as a device.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._peak = self._nothing()

    def see(self, largest: Tensor) -> None:
        """Note the largest absolute values of a reduction's input.

        Args:
            largest: floating, any shape, entries not negative; infinities and NaN are what it looks for.
        """
        if largest.numel():
            # Both keep a NaN, on every device: a peak that is not finite stays so.
            self._peak = torch.maximum(self._peak, largest.amax().to(torch.float32))

    def is_finite(self) -> bool:
        """Whether all that was seen since the last call was finite. Waits for the device."""
        finite = bool(torch.isfinite(self._peak))
        self._peak = self._nothing()
        return finite

    def _nothing(self) -> Tensor:
        return torch.zeros((), dtype=torch.float32, device=self.device)
