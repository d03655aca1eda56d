"""A model of the user's own, as ``--model tests.custom_model:blocks`` names it."""

import math
from collections.abc import Sequence

from torch import nn

WIDTH = 256


def blocks(input_shape: Sequence[int], outputs: int) -> list[nn.Module]:
    """Three square layers between an input and an output layer: room for two seats' marks of 64 bits."""
    first = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), WIDTH), nn.Tanh())
    hidden = [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(3)]
    return [first, *hidden, nn.Linear(WIDTH, outputs)]
