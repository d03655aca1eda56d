"""Sizes that follow from the kind of model and the number of seats, where the configuration leaves them open."""

from __future__ import annotations

import math
from dataclasses import replace

from clicooper.config import JobConfig
from clicooper.learning.bottom_model import HeadSpec
from clicooper.privacy.statement import HeadKind
from clicooper.watermark.carriers import MarkParams, required_weights

__all__ = ["choose_shape", "choose_widths", "make_head_spec"]

SHAPES: dict[str, tuple[int, ...]] = {"mlp": (16,), "cnn": (1, 8, 8), "resnet18": (3, 32, 32), "vit": (3, 32, 32)}
MLP_WIDTH = 384
"""One square layer of this width holds the marks of one seat, up to 25 rounds of the usual size."""

CNN_CHANNELS = 128
RESNET_CHANNELS = (64, 128, 256, 512)
VIT_WIDTH, VIT_HEADS = 144, 4


def choose_shape(config: JobConfig) -> tuple[int, ...]:
    """Shape of one released activation."""
    return config.activation_shape or SHAPES.get(config.model, SHAPES["mlp"])


def choose_widths(config: JobConfig) -> tuple[int, ...]:
    """Hidden widths or channels; by default one layer more than there are seats, each with room for a seat's marks."""
    layers, room = (
        config.trainers + 1,
        required_weights(MarkParams(config.mark_bits, config.mark_strength), config.rounds),
    )
    width, channels = max(MLP_WIDTH, math.isqrt(room - 1) + 1), max(CNN_CHANNELS, math.isqrt((room - 1) // 9) + 1)
    # A transformer block has 12 square matrices of its width.
    wide = max(VIT_WIDTH, VIT_HEADS * (math.isqrt((room - 1) // (12 * VIT_HEADS**2)) + 1))
    defaults = {
        "mlp": (width,) * layers,
        "cnn": (channels,) * layers,
        "resnet18": RESNET_CHANNELS,
        "vit": (wide, layers, VIT_HEADS),
    }
    return config.widths or defaults.get(config.model, ())


def make_head_spec(dims: int, seed: int, kind: HeadKind = "disjoint") -> HeadSpec:
    """The owner's head with ``dims`` outputs; a random one is a projection, which keeps distances."""
    spec = HeadSpec(kind, dims=dims, seed=seed)
    return replace(spec, hidden=()) if kind == "random" else spec
