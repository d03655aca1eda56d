"""What marks cost in time: expansion, embedding and reading, against the round of training that they mark.

A round of ResNet-18 is one pass over 50,000 records of 32 x 32 in batches of 64; two of its steps are timed and
multiplied. Everything is computed on one thread and given in seconds of its processor time, so that other work on the
machine does not matter. With an accelerator training is faster and embedding is not: then divide by its steps a second.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence

import numpy as np
from _table import Row, report

from clicooper.commitments.manifest import ModelSpec, ReplaySpec, SeedSpec, TrainingSpec
from clicooper.learning.models import suggest_cuts
from clicooper.learning.runtime import use_threads
from clicooper.learning.segments import initial_state
from clicooper.learning.training import SeatWorker, train_round
from clicooper.watermark.carriers import MarkParams, State, carrier_of, layout_of
from clicooper.watermark.detect import read_mark
from clicooper.watermark.embed import embed_both

SEATS = 3
SEEDS = SeedSpec(weights=1, batches=1, noise=1)
PARAMS = MarkParams()
RESNET = ModelSpec(kind="resnet18", input_shape=(3, 32, 32), outputs=40, widths=(64, 128, 256, 512), cuts=())
MLP = ModelSpec(kind="mlp", input_shape=(16,), outputs=40, widths=(384,) * 4, cuts=())
RESNET_STEPS, MLP_STEPS = 50_000 // 64, 40
TARGET = 0.002


def main() -> None:
    """Measures both models and prints the rows."""
    with use_threads(1):
        rows = [
            *measure("resnet18", RESNET, RESNET_STEPS, timed=2),
            *measure("mlp of the demo", MLP, MLP_STEPS, timed=40),
        ]
    report(rows)


def measure(name: str, whole: ModelSpec, steps: int, timed: int, target: float | None = None) -> list[Row]:
    """The rows of one model, cut for three seats."""
    model = whole.model_copy(update={"cuts": suggest_cuts(whole, SEATS)})
    states = [initial_state(model, SEEDS, seat) for seat in range(SEATS)]
    step = training_step(model, states, timed)
    seeds = [(_seed(seat, "progress"), _seed(seat, "ownership")) for seat in range(SEATS)]
    expanded = seconds(
        lambda: [carrier_of(_seed(seat, ""), layout_of(states[seat]).weights, 128) for seat in range(SEATS)]
    )
    embedded = seconds(lambda: [embed_both(state, *both, PARAMS) for state, both in zip(states, seeds, strict=True)])
    read = seconds(
        lambda: [read_mark(state, seed, PARAMS) for state, both in zip(states, seeds, strict=True) for seed in both]
    )
    weights = sum(layout_of(state).weights for state in states)
    return [
        Row(f"{name}: carrying weights", weights / 1e6, "million"),
        Row(f"{name}: one step of all seats", step, "s"),
        Row(f"{name}: expand one seed a seat", expanded, "s"),
        Row(f"{name}: embed both marks, all seats", embedded, "s", against=steps * step, target=target),
        Row(f"{name}: read both marks back, all seats", read, "s", against=steps * step),
    ]


def training_step(model: ModelSpec, states: Sequence[State], timed: int) -> float:
    """Processor seconds of one step of all seats, after one to warm up."""
    training = TrainingSpec(
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        steps=timed + 1,
        batch=64,
        input_scale=1.0,
        input_noise=0.0,
        label_smoothing=0.0,
    )
    replay = ReplaySpec(interval=timed + 1, tolerance=1e-5)
    workers = [SeatWorker(model, training, replay, seat, dict(state)) for seat, state in enumerate(states)]
    rng = np.random.default_rng(1)
    workers[-1].receive_labels(rng.integers(0, model.outputs, (timed + 1, 64)))
    batches = [(step, rng.standard_normal((64, *model.input_shape), dtype=np.float32)) for step in range(timed + 1)]
    train_round(workers, batches[:1])
    return seconds(lambda: train_round(workers, batches[1:])) / timed


def seconds(work: Callable[[], object]) -> float:
    """Processor time of this process for ``work``."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _seed(seat: int, purpose: str) -> bytes:
    return hashlib.sha256(f"{seat} {purpose}".encode()).digest()


if __name__ == "__main__":
    main()
