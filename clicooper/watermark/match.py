"""Which of a suspect's tensors is which of a reference's: names may have changed, and a suspect may hold more.

Judged by shape and likeness, and by names only where likeness leaves a choice. Everything here is decided from
values and names, never from a key, so a mark read afterwards keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from clicooper.watermark.align import CLEAR, align_tensor, cosine, rescale_tensor
from clicooper.watermark.carriers import Layout, State

__all__ = ["match_tensors"]

MAX_ALIGNED_PAIRS = 64
"""Pairs of equal shape up to which each is aligned to see whether they belong together."""

NAME_BONUS = 1e-3
ORDER_BONUS = 1e-4
"""What equal names, or an equal place in their order, add to a likeness; it decides between equals alone."""


def match_tensors(suspect: State, reference: State, layout: Layout) -> dict[str, NDArray[Any]]:
    """The suspect's tensor for each tensor of a layout, in the reference's shape; absent ones are left out.

    Args:
        suspect: any tensors; those with NaN or infinite values are passed over.
        reference: has every tensor of ``layout``.
        layout: the reference's carrying tensors.
    """
    found: dict[str, NDArray[Any]] = {}
    usable = {name: array for name, array in suspect.items() if _is_usable(array)}
    for shape in dict.fromkeys(reference[name].shape for name in layout.names):
        wanted = [name for name in layout.names if reference[name].shape == shape]
        offered = {
            n: a.reshape(shape) for n, a in usable.items() if a.shape[:1] == shape[:1] and a.size == _size(shape)
        }
        found |= _assigned({name: reference[name] for name in wanted}, offered)
    return found


def _is_usable(array: NDArray[Any]) -> bool:
    return array.ndim >= 2 and array.dtype.kind in "fiu" and bool(np.isfinite(array).all())


def _size(shape: Sequence[int]) -> int:
    return int(np.prod(shape))


def _assigned(wanted: Mapping[str, NDArray[Any]], offered: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The best pairing of tensors of one shape."""
    by_name = _matched_by_name(wanted, offered)
    if by_name is not None or not offered:
        return by_name or {}
    likeness = np.array([[_likeness(offered[name], array) for name in offered] for array in wanted.values()])
    if likeness.max(axis=1).min() < CLEAR and 1 < likeness.size <= MAX_ALIGNED_PAIRS:
        aligned = [[_aligned_likeness(offered[name], array) for name in offered] for array in wanted.values()]
        likeness = np.maximum(likeness, np.array(aligned))
    rows, columns = linear_sum_assignment(likeness + _bonus(list(wanted), list(offered)), maximize=True)
    names, others = list(wanted), list(offered)
    return {names[row]: offered[others[column]] for row, column in zip(rows, columns, strict=True)}


def _matched_by_name(
    wanted: Mapping[str, NDArray[Any]], offered: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]] | None:
    """The tensors of the same names, if all of them are there and beyond doubt: the usual case, and a quick one."""
    if all(name in offered and _likeness(offered[name], array) >= CLEAR for name, array in wanted.items()):
        return {name: offered[name] for name in wanted}
    return None


def _likeness(suspect: NDArray[Any], reference: NDArray[Any]) -> float:
    return abs(cosine(rescale_tensor(suspect, reference), reference))


def _aligned_likeness(suspect: NDArray[Any], reference: NDArray[Any]) -> float:
    return cosine(align_tensor(suspect, reference)[0], reference)


def _bonus(wanted: Sequence[str], offered: Sequence[str]) -> NDArray[np.float64]:
    bonus = np.zeros((len(wanted), len(offered)))
    for row, name in enumerate(wanted):
        for column, other in enumerate(offered):
            bonus[row, column] = NAME_BONUS * other.endswith(name) + ORDER_BONUS * (row == column)
    return bonus
