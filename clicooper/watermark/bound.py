"""The ``embed`` check: only marks separate the trained weights from the released ones.

Whoever holds the progress seed recomputes that mark on ``trained``; what remains, ``r = out - progress(trained)``,
must have the form of an ownership mark. Without its key the blocks are unknown, but not their form:

- **Blocks.** r is some magnitude m_j on each of N disjoint blocks of L positions and zero elsewhere, up to rounding:
  ``l_i <= m <= u_i`` with ``l, u = |r| -+ tolerance_i``. Sorting keeps order relations between vectors (a_i <= b_i for
  all i implies the same of the k-th largest), so the k-th largest l is at most the k-th largest magnitude, which is
  at most the k-th largest u. The magnitudes sorted are L copies of the largest m_j, L of the next and so on. Hence
  rank ``j L`` of l must not exceed rank ``(j + 1) L - 1`` of u, and rank ``N L`` of l must be zero. Every honest
  embedding passes; whatever passes is within twice the largest tolerance of N blocks of constant magnitude.
- **Norm.** ``|r| <= (sqrt(N (c^2 + 1)) + 6) rms``. The first term is the expected norm, which half of all honest
  marks exceed; the norm is 1-Lipschitz in N nearly Gaussian projections, so 6 more are exceeded with
  probability below exp(-18).
- **Independence.** r must not run along the progress mark p, else a scaled or omitted progress mark would pass as an
  ownership mark on the same blocks. Signs of an honest mark are random, so ``|sum r p| <= 8 sqrt(sum r^2 p^2)`` fails
  with probability below 1e-13 (Hoeffding), rounding apart.

Limits. The signs and positions of the remainder are the trainer's secret, so an edit that *is* N blocks of constant
magnitude within the norm passes; to exclude it, the ownership key is opened and ``check_opened_embedding`` applies.
That ``trained`` is what training gave is for replay to show.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.errors import VerificationFailed
from clicooper.watermark.carriers import (
    Layout,
    MarkParams,
    State,
    carrier_of,
    check_capacity,
    require_seed,
    root_mean_square,
    weights_of,
)
from clicooper.watermark.embed import apply_mark, embed_both, mark_stands

__all__ = ["EmbeddingCheck", "check_embedding", "check_opened_embedding"]

NORM_SLACK = 6.0
INDEPENDENCE_SIGMAS = 8.0

ARITHMETIC_SLACK = 2.0**-46
"""Relative room for float64 rounding inside the computation, far below the unit of float32."""


@dataclass(frozen=True)
class EmbeddingCheck:
    """Outcome of the check.

    Args:
        ok: whether the released weights can be the trained ones with marks and nothing else.
        reason: the first difference found, or what was confirmed.
        blocks: blocks of the ownership mark with a correction above rounding, 0 to N.
        relative_norm: norm of what the progress mark leaves unexplained over the norm of the weights.
    """

    ok: bool
    reason: str
    blocks: int
    relative_norm: float


@dataclass(frozen=True)
class _Remainder:
    """``out - progress(trained)``, with what it is judged against; vectors are (W,) float64."""

    values: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    progress: NDArray[np.float64]
    rms: float


def check_embedding(trained: State, out: State, progress_seed: bytes, params: MarkParams) -> EmbeddingCheck:
    """Checks an embedding with the progress seed alone, as the module's text describes.

    Args:
        trained: the raw weights after the round's training.
        out: the released weights.
        progress_seed: 32 bytes from ``mark_seed``.
        params: the job's mark parameters.

    Returns:
        A check that is ``ok`` or names the first difference.

    Raises:
        SpecError: the seed is malformed, or the states cannot carry marks of these parameters.
        MarkCapacityError: they are too small for them, which is the doing of whoever chose them.
    """
    require_seed(progress_seed)
    try:
        remainder = _remainder(trained, out, progress_seed, params)
    except VerificationFailed as e:
        return EmbeddingCheck(ok=False, reason=e.message, blocks=0, relative_norm=0.0)
    low, high = _ranked(remainder)
    length = low.size // params.bits
    objection = _objection(remainder, low, high, params)
    return EmbeddingCheck(
        ok=not objection,
        reason=objection or "the progress mark and at most one more mark were embedded",
        blocks=int((low[: params.bits * length : length] > 0).sum()),
        relative_norm=_norm(remainder.values) / (remainder.rms * math.sqrt(low.size)),
    )


def check_opened_embedding(
    trained: State, out: State, progress_seed: bytes, ownership_seed: bytes, params: MarkParams
) -> EmbeddingCheck:
    """Repeats the whole embedding with both seeds opened and asks for equal bits; for the arbiter under challenge.

    Args and errors as ``check_embedding``.
    """
    require_seed(ownership_seed)
    check = check_embedding(trained, out, progress_seed, params)
    if not check.ok:
        return check
    try:
        _require_equal_tensors(embed_both(trained, progress_seed, ownership_seed, params), out, carrying=())
    except VerificationFailed as e:
        return EmbeddingCheck(False, e.message, check.blocks, check.relative_norm)
    return EmbeddingCheck(True, "embedding repeated bit by bit", check.blocks, check.relative_norm)


def _remainder(trained: State, out: State, progress_seed: bytes, params: MarkParams) -> _Remainder:
    layout = check_capacity(trained, params)
    _require_equal_tensors(trained, out, carrying=layout.names)
    raw, released = weights_of(trained, layout), weights_of(out, layout)
    carrier = carrier_of(progress_seed, layout.weights, params.bits)
    marked = apply_mark(raw, carrier, params)
    if not mark_stands(released, carrier, params):
        raise VerificationFailed("the released weights do not hold the progress mark")
    rms = root_mean_square(marked)
    slack = ARITHMETIC_SLACK * (np.abs(released) + rms)
    return _Remainder(released - marked, _half_units(out, layout, released) + slack, marked - raw, rms)


def _require_equal_tensors(expected: State, actual: State, carrying: tuple[str, ...]) -> None:
    """Same names, shapes and dtypes; and same bytes, so that NaN and -0.0 count, of all that do not carry marks."""
    if expected.keys() != actual.keys():
        names = ", ".join(sorted(expected.keys() ^ actual.keys()))
        raise VerificationFailed(f"tensors present on one side only: {names}")
    for name, array in expected.items():
        other = actual[name]
        if (array.shape, array.dtype) != (other.shape, other.dtype):
            raise VerificationFailed(f"tensor {name} changed its shape or dtype")
        if name not in carrying and not _same_bytes(array, other):
            raise VerificationFailed(f"tensor {name} differs from what was expected")


def _same_bytes(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.tobytes() == b.tobytes()


def _half_units(state: State, layout: Layout, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half a unit in the last place of every weight in its tensor's dtype: the most that one rounding can move it."""
    limits = [np.finfo(state[name].dtype) for name in layout.names]
    smallest = np.repeat([float(limit.tiny) for limit in limits], layout.sizes)
    digits = np.repeat([limit.nmant for limit in limits], layout.sizes)
    # Below the smallest normal number the spacing no longer shrinks.
    _, exponent = np.frexp(np.maximum(np.abs(weights), smallest))
    half: NDArray[np.float64] = np.ldexp(1.0, exponent - 2 - digits)
    return half


def _ranked(remainder: _Remainder) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest magnitude that every weight's correction can have had, each sorted from the largest."""
    magnitude = np.abs(remainder.values)
    low = np.sort(np.maximum(magnitude - remainder.tolerance, 0.0))[::-1]
    return low, np.sort(magnitude + remainder.tolerance)[::-1]


def _objection(remainder: _Remainder, low: NDArray[np.float64], high: NDArray[np.float64], params: MarkParams) -> str:
    """The first property of an ownership mark that the remainder lacks, or the empty string."""
    length = low.size // params.bits
    end = params.bits * length
    if low[end:].any():
        return "more weights changed than one mark can reach"
    if (low[:end:length] > high[length - 1 : end : length]).any():
        return "the change beside the progress mark is not made of blocks of constant magnitude"
    allowed = (math.sqrt(params.bits * (params.strength**2 + 1)) + NORM_SLACK) * remainder.rms
    if _norm(remainder.values) > allowed + _norm(remainder.tolerance):
        return "the change beside the progress mark is larger than a mark"
    if _runs_along_progress(remainder):
        return "the progress mark was scaled or partly removed"
    return ""


def _runs_along_progress(remainder: _Remainder) -> bool:
    shared = remainder.values * remainder.progress
    rounding = float((remainder.tolerance * np.abs(remainder.progress)).sum())
    return abs(float(shared.sum())) > INDEPENDENCE_SIGMAS * _norm(shared) + rounding


def _norm(values: NDArray[np.float64]) -> float:
    return math.sqrt(float(np.square(values).sum()))
