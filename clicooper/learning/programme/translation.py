"""What every translation of torch's operations shares: who knows the values, and how numbers and axes are read.

A translation takes the watcher, the operation, and its arguments. Tensors among these stand for values; a Python number
becomes a tensor of its own, since devices divide by a number in ways of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from torch import Tensor

from clicooper.learning.programme.builder import Builder, Value
from clicooper.learning.programme.operations import LARGEST

__all__ = ["Result", "Translation", "Untranslatable", "Values", "axes_of", "axis_of", "finite", "value_of"]

INFINITE = 3e38
"""Stands for infinity, as in a mask: its negative is so low that its exponential is 0."""


class Untranslatable(Exception):
    """Something that no list of operations can say; its message names it."""


class Values(Protocol):
    """Who knows the values behind tensors."""

    builder: Builder

    def value_of(self, tensor: Tensor, *, as_float: bool = False) -> Value:
        """The value that a tensor stands for; as float32, where torch would take truths or whole numbers so."""
        ...

    def rebind(self, tensor: Tensor, value: Value) -> None:
        """Says which value a tensor stands for from now on."""
        ...


Result: TypeAlias = "Value | tuple[Value | None, ...]"
Translation: TypeAlias = Callable[..., Result]


def finite(number: float) -> float:
    """A number as a list can state it.

    Raises:
        Untranslatable: no number, or one beyond float32.
    """
    if math.isinf(number):
        return math.copysign(INFINITE, number)
    if math.isnan(number) or abs(number) > LARGEST:
        raise Untranslatable(f"the constant {number}")
    return number


def value_of(t: Values, item: Any) -> Value:
    """The value of a tensor or of a number."""
    return t.value_of(item, as_float=True) if isinstance(item, Tensor) else t.builder.scalar(finite(float(item)))


def axis_of(dim: int, rank: int) -> int:
    """An axis that may be counted from behind."""
    return dim % rank if rank else 0


def axes_of(dims: Any, rank: int) -> tuple[int, ...]:
    """Axes in ascending order; all where none are named."""
    if dims is None or dims == []:
        return tuple(range(rank))
    return tuple(sorted(axis_of(dim, rank) for dim in ([dims] if isinstance(dims, int) else dims)))
