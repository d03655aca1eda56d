"""What a committed state may be: the names, dtypes, shapes and values that training can give.

A state outside of its domain is no training's, whatever was trained on: no replay is needed to say so, and none should
load it. Whether a state inside is the right one is the job of ``replay``. Nothing here reads a file.

The layers of the built-in models are known, so that counters have one value after so many steps. A custom model may
pass over a parameter, or use a layer twice: there counters are only limited, and moments may be absent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from clicooper.commitments.manifest import ModelSpec, TrainingSpec
from clicooper.learning.checkpoint import State
from clicooper.learning.models import build_segment

__all__ = [
    "StateDomain",
    "StateViolation",
    "TensorForm",
    "find_violation",
    "find_weights_violation",
    "state_domain",
    "state_size_limit",
]

MOST_COUNTED = 1 << 24
"""AdamW counts its steps in float32, where one more than this is no other number."""


MOST_NAME = 120
"""Characters of a tensor's name that are shown."""


class _Role(Enum):
    """What the numbers of a tensor are."""

    FREE = "finite numbers"
    SQUARES = "finite numbers of 0 or more"
    BATCHES = "batches seen"
    STEPS = "steps done"


@dataclass(frozen=True)
class TensorForm:
    """Dtype and shape of a tensor, and what its numbers are."""

    dtype: str
    shape: tuple[int, ...]
    role: _Role = _Role.FREE

    def __str__(self) -> str:
        """As in ``float32[3, 4]``."""
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class StateDomain:
    """The states of one seat's segment.

    Attributes:
        weights: parameters and buffers by name.
        moments: those of the optimizer after its first step, by name.
        is_exact: whether every parameter takes part in every step, and every layer once.
    """

    weights: Mapping[str, TensorForm]
    moments: Mapping[str, TensorForm]
    is_exact: bool


@dataclass(frozen=True)
class StateViolation:
    """The first thing about a state that no training gives, such as a tensor's dtype.

    Attributes:
        tensor: its name in the state.
        expected: what training gives.
        actual: what the state has.
    """

    tensor: str
    expected: str
    actual: str

    def __str__(self) -> str:
        """One sentence without a full stop."""
        return f"tensor {self.tensor} is {self.actual}, where training gives {self.expected}"


@lru_cache(maxsize=256)
def state_domain(model: ModelSpec, training: TrainingSpec, seat: int) -> StateDomain:
    """Worked out once for each seat of a job, and for a built-in model without memory for its weights.

    Raises:
        SpecError: a model that cannot be made, or no such seat.
    """
    is_built_in = ":" not in model.kind
    with torch.device("meta") if is_built_in else nullcontext():
        segment = build_segment(model, seat)
    roles = _roles(segment)
    weights = {
        name: TensorForm(_dtype_name(tensor.dtype), tuple(tensor.shape), roles.get(name, _Role.FREE))
        for name, tensor in segment.state_dict().items()
    }
    moments = {
        f"{moment}/{name}": form
        for name, weight in segment.named_parameters()
        for moment, form in _moments(training, TensorForm(_dtype_name(weight.dtype), tuple(weight.shape)))
    }
    return StateDomain(MappingProxyType(weights), MappingProxyType(moments), is_built_in)


def find_violation(
    domain: StateDomain, steps: int, weights: State, optimizer: State | None = None
) -> StateViolation | None:
    """The first thing about weights and optimizer state that no training gives, or None.

    Args:
        steps: of the job so far: the optimizer goes on from round to round.
        optimizer: None counts as empty, which it is before the first step.
    """
    moments = optimizer or {}
    found = find_weights_violation(domain, steps, weights)
    return found or next(_violations(domain, steps, _expected_moments(domain, steps, moments), moments), None)


def find_weights_violation(domain: StateDomain, steps: int, weights: State) -> StateViolation | None:
    """``find_violation`` of weights and buffers alone."""
    return next(_violations(domain, steps, domain.weights, weights), None)


def state_size_limit(forms: Mapping[str, TensorForm]) -> int:
    """Bytes that no state file of these tensors exceeds, so that a larger one is refused unread.

    The tensors take what they take; the header names each with its dtype, its shape and two offsets.
    """
    tensors = sum(math.prod(form.shape) * np.dtype(form.dtype).itemsize for form in forms.values())
    return tensors + sum(len(json.dumps(name)) + 22 * len(form.shape) + 128 for name, form in forms.items()) + 64


def _roles(segment: nn.Module) -> dict[str, _Role]:
    """Buffers of batch normalisation, whose values say what they are."""
    layers = [name for name, layer in segment.named_modules() if isinstance(layer, _NormBase)]
    variances = {f"{name}.running_var": _Role.SQUARES for name in layers}
    return variances | {f"{name}.num_batches_tracked": _Role.BATCHES for name in layers}


def _moments(training: TrainingSpec, form: TensorForm) -> Iterator[tuple[str, TensorForm]]:
    """What an optimizer keeps for a parameter of this form."""
    if training.optimizer == "adamw":
        yield "step", TensorForm("float32", (), _Role.STEPS)
        yield "exp_avg", form
        yield "exp_avg_sq", TensorForm(form.dtype, form.shape, _Role.SQUARES)
    elif training.momentum:
        yield "momentum_buffer", form


def _expected_moments(domain: StateDomain, steps: int, optimizer: State) -> Mapping[str, TensorForm]:
    """All of them; in a custom model those of the parameters that have any, since a step may pass over a parameter."""
    if not steps:
        return {}
    if domain.is_exact:
        return domain.moments
    started = {name.partition("/")[2] for name in optimizer}
    return {name: form for name, form in domain.moments.items() if name.partition("/")[2] in started}


def _violations(
    domain: StateDomain, steps: int, expected: Mapping[str, TensorForm], state: State
) -> Iterator[StateViolation]:
    for name in sorted({*expected, *state}):
        form, array = expected.get(name), state.get(name)
        if form is None or array is None:
            yield StateViolation(
                _shown(name), str(form or "absent"), "absent" if array is None else str(_form_of(array))
            )
            continue
        found = _form_of(array)
        if (found.dtype, found.shape) != (form.dtype, form.shape):
            yield StateViolation(name, str(form), str(found))
        elif (wrong := _wrong_value(domain, steps, form.role, array)) is not None:
            yield StateViolation(name, *wrong)


def _wrong_value(domain: StateDomain, steps: int, role: _Role, array: NDArray[Any]) -> tuple[str, str] | None:
    """What the numbers have to be, and what they are; None where they are that."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return role.value, f"not finite in {np.count_nonzero(~np.isfinite(array))} of {array.size} numbers"
    if role is _Role.SQUARES and array.size and array.min() < 0:
        return role.value, f"{array.min()} in its least number"
    if role is _Role.STEPS:
        return _wrong_count(array, 1, min(steps, MOST_COUNTED), is_exact=domain.is_exact)
    if role is _Role.BATCHES:
        # A custom model may use a layer more than once in a step.
        return _wrong_count(array, 0, steps if domain.is_exact else None, is_exact=domain.is_exact)
    return None


def _wrong_count(array: NDArray[Any], least: int, most: int | None, *, is_exact: bool) -> tuple[str, str] | None:
    if is_exact:
        return None if array == most else (str(most), str(array))
    is_right = array >= least and array == np.floor(array) and (most is None or array <= most)
    limits = f"a whole number of {least} or more" if most is None else f"a whole number from {least} to {most}"
    return None if is_right else (limits, str(array))


def _shown(name: str) -> str:
    """A name that anybody may have chosen, fit for one line."""
    return name if name.isprintable() and len(name) <= MOST_NAME else ascii(name)[:MOST_NAME]


def _form_of(array: NDArray[Any]) -> TensorForm:
    return TensorForm(array.dtype.name, array.shape)


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
