"""Reads a mark beside the weights that it was embedded in, and many marks as one claim.

A blind reading looks for a faint pattern in whole weights. A claimant knows more: the committed *raw* weights of the
round, and the initial weights that everybody can compute from the job's specification. What these explain of a
suspect carries nothing of the mark, so it is fitted away, tensor by tensor, and the mark is sought in the rest:

    r = s - a w_raw - b w_initial,   a, b by least squares in each tensor

The rest of a suspect that stayed near the committed weights is small, and the same mark stands out of it by the ratio
of the norms, five to eight times in the demo's job.

Honest probabilities. Suspect, raw and initial weights are chosen independently of the key, hence so is r, and
Hoeffding's bound over the key's signs holds for r as it does for any vector. This leans on one thing more than a blind
reading does: that the raw weights are the result of training, not a suspect with a carrier taken off, which reads
perfectly. The key's seed covers the root of the round's transcript, so a replay of the transcript (part c of a claim)
settles it; **an informed reading without that replay proves nothing.**

Pooling. A trainer's marks of several rounds, or the marks of all seats, were embedded under independent keys. Ordered
by round, each z is sub-Gaussian with variance at most 1 given all earlier keys, although later raw weights depend on
earlier marks. So ``Z = sum(z) / sqrt(n)`` has ``P[Z >= t] <= exp(-t^2 / 2)`` for marks that were chosen before they
were read: all of a seat's rounds, or all seats. Choosing the best subset afterwards is a test for each subset.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clicooper.errors import SpecError
from clicooper.watermark.carriers import Carrier, Layout, MarkParams, State, carrier_of, layout_of, weights_of
from clicooper.watermark.detect import ACCEPT_LOG2_P, MarkReading, read_carrier, soft_log2_p

__all__ = ["PooledReading", "pool_readings", "read_informed", "read_rest", "unexplained"]


@dataclass(frozen=True)
class PooledReading:
    """Several marks read as one claim.

    Args:
        marks: how many.
        z: their soft statistics, summed and divided by ``sqrt(marks)``.
        log2_p: bound on the logarithm of the chance of so good a reading without marks, at most 0.
    """

    marks: int
    z: float
    log2_p: float

    @property
    def found(self) -> bool:
        """Whether the reading reaches the acceptance threshold."""
        return self.log2_p <= ACCEPT_LOG2_P


def read_informed(
    suspect: State, seed: bytes, params: MarkParams, references: Sequence[State], tests: int = 1
) -> MarkReading:
    """Reads the mark of ``seed`` in what the references leave unexplained of a suspect.

    Args:
        suspect: aligned with the committed checkpoint.
        seed: 32 bytes from ``mark_seed``.
        params: the job's mark parameters.
        references: the committed raw weights of the mark's round, whose carrying tensors are read, then others that
            were fixed before the key, such as the initial weights.
        tests: how many readings the claim rests on in all, blind ones too.

    Raises:
        SpecError: no reference, tensors that the suspect lacks, weights that are NaN or infinite, or a malformed seed.
    """
    if not references:
        raise SpecError("an informed reading needs the raw weights", hint="read the mark with read_mark instead")
    layout = layout_of(references[0])
    known = [weights_of(reference, layout) for reference in references]
    rest = unexplained(weights_of(suspect, layout), known, layout)
    return read_rest(rest, carrier_of(seed, layout.weights, params.bits), tests)


def read_rest(rest: NDArray[np.float64], carrier: Carrier, tests: int = 1) -> MarkReading:
    """Reads a mark in what a fit left over; where nothing was left there is no mark.

    Args:
        rest: (W,) float64, from ``unexplained``.
        carrier: expanded for W weights.
        tests: as for ``read_informed``.
    """
    if not rest.any():
        return MarkReading(bits=carrier.bits.size, matched=0, z=0.0, log2_p=0.0)
    return read_carrier(rest, carrier, tests)


def unexplained(
    suspect: NDArray[np.float64], references: Sequence[NDArray[np.float64]], layout: Layout
) -> NDArray[np.float64]:
    """What is left of a suspect's carrying weights, (W,), when each tensor has its least-squares fit taken off.

    Args:
        suspect: (W,) float64 in the order of ``layout``, aligned.
        references: one or more vectors like it.
        layout: where the tensors end.
    """
    borders = np.cumsum(layout.sizes)[:-1]
    known = [np.split(reference, borders) for reference in references]
    parts = np.split(suspect, borders)
    return np.concatenate([_rest(part, np.stack(beside)) for part, *beside in zip(parts, *known, strict=True)])


def _rest(part: NDArray[np.float64], beside: NDArray[np.float64]) -> NDArray[np.float64]:
    """``part`` without its projection on the rows of ``beside``; rows that say the same count once."""
    factors, *_ = np.linalg.lstsq(beside.T, part, rcond=None)
    rest: NDArray[np.float64] = part - factors @ beside
    return rest


def pool_readings(readings: Sequence[MarkReading], tests: int = 1) -> PooledReading:
    """One claim over all of ``readings``, which were chosen before they were made.

    Args:
        readings: of marks with independent keys, blind or informed, at least one.
        tests: how many claims were tried, this one included.

    Raises:
        SpecError: no readings, or no test.
    """
    if not readings or tests < 1:
        raise SpecError(f"{len(readings)} readings in {tests} tests", hint="pool at least one reading, in one test")
    z = sum(reading.z for reading in readings) / math.sqrt(len(readings))
    return PooledReading(len(readings), z, min(0.0, soft_log2_p(z) + math.log2(tests)))
