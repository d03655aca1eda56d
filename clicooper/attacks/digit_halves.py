"""Digits below five, or not, under a public head: two classes of five clusters each, which no plane parts.

The head was trained for another purpose, to tell the ten digits apart, on images that are nobody's in the job. The
owner has labelled few records that it does not release. Here a network can add something: the released rows of a class
are not one cloud, so that neither class means nor a linear readout say what it looks like.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clicooper.learning.bottom_model import BottomModel, HeadSpec, train_head
from clicooper.learning.data import Dataset, Splits, load_dataset, split_dataset

__all__ = ["digit_halves"]

_PUBLIC, _OWN, _HOLDOUT, _TEST = 500, 40, 40, 360
"""Images that made the head public; records that the owner keeps, judges progress with, and tests on."""


def digit_halves(seed: int, dims: int) -> tuple[Dataset, Splits, BottomModel]:
    """The records without the public images, their division, and the head of those.

    Args:
        seed: >= 0, public; divides the images and starts the head.
        dims: features of the head.

    Returns:
        ``head`` of the splits is what the owner labelled for itself; it did not train the head.
    """
    digits = load_dataset("digits")
    public, owned = _without_public(digits, seed)
    spec = HeadSpec(dims=dims, seed=seed)
    head = train_head(digits.inputs[public], digits.labels[public], digits.classes, spec)
    dataset = Dataset("halves", digits.inputs[owned], (digits.labels[owned] < 5).astype(np.int64), 2)
    n = len(dataset)
    return dataset, split_dataset(dataset, seed, head=_OWN / n, holdout=_HOLDOUT / n, test=_TEST / n), head


def _without_public(digits: Dataset, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the public images, evenly over the ten digits, and of the others."""
    parts = split_dataset(digits, seed, head=_PUBLIC / len(digits), holdout=0.0, test=0.0)
    return parts.head, parts.release
