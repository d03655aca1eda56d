"""Models that nobody marked: what marks and likeness give by chance.

Many small networks are trained at once, each from starting weights and in an order of records of its own, or all from
one start. They are the null against which p-values and the measure of descent are calibrated. The figures of
docs/watermark.md are made from here by scripts/calibrate_marks.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from clicooper.learning.checkpoint import State
from clicooper.learning.runtime import use_threads
from clicooper.watermark.carriers import Carrier, carrier_of
from clicooper.watermark.detect import MarkReading, read_carrier

__all__ = ["ChanceReadings", "random_carriers", "read_by_chance", "starting_weights", "train_many"]

SIZES = (64, 64, 64, 10)
"""Inputs, hidden widths and outputs: two tensors that carry marks, 8,192 weights."""

LEARNING_RATE = 0.2
BATCH = 32


def starting_weights(seed: int) -> State:
    """He-normal weights of one network."""
    rng = np.random.default_rng(seed)
    shapes = [(f"layer{i}.weight", (out, inputs)) for i, (inputs, out) in enumerate(pairwise(SIZES))]
    return {name: (rng.standard_normal(shape) * math.sqrt(2 / shape[1])).astype(np.float32) for name, shape in shapes}


def train_many(starts: list[State], seed: int, steps: int = 150, *, one_task: bool = False) -> Iterator[State]:
    """Networks trained on handwritten digits, each on batches and, unless it is one task, on class names of its own.

    Args:
        starts: the starting weights of each.
        seed: of their batches and names.
        steps: of plain gradient descent.
        one_task: whether all of them learn the same labels.
    """
    digits = load_digits()
    inputs = torch.tensor(digits.data / 16, dtype=torch.float32)
    rng = np.random.default_rng(seed)
    names = [np.arange(10) if one_task else rng.permutation(10) for _ in starts]
    labels = torch.tensor(np.stack([name[digits.target] for name in names]))
    weights = [torch.tensor(np.stack([start[name] for start in starts]), requires_grad=True) for name in starts[0]]
    with use_threads(1):
        for _ in range(steps):
            rows = torch.tensor(rng.integers(0, len(inputs), (len(starts), BATCH)))
            values = inputs[rows]
            for number, weight in enumerate(weights):
                values = values @ weight.transpose(1, 2)
                values = torch.relu(values) if number < len(weights) - 1 else values
            loss = torch.nn.functional.cross_entropy(values.flatten(0, 1), labels.gather(1, rows).flatten())
            gradients = torch.autograd.grad(loss * len(starts), weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.sub_(LEARNING_RATE * gradient)
    for number in range(len(starts)):
        yield {name: weight[number].detach().numpy().copy() for name, weight in zip(starts[0], weights, strict=True)}


def random_carriers(count: int, weights: int, bits: int, seed: int) -> Iterator[Carrier]:
    """Carriers of keys drawn at random."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield carrier_of(rng.bytes(32), weights, bits)


@dataclass(frozen=True, eq=False)
class ChanceReadings:
    """Readings of many random keys in weights that hold no mark of them.

    Attributes:
        matched: bits that agree, one entry a key.
        z: the soft statistic.
        log2_p: the reported bound.
    """

    bits: int
    matched: NDArray[np.int64]
    z: NDArray[np.float64]
    log2_p: NDArray[np.float64]

    def rate(self, level: float) -> float:
        """Share of keys with a reported p of at most ``level``."""
        return float(np.mean(self.log2_p <= math.log2(level)))


def read_by_chance(vector: NDArray[np.float64], keys: int, bits: int, seed: int) -> ChanceReadings:
    """Reads random keys in one vector of weights.

    Args:
        vector: (W,) float64.
        keys: how many.
        bits: N.
        seed: of the keys.
    """
    readings: list[MarkReading] = [
        read_carrier(vector, carrier) for carrier in random_carriers(keys, vector.size, bits, seed)
    ]
    return ChanceReadings(
        bits,
        np.array([reading.matched for reading in readings]),
        np.array([reading.z for reading in readings]),
        np.array([reading.log2_p for reading in readings]),
    )
