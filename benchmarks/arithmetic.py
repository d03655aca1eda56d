"""What the portable arithmetic costs: steps of training in it, beside native steps of the same programme and of torch.

All are measured in turn in one process, so that other work on the machine weighs on all of them; a ratio is that of
the least times. The sizes are those of the demo's perceptron, and of ResNet-18 on 32 x 32 images.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from _table import Row, report
from torch import nn

from clicooper.commitments.manifest import ModelSpec, SeedSpec, TrainingSpec
from clicooper.learning.models import build_segments
from clicooper.learning.portable.self_test import prove_machine
from clicooper.learning.programme.making import make_programmes
from clicooper.learning.programme.segment import ProgrammedSegment, first_weights

SEEDS = SeedSpec(weights=1, batches=1, noise=1)

MODELS: Mapping[str, tuple[ModelSpec, int, int, float]] = {
    "mlp of the demo": (
        ModelSpec(kind="mlp", input_shape=(64,), outputs=100, widths=(384,) * 3, cuts=()),
        128,
        40,
        2.5,
    ),
    "resnet18": (
        ModelSpec(kind="resnet18", input_shape=(3, 32, 32), outputs=10, widths=(64, 128, 256, 512), cuts=()),
        16,
        1,
        4.0,
    ),
}
"""Model, batch, steps that are timed at once, and the goal for the ratio."""

ROUNDS = 3


def main() -> None:
    """Measures both models and prints the rows."""
    rows: list[Row] = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name, (model, batch, steps, goal) in MODELS.items():
        training = training_of(batch)
        ways = {
            "portable": programmed(model, training, "portable/1"),
            "native": programmed(model, training, "native"),
            "torch": plain(model, training),
        }
        alone = measured(ways, steps, 1)
        rows += [
            Row(f"{name}: portable, native, 1 thread", alone["portable"], "ms", alone["native"], goal),
            Row(f"{name}: portable, torch's own, 1 thread", alone["portable"], "ms", alone["torch"], goal),
        ]
        if cores > 1:
            both = measured(ways, steps, cores)
            rows += [
                Row(f"{name}: portable, native, {cores} threads", both["portable"], "ms", both["native"], goal),
                Row(f"{name}: portable on {cores}, native on 1", both["portable"], "ms", alone["native"]),
            ]
    torch.set_num_threads(1)
    started = time.perf_counter()
    prove_machine(torch.device("cpu"), 1)
    rows.append(Row("self-test", time.perf_counter() - started, "s", 1.0))
    report(rows)


def training_of(batch: int) -> TrainingSpec:
    """Stochastic gradient descent as the demo has it."""
    return TrainingSpec(
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        steps=40,
        batch=batch,
        input_scale=1.0,
        input_noise=0.0,
        label_smoothing=0.0,
    )


def batch_of(model: ModelSpec, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """One batch of noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *model.input_shape)).astype(np.float32)
    return x, rng.integers(0, model.outputs, batch)


def programmed(model: ModelSpec, training: TrainingSpec, arithmetic: str) -> Callable[[], None]:
    """A step of the model's programme."""
    (checked,) = make_programmes(model, training)
    segment = ProgrammedSegment(checked, arithmetic, first_weights(checked, SEEDS))  # type: ignore[arg-type]
    x, labels = batch_of(model, training.batch)

    def step() -> None:
        segment.forward(x)
        segment.loss_backward(labels)
        segment.step()

    return step


def plain(model: ModelSpec, training: TrainingSpec) -> Callable[[], None]:
    """A step of torch's module, gradients and optimizer."""
    (network,) = build_segments(model)
    rate, decay = training.learning_rate, training.weight_decay
    optimizer = torch.optim.SGD(network.parameters(), rate, training.momentum, weight_decay=decay, foreach=False)
    x, labels = (torch.from_numpy(array) for array in batch_of(model, training.batch))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(x), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def measured(ways: Mapping[str, Callable[[], None]], steps: int, threads: int) -> dict[str, float]:
    """Least milliseconds of a step, by way; the ways take turns."""
    torch.set_num_threads(threads)
    for step in ways.values():
        step()
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, step in ways.items():
            least[name] = min(least[name], 1e3 * _seconds(step, steps))
    return least


def _seconds(step: Callable[[], None], steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - started) / steps


if __name__ == "__main__":
    main()
