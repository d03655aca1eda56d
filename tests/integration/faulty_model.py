"""A custom model whose code fails on one machine and not on another: what it raises stands in the environment."""

import builtins
import math
import os
from collections.abc import Sequence

from torch import nn

if os.environ.get("FAULTY_MODEL"):
    raise getattr(builtins, os.environ["FAULTY_MODEL"])("this machine")


def blocks(input_shape: Sequence[int], outputs: int) -> list[nn.Module]:
    """Room for two seats' marks of 64 bits."""
    first = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 256), nn.Tanh())
    hidden = [nn.Sequential(nn.Linear(256, 256), nn.Tanh()) for _ in range(3)]
    return [first, *hidden, nn.Linear(256, outputs)]
