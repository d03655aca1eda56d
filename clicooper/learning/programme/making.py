"""Makes the programmes of a job from its model: the one place where a model's own code runs, on its maker's machine."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from clicooper.commitments.manifest import ModelSpec, TrainingSpec
from clicooper.errors import NotPortable, SpecError
from clicooper.learning.models import build_segments, guard_code
from clicooper.learning.programme.check import CheckedProgramme, check_programme
from clicooper.learning.programme.step import make_programme
from clicooper.learning.programme.trace import trace

__all__ = ["make_programmes"]


@lru_cache(maxsize=32)
def make_programmes(
    model: ModelSpec, training: TrainingSpec, micro_batches: int = 1, clip_norm: float = 0.0
) -> tuple[CheckedProgramme, ...]:
    """The programme of every seat.

    Args:
        micro_batches, clip_norm: as ``step.make_programme`` takes them.

    Raises:
        SpecError: sizes or cuts that do not fit, or a batch that does not fall into its micro-batches.
        NotPortable: a layer that is not in portable/1.
        ModelUnusable: code of the maker's own that fails.
    """
    if training.batch % micro_batches:
        raise SpecError(
            f"a batch of {training.batch} records does not fall into {micro_batches} equal micro-batches",
            hint="choose a batch that is a multiple of their number",
        )
    made: list[CheckedProgramme] = []
    shape = tuple(model.input_shape)
    segments = build_segments(model)
    for seat, segment in enumerate(segments):
        with guard_code(model, f"cannot take a batch {list(shape)} in seat {seat}"):
            trained = trace(segment, (training.batch // micro_batches, *shape), evaluation=False)
            evaluated = trace(segment, (training.batch, *shape), evaluation=True)
        is_last = seat == len(segments) - 1
        one = check_programme(
            make_programme(
                seat,
                training,
                trained,
                evaluated,
                _starts(segment),
                is_last=is_last,
                micro_batches=micro_batches,
                clip_norm=clip_norm,
            )
        )
        shape = one.output.shape[1:]
        made.append(one)
    if shape != (model.outputs,):
        raise SpecError(
            f"the last block of {model.kind} gives {list(shape)} for each record", hint=f"end in {model.outputs}"
        )
    return tuple(made)


def _starts(segment: nn.Module) -> dict[str, float]:
    """By name, the one number that fills a tensor at first; weights of two axes or more have none.

    Raises:
        NotPortable: a buffer of different numbers: as a constant, it is no part of the state.
    """
    starts = {}
    for name, weight in segment.named_parameters():
        if weight.dim() < 2:
            starts[name] = float(name.rsplit(".", maxsplit=1)[-1] == "weight")
    persistent = segment.state_dict()
    for name, buffer in segment.named_buffers():
        if name in persistent and buffer.is_floating_point():
            starts[name] = _only_number(name, buffer)
    return starts


def _only_number(name: str, buffer: Tensor) -> float:
    numbers = torch.unique(buffer)
    if numbers.numel() != 1:
        raise NotPortable(
            f"buffer {name} starts with different numbers",
            hint="register it with persistent=False if it is constant, or fill it with one number",
        )
    return float(numbers.item())
