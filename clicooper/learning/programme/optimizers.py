"""The optimizers, as instructions: stochastic gradient descent, and AdamW (Loshchilov and Hutter, 2019).

Both are written as torch defines them, in free operations. What they keep between steps are their *moments*; all are
zeros before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from clicooper.commitments.manifest import TrainingSpec
from clicooper.learning.programme.builder import Builder, Value

__all__ = ["clip_gradients", "moment_shapes", "update_weights"]

SECOND_DECAY, EPSILON = 0.999, 1e-8
"""AdamW's second decay rate, and what keeps it from dividing by zero."""

CLIP_EPSILON = 1e-6

Shapes = Mapping[str, tuple[int, ...]]
Named = Mapping[str, Value]


def moment_shapes(training: TrainingSpec, parameters: Shapes) -> dict[str, tuple[int, ...]]:
    """The optimizer's state for parameters that have gradients, by name: ``moment/parameter``, and AdamW's ``step``."""
    if training.optimizer == "adamw":
        kinds = ("exp_avg", "exp_avg_sq")
        return {f"{kind}/{name}": shape for kind in kinds for name, shape in parameters.items()} | {"step": ()}
    if training.momentum:
        return {f"momentum_buffer/{name}": shape for name, shape in parameters.items()}
    return {}


def clip_gradients(builder: Builder, gradients: Named, most: float) -> dict[str, Value]:
    """Gradients of a segment, scaled so that their common L2 norm is at most ``most``.

    The sum of squares of each tensor is exact; those of several are added in the order of their names.
    """
    squares = []
    for gradient in gradients.values():
        square = builder.one("mul", gradient, gradient)
        dims = tuple(range(len(square.shape)))
        squares.append(builder.one("sum", square, dims=dims, keepdims=0) if dims else square)
    total = squares[0]
    for square in squares[1:]:
        total = builder.one("add", total, square)
    norm = builder.one("add", builder.one("sqrt", total), builder.scalar(CLIP_EPSILON))
    factor = builder.one("minimum", builder.one("div", builder.scalar(most), norm), builder.scalar(1.0))
    return {name: builder.one("mul", gradient, factor) for name, gradient in gradients.items()}


def update_weights(
    builder: Builder, training: TrainingSpec, weights: Named, gradients: Named, moments: Named
) -> tuple[dict[str, Value], dict[str, Value]]:
    """One step of the optimizer.

    Args:
        weights: of the parameters that have gradients.
        gradients: of the same.
        moments: as ``moment_shapes`` names them.

    Returns:
        weights and moments after it.
    """
    if training.optimizer == "adamw":
        return _adamw(builder, training, weights, gradients, moments)
    after, kept = {}, {}
    for name, weight in weights.items():
        direction = gradients[name]
        if training.weight_decay:
            decayed = builder.one("mul", weight, builder.scalar(training.weight_decay))
            direction = builder.one("add", direction, decayed)
        if training.momentum:
            key = f"momentum_buffer/{name}"
            carried = builder.one("mul", moments[key], builder.scalar(training.momentum))
            kept[key] = direction = builder.one("add", carried, direction)
        change = builder.one("mul", direction, builder.scalar(training.learning_rate))
        after[name] = builder.one("sub", weight, change)
    return after, kept


def _adamw(
    builder: Builder, training: TrainingSpec, weights: Named, gradients: Named, moments: Named
) -> tuple[dict[str, Value], dict[str, Value]]:
    step = builder.one("add", moments["step"], builder.scalar(1.0))
    after, kept = {}, {"step": step}
    rate = builder.scalar(training.learning_rate)
    if training.momentum:
        rate = builder.one("div", rate, builder.one("saturation", step, rate=math.log(training.momentum)))
    spread = builder.one("sqrt", builder.one("saturation", step, rate=math.log(SECOND_DECAY)))
    for name, weight in weights.items():
        gradient, first, second = gradients[name], f"exp_avg/{name}", f"exp_avg_sq/{name}"
        kept[first] = _average(builder, moments[first], gradient, training.momentum)
        kept[second] = _average(builder, moments[second], builder.one("mul", gradient, gradient), SECOND_DECAY)
        root = builder.one("div", builder.one("sqrt", kept[second]), spread)
        scale = builder.one("add", root, builder.scalar(EPSILON))
        change = builder.one("mul", builder.one("div", kept[first], scale), rate)
        shrunk = builder.scalar(1.0 - training.learning_rate * training.weight_decay)
        after[name] = builder.one("sub", builder.one("mul", weight, shrunk), change)
    return after, kept


def _average(builder: Builder, before: Value, new: Value, decay: float) -> Value:
    carried = builder.one("mul", before, builder.scalar(decay))
    return builder.one("add", carried, builder.one("mul", new, builder.scalar(1.0 - decay)))
