"""What torch's operations are in ours: one function for each, which writes instructions and gives their results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from clicooper.learning.programme.torch_layers import LAYERS
from clicooper.learning.programme.torch_layout import LAYOUT
from clicooper.learning.programme.translation import (
    Result,
    Translation,
    Untranslatable,
    Values,
    axes_of,
    axis_of,
    value_of,
)

__all__ = ["TRANSLATIONS"]


def _one(operation: str) -> Translation:
    """The same operation under our name, of values and numbers that broadcast."""

    def translate(t: Values, _: Any, *items: Any) -> Result:
        return t.builder.one(operation, *(value_of(t, item) for item in items))

    return translate


def _scaled(operation: str) -> Translation:
    """Addition or subtraction of a multiple."""

    def translate(t: Values, _: Any, a: Any, b: Any, *, alpha: float = 1) -> Result:
        left, right = value_of(t, a), value_of(t, b)
        if alpha != 1:
            right = t.builder.one("mul", right, t.builder.scalar(alpha))
        return t.builder.one(operation, left, right)

    return translate


def _rsub(t: Values, _: Any, a: Any, b: Any, *, alpha: float = 1) -> Result:
    if alpha != 1:
        raise Untranslatable("rsub with a factor")
    return t.builder.one("sub", value_of(t, b), value_of(t, a))


def _div(t: Values, _: Any, a: Any, b: Any, *, rounding_mode: str | None = None) -> Result:
    if rounding_mode is not None:
        raise Untranslatable("a division with rounding")
    return t.builder.one("div", value_of(t, a), value_of(t, b))


def _less(t: Values, _: Any, a: Any, b: Any) -> Result:
    return t.builder.one("greater", value_of(t, b), value_of(t, a))


def _less_equal(t: Values, _: Any, a: Any, b: Any) -> Result:
    return t.builder.one("greater_equal", value_of(t, b), value_of(t, a))


def _reciprocal(t: Values, _: Any, x: Tensor) -> Result:
    return t.builder.one("div", t.builder.scalar(1.0), t.value_of(x))


def _rsqrt(t: Values, _: Any, x: Tensor) -> Result:
    return t.builder.one("div", t.builder.scalar(1.0), t.builder.one("sqrt", t.value_of(x)))


def _pow(t: Values, _: Any, x: Any, power: Any) -> Result:
    builder = t.builder
    if isinstance(power, Tensor) or not isinstance(x, Tensor):
        raise Untranslatable("a power that is a tensor")
    value = t.value_of(x)
    if power in (2, 3):
        square = builder.one("mul", value, value)
        return square if power == 2 else builder.one("mul", square, value)
    if power == 0.5:
        return builder.one("sqrt", value)
    if power in (-1, -0.5):
        root = value if power == -1 else builder.one("sqrt", value)
        return builder.one("div", builder.scalar(1.0), root)
    raise Untranslatable(f"pow({power})")


def _leaky_relu(t: Values, _: Any, x: Tensor, slope: float = 0.01) -> Result:
    value = t.value_of(x)
    small = t.builder.one("mul", value, t.builder.scalar(slope))
    return t.builder.one("where", t.builder.one("greater", value, t.builder.scalar(0.0)), value, small)


def _clamp(t: Values, _: Any, x: Tensor, low: Any = None, high: Any = None, **named: Any) -> Result:
    low, high = named.get("min", low), named.get("max", high)
    value = t.value_of(x)
    if low is not None:
        value = t.builder.one("maximum", value, value_of(t, low))
    return value if high is None else t.builder.one("minimum", value, value_of(t, high))


def _hardtanh(t: Values, func: Any, x: Tensor, low: float = -1, high: float = 1) -> Result:
    return _clamp(t, func, x, low, high)


def _gelu(t: Values, _: Any, x: Tensor, *, approximate: str = "none") -> Result:
    return t.builder.one("gelu", t.value_of(x), approximate=int(approximate == "tanh"))


def _where(t: Values, _: Any, condition: Tensor, a: Any, b: Any) -> Result:
    return t.builder.one("where", t.value_of(condition), value_of(t, a), value_of(t, b))


def _masked_fill(t: Values, _: Any, x: Tensor, mask: Tensor, number: Any) -> Result:
    return t.builder.one("where", t.value_of(mask), value_of(t, number), t.value_of(x))


def _copied(t: Values, _: Any, target: Tensor, source: Tensor, *_args: Any) -> Result:
    """``copy_``: the source's numbers in the target's shape."""
    value, shape = t.value_of(source, as_float=target.is_floating_point()), tuple(target.shape)
    return value if value.shape == shape else t.builder.one("expand", value, shape=shape)


def _matmul(t: Values, _: Any, a: Tensor, b: Tensor) -> Result:
    return t.builder.one("matmul", t.value_of(a), t.value_of(b))


def _matrix_vector(t: Values, _: Any, a: Tensor, b: Tensor) -> Result:
    column = t.builder.one("reshape", t.value_of(b), shape=(b.shape[0], 1))
    return t.builder.one("reshape", t.builder.one("matmul", t.value_of(a), column), shape=(a.shape[0],))


def _addmm(t: Values, _: Any, c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Result:
    product = t.builder.one("matmul", t.value_of(a), t.value_of(b))
    if alpha != 1:
        product = t.builder.one("mul", product, t.builder.scalar(alpha))
    if beta == 0:
        return product
    added = t.value_of(c)
    if beta != 1:
        added = t.builder.one("mul", added, t.builder.scalar(beta))
    return t.builder.one("add", product, added)


def _reduction(operation: str) -> Translation:
    def translate(
        t: Values, _: Any, x: Tensor, dims: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Result:
        if dtype not in (None, x.dtype):
            raise Untranslatable(f"{operation} in {dtype}")
        axes = axes_of(dims, x.dim())
        return t.builder.one(operation, t.value_of(x), dims=axes, keepdims=int(keepdim)) if axes else t.value_of(x)

    return translate


def _variance(
    t: Values, _: Any, x: Tensor, dims: Any = None, *, correction: float = 1, keepdim: bool = False
) -> Result:
    axes = axes_of(dims, x.dim())
    count = math.prod(x.shape[axis] for axis in axes)
    mean = t.builder.one("mean", t.value_of(x), dims=axes, keepdims=1)
    distance = t.builder.one("sub", t.value_of(x), mean)
    total = t.builder.one("sum", t.builder.one("mul", distance, distance), dims=axes, keepdims=int(keepdim))
    return t.builder.one("div", total, t.builder.scalar(count - correction))


def _softmax(operation: str) -> Translation:
    def translate(t: Values, _: Any, x: Tensor, dim: int, *_half_to_float: bool) -> Result:
        return t.builder.one(operation, t.value_of(x), dim=axis_of(dim, x.dim()))

    return translate


_PLAIN = ("neg", "abs", "sqrt", "relu", "exp", "log", "tanh", "erf", "sigmoid", "sin", "cos", "silu")

TRANSLATIONS: Mapping[str, Translation] = {
    **{name: _one(name) for name in (*_PLAIN, "mul", "maximum", "minimum")},
    "add": _scaled("add"),
    "sub": _scaled("sub"),
    "rsub": _rsub,
    "div": _div,
    "gt": _one("greater"),
    "ge": _one("greater_equal"),
    "eq": _one("equal"),
    "lt": _less,
    "le": _less_equal,
    "reciprocal": _reciprocal,
    "rsqrt": _rsqrt,
    "pow": _pow,
    "leaky_relu": _leaky_relu,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "hardtanh": _hardtanh,
    "gelu": _gelu,
    "where": _where,
    "masked_fill": _masked_fill,
    "copy": _copied,
    "mm": _matmul,
    "bmm": _matmul,
    "mv": _matrix_vector,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "sum": _reduction("sum"),
    "mean": _reduction("mean"),
    "var": _variance,
    "_softmax": _softmax("softmax"),
    "_safe_softmax": _softmax("softmax"),
    "_log_softmax": _softmax("log_softmax"),
    **LAYOUT,
    **LAYERS,
}
"""By the name of torch's operation; one that works in place goes by the name of the one that does not."""
