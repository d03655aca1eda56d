"""Training that a thief does with a stolen model: fine-tuning, retraining, distillation, averaging.

The thief trains the whole model in one piece, with plain torch, on data that it holds. Which attack uses what is told
in ``removal``; here is only how the steps are made. Every draw comes from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clicooper.attacks.marks.marked_job import MarkedJob, merge_segments, split_model
from clicooper.commitments.manifest import ModelSpec
from clicooper.learning.checkpoint import State
from clicooper.learning.models import build_segment
from clicooper.learning.runtime import use_threads
from clicooper.learning.segments import initial_state

__all__ = ["ThiefData", "Tuning", "average_path", "distil", "fine_tune", "take_owner_records", "take_released_rows"]

States = Sequence[State]


@dataclass(frozen=True, eq=False)
class ThiefData:
    """What a thief has beside the model.

    Attributes:
        model: the model in one piece.
        initial: the public initial weights, by seat.
        inputs: float32 (n, ...), scaled as in training.
        labels: int64 (n,): pseudo-labels, or classes where there is a fold.
        fold: (outputs, classes), how much of a pseudo-label's probability counts for a class; None for pseudo-labels.
        steps: optimizer steps of the whole job, one unit of cost.
        batch: records of a step.
    """

    model: ModelSpec
    initial: tuple[State, ...] = field(repr=False)
    inputs: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    fold: NDArray[np.float64] | None = field(repr=False)
    steps: int
    batch: int


def take_released_rows(job: MarkedJob) -> ThiefData:
    """The public release with its pseudo-labels, as the last seat knows them."""
    scale = np.float32(job.spec.training.input_scale)
    return _data(job, job.activations * scale, job.pseudo_labels, None)


def take_owner_records(job: MarkedJob) -> ThiefData:
    """Clean features and true labels of the records that trained the owner's head: the data of an insider."""
    inputs, fold = job.prepared.inputs, job.prepared.secrets.label_map.fold
    kept, scale = inputs.splits.own, np.float32(job.spec.training.input_scale)
    clean = inputs.features[kept].astype(np.float32) * scale
    return _data(job, clean, inputs.dataset.labels[kept], np.asarray(fold, np.float64))


def _data(
    job: MarkedJob, inputs: NDArray[np.float32], labels: NDArray[np.int64], fold: NDArray[np.float64] | None
) -> ThiefData:
    spec = job.spec
    initial = tuple(initial_state(spec.model, spec.seeds, seat) for seat in range(len(job.states)))
    steps = spec.training.steps * len(spec.labels)
    return ThiefData(job.whole, initial, inputs, labels, fold, steps, spec.training.batch)


@dataclass(frozen=True)
class Tuning:
    """How a thief trains.

    Attributes:
        rate: learning rate.
        cost: steps as a share of the job's own, above 0.
        optimizer: stochastic gradient descent with momentum 0.9, or Adam.
        layers: what may change: everything, or the last layer alone.
    """

    rate: float
    cost: float = 1.0
    optimizer: Literal["sgd", "adam"] = "sgd"
    layers: Literal["all", "last"] = "all"

    def steps(self, data: ThiefData) -> int:
        """Optimizer steps, at least 1."""
        return max(1, round(self.cost * data.steps))


def fine_tune(
    states: States,
    data: ThiefData,
    rng: np.random.Generator,
    tuning: Tuning,
    keep: Callable[[str, Tensor], None] | None = None,
) -> tuple[State, ...]:
    """The model after ``tuning`` on the thief's data.

    Args:
        keep: called with every parameter after every step, to hold a constraint such as weights pruned to zero.
    """
    network = _network(data.model, states)
    with use_threads(1):
        for _ in _steps(network, data, rng, tuning, _cross_entropy(data)):
            if keep is not None:
                _hold(network, keep)
    return _states(network, states)


def average_path(
    states: States, data: ThiefData, rng: np.random.Generator, tuning: Tuning, every: int = 4
) -> tuple[State, ...]:
    """The mean of the model and of all its states, ``every`` some steps, while it is fine-tuned.

    Counters of normalisation are those of the last state.
    """
    network = _network(data.model, states)
    mean = {name: value.double().clone() for name, value in _named(network)}
    taken = 1
    with use_threads(1):
        for step in _steps(network, data, rng, tuning, _cross_entropy(data)):
            if step % every == every - 1:
                taken += 1
                mean = {name: mean[name] + (value.double() - mean[name]) / taken for name, value in _named(network)}
    last = dict(_named(network))
    network.load_state_dict({name: value.to(last[name].dtype) for name, value in mean.items()})
    return _states(network, states)


def distil(
    states: States, data: ThiefData, rng: np.random.Generator, tuning: Tuning, temperature: float = 2.0
) -> tuple[State, ...]:
    """A student, started from the public initial weights, that was taught the stolen model's soft answers.

    The loss is the cross entropy between both softmaxes at ``temperature`` (Hinton et al., 2015).
    """
    teacher, student = _network(data.model, states).eval(), _network(data.model, data.initial)

    def loss(logits: Tensor, batch: Tensor, _labels: Tensor) -> Tensor:
        with torch.no_grad():
            soft = torch.softmax(teacher(batch) / temperature, dim=1)
        return nn.functional.cross_entropy(logits / temperature, soft) * temperature**2

    with use_threads(1):
        for _ in _steps(student, data, rng, tuning, loss):
            pass
    return _states(student, states)


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of logits, batch and labels."""


def _cross_entropy(data: ThiefData) -> Loss:
    """Plain, or of the folded classes where the thief's labels are classes."""
    if data.fold is None:
        return lambda logits, _batch, labels: nn.functional.cross_entropy(logits, labels)
    fold = torch.tensor(data.fold, dtype=torch.float32)

    def folded(logits: Tensor, _batch: Tensor, labels: Tensor) -> Tensor:
        classes = torch.softmax(logits, dim=1) @ fold
        return -torch.log(classes[torch.arange(len(labels)), labels].clamp(min=1e-12)).mean()

    return folded


def _steps(
    network: nn.Sequential, data: ThiefData, rng: np.random.Generator, tuning: Tuning, loss: Loss
) -> Iterator[int]:
    """Makes one step after the other and yields its number; batches are drawn without replacement."""
    network.train()
    chosen = list(network.parameters() if tuning.layers == "all" else network[-1].parameters())
    adam = tuning.optimizer == "adam"
    optimizer = torch.optim.Adam(chosen, tuning.rate) if adam else torch.optim.SGD(chosen, tuning.rate, momentum=0.9)
    inputs, labels = torch.tensor(data.inputs), torch.tensor(data.labels)
    for step in range(tuning.steps(data)):
        rows = torch.tensor(rng.permutation(len(labels))[: data.batch])
        network.zero_grad(set_to_none=True)
        loss(network(inputs[rows]), inputs[rows], labels[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield step


def _network(model: ModelSpec, states: States) -> nn.Sequential:
    network = build_segment(model, 0)
    network.load_state_dict({name: torch.tensor(array) for name, array in merge_segments(states).items()})
    return network


def _hold(network: nn.Sequential, keep: Callable[[str, Tensor], None]) -> None:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            keep(name, parameter)


def _named(network: nn.Sequential) -> Iterator[tuple[str, Tensor]]:
    return iter(network.state_dict().items())


def _states(network: nn.Sequential, like: States) -> tuple[State, ...]:
    whole: dict[str, NDArray[Any]] = {name: np.array(value.numpy()) for name, value in _named(network)}
    return split_model(whole, like)
