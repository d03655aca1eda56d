"""Sizes that follow from the kind of model, where the configuration leaves them open."""

from __future__ import annotations

from clicooper.config import JobConfig
from clicooper.learning.head import HeadSpec

__all__ = ["head_spec", "model_shape", "model_widths"]

SHAPES: dict[str, tuple[int, ...]] = {"mlp": (32,), "cnn": (1, 8, 8), "resnet18": (3, 32, 32)}
WIDTHS: dict[str, tuple[int, ...]] = {"mlp": (384, 384, 384, 384), "cnn": (64, 128, 256), "resnet18": (64,)}


def model_shape(config: JobConfig) -> tuple[int, ...]:
    """Shape of one released activation."""
    return config.activation_shape or SHAPES.get(config.model, SHAPES["mlp"])


def model_widths(config: JobConfig) -> tuple[int, ...]:
    """Hidden widths or channels, by the model's kind."""
    return config.widths or WIDTHS.get(config.model, ())


def head_spec(dims: int, seed: int) -> HeadSpec:
    """The owner's head with ``dims`` outputs."""
    return HeadSpec(dims=dims, seed=seed)
