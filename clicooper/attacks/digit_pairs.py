"""Digit pairs: two handwritten digits side by side, one of 100 classes, whose classes need both halves.

The images are divided first, so that head, release, hold-out and test share none. Every released image is in exactly
one released pair: one source image is one record, and the release's epsilon is that of the image too. The other parts
spend no epsilon, and use an image in many pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clicooper.learning.data import Dataset, Splits, load_dataset

__all__ = ["RELEASED_PER_CLASS", "digit_pairs"]

RELEASED_PER_CLASS = 5
"""Pairs of each class that are released: 100 images of each digit, half of them on either side."""

_HEAD_IMAGES, _HOLDOUT_IMAGES = 40, 5
_PAIRS_OF_A_CLASS = {"head": 40, "holdout": 2, "test": 8}


def digit_pairs(seed: int) -> tuple[Dataset, Splits]:
    """Pairs and their division.

    Args:
        seed: >= 0, public; draws the division of images and who stands beside whom.

    Returns:
        A data set of records (1, 8, 16) with labels ``10 left + right``, and its splits.
    """
    digits = load_dataset("digits")
    rng = np.random.default_rng([seed, 3])
    parts = _divide(digits.labels, rng)
    pairs = [_release_pairs(parts["release"], rng)]
    pairs += [_free_pairs(parts[name], _PAIRS_OF_A_CLASS[name], rng) for name in ("head", "holdout", "test")]
    every = np.concatenate(pairs)
    inputs = np.concatenate([digits.inputs[every[:, 0]], digits.inputs[every[:, 1]]], axis=-1)
    labels = 10 * digits.labels[every[:, 0]] + digits.labels[every[:, 1]]
    ends = np.cumsum([len(part) for part in pairs])
    release, head, holdout, test = np.split(np.arange(len(every)), ends[:-1])
    dataset = Dataset("pairs", np.ascontiguousarray(inputs, dtype=np.float32), labels.astype(np.int64), 100)
    return dataset, Splits(head=head, release=release, holdout=holdout, test=test)


def _divide(labels: NDArray[np.int64], rng: np.random.Generator) -> dict[str, list[NDArray[np.int64]]]:
    """For each part the images of each digit."""
    released = 20 * RELEASED_PER_CLASS
    ends = np.cumsum([released, _HEAD_IMAGES, _HOLDOUT_IMAGES])
    dealt = [np.split(rng.permutation(np.flatnonzero(labels == digit)), ends) for digit in range(10)]
    return {
        name: [parts[number] for parts in dealt] for number, name in enumerate(("release", "head", "holdout", "test"))
    }


def _release_pairs(images: list[NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.int64]:
    """Every image once: of each digit one half stands left, dealt evenly over the digits on the right."""
    half = 10 * RELEASED_PER_CLASS
    left = [own[:half].reshape(10, -1) for own in images]
    right = [own[half:].reshape(10, -1) for own in images]
    pairs = [np.stack([left[a][b], right[b][a]], axis=1) for a in range(10) for b in range(10)]
    return rng.permutation(np.concatenate(pairs))


def _free_pairs(images: list[NDArray[np.int64]], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` pairs of each class, images drawn again and again."""
    pairs = [
        np.stack([rng.choice(images[a], count), rng.choice(images[b], count)], axis=1)
        for a in range(10)
        for b in range(10)
    ]
    return np.concatenate(pairs)
