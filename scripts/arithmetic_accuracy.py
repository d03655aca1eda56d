"""Whether training in ``portable/1`` is worth less than native training: accuracy on held-out records, paired by seed.

    python -m scripts.arithmetic_accuracy --write    # docs/figures/arithmetic.md, some minutes

Three tasks: handwritten digits by a perceptron, two digits side by side by a convolutional network, and noisy coloured
patterns of 32 x 32 by a ResNet-18 with few channels. For every seed both arithmetics start from the same weights and
see the same batches. The seeds begin where no test's do, and nothing was chosen by what they gave.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from clicooper.attacks.digit_tasks import make_two_digits
from clicooper.commitments.manifest import ModelSpec, SeedSpec, TrainingSpec
from clicooper.learning.data import load_dataset
from clicooper.learning.portable.draws import permutation
from clicooper.learning.programme.making import make_programmes
from clicooper.learning.programme.segment import Arithmetic, ProgrammedSegment, first_weights

PAGE = Path(__file__).resolve().parents[1] / "docs" / "figures" / "arithmetic.md"

SEEDS = range(910_000, 910_010)
ARITHMETICS: tuple[Arithmetic, Arithmetic] = ("portable/1", "native")
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Task:
    """What is trained, on what.

    Attributes:
        make: of a seed, training inputs and labels, and test inputs and labels.
    """

    model: ModelSpec
    steps: int
    batch: int
    learning_rate: float
    make: Callable[[int], tuple[NDArray[np.float32], ...]]


def _digits(seed: int) -> tuple[NDArray[np.float32], ...]:
    data = load_dataset("digits")
    order = np.random.default_rng(seed).permutation(len(data.labels))
    inputs = data.inputs.reshape(len(data.labels), -1)
    train, test = order[:1000], order[1000:]
    return inputs[train], data.labels[train], inputs[test], data.labels[test]


def _two_digits(seed: int) -> tuple[NDArray[np.float32], ...]:
    data, splits = make_two_digits(seed)
    train = np.concatenate([splits.release, splits.head])
    return data.inputs[train], data.labels[train], data.inputs[splits.test], data.labels[splits.test]


def _patterns(seed: int) -> tuple[NDArray[np.float32], ...]:
    """Ten coarse coloured patterns, each shifted by up to three pixels and under noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((10, 3, 8, 8)).astype(np.float32)
    patterns = coarse.repeat(4, axis=2).repeat(4, axis=3)
    labels = rng.integers(0, 10, 900)
    shifts = rng.integers(0, 4, (900, 2))
    images = [np.roll(patterns[k], tuple(s), axis=(1, 2)) for k, s in zip(labels, shifts.tolist(), strict=True)]
    inputs = np.stack(images) + 1.5 * rng.standard_normal((900, 3, 32, 32)).astype(np.float32)
    return inputs[:600], labels[:600], inputs[600:], labels[600:]


TASKS: Mapping[str, Task] = {
    "digits, perceptron": Task(
        ModelSpec(kind="mlp", input_shape=(64,), outputs=10, widths=(128, 128), cuts=(1,)), 200, 50, 0.05, _digits
    ),
    "two digits, convolutions": Task(
        ModelSpec(kind="cnn", input_shape=(1, 8, 16), outputs=100, widths=(16, 32), cuts=(1,)),
        300,
        50,
        0.05,
        _two_digits,
    ),
    "32 x 32 patterns, ResNet-18": Task(
        ModelSpec(kind="resnet18", input_shape=(3, 32, 32), outputs=10, widths=(6, 10, 12, 20), cuts=(4,)),
        80,
        20,
        0.02,
        _patterns,
    ),
}


def measure(task: Task, seed: int, arithmetic: Arithmetic) -> float:
    """Share of test records that a model names rightly, in [0, 1]."""
    inputs, labels, test_inputs, test_labels = task.make(seed)
    training = TrainingSpec(
        optimizer="sgd",
        learning_rate=task.learning_rate,
        momentum=0.9,
        weight_decay=5e-4,
        steps=task.steps,
        batch=task.batch,
        input_scale=1.0,
        input_noise=0.0,
        label_smoothing=0.0,
    )
    programmes = make_programmes(task.model, training)
    seeds = SeedSpec(weights=seed, batches=seed, noise=seed)
    segments = [ProgrammedSegment(one, arithmetic, first_weights(one, seeds)) for one in programmes]
    words, left = np.random.PCG64(seed), np.zeros(0, dtype=np.int64)
    for _ in range(task.steps):
        if len(left) < task.batch:
            left = np.concatenate([left, permutation(words, len(labels))])
        rows, left = left[: task.batch], left[task.batch :]
        _step(segments, inputs[rows], labels[rows].astype(np.int64))
    return _accuracy(segments, test_inputs, test_labels, task.batch)


def _step(segments: Sequence[ProgrammedSegment], x: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    for segment in segments:
        x = segment.forward(x)
    _, gradient = segments[-1].loss_backward(labels)
    for segment in reversed(segments[:-1]):
        gradient = None if gradient is None else segment.backward(gradient)
    for segment in segments:
        segment.step()


def _accuracy(segments: Sequence[ProgrammedSegment], x: NDArray[np.float32], labels: object, batch: int) -> float:
    found = []
    for start in range(0, len(x), batch):
        part = np.zeros((batch, *x.shape[1:]), dtype=np.float32)
        taken = x[start : start + batch]
        part[: len(taken)] = taken
        for segment in segments:
            part = segment.evaluate(part)
        found.append(part[: len(taken)].argmax(axis=1))
    return float(np.mean(np.concatenate(found) == labels))


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Mean of paired differences, and half of its confidence interval by Student's t."""
    mean, spread = float(np.mean(differences)), float(np.std(differences, ddof=1))
    return mean, float(stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1)) * spread / math.sqrt(len(differences))


def main(arguments: Sequence[str]) -> None:
    """Measures every task and prints, or writes, the table."""
    torch.set_num_threads(1)
    rows = []
    for name, task in TASKS.items():
        found = {one: [measure(task, seed, one) for seed in SEEDS] for one in ARITHMETICS}
        portable, native = (np.array(found[one]) for one in ARITHMETICS)
        mean, half = interval((portable - native).tolist())
        cells = [f"{values.mean():.4f} ({values.min():.4f} to {values.max():.4f})" for values in (portable, native)]
        rows.append(f"| {name} | {cells[0]} | {cells[1]} | {mean:+.4f} +- {half:.4f} |\n")
        print(rows[-1], end="", flush=True)
    if "--write" in arguments:
        PAGE.write_text(_page(rows), encoding="utf-8")


def _page(rows: Sequence[str]) -> str:
    made, last = date.today().isoformat(), SEEDS.stop - 1
    return f"""# Accuracy in portable/1

Made by `python -m scripts.arithmetic_accuracy --write` on {made}, seeds {SEEDS.start} to {last}.

Accuracy on held-out records, mean (least to most) over {len(SEEDS)} seeds, and the mean of the differences paired by
seed with its interval of {CONFIDENCE:.0%} by Student's t. Both arithmetics start from the same weights and see the same
batches.

| Task | portable/1 | native | difference |
|---|---|---|---|
{"".join(rows)}"""


if __name__ == "__main__":
    main(sys.argv[1:])
