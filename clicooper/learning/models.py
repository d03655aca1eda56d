"""A model specification's blocks, cut into one segment per seat.

Blocks are numbered through the whole model and named by that number (``block3.linear.weight``), so names and initial
weights do not depend on the cuts. Values of weights are the job of ``segments``; nothing here draws from torch's
generator in a way that outlives the call. How large a built-in kind is, ``model_sizes`` says without building it.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import ModelUnusable, SpecError, UntrustedModel
from clicooper.learning.limits import SIZE_LIMIT
from clicooper.learning.model_code import import_code, running_code
from clicooper.learning.model_sizes import (
    PATCH,
    RESNET_WIDTHS,
    VIT_WIDTHS,
    image_shape,
    is_code,
    patch_count,
    size_blocks,
)
from clicooper.learning.terms import check_model
from clicooper.plain_text import shell_word

__all__ = [
    "build_segment",
    "build_segments",
    "carrying_weights",
    "guard_code",
    "require_trusted",
    "suggest_cuts",
]

MARK_ROOM = 128_000
"""Weights that two marks of 128 bits at strength 2 need: ``2 N (c^2 + 1) / 0.1^2``."""

Block: TypeAlias = Callable[[], nn.Module]
"""Makes one block, so that a seat builds no other seat's weights."""


@dataclass(frozen=True)
class _Size:
    """How large a segment is: all its parameters, and those in tensors that can carry marks."""

    parameters: int
    carrying: int


def require_trusted(spec: ModelSpec, trusted: Collection[str]) -> None:
    """Refuses a model that would run its author's code, unless this very ``package.module:function`` is trusted.

    Raises:
        UntrustedModel: a custom kind that is not in ``trusted``.
    """
    if is_code(spec.kind) and spec.kind not in trusted:
        raise UntrustedModel(
            f"the spec's model is the code {spec.kind}, which would run on this machine",
            hint=f"read that code; if you trust it, pass --trust-model {shell_word(spec.kind)}",
        )


def guard_code(spec: ModelSpec, what: str) -> AbstractContextManager[None]:
    """Where a model is code of its author's, whatever is raised within is ``ModelUnusable``: see ``running_code``."""
    return running_code(spec.kind, what) if is_code(spec.kind) else nullcontext()


def build_segments(spec: ModelSpec) -> list[nn.Sequential]:
    """All segments, built once; code of the spec's author has also made a trial step through all of them.

    Raises:
        SpecError: an unknown kind, or sizes or cuts that do not fit.
        ModelUnusable: code that is absent, another than the spec's, fails, or breaks the rules: every segment has
            weights, none is shared between names, no layer draws random numbers, outputs are ``(batch, outputs)``.
    """
    blocks = _block_plan(spec)
    segments = [_assemble(spec, blocks, seat) for seat in range(len(spec.cuts) + 1)]
    if is_code(spec.kind):
        with guard_code(spec, f"cannot take a step on inputs {list(spec.input_shape)}"):
            problem = _find_fault(segments) or _try_step(spec, segments)
        if problem:
            raise ModelUnusable(f"model {spec.kind}: {problem[0]}", hint=problem[1])
    return segments


def build_segment(spec: ModelSpec, seat: int) -> nn.Sequential:
    """The segment of one seat, with weights yet to be set.

    Raises:
        SpecError: an unknown kind or seat, or cuts that do not fit.
        ModelUnusable: code that is absent, another than the spec's, or fails.
    """
    if not 0 <= seat <= len(spec.cuts):
        raise SpecError(f"seat {seat} does not exist", hint=f"the model is cut for {len(spec.cuts) + 1} seats")
    return _assemble(spec, _block_plan(spec), seat)


def carrying_weights(segment: nn.Module) -> int:
    """Number of weights in tensors of two or more dimensions: those that carry marks."""
    return sum(weight.numel() for weight in segment.parameters() if weight.dim() >= 2)


def suggest_cuts(spec: ModelSpec, seats: int, *, room: int = MARK_ROOM) -> tuple[int, ...]:
    """Cuts for ``seats`` segments: as many as possible with ``room`` carrying weights, then the smallest largest one.

    Args:
        spec: a model, whose own cuts are ignored.
        seats: number of segments, at most the number of blocks.

    Raises:
        SpecError: more seats than blocks with weights allow.
    """
    sizes = _sizes(spec.model_copy(update={"cuts": ()}))

    @cache
    def best(first: int, left: int) -> tuple[int, int, tuple[int, ...]] | None:
        """Segments without room, size of the largest, cuts: the least of these for the blocks from ``first``."""
        ends = range(first + 1, len(sizes) - left + 2) if left > 1 else [len(sizes)]
        found = (_joined(sizes[first:end], end, best(end, left - 1) if left > 1 else (0, 0, ()), room) for end in ends)
        return min((option for option in found if option is not None), default=None)

    answer = best(0, seats) if seats >= 1 else None
    if answer is None:
        raise SpecError(f"{len(sizes)} blocks cannot be cut for {seats} seats", hint="use fewer seats or more layers")
    return answer[2][:-1]


def _joined(
    part: Sequence[_Size], end: int, rest: tuple[int, int, tuple[int, ...]] | None, room: int
) -> tuple[int, int, tuple[int, ...]] | None:
    """``rest`` with one more segment in front of it, or None where a segment would have no weights."""
    parameters = sum(size.parameters for size in part)
    if rest is None or not parameters:
        return None
    roomless = int(sum(size.carrying for size in part) < room)
    return roomless + rest[0], max(parameters, rest[1]), (end, *rest[2])


def _sizes(spec: ModelSpec) -> list[_Size]:
    """Of every block; only code has to be built for it."""
    if is_code(spec.kind):
        blocks = [block() for block in _block_plan(spec)]
        with guard_code(spec, "has weights that cannot be counted"):
            return [_Size(sum(weight.numel() for weight in one.parameters()), carrying_weights(one)) for one in blocks]
    check_model(spec)
    return [_Size(size.parameters, sum(size.matrices)) for size in size_blocks(spec)]


def _assemble(spec: ModelSpec, blocks: Sequence[Block], seat: int) -> nn.Sequential:
    bounds = (0, *spec.cuts, len(blocks))
    if any(a >= b for a, b in pairwise(bounds)):
        raise ModelUnusable(
            f"model {spec.kind} gives {len(blocks)} blocks, which cuts {list(spec.cuts)} do not fit",
            hint=f"cuts are increasing block numbers from 1 to {len(blocks) - 1}",
        )
    with guard_code(spec, "cannot be put together"), torch.random.fork_rng(devices=[]):
        named = OrderedDict((f"block{i}", blocks[i]()) for i in range(bounds[seat], bounds[seat + 1]))
        return nn.Sequential(named).to(torch.float32)


_Problem: TypeAlias = tuple[str, str]
"""What is wrong, and what to do about it."""


def _find_fault(segments: Sequence[nn.Module]) -> _Problem | None:
    """What keeps segments from being trained apart."""
    seen, total = set[int](), 0
    for seat, segment in enumerate(segments):
        weights = list(segment.named_parameters(remove_duplicate=False))
        if not weights:
            return f"segment {seat} has no weights", "cut so that every seat has a layer to train"
        for name, weight in weights:
            if isinstance(weight, nn.UninitializedParameter):
                return f"weight {name} has no shape", "state every layer's sizes, no lazy modules"
            if id(weight) in seen:
                return f"weight {name} is used twice", "segments train apart: tie no weights"
            seen.add(id(weight))
            total += weight.numel()
    if total > SIZE_LIMIT.most:
        return f"it has {total:,} parameters", f"a model has {SIZE_LIMIT.range} of them"
    return None


def _try_step(spec: ModelSpec, segments: Sequence[nn.Module]) -> _Problem | None:
    """Runs two records through all segments in training mode."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.get_rng_state()
        batch = torch.zeros(2, *spec.input_shape)
        for segment in segments:
            batch = segment(batch)
        after = torch.get_rng_state()
    if not isinstance(batch, Tensor) or batch.shape != (2, spec.outputs):
        return "the last block does not give one number per output", f"end in {spec.outputs}"
    if not torch.equal(before, after):
        return "a layer draws random numbers", "no dropout: nobody could replay the training"
    return None


def _block_plan(spec: ModelSpec) -> list[Block]:
    check_model(spec)
    return _custom(spec) if is_code(spec.kind) else _KINDS[spec.kind](spec)


def _chain(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _mlp(spec: ModelSpec) -> list[Block]:
    """``widths`` fully connected layers with ReLU, one block each, and a linear output block."""
    sizes = (math.prod(spec.input_shape), *spec.widths)
    hidden: list[Block] = [partial(_dense, a, b) for a, b in pairwise(sizes)]
    return [*hidden, partial(_output, sizes[-1], spec.outputs)]


def _dense(inputs: int, width: int) -> nn.Module:
    return _chain(flatten=nn.Flatten(), linear=nn.Linear(inputs, width), relu=nn.ReLU())


def _output(inputs: int, outputs: int) -> nn.Module:
    return _chain(flatten=nn.Flatten(), linear=nn.Linear(inputs, outputs))


def _cnn(spec: ModelSpec) -> list[Block]:
    """3 x 3 convolutions with ``widths`` channels, halving sides of 4 or more, and a linear output block."""
    channels, height, width = image_shape(spec)
    blocks: list[Block] = []
    for out in spec.widths:
        halve = min(height, width) >= 4
        blocks.append(partial(_convolution, channels, out, halve))
        channels, height, width = out, height // (1 + halve), width // (1 + halve)
    return [*blocks, partial(_output, channels * height * width, spec.outputs)]


def _convolution(inputs: int, channels: int, halve: bool) -> nn.Module:
    layers = {"conv": nn.Conv2d(inputs, channels, 3, padding=1), "relu": nn.ReLU()}
    return _chain(**layers, pool=nn.MaxPool2d(2)) if halve else _chain(**layers)


def _resnet18(spec: ModelSpec) -> list[Block]:
    """ResNet-18 (He et al., 2016) with the 3 x 3 stem for 32 x 32 images.

    ``widths`` are the channels of its four stages, by default 64 to 512.

    Convolutions have no bias of their own: the batch normalisation after each adds one.
    """
    channels, _, _ = image_shape(spec)
    widths = spec.widths or RESNET_WIDTHS
    blocks: list[Block] = [partial(_stem, channels, widths[0])]
    for inputs, width, stride in zip((widths[0], *widths), widths, (1, 2, 2, 2), strict=False):
        blocks += [partial(_Residual, inputs, width, stride), partial(_Residual, width, width, 1)]
    return [*blocks, partial(_pooled_output, widths[-1], spec.outputs)]


def _stem(inputs: int, width: int) -> nn.Module:
    return _chain(conv=nn.Conv2d(inputs, width, 3, padding=1, bias=False), norm=nn.BatchNorm2d(width), relu=nn.ReLU())


def _pooled_output(inputs: int, outputs: int) -> nn.Module:
    return _chain(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), linear=nn.Linear(inputs, outputs))


class _Residual(nn.Module):
    """The basic block: two 3 x 3 convolutions around a shortcut, projected where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            conv = nn.Conv2d(inputs, width, 1, stride=stride, bias=False)
            self.shortcut = _chain(conv=conv, norm=nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(inner + self.shortcut(x))


def _vit(spec: ModelSpec) -> list[Block]:
    """A small vision transformer (Dosovitskiy et al., 2021), without a class token: the mean of all patches is read.

    ``widths`` are its width, the number of its transformer blocks and of their heads.
    """
    channels, patches = image_shape(spec)[0], patch_count(spec)
    wide, depth, heads = spec.widths or VIT_WIDTHS
    blocks: list[Block] = [partial(_Patches, channels, wide, patches)]
    blocks += [partial(_Transformer, wide, heads)] * depth
    return [*blocks, partial(_Averaged, wide, spec.outputs)]


class _Patches(nn.Module):
    """Patches as vectors, with learnt positions."""

    def __init__(self, channels: int, width: int, patches: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, width, PATCH, stride=PATCH)
        self.position = nn.Embedding(patches, width)

    def forward(self, x: Tensor) -> Tensor:
        patches: Tensor = self.embed(x).flatten(2).transpose(1, 2)
        return patches + self.position.weight


class _Transformer(nn.Module):
    """Attention and a perceptron, each behind a layer normalisation and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.heads = heads
        self.attend, self.gather = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, patches, width = x.shape
        # Queries, keys and values of every head: (batch, heads, patches, width of a head).
        parts = self.attend(self.norm1(x)).view(batch, patches, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind()
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.gather(attended.transpose(1, 2).reshape(batch, patches, width))
        wide = nn.functional.gelu(self.up(self.norm2(x)))
        return torch.add(x, self.down(wide))


class _Averaged(nn.Module):
    """The mean of all patches, and a linear layer."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.norm(x).mean(dim=1))
        return logits


_KINDS: Mapping[str, Callable[[ModelSpec], list[Block]]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "resnet18": _resnet18,
    "vit": _vit,
}


def _custom(spec: ModelSpec) -> list[Block]:
    """Blocks from ``package.module:function(input_shape=..., outputs=...)``.

    Importing the module runs its code: a party names here, or accepts from others, only what it has installed itself.
    """
    factory = import_code(spec.kind, spec.code)
    with guard_code(spec, "cannot be made"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = factory(input_shape=spec.input_shape, outputs=spec.outputs)
        usable = isinstance(blocks, list) and blocks and all(isinstance(block, nn.Module) for block in blocks)
    if not usable:
        hint = "package.module:function(input_shape, outputs) returns a list of torch.nn.Module"
        raise ModelUnusable(f"model {spec.kind} is not a list of modules", hint=hint)
    return [partial(_same, block) for block in blocks]


def _same(block: nn.Module) -> nn.Module:
    return block
