"""What seats can read off training itself: weights of the output layer, the model's confusions, and gradients.

Each function says which seats it takes. The last seat has the pseudo-labels and the output layer; every other seat
sees a gradient for each record at its boundary, but no label. Sources: the norm and direction attacks of Li et al.
("Label Leakage and Protection in Two-party Split Learning", ICLR 2022), here for many classes. That pseudo-labels leak
to a seat is no breach, since the last seat has them anyway; what counts is whether classes do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from clicooper.attacks.privacy.grouping import cluster_vectors
from clicooper.attacks.privacy.scores import Guess
from clicooper.attacks.release_under_test import Observation
from clicooper.attacks.trained import Trained
from clicooper.learning.segments import training_loss

__all__ = [
    "BoundaryGradients",
    "group_by_confusions",
    "group_by_gradient_means",
    "group_by_weight_rows",
    "measure_direction_auc",
    "measure_norm_auc",
    "read_boundary_gradients",
]

_PAIRS = 20_000


@dataclass(frozen=True, eq=False)
class BoundaryGradients:
    """What crosses one boundary on the way back: float64 (r, width), one gradient of the loss for each released row."""

    rows: NDArray[np.float64] = field(repr=False)
    pseudo_labels: NDArray[np.int64] = field(repr=False)


def group_by_weight_rows(trained: Trained, seen: Observation, rng: np.random.Generator) -> Guess:
    """Balanced k-means on how the output layer's rows moved in training: pseudo-labels of one class pull alike.

    Knows the last segment (the last seat, and whoever is granted its checkpoint), and the initial weights, which are
    public.
    """
    moved = _output_rows(trained.blocks()) - _output_rows(trained.blocks(start=True))
    return cluster_vectors(_unit(moved - moved.mean(axis=0)), seen.gamma, rng)


def group_by_confusions(trained: Trained, seen: Observation, rng: np.random.Generator) -> Guess:
    """Balanced k-means on what the final model says to the rows of each pseudo-label: one class is confused alike.

    Knows all segments: a coalition of all seats. The readout of noisy rows is the naive one.
    """
    with torch.inference_mode():
        scores = trained.blocks()(_scaled(trained, seen)).double().numpy()
    centred = scores - scores.mean(axis=0)
    means = np.stack([centred[seen.pseudo_labels == label].mean(axis=0) for label in range(seen.count)])
    # A label's own score is high for its own rows, whatever its class; what it shares with others is the signal.
    np.fill_diagonal(means, 0.0)
    return cluster_vectors(_unit(means), seen.gamma, rng)


def read_boundary_gradients(
    trained: Trained, seen: Observation, boundary: int, *, start: bool = False
) -> BoundaryGradients:
    """Gradients that the seat before ``boundary`` receives for all rows, at the end of training or at its start.

    Args:
        boundary: number of blocks before it, at least 1 and below the number of blocks.
    """
    blocks = list(trained.blocks(start=start))
    below, above = nn.Sequential(*blocks[:boundary]), nn.Sequential(*blocks[boundary:])
    with torch.no_grad():
        crossing = below(_scaled(trained, seen))
    crossing.requires_grad_(True)
    loss = training_loss(above(crossing), torch.from_numpy(seen.pseudo_labels), trained.training, "sum")
    (gradient,) = torch.autograd.grad(loss, crossing)
    return BoundaryGradients(gradient.double().numpy().reshape(len(seen.rows), -1), seen.pseudo_labels)


def measure_norm_auc(seen: BoundaryGradients, classes: NDArray[np.int64]) -> float:
    """How well the gradient's norm alone tells one class from the rest: mean over classes of max(AUC, 1 - AUC).

    Knows one boundary, no label. Chance is a little above 0.5, since the better direction is taken.

    Args:
        classes: int64 (r,), the true class of each row, for grading.
    """
    norms = np.linalg.norm(seen.rows, axis=1)
    values = [float(roc_auc_score(classes == label, norms)) for label in np.unique(classes)]
    return float(np.mean([max(value, 1 - value) for value in values]))


def measure_direction_auc(seen: BoundaryGradients, truth: NDArray[np.int64], rng: np.random.Generator) -> float:
    """How well the cosine of two gradients tells whether their rows share ``truth``: AUC over random pairs.

    Knows one boundary, no label.

    Args:
        truth: int64 (r,), classes, or pseudo-labels.
    """
    first, second = rng.integers(len(truth), size=(2, _PAIRS))
    kept = first != second
    unit = _unit(seen.rows)
    cosines = np.einsum("ij,ij->i", unit[first[kept]], unit[second[kept]])
    same = truth[first[kept]] == truth[second[kept]]
    return float(roc_auc_score(same, cosines)) if 0 < same.sum() < same.size else 0.5


def group_by_gradient_means(gradients: BoundaryGradients, seen: Observation, rng: np.random.Generator) -> Guess:
    """Balanced k-means on the mean gradient direction of each pseudo-label.

    Knows one boundary and the pseudo-labels: a coalition of the last seat with the one before the boundary.
    """
    unit = _unit(gradients.rows)
    means = np.stack([unit[gradients.pseudo_labels == label].mean(axis=0) for label in range(seen.count)])
    return cluster_vectors(_unit(means - means.mean(axis=0)), seen.gamma, rng)


def _output_rows(network: nn.Sequential) -> NDArray[np.float64]:
    weights = [weight for weight in network.parameters() if weight.dim() == 2]
    return np.asarray(weights[-1].detach().double().numpy())


def _scaled(trained: Trained, seen: Observation) -> Tensor:
    rows = seen.rows.reshape(-1, *trained.model.input_shape) * trained.training.input_scale
    return torch.from_numpy(rows.astype(np.float32))


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30))
