"""A head that is trained on the released records themselves, by DP-SGD.

Job: a linear map to a few directions, trained privately, and spread over the head's features by a fixed public
rotation. Non-jobs: the training (``privacy.dpsgd``) and its price (``privacy.composition``).

Noise grows with the root of the number of weights, so there are few: no hidden layer, at most twice as many trained
directions as classes, and a fixed public classifier (orthogonal prototypes, Hoffer, Hubara and Soudry, "Fix your
classifier", ICLR 2018) on unit vectors, as under ``train_head``. Inputs are standardised by two constants that are
known before any record is seen.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clicooper.errors import DataError, SpecError
from clicooper.learning.bottom_model import CENTER, SCALE, BottomModel, HeadSpec, make_standardisation, standardise
from clicooper.learning.runtime import use_threads
from clicooper.learning.schedule import Purpose, generator
from clicooper.privacy.composition import SampledGaussian
from clicooper.privacy.dpsgd import Draws, GradientRule, train_privately
from clicooper.privacy.randomness import MasterSecret, bind
from clicooper.types import Digest

__all__ = ["BATCHES", "STEPS", "digest_training", "train_dp_head"]

BATCHES = 2
"""A record enters half of the steps: large batches cost least for what they teach."""

STEPS = 40

_RULE = GradientRule()
_SCALE = 4.0
"""Length to which unit vectors are stretched before the classifier."""

_START = 0.3
"""The first weights, small, so that the first steps turn them."""


def digest_training(data: Digest, classes: int, spec: HeadSpec, mechanism: SampledGaussian) -> Digest:
    """Names a training: records and labels, architecture, constants and every setting. The ledger knows it by this."""
    return bind(
        "clicooper.head.dp-sgd",
        bytes(data),
        classes,
        spec.dims,
        spec.seed,
        CENTER,
        SCALE,
        mechanism.noise_multiplier,
        mechanism.batches,
        mechanism.steps,
        _RULE.clip,
        _RULE.learning_rate,
        _RULE.momentum,
        _SCALE,
        _START,
    )


def train_dp_head(
    inputs: NDArray[Any],
    labels: NDArray[np.int64],
    classes: int,
    spec: HeadSpec,
    mechanism: SampledGaussian,
    secret: MasterSecret,
    data: Digest,
) -> BottomModel:
    """Trains the head; the same arguments give the same head.

    Args:
        inputs: numeric (n, ...), the released records.
        labels: int64 (n,), those that the release is made with.
        classes: number of true classes, at least 2.
        data: digest of records and labels.

    Raises:
        SpecError: ``spec.kind`` is not ``dp-sgd``.
        DataError: labels or inputs of the wrong shape or range.
    """
    if spec.kind != "dp-sgd":
        raise SpecError(f"a {spec.kind} head is not trained by DP-SGD", hint="use train_head or random_head")
    if len(inputs) != len(labels) or classes < 2 or labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        raise DataError(
            f"{len(inputs)} records with {len(labels)} labels of {classes} classes",
            hint="pass one label for each record",
        )
    known = make_standardisation(CENTER, SCALE)
    records = torch.from_numpy(standardise(inputs, known).astype(np.float64))
    rank = min(spec.dims, 2 * classes)
    rng = generator(spec.seed, Purpose.HEAD, 1 << 30)
    linear = nn.Linear(records.shape[1], rank, dtype=torch.float64)
    start = rng.standard_normal(linear.weight.shape) * _START * math.sqrt(2 / records.shape[1])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(start))
        linear.bias.zero_()
    draws = Draws(secret, digest_training(data, classes, spec, mechanism))
    with use_threads(1):
        module = nn.Sequential(linear, _Cosines(_prototypes(rank, classes, rng)))
        train_privately(module, records, torch.tensor(labels), mechanism, _RULE, draws)
        spread = np.linalg.qr(rng.standard_normal((spec.dims, rank)))[0]
        weight, bias = (spread @ part.detach().numpy() for part in (linear.weight, linear.bias))
    layers = {"layer0.weight": weight.astype(np.float32), "layer0.bias": bias.astype(np.float32)}
    return BottomModel(replace(spec, hidden=()), tuple(inputs.shape[1:]), layers | known)


class _Cosines(nn.Module):
    """Stretched cosines with fixed unit prototypes (classes, rank)."""

    def __init__(self, prototypes: NDArray[np.float64]) -> None:
        super().__init__()
        self._prototypes = torch.from_numpy(prototypes)

    def forward(self, x: Tensor) -> Tensor:
        unit = x / x.norm(dim=1, keepdim=True).clamp_min(1e-9)
        return torch.as_tensor(_SCALE * unit @ self._prototypes.T)


def _prototypes(rank: int, classes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Unit vectors, one a class: the corners of a simplex where there is room, else random ones."""
    drawn = rng.standard_normal((max(rank, classes), min(rank, classes)))
    rows = np.linalg.qr(drawn)[0].T if classes <= rank else drawn
    rows = rows - rows.mean(axis=0) if classes <= rank else rows
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
