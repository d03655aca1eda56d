"""The owner's head: the bottom segment, which turns a record into the features that are clipped and released.

The release's guarantee needs a head that is fixed independently of the released records: random, or trained on records
that are never released (disjoint by source or person, which only the caller can know). Clipping, mixing and noise are
the job of ``clicooper.privacy``. A head from a public model is any state that fits ``HeadSpec``.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.manifest import ModelSpec, SeedSpec, TrainingSpec
from clicooper.errors import DataError, SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.runtime import use_threads
from clicooper.learning.schedule import batch_rows
from clicooper.learning.segments import Segment, initial_state

__all__ = ["Head", "HeadSpec", "random_head", "train_head"]

_ROWS = 8192
"""Records of one forward pass."""


@dataclass(frozen=True)
class HeadSpec:
    """A small multilayer perceptron, trained as a classifier whose last hidden layer are the features.

    Attributes:
        kind: ``random``: never trained; ``disjoint``: trained on records that are not released.
        hidden: widths of the layers before the features.
        dims: number of features.
        epochs: passes over the training records.
        batch: records of a step.
        learning_rate, weight_decay, label_smoothing: of AdamW and cross entropy.
        center: subtract the mean feature of the training records, so that no norm is spent on what all share.
        normalise: scale features to unit L2 norm, so that clipping at 1 changes nothing.
        seed: public seed of weights and batches.
    """

    kind: Literal["random", "disjoint"] = "disjoint"
    hidden: tuple[int, ...] = (256,)
    dims: int = 64
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    center: bool = True
    normalise: bool = True
    seed: int = 0


class Head:
    """A fixed head.

    Args:
        input_shape: shape of a record.
        state: the network's weights, ``input.center`` and ``input.scale`` (records are standardised by these two
            numbers first) and ``features.center`` (dims,).

    Raises:
        SpecError: a state that does not fit the specification.
    """

    def __init__(self, spec: HeadSpec, input_shape: tuple[int, ...], state: State) -> None:
        self.spec = spec
        self.input_shape = tuple(input_shape)
        self._state = {name: np.array(array) for name, array in state.items()}
        weights = {name: array for name, array in self._state.items() if name.startswith("block")}
        extra = {name: array.shape for name, array in self._state.items() if name not in weights}
        if extra != {"input.center": (), "input.scale": (), "features.center": (spec.dims,)}:
            raise SpecError("the state is not a head's", hint="blocks, input.center, input.scale, features.center")
        model = _network(spec, self.input_shape, classes=2, cut=True)
        self._segment = Segment(model, _training(spec, steps=1), 0, weights)

    @classmethod
    def untrained(cls, spec: HeadSpec, input_shape: tuple[int, ...], center: float = 0.0, scale: float = 1.0) -> Self:
        """A head with its initial weights."""
        weights = initial_state(_network(spec, input_shape, classes=2, cut=True), _seeds(spec), 0)
        return cls(spec, input_shape, weights | _standardisation(spec, center, scale))

    def features(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Features of records, float64 (n, dims).

        Args:
            inputs: numeric (n, *input_shape).

        Raises:
            DataError: records of another shape.
        """
        raw = self._raw(inputs)
        if self.spec.center:
            raw = raw - self._state["features.center"]
        if self.spec.normalise:
            raw = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return raw

    def state(self) -> State:
        """A copy of everything that ``Head`` needs to be the same again."""
        return {name: np.array(array) for name, array in self._state.items()}

    def centered(self, inputs: NDArray[Any]) -> "Head":
        """The same head, its features centered on the mean over ``inputs``."""
        return Head(self.spec, self.input_shape, self._state | {"features.center": self._raw(inputs).mean(axis=0)})

    def _raw(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        records = _standardised(inputs, self.input_shape, self._state)
        with use_threads(1):
            parts = [self._segment.forward(records[at : at + _ROWS]) for at in range(0, len(records), _ROWS)]
        return np.concatenate([np.zeros((0, self.spec.dims)), *parts]).astype(np.float64)


def random_head(spec: HeadSpec, input_shape: tuple[int, ...], *, center: float = 0.0, scale: float = 1.0) -> Head:
    """A head that saw no record.

    Args:
        center, scale: standardise the inputs; known without looking at the records, such as 0.5 and 0.3.

    Raises:
        SpecError: ``spec.kind`` is not ``random``.
    """
    if spec.kind != "random":
        raise SpecError(f"a {spec.kind} head is not random", hint="use train_head")
    return Head.untrained(spec, input_shape, center, scale)


def train_head(inputs: NDArray[Any], labels: NDArray[np.int64], classes: int, spec: HeadSpec) -> Head:
    """Trains a head on records that are never released.

    Args:
        inputs: numeric (n, ...), n at least 1.
        labels: int64 (n,), values in [0, classes).
        classes: number of true classes, at least 2.

    Raises:
        DataError: labels or inputs of the wrong shape or range.
        SpecError: ``spec.kind`` is ``random``, or training diverges.
    """
    if spec.kind == "random":
        raise SpecError("a random head is not trained", hint="use random_head")
    if not len(inputs) or len(inputs) != len(labels) or classes < 2:
        raise DataError(f"{len(inputs)} records with {len(labels)} labels of {classes} classes", hint="one label each")
    shape = tuple(inputs.shape[1:])
    known = _standardisation(spec, float(np.mean(inputs)), float(np.std(inputs)) or 1.0)
    training = _training(spec, steps=max(1, spec.epochs * len(inputs) // spec.batch))
    model = _network(spec, shape, classes, cut=False)
    segment = Segment(model, training, 0, initial_state(model, _seeds(spec), 0))
    records = _standardised(inputs, shape, known)
    with use_threads(1):
        for rows in batch_rows(_seeds(spec), 0, len(records), training):
            segment.forward(records[rows])
            segment.loss_backward(labels[rows])
            segment.step()
    readout = f"block{len(spec.hidden) + 1}."
    weights = {name: array for name, array in segment.state().items() if not name.startswith(readout)}
    return Head(spec, shape, weights | known).centered(inputs)


def _network(spec: HeadSpec, input_shape: tuple[int, ...], classes: int, *, cut: bool) -> ModelSpec:
    """The classifier; cut, its segment 0 ends at the features."""
    widths = (*spec.hidden, spec.dims)
    cuts = (len(widths),) if cut else ()
    return ModelSpec(kind="mlp", input_shape=input_shape, outputs=classes, widths=widths, cuts=cuts)


def _training(spec: HeadSpec, steps: int) -> TrainingSpec:
    return TrainingSpec(
        optimizer="adamw",
        learning_rate=spec.learning_rate,
        momentum=0.9,
        weight_decay=spec.weight_decay,
        steps=steps,
        batch=spec.batch,
        input_scale=1.0,
        input_noise=0.0,
        label_smoothing=spec.label_smoothing,
    )


def _seeds(spec: HeadSpec) -> SeedSpec:
    return SeedSpec(weights=spec.seed, batches=spec.seed, noise=spec.seed)


def _standardisation(spec: HeadSpec, center: float, scale: float) -> State:
    if not math.isfinite(center) or not math.isfinite(scale) or scale <= 0:
        raise DataError("inputs cannot be standardised", hint="finite numbers, a scale above 0")
    return {
        "input.center": np.array(center),
        "input.scale": np.array(scale),
        "features.center": np.zeros(spec.dims),
    }


def _standardised(inputs: NDArray[Any], shape: tuple[int, ...], known: State) -> NDArray[np.float32]:
    if inputs.shape[1:] != shape:
        raise DataError(f"records of shape {list(inputs.shape[1:])}", hint=f"the head takes {list(shape)}")
    return np.asarray((inputs - known["input.center"]) / known["input.scale"], dtype=np.float32)
