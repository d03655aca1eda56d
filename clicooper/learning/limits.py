"""The limits of a job's numbers: how large each may be, and what a job within them needs of a machine.

Generous for honest work, and small enough that no term alone, nor all together, exhausts who takes them up.
``terms`` holds a specification to them; docs/artifacts.md shows the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

from clicooper.commitments.canonical import MAX_BLOCK_BYTES
from clicooper.commitments.manifest import JobSpec, ModelSpec, SealedLabels
from clicooper.errors import SpecError
from clicooper.learning.checkpoint import MAX_STATE_BYTES
from clicooper.learning.model_sizes import is_code, size_blocks
from clicooper.learning.transcript import interval_count

__all__ = ["CHOOSE", "LIMITS", "MAX_MEMORY", "MODEL_LIMITS", "SIZE_LIMIT", "SPEC_LIMITS", "Limit", "memory_needed"]

ABOVE_ZERO, BELOW_ONE = math.ulp(0.0), math.nextafter(1.0, 0.0)

MAX_MEMORY = 1 << 34
"""What a job may need of a machine that trains or replays all its seats, 16 GiB."""

BYTES_PER_PARAMETER = 128
"""Weights, gradients and moments, their copies as arrays and as files, all in float64, and the work on two marks."""

BYTES_PER_KEPT_PARAMETER = 12
"""Of a state at an interval's end: a weight and two moments in float32."""

BYTES_PER_VALUE = 32
"""A number in a layer and its gradient in float64, and as much again for what a layer needs to compute them."""

BYTES_PER_ROW, BYTES_PER_STEP = 128, 1024
"""Labels and places of a released row; digests of a step of one seat."""

CHOOSE = "the job's owner has to choose other terms; a trainer does not join this job"


@dataclass(frozen=True)
class Limit:
    """The range of one number of a specification.

    Attributes:
        field: its place in the specification, or what is counted.
        values: from the specification, or the model, the numbers in the range: none, one, or one of every item.
    """

    field: str
    least: float
    most: float
    values: Callable[[Any], Iterable[float]]

    @property
    def range(self) -> str:
        """The range in words."""
        return f"{_bound(self.least)} to {_bound(self.most)}"

    def check(self, terms: JobSpec | ModelSpec) -> None:
        """Holds the numbers to their range.

        Raises:
            SpecError: one of them is outside.
        """
        for value in self.values(terms):
            if not self.least <= value <= self.most:
                raise SpecError(f"{self.field} is {_shown(value)}, where a job may have {self.range}", hint=CHOOSE)


def _bound(value: float) -> str:
    words = {ABOVE_ZERO: "above 0", BELOW_ONE: "below 1"}
    return words.get(value) or _shown(value)


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _field(place: str, least: float, most: float, *, of: str = "") -> Limit:
    """The limit of a field; of each of its items where it is a list, of nothing where it is None."""
    read = attrgetter(place.removeprefix(of))

    def values(terms: Any) -> Iterable[float]:
        value = read(terms)
        return value if isinstance(value, tuple) else () if value is None else (value,)

    return Limit(place, least, most, values)


def _counted(what: str, least: float, most: float, count: Callable[[Any], float]) -> Limit:
    return Limit(what, least, most, lambda terms: (count(terms),))


def memory_needed(spec: JobSpec) -> int:
    """Bytes that a machine needs which trains or replays all seats of a round; more than it will use.

    What a model of code takes beside the data, only that code knows: it counts as nothing.
    """
    training, dims = spec.training, math.prod(spec.model.input_shape)
    blocks = () if is_code(spec.model.kind) else size_blocks(spec.model)
    parameters = sum(block.parameters for block in blocks)
    in_batch = training.batch * (dims + sum(block.values for block in blocks))
    in_interval = min(spec.replay.interval, training.steps) * training.batch * dims
    return (
        parameters * (BYTES_PER_PARAMETER + (_intervals(spec) - 1) * BYTES_PER_KEPT_PARAMETER)
        + in_batch * BYTES_PER_VALUE
        + in_interval * 4
        + 3 * _released_bytes(spec)
        + _rows(spec) * BYTES_PER_ROW
        + training.steps * (training.batch * 24 + (len(spec.model.cuts) + 1) * BYTES_PER_STEP)
    )


def _parameters(model: ModelSpec) -> int:
    return sum(block.parameters for block in size_blocks(model))


def _intervals(spec: JobSpec) -> int:
    return interval_count(spec.training.steps, spec.replay.interval)


def _rows(spec: JobSpec) -> int:
    return spec.rows_until(len(spec.labels) - 1)


def _released_bytes(spec: JobSpec) -> int:
    return 4 * _rows(spec) * math.prod(spec.model.input_shape)


def _label_bytes(spec: JobSpec, labels: SealedLabels) -> int:
    """Of the record that holds the labels of one round: DAG-CBOR writes small numbers in fewer bytes."""
    widest = spec.model.outputs - 1
    width = next((size for size, most in ((1, 24), (2, 1 << 8), (3, 1 << 16)) if widest < most), 5)
    return 256 + labels.rows * width


def _passes(spec: JobSpec) -> int:
    return spec.training.steps * spec.training.batch // spec.labels[0].rows


_of_model = partial(_field, of="model.")

MODEL_LIMITS = (
    _of_model("model.outputs", 1, 1 << 20),
    _of_model("model.input_shape", 1, 1 << 20),
    _counted("axes of model.input_shape", 1, 8, lambda model: len(model.input_shape)),
    _counted("numbers of one activation", 1, 1 << 24, lambda model: math.prod(model.input_shape)),
    _of_model("model.widths", 1, 1 << 20),
    _counted("number of model.widths", 0, 64, lambda model: len(model.widths)),
    _of_model("model.cuts", 0, 1 << 12),
    _counted("number of model.cuts", 0, 31, lambda model: len(model.cuts)),
    _counted("length of model.kind", 1, 200, lambda model: len(model.kind)),
)

SIZE_LIMIT = Limit("parameters of a model", 1, 1 << 26, lambda model: (_parameters(model),))

SPEC_LIMITS = (
    _field("training.learning_rate", ABOVE_ZERO, 1000.0),
    _field("training.momentum", 0.0, BELOW_ONE),
    _field("training.weight_decay", 0.0, 1000.0),
    _field("training.steps", 1, 1 << 20),
    _field("training.batch", 1, 1 << 16),
    _counted("training.steps x training.batch", 1, 1 << 26, lambda spec: spec.training.steps * spec.training.batch),
    _field("training.input_scale", 1e-30, 1e30),
    _field("training.input_noise", 0.0, 1e6),
    _field("training.label_smoothing", 0.0, BELOW_ONE),
    _field("training.label_noise", 0.0, BELOW_ONE),
    _field("seeds.weights", 0, 1 << 53),
    _field("seeds.batches", 0, 1 << 53),
    _field("seeds.noise", 0, 1 << 53),
    _field("release.epsilon", 1e-6, 1e6),
    _field("release.delta", 1e-100, BELOW_ONE),
    _counted("length of release.adjacency", 1, 200, lambda spec: len(spec.release.adjacency)),
    _field("release.sigma", 1e-30, 1e30),
    _field("release.clip", 1e-12, 1e12),
    _field("release.group", 1, 1 << 20),
    _field("release.grid", 1e-40, 1e40),
    _field("release.gamma", 1, 1 << 20),
    _counted("number of release.gamma", 1, 1 << 16, lambda spec: len(spec.release.gamma)),
    _field("release.m", 1, 1 << 32),
    _field("release.records", 1, 1 << 32),
    _field("release.label_epsilon", 1e-6, 64.0),
    _field("release.head_epsilon", 1e-6, 1e6),
    _field("marks.bits", 64, 1024),
    _field("marks.strength", 1.0, 8.0),
    _field("replay.interval", 1, 1 << 20),
    _field("replay.tolerance", ABOVE_ZERO, 0.1),
    _counted("intervals of a round", 1, 2048, _intervals),
    _counted("length of runtime_class", 1, 256, lambda spec: len(spec.runtime_class)),
    _counted("number of arbiter_keys", 0, 64, lambda spec: len(spec.arbiter_keys)),
    _counted("number of labels", 1, 1000, lambda spec: len(spec.labels)),
    Limit("labels.rows", 1, 1 << 20, lambda spec: (labels.rows for labels in spec.labels)),
    _counted("rows of all labels", 1, 1 << 26, _rows),
    _counted("bytes of the released activations", 1, MAX_STATE_BYTES - (1 << 20), _released_bytes),
    Limit(
        "bytes of the labels of a round", 1, MAX_BLOCK_BYTES, lambda spec: map(partial(_label_bytes, spec), spec.labels)
    ),
    _counted("passes of a round over its rows", 0, 1 << 14, _passes),
    _counted("bytes of memory", 1, MAX_MEMORY, memory_needed),
)

LIMITS = (*MODEL_LIMITS, SIZE_LIMIT, *SPEC_LIMITS)
"""Every limit of a number, in the order of docs/artifacts.md."""
