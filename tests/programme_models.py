"""Small models of every kind, steps over them, and the same steps by torch in float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from clicooper.commitments.manifest import ModelSpec, SeedSpec, TrainingSpec
from clicooper.learning.checkpoint import State
from clicooper.learning.models import build_segments
from clicooper.learning.programme.check import CheckedProgramme
from clicooper.learning.programme.making import make_programmes
from clicooper.learning.programme.segment import Arithmetic, ProgrammedSegment, first_weights

SEEDS = SeedSpec(weights=1, batches=2, noise=3)

MODELS = {
    "mlp": ModelSpec(kind="mlp", input_shape=(6,), outputs=5, widths=(16, 16), cuts=(1,)),
    "cnn": ModelSpec(kind="cnn", input_shape=(1, 7, 7), outputs=5, widths=(8, 8), cuts=(1,)),
    "resnet18": ModelSpec(kind="resnet18", input_shape=(3, 16, 16), outputs=5, widths=(4, 4, 8, 8), cuts=(3, 5)),
    "vit": ModelSpec(kind="vit", input_shape=(3, 8, 8), outputs=5, widths=(16, 2, 2), cuts=(1, 2)),
}


def training_of(**changes: object) -> TrainingSpec:
    """A plain round of stochastic gradient descent, but for changes."""
    plain = {
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "steps": 4,
        "batch": 10,
        "input_scale": 1.0,
        "input_noise": 0.0,
        "label_smoothing": 0.1,
    }
    return TrainingSpec.model_validate(plain | changes)


@dataclass(frozen=True)
class Run:
    """What some steps give.

    Attributes:
        states: weights by seat.
        losses: of each step, in nats.
    """

    states: tuple[State, ...]
    losses: tuple[float, ...]


def batch_of(model: ModelSpec, batch: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of a step."""
    rng = np.random.default_rng(step)
    x = rng.standard_normal((batch, *model.input_shape)).astype(np.float32)
    return x, rng.integers(0, model.outputs, batch)


def segments_of(programmes: Sequence[CheckedProgramme], arithmetic: Arithmetic) -> list[ProgrammedSegment]:
    """All seats in their first state."""
    return [ProgrammedSegment(checked, arithmetic, first_weights(checked, SEEDS)) for checked in programmes]


def train_steps(segments: Sequence[ProgrammedSegment], model: ModelSpec, batch: int, steps: range) -> list[float]:
    """Takes all seats through steps; their losses."""
    losses = []
    for step in steps:
        x, labels = batch_of(model, batch, step)
        for segment in segments:
            x = segment.forward(x)
        loss, gradient = segments[-1].loss_backward(labels)
        for segment in reversed(segments[:-1]):
            assert gradient is not None
            gradient = segment.backward(gradient)
        for segment in segments:
            segment.step()
        losses.append(loss)
    return losses


def run_programmes(
    model: ModelSpec, training: TrainingSpec, arithmetic: Arithmetic, micro_batches: int = 1, clip_norm: float = 0.0
) -> Run:
    """The round's steps by programmes."""
    segments = segments_of(make_programmes(model, training, micro_batches, clip_norm), arithmetic)
    losses = train_steps(segments, model, training.batch, range(training.steps))
    return Run(tuple(segment.state() for segment in segments), tuple(losses))


def run_torch(model: ModelSpec, training: TrainingSpec, micro_batches: int = 1, clip_norm: float = 0.0) -> Run:
    """The same steps by torch's own modules, gradients and optimizers, in float64."""
    segments = build_segments(model)
    for segment, checked in zip(segments, make_programmes(model, training), strict=True):
        state = {name: torch.tensor(array) for name, array in first_weights(checked, SEEDS).items()}
        segment.load_state_dict(state, strict=False)
    network = nn.Sequential(*segments).double().train()
    optimizer = _optimizer(network, training)
    losses = []
    for step in range(training.steps):
        x, labels = batch_of(model, training.batch, step)
        optimizer.zero_grad()
        total = 0.0
        parts = zip(
            torch.tensor(x).double().chunk(micro_batches), torch.tensor(labels).chunk(micro_batches), strict=True
        )
        for part, theirs in parts:
            loss = _losses(network(part), theirs, training).sum() / training.batch
            loss.backward()
            total += loss.item()
        for segment in segments if clip_norm else ():
            nn.utils.clip_grad_norm_(segment.parameters(), clip_norm)
        optimizer.step()
        losses.append(total)
    states = tuple(
        {name: tensor.numpy() for name, tensor in one.state_dict().items() if tensor.is_floating_point()}
        for one in segments
    )
    return Run(states, tuple(losses))


def _optimizer(network: nn.Module, training: TrainingSpec) -> torch.optim.Optimizer:
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), rate, training.momentum, weight_decay=decay)
    return torch.optim.AdamW(network.parameters(), rate, (training.momentum, 0.999), weight_decay=decay)


def _losses(logits: torch.Tensor, labels: torch.Tensor, training: TrainingSpec) -> torch.Tensor:
    rho = training.label_noise
    if not rho:
        smoothing = training.label_smoothing
        return nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    p = torch.softmax(logits, 1).gather(1, labels[:, None])[:, 0]
    return -torch.log((1 - rho) * p + rho / logits.shape[1])
