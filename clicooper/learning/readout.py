"""What the trained segments say about clean activations, read by the owner with its secret fold.

A network trained under heavy noise is dominated by its bias on clean inputs, so a plain forward pass throws its
knowledge away. The contrastive readout shows it what it was trained on, the clean activation under many draws of the
same noise, and subtracts what it says to the noise alone (protocol, section 5). A class is scored by the mean of its
pseudo-labels' log-probabilities, not by the log of their sum: each pseudo-label was learnt from few noisy rows, a mean
averages their errors away, and a sum is ruled by the largest of them. It is local: nothing here may leave the owner.
Training and measuring accuracy against controls are not its job.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import DataError, SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.models import build_segment
from clicooper.learning.schedule import Purpose, generator

__all__ = ["MAX_DRAWS", "Readout", "ReadoutResult"]

FIRST_DRAWS = 64
MAX_DRAWS = 1024
"""Beyond this, what still changes are records on the border between two classes, at four times the cost a step."""

_BATCH_ELEMENTS = 1 << 21
"""Input elements of one forward pass: 8 MiB of float32, whatever the number of records."""


@dataclass(frozen=True, eq=False)
class ReadoutResult:
    """Scores and what they rest on.

    Attributes:
        scores: float64 (n, classes), log-likelihood differences in nats.
        predictions: int64 (n,), the class of the highest score.
        draws: noise draws averaged.
        disagreement: share of records on which the two halves of the draws predict differently, in [0, 1].
        conclusive: whether the disagreement is within the limit.
    """

    scores: NDArray[np.float64]
    predictions: NDArray[np.int64]
    draws: int
    disagreement: float
    conclusive: bool


class Readout:
    """All segments of a model as one network in evaluation mode.

    Args:
        model: the job's model.
        states: weights and buffers by seat, as committed.
        fold: (outputs, classes), non-negative: the weight of a pseudo-label among those of a class.
        scale: the training's ``input_scale``.

    Raises:
        SpecError: states that do not fit the model.
        DataError: a fold of another shape, negative, or with a class that no pseudo-label belongs to.
    """

    def __init__(self, model: ModelSpec, states: Sequence[State], fold: NDArray[Any], scale: float) -> None:
        weights = np.asarray(fold, dtype=np.float64)
        if weights.ndim != 2 or len(weights) != model.outputs:
            raise DataError(f"fold of shape {list(weights.shape)}", hint=f"({model.outputs}, classes)")
        if not np.isfinite(weights).all() or (weights < 0).any() or (weights.sum(axis=0) <= 0).any():
            raise DataError("the fold is not a map onto classes", hint="non-negative, every class with a pseudo-label")
        self._means = weights / weights.sum(axis=0)
        if len(states) != len(model.cuts) + 1:
            raise SpecError(f"{len(states)} states for {len(model.cuts) + 1} seats", hint="pass one for every seat")
        segments = [_loaded(build_segment(model, seat), state, seat) for seat, state in enumerate(states)]
        self._network = nn.Sequential(*segments).eval()
        self._shape = tuple(model.input_shape)
        self._scale = np.float32(scale)

    def naive_scores(self, activations: NDArray[Any]) -> NDArray[np.float64]:
        """Mean over the pseudo-labels of each class of ``log p(a * scale)``, in one plain forward pass.

        Args:
            activations: float (n, *input_shape), clean.

        Returns:
            float64 (n, classes), nats.
        """
        clean = self._checked(activations)
        return np.concatenate([self._log_classes(part) for part in self._parts(clean)])

    def contrastive_scores(
        self,
        activations: NDArray[Any],
        sigma: float,
        seed: int,
        *,
        draws: int | None = None,
        max_disagreement: float = 0.005,
    ) -> ReadoutResult:
        """Mean over shared draws ``e ~ N(0, sigma^2 I)`` of ``log p((a + e) scale) - log p(e scale)``, by class.

        By class means as in ``naive_scores``.

        Args:
            activations: float (n, *input_shape), clean, n at least 1.
            sigma: standard deviation of the release's noise, in units of the activations.
            seed: public seed of the draws.
            draws: an even number of draws; by default doubled from 64 until the two half-samples, even and odd draws,
                disagree on at most ``max_disagreement`` of the predictions, up to 1024.
        """
        if sigma < 0 or (draws is not None and (draws < 2 or draws % 2)):
            raise SpecError("the readout needs sigma >= 0 and an even number of draws", hint="such as 256")
        clean = self._checked(activations)
        halves = np.zeros((2, len(clean), self._means.shape[1]))
        done, target = 0, draws or FIRST_DRAWS
        while True:
            for draw in range(done, target):
                halves[draw % 2] += self._contrast(clean, sigma, seed, draw)
            done = target
            first, second = halves.argmax(axis=2)
            disagreement = float(np.mean(first != second))
            if draws or disagreement <= max_disagreement or done >= MAX_DRAWS:
                break
            target = 2 * done
        scores = halves.sum(axis=0) / done
        return ReadoutResult(
            scores, scores.argmax(axis=1).astype(np.int64), done, disagreement, disagreement <= max_disagreement
        )

    def _contrast(self, clean: NDArray[np.float32], sigma: float, seed: int, draw: int) -> NDArray[np.float64]:
        rng = generator(seed, Purpose.READOUT, draw)
        noise = np.float32(sigma) * rng.standard_normal(self._shape, dtype=np.float32)
        noisy = np.concatenate([self._log_classes(part + noise) for part in self._parts(clean)])
        return noisy - self._log_classes(noise[None])

    def _parts(self, clean: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        rows = max(1, _BATCH_ELEMENTS // math.prod(self._shape))
        yield from (clean[start : start + rows] for start in range(0, len(clean), rows))

    def _log_classes(self, activations: NDArray[np.float32]) -> NDArray[np.float64]:
        """Per class the mean of its pseudo-labels' log-probabilities, float64 (n, classes)."""
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(activations * self._scale)).double()
        return np.asarray(torch.log_softmax(logits, dim=1).numpy() @ self._means)

    def _checked(self, activations: NDArray[Any]) -> NDArray[np.float32]:
        clean = np.asarray(activations, dtype=np.float32)
        if not len(clean) or clean.shape[1:] != self._shape:
            raise DataError(
                f"activations of shape {list(clean.shape)}", hint=f"(n, {', '.join(map(str, self._shape))})"
            )
        if not np.isfinite(clean).all():
            raise DataError("activations hold NaN or infinite numbers", hint="check the head and its inputs")
        return clean


def _loaded(segment: nn.Sequential, state: State, seat: int) -> nn.Sequential:
    try:
        segment.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    except RuntimeError as e:
        message = " ".join(str(e).split())[:160]
        raise SpecError(
            f"the state of seat {seat} does not fit its segment: {message}",
            hint="give the state of this model and these cuts",
        ) from e
    return segment
