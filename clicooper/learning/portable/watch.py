"""Whether a step met a number that is not finite, or a division by zero; read once a step.

It also lends the kernels of the step room that they use again and again.

Not its job: to stop the step. Whoever runs it asks, and stops it.
"""

import math

import torch
from torch import Tensor

__all__ = ["Watch"]

_MOST_LENT = 1 << 22
"""Entries of room that is kept; more is rare, and the system's to give."""


class Watch:
    """The largest number that was seen; nothing waits for the device before it is read.

    One watch is for one step at a time: its room must not be taken by two threads at once.

    Args:
        device: where the step runs.

    Attributes:
        device: the same, as a device.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._peak = self._number(0.0)
        self._rooms: dict[str, Tensor] = {}

    def room(self, use: str, shape: tuple[int, ...]) -> Tensor:
        """Room for numbers on their way, with anything in it; fresh memory costs as much as what is done in it.

        Args:
            use: what for. The same room is lent for the same use again: nothing in it outlives a kernel's call.
            shape: of the room.

        Returns:
            float64, row-major.
        """
        size = math.prod(shape)
        if self.device.type != "cpu" or size > _MOST_LENT:
            return torch.empty(shape, dtype=torch.float64, device=self.device)
        room = self._rooms.get(use)
        if room is None or room.numel() < size:
            room = self._rooms[use] = torch.empty(size, dtype=torch.float64)
        return room[:size].view(shape)

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
