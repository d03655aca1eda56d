"""DP-SGD on the records that are released: clipped gradients, noise and batches from the master secret.

Job: train a small module with Opacus under ``composition.SampledGaussian``, so that the same master, data and settings
give the same weights. Non-jobs: which module (``learning``), what it costs (``composition``), remembering (``ledger``).

``PrivacyEngine.make_private`` wires module, optimizer, loader and accountant, and Opacus computes, clips and adds up
the gradients. Two of its draws are replaced, in the engine's methods that prepare optimizer and loader: noise and
Poisson batches come from a torch generator there, which is not cryptographic (the secure mode needs torchcsprng, a
further package of compiled code) and does not follow from the owner's master. Here noise is ``normal_noise`` in
float64, added to the sum and rounded to a public grid as the release's is, and a record enters a batch when an unbiased
draw below ``batches`` is 0. Each step has two keys of its own, bound to everything that the training depends on.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from opacus import PrivacyEngine
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from clicooper.errors import DataError, PrivacyClaimError
from clicooper.privacy.composition import SampledGaussian
from clicooper.privacy.randomness import MasterSecret, bind, integers, normal_noise
from clicooper.types import Digest

__all__ = ["Draws", "GradientRule", "train_privately"]

_RECORDS_AT_ONCE = 512
"""Gradients held at a time: a larger batch is clipped and added up in parts, which changes nothing."""

_GRID_CELLS = 1024


@dataclass(frozen=True)
class GradientRule:
    """How clipped gradients become steps.

    Args:
        clip: L2 bound of one record's gradient, > 0.
        learning_rate: of SGD, > 0, on the sum of a batch divided by the expected size of a batch.
        momentum: in [0, 1).
    """

    clip: float = 0.5
    learning_rate: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not (0 < self.clip < math.inf and 0 < self.learning_rate < math.inf and 0 <= self.momentum < 1):
            raise PrivacyClaimError(f"no rule of descent: {self}", hint="lower the momentum; choose the rest above 0")


@dataclass(frozen=True)
class Draws:
    """Everything random in one training.

    Args:
        secret: the owner's master.
        context: binds data, module and all settings: no two trainings may share it.
    """

    secret: MasterSecret
    context: Digest

    def batch(self, step: int, records: int, batches: int) -> Tensor:
        """The records of a step, ascending int64: each independently with probability exactly ``1 / batches``."""
        key = self.secret.derive("clicooper.head.batch", bind("clicooper.head.step", bytes(self.context), step))
        return torch.from_numpy((integers(key, records, batches) == 0).nonzero()[0])

    def noise(self, step: int, count: int, sigma: float) -> Tensor:
        """Noise of a step on all coordinates of the gradient, float64 (count,)."""
        key = self.secret.derive("clicooper.head.noise", bind("clicooper.head.step", bytes(self.context), step))
        return torch.from_numpy(normal_noise(key, (count,), sigma))


def train_privately(
    module: nn.Module, inputs: Tensor, labels: Tensor, mechanism: SampledGaussian, rule: GradientRule, draws: Draws
) -> None:
    """Trains in place under cross entropy on the module's outputs.

    A record's contribution to a step is its gradient, clipped to ``rule.clip``; without the record it is 0. The sum is
    divided by the *expected* size of a batch, a public number.

    Args:
        module: float64, layers that Opacus knows.
        inputs: float64 (n, ...).
        labels: int64 (n,), fixed and not protected on their own.

    Raises:
        DataError: fewer records than batches, or steps that are no whole number of passes.
    """
    if len(inputs) < mechanism.batches or mechanism.steps % mechanism.batches:
        raise DataError(
            f"{len(inputs)} records, {mechanism.steps} steps of one in {mechanism.batches}",
            hint="release more records, or take whole passes",
        )
    optimizer: Any = torch.optim.SGD(module.parameters(), lr=rule.learning_rate, momentum=rule.momentum)
    poisson = _PoissonBatches(draws, len(inputs), mechanism.batches)
    loader: Any = DataLoader(TensorDataset(inputs, labels), sampler=poisson, batch_size=None)
    engine = _KeyedEngine(draws)
    private, optimizer, loader = engine.make_private(
        module=module,
        optimizer=optimizer,
        data_loader=loader,
        noise_multiplier=mechanism.noise_multiplier,
        max_grad_norm=rule.clip,
    )
    with warnings.catch_warnings():
        # The first layer's inputs are records, which need no gradient; torch remarks on that.
        warnings.filterwarnings("ignore", "Full backward hook is firing", UserWarning)
        for _ in range(mechanism.steps // mechanism.batches):
            for records, truth in loader:
                _step(private, optimizer, records, truth)
    private.remove_hooks()
    spent = [(mechanism.noise_multiplier, mechanism.sample_rate, mechanism.steps)]
    if engine.accountant.history != spent:
        raise PrivacyClaimError(f"trained {engine.accountant.history}, reserved {spent}", hint="report this line")


def _step(private: nn.Module, optimizer: Any, records: Tensor, truth: Tensor) -> None:
    """One step; an empty batch is a step of noise alone."""
    parts = list(zip(torch.split(records, _RECORDS_AT_ONCE), torch.split(truth, _RECORDS_AT_ONCE), strict=True))
    for number, (some, labels) in enumerate(parts, 1):
        optimizer.zero_grad()
        optimizer.signal_skip_step(do_skip=number < len(parts))
        nn.functional.cross_entropy(private(some), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


class _PoissonBatches(Sampler[Tensor]):
    """Batches of indices; its length is the number of batches in an expected pass, from which Opacus takes its rate."""

    def __init__(self, draws: Draws, records: int, batches: int) -> None:
        self._draws, self._records, self._batches, self._step = draws, records, batches, 0

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[Tensor]:
        for _ in range(self._batches):
            yield self._draws.batch(self._step, self._records, self._batches)
            self._step += 1


class _KeyedOptimizer(DPOptimizer):  # type: ignore[misc]
    """Opacus's optimizer, its noise drawn from keys."""

    def __init__(self, draws: Draws, **settings: Any) -> None:
        super().__init__(**settings)
        self._draws, self._step = draws, 0

    def add_noise(self) -> None:
        """Sets every gradient to the clipped sum plus noise, on a grid of a 1024th of its deviation or finer."""
        sigma = self.noise_multiplier * self.max_grad_norm
        grid = 2.0 ** math.floor(math.log2(sigma / _GRID_CELLS))
        sizes = [parameter.numel() for parameter in self.params]
        noise = torch.split(self._draws.noise(self._step, sum(sizes), sigma), sizes)
        for parameter, part in zip(self.params, noise, strict=True):
            noisy = parameter.summed_grad + part.view_as(parameter)
            parameter.grad = torch.round(noisy / grid) * grid
        self._step += 1


class _KeyedEngine(PrivacyEngine):  # type: ignore[misc]
    """Opacus's engine with the draws of this module; its Renyi accountant counts along."""

    def __init__(self, draws: Draws) -> None:
        with warnings.catch_warnings():  # "Secure RNG turned off": its generator is not used
            warnings.simplefilter("ignore", UserWarning)
            super().__init__(accountant="rdp")
        self._draws = draws

    def _prepare_optimizer(self, *, optimizer: Any, **settings: Any) -> Any:
        wanted = ("noise_multiplier", "max_grad_norm", "expected_batch_size", "loss_reduction")
        return _KeyedOptimizer(self._draws, optimizer=optimizer, **{name: settings[name] for name in wanted})

    def _prepare_data_loader(self, data_loader: Any, **_: Any) -> Any:
        return data_loader
