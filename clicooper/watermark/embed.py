"""Writes marks into a segment's weights, in closed form, once per round and always from the raw weights.

For block j with projection x_j, bit b_j and strength c, the correction of least Euclidean norm that reaches
``b_j x_j >= c rms`` is ``b_j max(0, c rms - b_j x_j)`` along the unit vector ``s / sqrt(L)`` of the block
(projection onto a half-space). Blocks are disjoint, so the corrections do not disturb each other.
All arithmetic is float64, in one order; each weight is rounded once to its tensor's dtype.

Reading marks is the job of ``detect``; ``bound`` checks an embedding without the ownership key.
"""

import math

import numpy as np
from numpy.typing import NDArray

from clicooper.errors import MarkCapacityError, SpecError
from clicooper.watermark.carriers import (
    Carrier,
    MarkParams,
    State,
    carrier_of,
    check_capacity,
    project,
    root_mean_square,
    weights_of,
    with_weights,
)

__all__ = ["apply_mark", "embed", "embed_both", "mark_stands"]

STANDING_SHARE = 0.5
"""Share of the margin ``c rms`` that must survive rounding and the other mark.

The other mark moves a projection by about 0.07 rms at the smallest permitted segment, so with c >= 1 half the
margin is seven standard deviations away: only a dtype too coarse for the correction can lose it.
"""


def apply_mark(weights: NDArray[np.float64], carrier: Carrier, params: MarkParams) -> NDArray[np.float64]:
    """The marked vector, (W,) float64 and not yet rounded to any tensor's dtype.

    Args:
        weights: (W,) float64, finite, left unchanged.
        carrier: expanded for W weights.
        params: gives the strength; the root mean square is that of ``weights``.
    """
    reach = params.strength * root_mean_square(weights)
    correction = carrier.bits * np.maximum(0.0, reach - carrier.bits * project(weights, carrier))
    step = correction / math.sqrt(carrier.blocks.shape[1])
    change = carrier.signs * step[:, None]
    change += weights[carrier.blocks]
    marked = weights.copy()
    marked[carrier.blocks] = change
    return marked


def mark_stands(weights: NDArray[np.float64], carrier: Carrier, params: MarkParams) -> bool:
    """Whether every bit keeps at least half of the margin that embedding gave it."""
    margin = STANDING_SHARE * params.strength * root_mean_square(weights)
    return bool((carrier.bits * project(weights, carrier) >= margin).all())


def embed(state: State, seed: bytes, params: MarkParams) -> State:
    """``state`` with one mark; tensors that carry none are shared, not copied.

    Raises:
        MarkCapacityError: the segment is too small, or its dtype too coarse to hold the mark.
        SpecError: NaN, infinite or all-zero weights, an overflow of the dtype, or a malformed seed.
    """
    return _embed(state, (seed,), params)


def embed_both(state: State, progress_seed: bytes, ownership_seed: bytes, params: MarkParams) -> State:
    """``state`` with its progress mark, then its ownership mark computed on the result.

    Both are added in float64 before the one rounding, so this is not bitwise the same as two calls of ``embed``.

    Raises:
        MarkCapacityError, SpecError: as ``embed``; also SpecError for equal seeds.
    """
    if progress_seed == ownership_seed:
        raise SpecError("both marks have one seed", hint="derive a seed per purpose with mark_seed")
    return _embed(state, (progress_seed, ownership_seed), params)


def _embed(state: State, seeds: tuple[bytes, ...], params: MarkParams) -> State:
    layout = check_capacity(state, params)
    vector = weights_of(state, layout)
    carriers = [carrier_of(seed, layout.weights, params.bits) for seed in seeds]
    for carrier in carriers:
        vector = apply_mark(vector, carrier, params)
    marked = with_weights(state, layout, vector)
    stored = weights_of(marked, layout)
    if not all(mark_stands(stored, carrier, params) for carrier in carriers):
        hint = "store the segment in float32, or declare it unmarked"
        raise MarkCapacityError("rounding to the segment's dtype erases its marks", hint=hint)
    return marked
