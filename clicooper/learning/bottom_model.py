"""The owner's head: the bottom segment, which turns a record into the features that are clipped and released.

The release's guarantee needs a head that is fixed independently of the released records: random, public (read from a
file), or trained on records that are never released (disjoint by source or person, which only the caller can know); or
a head trained on the released records by DP-SGD (``dp_head``), whose price is added. Clipping, mixing and noise are the
job of ``clicooper.privacy``.

Features have unit L2 norm, so that clipping at 1 changes nothing, and are trained that way: a classifier on unit
vectors (a cosine softmax, Wang et al., "NormFace", 2017) spreads the classes over the sphere, where the noise of the
release hurts them least.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clicooper.errors import DataError, SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.head_file import read_head_state
from clicooper.learning.runtime import use_threads
from clicooper.learning.schedule import Purpose, generator
from clicooper.privacy.statement import HeadKind

__all__ = [
    "CENTER",
    "SCALE",
    "BottomModel",
    "HeadSpec",
    "load_head",
    "make_head_from_state",
    "make_random_head",
    "make_standardisation",
    "standardise",
    "train_head",
]

CENTER, SCALE = 0.5, 0.3
"""Standardise pixels in [0, 1] without a look at any of them."""

_ROWS = 8192
"""Records of one forward pass."""

_SMALLEST_NORM = 1e-9


@dataclass(frozen=True)
class HeadSpec:
    """A small multilayer perceptron with linear, unit-norm features, trained under a throw-away linear classifier.

    Attributes:
        kind: ``random``: never trained; ``disjoint``: trained on records that are not released; ``file``: read from a
            file; ``dp-sgd``: trained on the released records by DP-SGD.
        hidden: widths of the ReLU layers before the features.
        dims: number of features.
        epochs: passes over the training records.
        batch: records of a step.
        learning_rate, weight_decay, label_smoothing: of AdamW and cross entropy.
        input_noise: standard deviation of Gaussian noise added to the standardised inputs in each step.
        cosine_scale: length to which the unit features are stretched before the classifier.
        seed: public seed of weights, batches and noise.
    """

    kind: HeadKind = "disjoint"
    hidden: tuple[int, ...] = (128,)
    dims: int = 16
    epochs: int = 80
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    input_noise: float = 0.3
    cosine_scale: float = 4.0
    seed: int = 0


class BottomModel:
    """A fixed head.

    Args:
        input_shape: shape of a record.
        state: float arrays ``layer0.weight``, ``layer0.bias``, ..., and ``input.center`` and ``input.scale``, the two
            numbers that standardise records.

    Raises:
        SpecError: a state that does not fit the specification.
    """

    def __init__(self, spec: HeadSpec, input_shape: tuple[int, ...], state: State) -> None:
        self.spec = spec
        self.input_shape = tuple(input_shape)
        self._state = {name: np.array(array) for name, array in state.items()}
        expected = _shapes(spec, self.input_shape) | {"input.center": (), "input.scale": ()}
        if fault := _difference({name: array.shape for name, array in self._state.items()}, expected):
            hint = f"it needs {', '.join(sorted(expected))}, and nothing else"
            raise SpecError(f"the state is not this head's: {fault}", hint=hint)
        if not self._state["input.scale"] > 0:
            raise SpecError("input.scale is not above 0", hint="store the deviation of the inputs there, or 1")

    def features(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Unit-norm features of records, float64 (n, dims).

        Args:
            inputs: numeric (n, *input_shape).

        Raises:
            DataError: records of another shape.
        """
        if inputs.shape[1:] != self.input_shape:
            raise DataError(
                f"records of shape {list(inputs.shape[1:])}", hint=f"the head takes {list(self.input_shape)}"
            )
        layers = {n: torch.tensor(a, dtype=torch.float64) for n, a in self._state.items() if n.startswith("layer")}
        parts = [np.zeros((0, self.spec.dims))]
        with use_threads(1), torch.inference_mode():
            for at in range(0, len(inputs), _ROWS):
                records = standardise(inputs[at : at + _ROWS], self._state).astype(np.float64)
                parts.append(_unit(_forward(layers, torch.from_numpy(records))).numpy())
        return np.concatenate(parts)

    def state(self) -> State:
        """A copy of everything that ``BottomModel`` needs to be the same again."""
        return {name: np.array(array) for name, array in self._state.items()}


def make_random_head(
    spec: HeadSpec, input_shape: tuple[int, ...], *, center: float = CENTER, scale: float = SCALE
) -> BottomModel:
    """A head that saw no record.

    Args:
        center, scale: standardise the inputs; known without looking at the records, such as 0.5 and 0.3.

    Raises:
        SpecError: ``spec.kind`` is not ``random``.
    """
    if spec.kind != "random":
        raise SpecError(f"a {spec.kind} head is not random", hint="use train_head")
    return BottomModel(spec, input_shape, _initial_layers(spec, input_shape) | make_standardisation(center, scale))


def train_head(inputs: NDArray[Any], labels: NDArray[np.int64], classes: int, spec: HeadSpec) -> BottomModel:
    """Trains a head on records that are never released.

    Args:
        inputs: numeric (n, ...), n at least 1.
        labels: int64 (n,), values in [0, classes).
        classes: number of true classes, at least 2.

    Raises:
        DataError: labels or inputs of the wrong shape or range.
        SpecError: ``spec.kind`` is not ``disjoint``, or training diverges.
    """
    if spec.kind != "disjoint":
        hint = {"random": "use random_head", "file": "use load_head"}.get(spec.kind, "use dp_head")
        raise SpecError(f"a {spec.kind} head is not trained here", hint=hint)
    if not len(inputs) or len(inputs) != len(labels) or classes < 2:
        raise DataError(
            f"{len(inputs)} records with {len(labels)} labels of {classes} classes",
            hint="pass one label for each record",
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"labels outside 0..{classes - 1}", hint="number classes from 0")
    shape = tuple(inputs.shape[1:])
    known = make_standardisation(float(np.mean(inputs)), float(np.std(inputs)) or 1.0)
    with use_threads(1):
        layers = _fit(standardise(inputs, known), labels, classes, spec, _initial_layers(spec, shape))
    return BottomModel(spec, shape, layers | known)


def make_head_from_state(state: State, input_shape: tuple[int, ...], spec: HeadSpec) -> BottomModel:
    """The head that a state describes: its layers' sizes say which hidden layers it has.

    Args:
        state: as ``BottomModel.state()``.
        input_shape: shape of a record.
        spec: of the same number of features; its hidden widths are replaced by the state's.

    Raises:
        SpecError: no state of a head, or one for other records or features.
    """
    names = sorted(state, key=lambda name: (len(name), name))
    layers = [state[name] for name in names if name.endswith(".weight") and state[name].ndim == 2]
    widths = tuple(len(layer) for layer in layers)
    if not widths or widths[-1] != spec.dims or layers[0].shape[1] != math.prod(input_shape):
        found = f"{layers[0].shape[1]} numbers to {widths[-1]} features" if widths else "no layers"
        raise SpecError(
            f"the head's state has {found}; records of shape {list(input_shape)} and {spec.dims} features are needed",
            hint="make it for records and activations of this shape",
        )
    return BottomModel(replace(spec, hidden=widths[:-1]), input_shape, state)


def load_head(path: Path, input_shape: tuple[int, ...], spec: HeadSpec) -> BottomModel:
    """Reads a head from a safetensors file with the tensors of ``BottomModel.state()``, whoever wrote it.

    Raises:
        SpecError: a file that cannot be read, or as ``make_head_from_state``; it is named.
    """
    try:
        return make_head_from_state(read_head_state(path), input_shape, spec)
    except SpecError as e:
        named = e.message if str(path) in e.message else f"{path}: {e.message}"
        raise SpecError(named, hint=e.hint) from e


def _fit(records: NDArray[np.float32], labels: NDArray[np.int64], classes: int, spec: HeadSpec, start: State) -> State:
    """The layers after training under a cosine classifier that is thrown away."""
    classifier = _he_normal((classes, spec.dims), spec.seed, len(start), gain=0.7)
    weights = {name: torch.tensor(array, requires_grad=True) for name, array in start.items()}
    readout = torch.tensor(classifier, requires_grad=True)
    optimizer = torch.optim.AdamW([*weights.values(), readout], lr=spec.learning_rate, weight_decay=spec.weight_decay)
    for batch, rows in _batches(records, spec):
        logits = spec.cosine_scale * _unit(_forward(weights, torch.from_numpy(batch))) @ readout.T
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels[rows]), label_smoothing=spec.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    if not math.isfinite(loss.item()):
        raise SpecError("training the head diverged: the loss is not finite", hint="lower its learning rate")
    return {name: weight.detach().numpy().copy() for name, weight in weights.items()}


def _batches(records: NDArray[np.float32], spec: HeadSpec) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Noisy batches, one permutation of all records an epoch."""
    for epoch in range(spec.epochs):
        rng = generator(spec.seed, Purpose.HEAD, epoch)
        order = rng.permutation(len(records))
        for at in range(0, len(order), spec.batch):
            rows = order[at : at + spec.batch]
            noise = rng.standard_normal(records[rows].shape, dtype=np.float32)
            yield records[rows] + np.float32(spec.input_noise) * noise, rows


def _forward(layers: dict[str, Tensor], x: Tensor) -> Tensor:
    count = len(layers) // 2
    for number in range(count):
        x = nn.functional.linear(x, layers[f"layer{number}.weight"], layers[f"layer{number}.bias"])
        x = torch.relu(x) if number + 1 < count else x
    return x


def _unit(x: Tensor) -> Tensor:
    return torch.as_tensor(x / x.norm(dim=1, keepdim=True).clamp_min(_SMALLEST_NORM))


def _shapes(spec: HeadSpec, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    sizes = (math.prod(input_shape), *spec.hidden, spec.dims)
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        shapes |= {f"layer{number}.weight": (outputs, inputs), f"layer{number}.bias": (outputs,)}
    return shapes


def _difference(found: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]) -> str:
    """The first tensor that is too few, too many or of another shape; nothing where all are as expected."""
    for name in sorted(found.keys() | expected):
        if found.get(name) != expected.get(name):
            has, needs = (f"shape {list(s[name])}" if name in s else "no place" for s in (found, expected))
            return f"{name} has {has} in it and {needs} in the head"
    return ""


def _initial_layers(spec: HeadSpec, input_shape: tuple[int, ...]) -> State:
    shapes = _shapes(spec, input_shape).items()
    return {
        name: _he_normal(shape, spec.seed, place) if len(shape) == 2 else np.zeros(shape, dtype=np.float32)
        for place, (name, shape) in enumerate(shapes)
    }


def _he_normal(shape: tuple[int, ...], seed: int, place: int, gain: float = 1.0) -> NDArray[np.float32]:
    rng = generator(seed, Purpose.HEAD, 1 << 30, place)
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(gain * math.sqrt(2.0 / shape[1]))


def make_standardisation(center: float, scale: float) -> State:
    """The state of two constants."""
    if not math.isfinite(center) or not math.isfinite(scale) or scale <= 0:
        raise DataError("inputs cannot be standardised", hint="store a finite center, and a finite scale above 0")
    return {"input.center": np.array(center), "input.scale": np.array(scale)}


def standardise(inputs: NDArray[Any], known: State) -> NDArray[np.float32]:
    """Flattened records, float32 (n, d), less the centre, divided by the scale."""
    flat = inputs.reshape(len(inputs), -1)
    return np.asarray((flat - known["input.center"]) / known["input.scale"], dtype=np.float32)
