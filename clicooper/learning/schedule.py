"""Which records enter which step, and with which noise: a pure function of the specification's public seeds.

Everything random in this floor comes from ``generator``: NumPy's PCG64 under ``SeedSequence([seed, purpose, ...])``,
so it repeats on any machine with the same NumPy and never touches torch's generator. Secret randomness (label map,
release noise) is not drawn here, see ``clicooper.privacy``.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.manifest import SeedSpec, TrainingSpec
from clicooper.errors import DataError, SpecError

__all__ = ["Purpose", "batch_input", "batch_rows", "generator", "round_batches"]


class Purpose(IntEnum):
    """What a stream of public random numbers is for; each has a fixed number of counters."""

    WEIGHTS = 1
    BATCHES = 2
    INPUT_NOISE = 3
    READOUT = 4
    HEAD = 5


def generator(seed: int, purpose: Purpose, *counters: int) -> np.random.Generator:
    """The stream of one purpose under one public seed; equal arguments give equal streams."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(purpose), *counters])))


def batch_rows(seeds: SeedSpec, round_: int, rows_available: int, training: TrainingSpec) -> NDArray[np.int64]:
    """Release rows that each step of a round trains on.

    Records come in epochs: one permutation of all rows after the other, read without gaps, so a batch at the
    end of a permutation goes on in the next one, and no record is used ``k + 2`` times before all are used ``k``.

    Args:
        rows_available: number of records labelled so far, at least 1: rows 0 to ``rows_available - 1`` of the release.

    Returns:
        int64 (steps, batch), values in [0, rows_available).

    Raises:
        SpecError: no records.
    """
    if rows_available < 1:
        raise SpecError("a round needs at least one labelled record", hint="release labels before training")
    needed = training.steps * training.batch
    epochs = range(-(-needed // rows_available))
    streams = (generator(seeds.batches, Purpose.BATCHES, round_, epoch) for epoch in epochs)
    flat = np.concatenate([stream.permutation(rows_available) for stream in streams])
    return flat[:needed].astype(np.int64).reshape(training.steps, training.batch)


def batch_input(
    activations: NDArray[Any], rows: NDArray[np.int64], seeds: SeedSpec, round_: int, step: int, training: TrainingSpec
) -> NDArray[np.float32]:
    """What enters seat 0 in one step: ``activations[rows] * input_scale + input_noise * N(0, 1)``.

    Args:
        activations: float (records, ...), the release.
        rows: int64 (batch,), release rows.

    Returns:
        float32 (batch, ...).

    Raises:
        DataError: a row that the release does not have.
    """
    if rows.size and not 0 <= rows.min() <= rows.max() < len(activations):
        raise DataError(
            f"batch names a row outside the {len(activations)} released",
            hint="use the labels of this release: each names a row of it",
        )
    batch = activations[rows].astype(np.float32) * np.float32(training.input_scale)
    if training.input_noise:
        draw = generator(seeds.noise, Purpose.INPUT_NOISE, round_, step).standard_normal(batch.shape, dtype=np.float32)
        batch += np.float32(training.input_noise) * draw
    return np.asarray(batch, dtype=np.float32)


def round_batches(
    activations: NDArray[Any],
    rows: NDArray[np.int64],
    seeds: SeedSpec,
    round_: int,
    training: TrainingSpec,
    *,
    first: int = 0,
    last: int | None = None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """``(step, input of seat 0)`` for the steps in ``range(first, last)``, by default all.

    Args:
        rows: int64 (steps, batch), all of the round's, from ``batch_rows``.
    """
    for step in range(first, len(rows) if last is None else last):
        yield step, batch_input(activations, rows[step], seeds, round_, step, training)
