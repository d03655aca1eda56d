"""Modules that are made of one function or of one layer, for tracing."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Model(nn.Module):
    """A forward pass in a function of the module, its weight and buffers, and the batch."""

    def __init__(self, function: Callable[..., Any], **buffers: Tensor) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 6))
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=name != "constant")

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


class First(nn.Module):
    """What a layer gives first, of a batch that stands for all its inputs."""

    def __init__(self, layer: nn.Module, inputs: int = 1, **named: object) -> None:
        super().__init__()
        self.layer, self.inputs, self.named = layer, inputs, named

    def forward(self, x: Tensor) -> Any:
        return self.layer(*[x] * self.inputs, **self.named)[0]


def weighted(model: nn.Module) -> nn.Module:
    """The same model with weights that are the same in every run, none of them 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        for weight in model.parameters():
            nn.init.uniform_(weight, -0.6, 0.8)
    return model
