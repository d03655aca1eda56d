"""Rebuilding inputs from released rows, and finding out whose row it is.

Every attacker knows the head, sigma and the group size, and has auxiliary records: of the same kind (records that the
owner never released), or of another domain. A row is the mean of a group, and a guess of it is graded against every
record of its group. What an attacker without rows would guess is the floor; an SSIM means nothing without it.

Sources: the linear decoder is the Wiener filter of the auxiliary records; the network is trained on them under fresh
noise in every step (He, Zhang and Lee, "Model inversion attacks against collaborative inference", ACSAC 2019);
the white-box attack maximises the posterior of the input under the exact head and a Gaussian prior on principal
components; re-identification is the likelihood of the row under every candidate record.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from clicooper.attacks.privacy.scores import measure_psnr, square_distances
from clicooper.attacks.release_under_test import Observation, ReleaseUnderTest
from clicooper.learning.bottom_model import BottomModel
from clicooper.learning.runtime import use_threads
from clicooper.learning.schedule import Purpose, generator
from clicooper.privacy.release import clip_rows
from clicooper.protocol.preparation.job_inputs import JobInputs

__all__ = [
    "Auxiliary",
    "InversionScore",
    "Target",
    "choose_target",
    "grade_inversion",
    "guess_constant",
    "invert_by_network",
    "invert_by_optimisation",
    "invert_linearly",
    "make_foreign_records",
    "reidentify",
    "take_candidates",
    "take_own_records",
]

_SSIM_SIDE = 7
"""Smallest image on which the structural similarity of its authors' 7 x 7 window exists."""

_NETWORK_STEPS = 400
_NETWORK_BATCH = 128
_OPTIMISER_STEPS = 150
_COMPONENTS = 32
_GRADED_RECORDS = 300
"""Records behind the rows that are attacked, about: enough for a standard error of SSIM of 0.01."""


@dataclass(frozen=True, eq=False)
class Auxiliary:
    """An attacker's own records, with their features under the head.

    Attributes:
        inputs: float64 (n, pixels), flattened.
        features: float64 (n, d), clipped as in the release.
        labels: int64 (n,); rows of a group share a pseudo-label, so simulated groups share a label.
    """

    inputs: NDArray[np.float64] = field(repr=False)
    features: NDArray[np.float64] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Target:
    """Rows under attack and the records behind them: float64 (r, d), and (r, b, pixels)."""

    rows: NDArray[np.float64] = field(repr=False)
    records: NDArray[np.float64] = field(repr=False)
    shape: tuple[int, ...]


@dataclass(frozen=True)
class InversionScore:
    """Mean structural similarity (NaN where records are no images of at least 7 x 7) and PSNR in dB."""

    ssim: float
    psnr_db: float


def choose_target(tested: ReleaseUnderTest, seen: Observation) -> Target:
    """The first rows of ``seen``, a view of this release under test's release, with the records in them."""
    inputs = tested.dataset.inputs[tested.splits.release].reshape(len(tested.splits.release), -1)
    rows = -(-_GRADED_RECORDS // seen.group)
    groups = tested.release.record_of_row[:rows]
    return Target(seen.rows[:rows], inputs[groups].astype(np.float64), tested.dataset.shape)


def make_foreign_records(head: BottomModel, count: int, clip: float) -> Auxiliary:
    """Records of another domain: patches of two photographs, scaled to [0, 1], in the shape of the head's inputs."""
    rng = generator(0, Purpose.HEAD, 7)
    shape = head.input_shape if len(head.input_shape) == 3 else (1, *head.input_shape)
    photographs = [np.asarray(image, dtype=np.float64) / 255 for image in load_sample_images().images]
    patches = np.stack([_patch(photographs[number % len(photographs)], shape, rng) for number in range(count)])
    inputs = patches.reshape(count, *head.input_shape)
    features = clip_rows(head.features(inputs), clip)
    return Auxiliary(inputs.reshape(count, -1), features, np.zeros(count, dtype=np.int64))


def take_own_records(inputs: JobInputs) -> Auxiliary:
    """Records of the same kind that an attacker may have: those that were never released, but for the test's.

    Args:
        inputs: with clipped features.
    """
    return _take(inputs, inputs.splits.head, inputs.splits.holdout)


def take_candidates(inputs: JobInputs) -> Auxiliary:
    """The released records and those of the test: the candidates of re-identification."""
    return _take(inputs, inputs.splits.release, inputs.splits.test)


def _take(inputs: JobInputs, *parts: NDArray[np.int64]) -> Auxiliary:
    records = np.concatenate(parts)
    images = inputs.dataset.inputs[records].reshape(len(records), -1).astype(np.float64)
    return Auxiliary(images, inputs.features[records].reshape(len(records), -1), inputs.dataset.labels[records])


def guess_constant(auxiliary: Auxiliary, target: Target) -> NDArray[np.float64]:
    """The floor: the mean auxiliary record for every row, whatever was released."""
    return np.repeat(auxiliary.inputs.mean(axis=0)[None], len(target.rows), axis=0)


def invert_linearly(seen: Observation, auxiliary: Auxiliary, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The linear estimate of least mean square error under the known noise, learnt from single auxiliary records."""
    mean_x, mean_a = auxiliary.inputs.mean(axis=0), auxiliary.features.mean(axis=0)
    x, a = auxiliary.inputs - mean_x, auxiliary.features - mean_a
    covariance = a.T @ a / len(a) / seen.group + (seen.sigma**2 + 1e-6) * np.eye(a.shape[1])
    gain = np.linalg.solve(covariance, a.T @ x / len(a) / seen.group)
    return np.asarray(mean_x + (rows - mean_a) @ gain)


def invert_by_network(
    seen: Observation, auxiliary: Auxiliary, rows: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """A small network that learns to undo head, grouping and noise on auxiliary records, fresh noise in every step."""
    rng = np.random.default_rng([seed, 2])
    with use_threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dims, pixels, scale = rows.shape[1], auxiliary.inputs.shape[1], 1.0 / max(seen.sigma, 0.1)
        network = nn.Sequential(nn.Linear(dims, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, pixels))
        optimizer = torch.optim.Adam(network.parameters(), 2e-3)
        for _ in range(_NETWORK_STEPS):
            batch, wanted = _simulated(seen, auxiliary, rng)
            loss = nn.functional.mse_loss(network(_tensor(batch * scale)), _tensor(wanted))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.inference_mode():
            return np.asarray(network(_tensor(rows * scale)).double().numpy())


def invert_by_optimisation(
    seen: Observation, auxiliary: Auxiliary, rows: NDArray[np.float64], head: BottomModel
) -> NDArray[np.float64]:
    """The input of greatest posterior: the row's likelihood through the exact head, and a Gaussian prior on components.

    A row of a group is attacked as if it were one record's: the group's mean input under a smooth head.
    """
    mean = auxiliary.inputs.mean(axis=0)
    _, singular, axes = np.linalg.svd(auxiliary.inputs - mean, full_matrices=False)
    kept = min(_COMPONENTS, len(singular))
    basis = _tensor(axes[:kept] * singular[:kept, None] / np.sqrt(len(auxiliary.inputs)))
    wanted, centre, noise = _tensor(rows), _tensor(mean), max(seen.sigma, 0.02)
    codes = torch.zeros((len(rows), kept), requires_grad=True)
    optimizer = torch.optim.Adam([codes], 0.05)
    with use_threads(1):
        for _ in range(_OPTIMISER_STEPS):
            found = seen.clip * _through_head(head, centre + codes @ basis)
            loss = (found - wanted).square().sum() / (2 * noise**2) + codes.square().sum() / 2
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return np.asarray((centre + codes @ basis).detach().double().numpy())


def reidentify(target: Target, candidates: Auxiliary, seen: Observation) -> tuple[float, float]:
    """Share of rows whose likeliest candidate is one of their records, and what a guess at random would reach.

    Knows the inputs of all candidates, the released records among them; only which row is whose is secret.
    """
    distances = square_distances(target.rows, candidates.features / seen.group)
    chosen = candidates.inputs[distances.argmin(axis=1)]
    hit = np.isclose(target.records, chosen[:, None]).all(axis=2).any(axis=1)
    return float(hit.mean()), target.records.shape[1] / len(candidates.inputs)


def grade_inversion(guess: NDArray[np.float64], target: Target, data_range: float = 1.0) -> InversionScore:
    """Mean over rows and over the records in them; guesses are cut to the range of pixels first."""
    cut = np.clip(guess, target.records.min(), target.records.max())
    everyone = np.repeat(cut[:, None], target.records.shape[1], axis=1).reshape(-1, cut.shape[1])
    records = target.records.reshape(-1, cut.shape[1])
    return InversionScore(
        _ssim(everyone, records, target.shape, data_range), measure_psnr(everyone, records, data_range)
    )


def _ssim(guess: NDArray[np.float64], truth: NDArray[np.float64], shape: tuple[int, ...], data_range: float) -> float:
    image = shape if len(shape) == 3 else (1, *shape)
    if len(image) != 3 or min(image[1:]) < _SSIM_SIDE:
        return float("nan")
    images = zip(guess.reshape(-1, *image), truth.reshape(-1, *image), strict=True)
    values = [structural_similarity(a, b, data_range=data_range, channel_axis=0) for a, b in images]  # type: ignore[no-untyped-call]
    return float(np.mean(values))


def _simulated(
    seen: Observation, auxiliary: Auxiliary, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows as the owner would release them from auxiliary records, and one record of each."""
    first = rng.integers(len(auxiliary.inputs), size=_NETWORK_BATCH)
    features = auxiliary.features[first].copy()
    order = np.argsort(auxiliary.labels, kind="stable")
    starts = np.searchsorted(auxiliary.labels[order], auxiliary.labels[first], side="left")
    ends = np.searchsorted(auxiliary.labels[order], auxiliary.labels[first], side="right")
    for _ in range(seen.group - 1):
        features += auxiliary.features[order[rng.integers(starts, ends)]]
    return seen.simulate(features / seen.group, rng), auxiliary.inputs[first]


def _through_head(head: BottomModel, inputs: Tensor) -> Tensor:
    state = head.state()
    x = (inputs - float(state["input.center"])) / float(state["input.scale"])
    layers = sum(name.endswith("weight") for name in state)
    for number in range(layers):
        x = nn.functional.linear(x, *(_tensor(state[f"layer{number}.{part}"]) for part in ("weight", "bias")))
        x = torch.relu(x) if number + 1 < layers else x
    return nn.functional.normalize(x, dim=1)


def _patch(photograph: NDArray[np.float64], shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    height, width = shape[-2:]
    top, left = (int(rng.integers(size - side)) for size, side in zip(photograph.shape, (height, width), strict=False))
    patch = photograph[top : top + height, left : left + width].transpose(2, 0, 1)
    return patch if shape[0] == 3 else np.repeat(patch.mean(axis=0)[None], shape[0], axis=0)


def _tensor(array: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
