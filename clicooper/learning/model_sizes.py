"""How large a model of a built-in kind is, computed from its specification alone: nothing is built for it.

The arithmetic of ``models``, block by block, for whoever judges terms before any memory is taken. A model that is code
of somebody's own has sizes that only that code knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import SpecError

__all__ = [
    "PATCH",
    "RESNET_WIDTHS",
    "VIT_WIDTHS",
    "BlockSize",
    "image_shape",
    "is_code",
    "patch_count",
    "size_blocks",
]

RESNET_WIDTHS = (64, 128, 256, 512)
"""Channels of the four stages of ResNet-18, where a spec names none."""

VIT_WIDTHS = (144, 4, 4)
"""Width, transformer blocks and heads of the vision transformer, where a spec names none."""

PATCH = 4
"""Height and width of a vision transformer's patch."""


@dataclass(frozen=True)
class BlockSize:
    """One block.

    Attributes:
        matrices: elements of each weight of two or more axes; only these can carry marks.
        vectors: elements of all its other parameters and buffers.
        values: numbers that its layers make of one record, its output among them.
        spread: numbers of one record over which a batch normalisation takes its least mean; None without one.
    """

    matrices: tuple[int, ...]
    vectors: int
    values: int
    spread: int | None = None

    @property
    def parameters(self) -> int:
        """All elements that the block keeps."""
        return sum(self.matrices) + self.vectors


def is_code(kind: str) -> bool:
    """Whether a kind of model is ``package.module:function``, code of its author's."""
    return ":" in kind


def image_shape(model: ModelSpec) -> tuple[int, int, int]:
    """Channels, height and width of one record.

    Raises:
        SpecError: a record of another number of axes.
    """
    if len(model.input_shape) != 3:
        raise SpecError(
            f"model.input_shape is {list(model.input_shape)}, which {model.kind} cannot take",
            hint="give three sizes: channels, height, width",
        )
    channels, height, width = model.input_shape
    return channels, height, width


def size_blocks(model: ModelSpec) -> tuple[BlockSize, ...]:
    """The sizes of all blocks of a built-in kind.

    Args:
        model: its numbers are positive; how large they are does not matter here.

    Raises:
        SpecError: an unknown kind, or a record or widths that the kind has no place for.
    """
    if model.kind not in _KINDS:
        raise SpecError(
            f"unknown model kind {model.kind!r} (model.kind)", hint=f"{', '.join(_KINDS)} or package.module:function"
        )
    if not model.input_shape:
        raise SpecError("model.input_shape is empty", hint="give the shape of one released activation")
    return _KINDS[model.kind](model)


def _mlp(model: ModelSpec) -> tuple[BlockSize, ...]:
    sizes = (math.prod(model.input_shape), *model.widths)
    hidden = (BlockSize((a * b,), b, 2 * b) for a, b in pairwise(sizes))
    return (*hidden, _linear(sizes[-1], model.outputs))


def _linear(inputs: int, outputs: int) -> BlockSize:
    return BlockSize((inputs * outputs,), outputs, outputs)


def _cnn(model: ModelSpec) -> tuple[BlockSize, ...]:
    channels, height, width = image_shape(model)
    blocks = []
    for out in model.widths:
        values = 2 * out * height * width
        if min(height, width) >= 4:
            height, width = height // 2, width // 2
            values += out * height * width
        blocks.append(BlockSize((9 * channels * out,), out, values))
        channels = out
    return (*blocks, _linear(channels * height * width, model.outputs))


def _resnet18(model: ModelSpec) -> tuple[BlockSize, ...]:
    channels, height, width = image_shape(model)
    widths = model.widths or RESNET_WIDTHS
    if len(widths) != 4:
        raise SpecError(f"model.widths has {len(widths)} numbers, resnet18 has four stages", hint="give four, or none")
    pixels = height * width
    blocks = [BlockSize((9 * channels * widths[0],), _norm(widths[0]), 3 * widths[0] * pixels, pixels)]
    for inputs, out, stride in zip((widths[0], *widths), widths, (1, 2, 2, 2), strict=False):
        height, width = -(-height // stride), -(-width // stride)
        blocks += [_residual(inputs, out, stride, height * width), _residual(out, out, 1, height * width)]
    last = _linear(widths[-1], model.outputs)
    return (*blocks, BlockSize(last.matrices, last.vectors, last.values + widths[-1]))


def _residual(inputs: int, out: int, stride: int, pixels: int) -> BlockSize:
    matrices, norms, layers = [9 * inputs * out, 9 * out * out], 2, 7
    if stride != 1 or inputs != out:
        matrices, norms, layers = [*matrices, inputs * out], 3, 9
    return BlockSize(tuple(matrices), norms * _norm(out), layers * out * pixels, pixels)


def _norm(channels: int) -> int:
    """A batch normalisation: factor, shift, running mean and variance of every channel, and a counter."""
    return 4 * channels + 1


def patch_count(model: ModelSpec) -> int:
    """Patches of one record.

    Raises:
        SpecError: widths or sides that a vision transformer has no place for.
    """
    _, height, width = image_shape(model)
    widths = model.widths or VIT_WIDTHS
    if len(widths) != 3 or widths[0] % widths[2] or height % PATCH or width % PATCH:
        raise SpecError(
            f"model.widths is {list(model.widths)} for images of {height} x {width}, which vit cannot take",
            hint=f"give width, depth and heads, the width a multiple of the heads, and sides a multiple of {PATCH}",
        )
    return height * width // PATCH**2


def _vit(model: ModelSpec) -> tuple[BlockSize, ...]:
    channels, patches = image_shape(model)[0], patch_count(model)
    wide, depth, heads = model.widths or VIT_WIDTHS
    first = BlockSize((PATCH**2 * channels * wide, patches * wide), wide, 3 * patches * wide)
    matrices = (3 * wide * wide, wide * wide, 4 * wide * wide, 4 * wide * wide)
    inner = BlockSize(matrices, 13 * wide, patches * (20 * wide + 3 * heads * patches))
    last = BlockSize((wide * model.outputs,), model.outputs + 2 * wide, (2 * patches + 1) * wide + model.outputs)
    return (first, *(inner,) * depth, last)


_KINDS: Mapping[str, Callable[[ModelSpec], tuple[BlockSize, ...]]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "resnet18": _resnet18,
    "vit": _vit,
}
