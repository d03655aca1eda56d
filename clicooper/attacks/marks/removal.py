"""Attacks that try to take the marks out of a finished model and leave the model alone.

Each is a function ``(states, data, rng) -> states`` once its settings are bound; its text says what its attacker must
know. What it costs is measured where it is run (``survival``), next to what it does to accuracy and marks. None is
told the ownership keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clicooper.attacks.marks.tuning import ThiefData, Tuning, fine_tune
from clicooper.errors import SpecError
from clicooper.learning.checkpoint import State
from clicooper.watermark.carriers import MarkParams, carrier_of, layout_of, project, weights_of, with_weights
from clicooper.watermark.embed import embed

__all__ = [
    "Attack",
    "add_noise",
    "clean_update",
    "erase_known",
    "fine_prune",
    "overwrite",
    "permute_and_rescale",
    "prune",
    "quantise",
    "retrain_last",
    "run_in_turn",
    "shift_weights",
    "strip_differences",
    "truncate_weights",
]

States: TypeAlias = Sequence[State]
Attack: TypeAlias = Callable[[States, ThiefData, np.random.Generator], tuple[State, ...]]
Change: TypeAlias = Callable[[str, NDArray[Any]], NDArray[Any]]


def prune(states: States, _data: ThiefData, _rng: np.random.Generator, *, share: float) -> tuple[State, ...]:
    """Sets the smallest ``share`` of each tensor's weights to zero. Needs the model alone."""

    def cut(_name: str, weights: NDArray[Any]) -> NDArray[Any]:
        return np.where(_kept(weights, share), weights, 0.0)

    return _each(states, cut)


def fine_prune(
    states: States, data: ThiefData, rng: np.random.Generator, *, share: float, tuning: Tuning
) -> tuple[State, ...]:
    """Prunes, then fine-tunes what is left (Liu et al., 2018). Needs data."""
    masks = {
        name: Tensor(_kept(weights, share).astype(np.float32))
        for state in states
        for name, weights in state.items()
        if _is_matrix(weights)
    }

    def keep(name: str, parameter: Tensor) -> None:
        if name in masks:
            parameter *= masks[name]

    return fine_tune(prune(states, data, rng, share=share), data, rng, tuning, keep)


def quantise(states: States, _data: ThiefData, _rng: np.random.Generator, *, bits: int) -> tuple[State, ...]:
    """Rounds to float16, or to ``bits`` of 8 or 4 with one symmetric scale a tensor. Needs the model alone."""
    levels = 2 ** (bits - 1) - 1

    def rounded(_name: str, weights: NDArray[Any]) -> NDArray[Any]:
        if bits == 16:
            return weights.astype(np.float16)
        step = np.abs(weights).max() / levels
        return np.round(weights / step) * step if step else weights

    return _each(states, rounded)


def add_noise(states: States, _data: ThiefData, rng: np.random.Generator, *, level: float) -> tuple[State, ...]:
    """Adds Gaussian noise of ``level`` times each tensor's root mean square. Needs the model alone."""
    return _each(states, lambda _name, weights: weights + level * _rms(weights) * rng.standard_normal(weights.shape))


def shift_weights(states: States, _data: ThiefData, _rng: np.random.Generator, *, share: float) -> tuple[State, ...]:
    """Takes ``share`` of its mean from every neuron's or filter's weights. Needs the model alone."""

    def shifted(_name: str, weights: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(weights - share * weights.mean(axis=tuple(range(1, weights.ndim)), keepdims=True))

    return _each(states, shifted)


def overwrite(
    states: States, _data: ThiefData, rng: np.random.Generator, *, params: MarkParams, times: int
) -> tuple[State, ...]:
    """Embeds ``times`` marks of the thief's own in every segment. Needs the model and this program."""

    def marked(state: State) -> State:
        return reduce(lambda held, _: dict(embed(held, rng.bytes(32), params)), range(times), state)

    return tuple(marked(state) for state in states)


def truncate_weights(states: States, _data: ThiefData, _rng: np.random.Generator, *, rank: int) -> tuple[State, ...]:
    """Keeps the ``rank`` largest singular values of every weight matrix. Needs the model alone."""
    return _each(states, lambda _name, weights: _truncated(weights, rank))


def clean_update(states: States, data: ThiefData, _rng: np.random.Generator, *, rank: int) -> tuple[State, ...]:
    """Keeps of every weight matrix its initial value and the ``rank`` largest singular values of what changed since.

    Training changes weights along few directions, a mark along all of them alike, so nearly all of the mark is in what
    is cut off. Needs the model and its initial weights, which everybody can compute from the job's specification.
    """
    initial = {name: weights for state in data.initial for name, weights in state.items()}

    def cleaned(name: str, weights: NDArray[Any]) -> NDArray[Any]:
        start = initial[name].astype(np.float64)
        return np.asarray(start + _truncated(weights - start, rank))

    return _each(states, cleaned)


def permute_and_rescale(states: States, data: ThiefData, rng: np.random.Generator) -> tuple[State, ...]:
    """Shuffles the hidden neurons of a multilayer perceptron and stretches each by 1/4 to 4; its answers stay the same.

    ReLU commutes with both where the next layer undoes them. Needs the model alone.

    Raises:
        SpecError: another kind of model.
    """
    if data.model.kind != "mlp":
        raise SpecError(f"no such symmetry is known for {data.model.kind}", hint="permute a model of kind mlp")
    changed = [dict(state) for state in states]
    home = {name: state for state in changed for name in state}
    for layer in range(len(data.model.widths)):
        own, bias, following = (f"block{layer}.linear.weight", f"block{layer}.linear.bias", _next_weight(layer))
        width = len(home[bias][bias])
        order, scale = rng.permutation(width), np.exp2(rng.uniform(-2, 2, width)).astype(np.float32)
        home[own][own] = home[own][own][order] * scale[:, None]
        home[bias][bias] = home[bias][bias][order] * scale
        home[following][following] = home[following][following][:, order] / scale
    return tuple(changed)


def _next_weight(layer: int) -> str:
    return f"block{layer + 1}.linear.weight"


def retrain_last(states: States, data: ThiefData, rng: np.random.Generator, *, tuning: Tuning) -> tuple[State, ...]:
    """Draws the last layer anew and trains it, or everything from there. Needs data."""
    last = max(int(name.partition(".")[0].removeprefix("block")) for name in states[-1])

    def redrawn(name: str, weights: NDArray[Any]) -> NDArray[Any]:
        if not name.startswith(f"block{last}."):
            return weights
        return rng.standard_normal(weights.shape) * math.sqrt(2.0 / math.prod(weights.shape[1:]))

    return fine_tune(_each(states, redrawn), data, rng, tuning)


def erase_known(
    states: States, _data: ThiefData, _rng: np.random.Generator, *, seeds: Mapping[int, Sequence[bytes]], bits: int
) -> tuple[State, ...]:
    """Sets the projection on every carrier of the given seeds to zero, the least change that erases those marks.

    Args:
        seeds: by seat. The owner and auditors hold those of progress marks.
        bits: of one mark.
    """
    return tuple(_erased(state, seeds.get(seat, ()), bits) for seat, state in enumerate(states))


def _erased(state: State, seeds: Sequence[bytes], bits: int) -> State:
    layout = layout_of(state)
    vector = weights_of(state, layout)
    for seed in seeds:
        carrier = carrier_of(seed, layout.weights, bits)
        step = project(vector, carrier) / math.sqrt(carrier.blocks.shape[1])
        vector[carrier.blocks] -= carrier.signs * step[:, None]
    return dict(with_weights(state, layout, vector))


def strip_differences(
    states: States,
    _data: ThiefData,
    _rng: np.random.Generator,
    *,
    rounds: Mapping[int, Sequence[tuple[State, State]]],
) -> tuple[State, ...]:
    """Takes from a segment everything that its embeddings added, without knowing any key.

    Args:
        rounds: by seat, the raw and the marked weights of rounds. A trainer has its own; the owner, auditors and
            whoever replays have all.
    """

    def stripped(seat: int, state: State) -> State:
        layout = layout_of(state)
        added = [weights_of(out, layout) - weights_of(raw, layout) for raw, out in rounds.get(seat, ())]
        return dict(with_weights(state, layout, weights_of(state, layout) - sum(added))) if added else state

    return tuple(stripped(seat, state) for seat, state in enumerate(states))


def run_in_turn(
    states: States, data: ThiefData, rng: np.random.Generator, *, parts: Sequence[Attack]
) -> tuple[State, ...]:
    """One attack after the other."""
    return reduce(lambda held, part: part(held, data, rng), parts, tuple(states))


def _each(states: States, change: Change) -> tuple[State, ...]:
    """Changes every tensor of two or more axes, in float64, and stores it in the dtype that it had."""
    return tuple(
        {
            name: change(name, weights.astype(np.float64)).astype(weights.dtype) if _is_matrix(weights) else weights
            for name, weights in state.items()
        }
        for state in states
    )


def _is_matrix(weights: NDArray[Any]) -> bool:
    return weights.ndim >= 2 and weights.dtype.kind == "f"


def _kept(weights: NDArray[Any], share: float) -> NDArray[np.bool_]:
    """Which weights a pruning of ``share`` leaves."""
    return np.asarray(np.abs(weights) > np.quantile(np.abs(weights), share))


def _rms(weights: NDArray[Any]) -> float:
    return math.sqrt(float(np.square(weights).mean()))


def _truncated(weights: NDArray[Any], rank: int) -> NDArray[Any]:
    """The best approximation of a tensor, as a matrix by its first axis, of ``rank`` (Eckart and Young, 1936)."""
    left, values, right = np.linalg.svd(weights.reshape(len(weights), -1), full_matrices=False)
    return np.asarray((left[:, :rank] * values[:rank]) @ right[:rank]).reshape(weights.shape)
