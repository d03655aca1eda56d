"""Reads a mark from weights and says how improbable the reading is by chance.

All probabilities are over the key: bits and signs are uniform and independent. They are valid for weights chosen
independently of the key, that is, for suspects which the claimant never touched after fixing it. They say nothing
against the claimant, who can embed its key anywhere, and nothing after an alignment that used marked weights.

Two statistics, both exact bounds without a model of the weights:

- hard: the number k of blocks with ``b_j x_j > 0``; ``p = P[Bin(N, 1/2) >= k]``, computed in integers.
- soft: ``z = sum(b_j x_j) / sqrt(sum rms_j^2)`` with each block's own root mean square; ``p <= exp(-z^2 / 2)`` for
  z > 0, by Hoeffding's inequality (1963, theorem 2) for the sum of the independent terms ``b_j s_i w_i / sqrt(L)``.

The smaller of the two counts, doubled because two were tried, times the number of tests that the caller made.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clicooper.errors import SpecError
from clicooper.watermark.carriers import (
    Carrier,
    Layout,
    MarkParams,
    State,
    carrier_of,
    layout_of,
    project,
    required_weights,
    root_mean_square,
    weights_of,
)

__all__ = ["ACCEPT_LOG2_P", "MarkReading", "hard_log2_p", "read_carrier", "read_mark", "soft_log2_p"]

ACCEPT_LOG2_P = -64.0
"""A mark is found where ``log2_p`` is at most this."""


@dataclass(frozen=True)
class MarkReading:
    """What one seed reads in one set of weights.

    Args:
        bits: N, the length of the mark.
        matched: blocks whose projection has the sign of its bit, 0 to N.
        z: the soft statistic; about standard normal or narrower where there is no mark.
        log2_p: bound on the logarithm of the chance of so good a reading without a mark, at most 0.
    """

    bits: int
    matched: int
    z: float
    log2_p: float

    @property
    def found(self) -> bool:
        """Whether the reading reaches the acceptance threshold."""
        return self.log2_p <= ACCEPT_LOG2_P


def read_mark(
    state: State, seed: bytes, params: MarkParams, tests: int = 1, layout: Layout | None = None
) -> MarkReading:
    """Reads the mark of ``seed``.

    Valid for weights chosen independently of the key (see the module's text).

    Args:
        state: the suspect, aligned with the committed checkpoint.
        seed: 32 bytes from ``mark_seed``.
        params: the job's mark parameters.
        tests: how many readings the claim rests on in all: seats, rounds, purposes, alignments and suspects tried.
        layout: that of the committed checkpoint, for suspects with other tensors besides; by default the suspect's.

    Raises:
        SpecError: weights that are NaN, infinite, all zero, too few for this mark or not those of the layout; no
            test or a fractional number of them; a malformed seed.
    """
    if not isinstance(tests, int) or tests < 1:
        raise SpecError(f"{tests!r} is not a number of tests", hint="count every reading made, at least this one")
    vector = weights_of(state, layout if layout is not None else layout_of(state))
    if vector.size < required_weights(params):
        hint = f"a marked segment has at least {required_weights(params)} carrying weights"
        raise SpecError(f"{vector.size} weights are too few for a mark of {params.bits} bits", hint=hint)
    root_mean_square(vector)
    return read_carrier(vector, carrier_of(seed, vector.size, params.bits), tests)


def read_carrier(vector: NDArray[np.float64], carrier: Carrier, tests: int = 1) -> MarkReading:
    """Reads a mark whose seed was expanded before, as for one key and many suspects.

    Args:
        vector: (W,) float64, finite; zero where a suspect has no such weight.
        carrier: expanded for W weights.
        tests: as for ``read_mark``.

    Raises:
        SpecError: all weights of the mark's blocks are zero.
    """
    agreement = carrier.bits * project(vector, carrier)
    scale = math.sqrt(float(np.square(vector[carrier.blocks]).mean(axis=1).sum()))
    if scale == 0.0:
        raise SpecError(
            "all weights of the mark's blocks are zero",
            hint="lower the learning rate and train again, or fetch the file again",
        )
    bits, matched, z = carrier.bits.size, int((agreement > 0).sum()), float(agreement.sum()) / scale
    log2_p = min(hard_log2_p(bits, matched), soft_log2_p(z)) + 1 + math.log2(tests)
    return MarkReading(bits=bits, matched=matched, z=z, log2_p=min(0.0, log2_p))


def hard_log2_p(bits: int, matched: int) -> float:
    """``log2 P[Bin(bits, 1/2) >= matched]``, the sum taken exactly.

    Args:
        bits: at least 1.
        matched: 0 to ``bits``.
    """
    return math.log2(sum(math.comb(bits, k) for k in range(matched, bits + 1))) - bits


def soft_log2_p(z: float) -> float:
    """``log2 exp(-z^2 / 2)`` for positive ``z``, else 0: a bound in the direction of the mark only."""
    return -(z**2) / 2 * math.log2(math.e) if z > 0 else 0.0
