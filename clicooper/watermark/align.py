"""Undoes what changes a layer's numbers but not its function: hidden units in another order or on another scale.

One tensor at a time, from the suspect's values and a reference's alone; no key takes part, so a mark read afterwards
is as improbable by chance as before. The reference must be *raw* weights: a marked one would draw its own carriers
into the result.

A tensor of shape (outputs, inputs, ...) is matched up to an order and a scale of its outputs and of its inputs, each
tensor for itself: what a layer's scale is balanced by, the next layer or a batch normalisation fused into it, does not
matter, and a model's graph need not be known.

- *Scales.* Multiplying outputs and inputs by positive factors leads to one tensor with unit mean square in each of
  them, the same for all rescalings (Sinkhorn and Knopp 1967). Both tensors are brought there, compared there, and the
  suspect is given the reference's own scales back. An output may also change its sign, as a fused normalisation does.
- *Orders.* Where one side's order is known, the other side's follows by linear assignment on the inner products of
  its units (weight matching of Ainsworth, Hayase and Srinivasa 2023). Where none is, outputs are matched first by
  their sorted inputs, which no order of the inputs changes; then both sides in turn.

An order is fitted only where a unit has enough values to tell it from others: on short ones assignment finds
likeness in anything. Which tensor is which is the job of ``match``; reading marks that of ``suspect``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["CLEAR", "Order", "align_tensor", "cosine", "rescale_tensor"]

Matrix = NDArray[np.float64]
Order = NDArray[np.int64]

MIN_UNIT_VALUES = 64
"""Values of a unit below which its order is left as it is."""

MAX_UNITS = 2048
"""Units of one side above which its order is left as it is: assignment takes time to the third power."""

BALANCING_ROUNDS = 12
MATCHING_ROUNDS = 8

CLEAR = 0.5
"""Cosine at which a match is beyond doubt; docs/watermark.md has what independent tensors reach under every order."""


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Cosine of two tensors as vectors, in [-1, 1]; 0 where one is all zero."""
    x, y = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    norms = math.sqrt(float(np.square(x).sum()) * float(np.square(y).sum()))
    return float((x * y).sum()) / norms if norms else 0.0


def rescale_tensor(suspect: NDArray[Any], reference: NDArray[Any]) -> Matrix:
    """The suspect on the reference's scales, its units in the order in which they are.

    Args:
        suspect: (outputs, inputs, ...), finite.
        reference: raw weights of the same shape.
    """
    model, scales = _balanced(np.asarray(reference, np.float64))
    return _with_signs(_balanced(np.asarray(suspect, np.float64))[0], model) * scales


def align_tensor(suspect: NDArray[Any], reference: NDArray[Any], hints: Sequence[Order] = ()) -> tuple[Matrix, Order]:
    """The suspect in the reference's order and on its scales.

    Args:
        suspect: (outputs, inputs, ...), finite.
        reference: raw weights of the same shape.
        hints: orders of the inputs to try besides, such as that of the outputs of the layer before.

    Returns:
        The aligned tensor in float64, and the order of the suspect's outputs in it.
    """
    values, _ = _balanced(np.asarray(suspect, np.float64))
    model, scales = _balanced(np.asarray(reference, np.float64))
    best, order = _with_signs(values, model), np.arange(values.shape[0])
    score = cosine(best, model)
    for rows, columns in _orders(values, model, hints) if score < CLEAR else ():
        found = _with_signs(values[rows][:, columns], model)
        if cosine(found, model) > score:
            best, order, score = found, rows, cosine(found, model)
        if score >= CLEAR:
            break
    return best * scales, order


def _orders(values: Matrix, model: Matrix, hints: Sequence[Order]) -> Iterator[tuple[Order, Order]]:
    """Orders of outputs and inputs that may be right, the cheapest first."""
    rows, columns = (np.arange(units) for units in values.shape[:2])
    for known in (columns, *(hint for hint in hints if hint.size == columns.size)):
        yield _refined(values, model, _assign(values[:, known], model, 0, rows), known)
    yield _refined(values, model, rows, _assign(values, model, 1, columns))
    by_inputs = _assign(np.sort(values, axis=1), np.sort(model, axis=1), 0, rows, by_distance=True)
    yield _refined(values, model, by_inputs, columns)


def _refined(values: Matrix, model: Matrix, rows: Order, columns: Order) -> tuple[Order, Order]:
    """Each side again from the other's order, until neither moves."""
    for _ in range(MATCHING_ROUNDS):
        before = rows, columns
        columns = _assign(values[rows], model, 1, columns)
        rows = _assign(values[:, columns], model, 0, rows)
        if np.array_equal(before[0], rows) and np.array_equal(before[1], columns):
            break
    return rows, columns


def _assign(values: Matrix, model: Matrix, axis: int, present: Order, *, by_distance: bool = False) -> Order:
    """The suspect's units along ``axis`` in the reference's order; ``present`` where that cannot be told."""
    units = values.shape[axis]
    if values.size // units < MIN_UNIT_VALUES or units > MAX_UNITS:
        return present
    a, b = (np.moveaxis(tensor, axis, 0).reshape(units, -1) for tensor in (values, model))
    gain = b @ a.T
    if by_distance:
        gain = 2 * gain - np.square(a).sum(axis=1)
    _, chosen = linear_sum_assignment(gain, maximize=True)
    return np.asarray(chosen, dtype=np.int64)


def _with_signs(values: Matrix, model: Matrix) -> Matrix:
    """Every output with the sign that agrees with the reference's."""
    shared = (values * model).sum(axis=tuple(range(1, values.ndim)), keepdims=True)
    return np.where(shared < 0, -values, values)


def _balanced(values: Matrix) -> tuple[Matrix, Matrix]:
    """The tensor with unit mean square in every output and every input, and the scales that it had."""
    scales = np.ones_like(values)
    rest = tuple(range(2, values.ndim))
    for _ in range(BALANCING_ROUNDS):
        for axes in ((1, *rest), (0, *rest)):
            power = np.sqrt(np.square(values).mean(axis=axes, keepdims=True))
            power[power == 0] = 1.0
            values, scales = values / power, scales * power
    return values, scales
