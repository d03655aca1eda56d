"""Two tasks made of the handwritten digits, on which training has something to add.

*Two digits* (``pairs``): two images side by side, one of 100 classes. The images are divided first, so that head,
release, hold-out and test share none. Every released image is in exactly one released record: one source image is one
record, and the release's epsilon is that of the image too. The other parts spend no epsilon, and use an image often.

*Below five* (``halves``): digits below five, or not, under a public bottom model: two classes of five clusters each,
which no plane parts. The bottom model was trained for another purpose, to tell the ten digits apart, on images that are
nobody's in the job. The owner has labelled few records that it does not release. The released rows of a class are not
one cloud, so that neither class means nor a linear readout say what it looks like.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clicooper.learning.bottom_model import BottomModel, HeadSpec, train_head
from clicooper.learning.data import Dataset, Splits, load_dataset, split_dataset

__all__ = ["BELOW_FIVE", "RELEASED_PER_CLASS", "TWO_DIGITS", "make_below_five", "make_two_digits"]

TWO_DIGITS, BELOW_FIVE = "pairs", "halves"
"""The names by which ``--data`` asks for them."""

RELEASED_PER_CLASS = 5
"""Released records of each class of two digits: 100 images of each digit, one side as often as the other."""

_HEAD_IMAGES, _HOLDOUT_IMAGES = 40, 5
_RECORDS_OF_A_CLASS = {"head": 40, "holdout": 2, "test": 8}

_PUBLIC, _OWN, _HOLDOUT, _TEST = 500, 40, 40, 360
"""Images that made the head public; records that the owner keeps, judges progress with, and tests on."""


def make_two_digits(seed: int) -> tuple[Dataset, Splits]:
    """Records of two digits and their division.

    Args:
        seed: >= 0, public; draws the division of images and who stands beside whom.

    Returns:
        A data set of records (1, 8, 16) with labels ``10 left + right``, and its splits.
    """
    digits = load_dataset("digits")
    rng = np.random.default_rng([seed, 3])
    parts = _divide(digits.labels, rng)
    images = [_join_once(parts["release"], rng)]
    images += [_join_freely(parts[name], count, rng) for name, count in _RECORDS_OF_A_CLASS.items()]
    every = np.concatenate(images)
    inputs = np.concatenate([digits.inputs[every[:, 0]], digits.inputs[every[:, 1]]], axis=-1)
    labels = 10 * digits.labels[every[:, 0]] + digits.labels[every[:, 1]]
    ends = np.cumsum([len(part) for part in images])
    release, head, holdout, test = np.split(np.arange(len(every)), ends[:-1])
    dataset = Dataset(TWO_DIGITS, np.ascontiguousarray(inputs, dtype=np.float32), labels.astype(np.int64), 100)
    return dataset, Splits(head=head, release=release, holdout=holdout, test=test)


def make_below_five(seed: int, dims: int) -> tuple[Dataset, Splits, BottomModel]:
    """The records without the public images, their division, and the bottom model of those.

    Args:
        seed: >= 0, public; divides the images and starts the bottom model.
        dims: features of the bottom model.

    Returns:
        ``head`` of the splits is what the owner labelled for itself; it did not train the bottom model.
    """
    digits = load_dataset("digits")
    parts = split_dataset(digits, seed, head=_PUBLIC / len(digits), holdout=0.0, test=0.0)
    public, owned = parts.head, parts.release
    spec = HeadSpec(dims=dims, seed=seed)
    head = train_head(digits.inputs[public], digits.labels[public], digits.classes, spec)
    dataset = Dataset(BELOW_FIVE, digits.inputs[owned], (digits.labels[owned] < 5).astype(np.int64), 2)
    n = len(dataset)
    return dataset, split_dataset(dataset, seed, head=_OWN / n, holdout=_HOLDOUT / n, test=_TEST / n), head


def _divide(labels: NDArray[np.int64], rng: np.random.Generator) -> dict[str, list[NDArray[np.int64]]]:
    """For each part the images of each digit."""
    ends = np.cumsum([20 * RELEASED_PER_CLASS, _HEAD_IMAGES, _HOLDOUT_IMAGES])
    dealt = [np.split(rng.permutation(np.flatnonzero(labels == digit)), ends) for digit in range(10)]
    return dict(zip(("release", "head", "holdout", "test"), map(list, zip(*dealt, strict=True)), strict=True))


def _join_once(images: list[NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.int64]:
    """Every image once: of each digit as many stand left as right, dealt evenly over the digits beside them."""
    side = 10 * RELEASED_PER_CLASS
    left = [own[:side].reshape(10, -1) for own in images]
    right = [own[side:].reshape(10, -1) for own in images]
    joined = [np.stack([left[a][b], right[b][a]], axis=1) for a in range(10) for b in range(10)]
    return rng.permutation(np.concatenate(joined))


def _join_freely(images: list[NDArray[np.int64]], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` records of each class, images drawn again and again."""
    chosen = [(rng.choice(images[a], count), rng.choice(images[b], count)) for a in range(10) for b in range(10)]
    return np.concatenate([np.stack(sides, axis=1) for sides in chosen])
