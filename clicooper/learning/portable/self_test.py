"""Whether this machine computes ``portable/1``: known answers of every kernel, before any work is done.

Sums are held to whole numbers, entry by entry; functions to digests of answers that mpmath confirms (tests). Every
thread has to keep subnormal numbers: flushing them belongs to a thread, not to a process. A machine that fails says
what, by name, and accuses nobody.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clicooper.errors import ArithmeticFault
from clicooper.learning.portable.draws import normal
from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.recheck import recheck
from clicooper.learning.portable.watch import Watch

__all__ = ["FUNCTION_ANSWERS", "function_digest", "prove_machine"]

_CONV = {"stride": (2, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}

_FUNCTIONS: Mapping[str, Mapping[str, Any]] = {
    **{name: {} for name in ("exp", "log", "tanh", "erf", "sigmoid", "sin", "cos", "silu", "erf_slope", "silu_slope")},
    "gelu": {"approximate": 0},
    "gelu_slope": {"approximate": 1},
    "saturation": {"rate": -0.105},
    "sqrt": {},
}

FUNCTION_ANSWERS: Mapping[str, str] = {
    "exp": "f22f319931aad859",
    "log": "a6bebe28cb467225",
    "tanh": "ac5ec04daa2f8ecb",
    "erf": "07e7956424739886",
    "sigmoid": "2e3c0ea356f3657c",
    "sin": "a6912b07a84e157a",
    "cos": "d5cc96c6e4d0bc13",
    "silu": "d2d61e4860150b4d",
    "erf_slope": "053f1b2763909007",
    "silu_slope": "4f74efafc4c65705",
    "gelu": "a34d74bd4a057b83",
    "gelu_slope": "95d27f4a986e95a5",
    "saturation": "1c09fbafec87d3bc",
    "sqrt": "6ed0c949baed2694",
}
"""First 64 bits, in hex, of sha2-256 over what a function gives; ``tests/unit/portable/test_self_test.py`` checks."""

_ENTRIES = 6
"""Of each result that are computed again."""

_MANY = 1 << 18
"""Elements that are certain to be shared by all threads."""


@lru_cache(maxsize=8)
def prove_machine(device: torch.device, threads: int) -> None:
    """Tests this machine, once for a device and a number of threads, which torch is using.

    Raises:
        ArithmeticFault: names what this machine computes otherwise.
    """
    if torch.get_num_threads() != threads and device.type == "cpu":
        raise ArithmeticFault(
            f"this machine computes with {torch.get_num_threads()} threads, not {threads}",
            hint="set the number of threads before the test",
        )
    for name, found, expected in _answers(device):
        if found != expected:
            raise ArithmeticFault(
                f"this machine computes {name} otherwise than portable/1 does, on {device} with {threads} threads",
                hint="compute on another machine, or with another torch; docs/arithmetic.md says what is tested",
            )


def _answers(device: torch.device) -> Iterator[tuple[str, object, object]]:
    """Name, what this machine gives, and what it has to be."""
    yield "subnormal numbers", *_subnormal(device)
    yield "a division", *_division(device)
    for name in _FUNCTIONS:
        yield name, function_digest(name, device), FUNCTION_ANSWERS[name]
    rng = random.Random(5)  # noqa: S311 - which entries are looked at is no secret
    for operation, inputs, attributes in _reductions(device):
        result = PORTABLE[operation](Watch(device), *inputs, **attributes)
        output = result[0] if isinstance(result, tuple) else result
        shapes = " by ".join(str(list(one.shape)) for one in inputs)
        right = recheck(operation, inputs, attributes, output, entries=_ENTRIES, rng=rng)
        yield f"{operation} of {shapes}", right, True


def _subnormal(device: torch.device) -> tuple[int, int]:
    """How many of many halves of the least normal number are not 0, in every thread."""
    small = torch.full((_MANY,), float.fromhex("0x1p-126"), device=device)
    halves = torch.mul(small, torch.full((), 0.5, device=device))
    # By their bits: whoever flushes subnormal numbers may compare them as zeros, too.
    return int(torch.count_nonzero(halves.view(torch.int32))), _MANY


def _division(device: torch.device) -> tuple[str, str]:
    """Whether thirds are thirds: by a reciprocal, one in three is not."""
    x = np.arange(1, _MANY + 1, dtype=np.float32)
    three = torch.full((), 3.0, device=device)
    found = torch.div(torch.from_numpy(x).to(device), three).cpu().numpy()
    return _digest(found), _digest((x.astype(np.float64) / np.full(_MANY, 3.0)).astype(np.float32))


def function_digest(name: str, device: torch.device) -> str:
    """First 64 bits, in hex, of what a function gives for numbers of all sizes."""
    x = normal(np.random.PCG64(11), (4096,)) * np.float32(4)
    x[::7] *= np.float32(1e-20)
    x[::11] *= np.float32(8)
    if name in ("log", "sqrt"):
        x = np.abs(x)
    found = PORTABLE[name](Watch(device), torch.from_numpy(x).to(device), **_FUNCTIONS[name])
    if isinstance(found, tuple):
        raise TypeError(name)
    return _digest(found.cpu().numpy())


def _digest(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256((array + np.float32(0)).astype("<f4").tobytes()).hexdigest()[:16]


def _reductions(device: torch.device) -> Iterator[tuple[str, Sequence[Tensor], dict[str, Any]]]:
    """Every reduction at several shapes, over numbers that nearly cancel and rows of very different sizes."""
    words = np.random.PCG64(13)

    def draw(*shape: int) -> Tensor:
        numbers = normal(words, shape)
        numbers[..., ::2] *= np.float32(1 << 12)
        rows = np.where(np.arange(shape[0]) % 3 == 1, np.float32(1e-30), np.float32(1))
        return torch.from_numpy(numbers * rows.reshape(-1, *(1,) * (len(shape) - 1))).to(device)

    for n, k, m in ((1, 1, 1), (7, 100, 13), (64, 1000, 33), (3, 5000, 2), (128, 384, 96)):
        yield "matmul", (draw(n, k), draw(k, m)), {}
    yield "matmul", (draw(3, 2, 10, 20), draw(2, 20, 7)), {}
    for shape, dims in (((50, 70), (0,)), ((50, 70), (1,)), ((6, 9, 5, 7), (0, 2, 3)), ((40_000,), (0,))):
        yield "sum", (draw(*shape),), {"dims": dims, "keepdims": 0}
        yield "mean", (draw(*shape),), {"dims": dims, "keepdims": 1}
    index = torch.arange(300, device=device) % 7
    yield "add_rows", (draw(300, 9), index), {"rows": 8}
    x, w = draw(3, 4, 9, 7), draw(5, 4, 3, 3)
    yield "conv2d", (x, w), _CONV
    g = draw(3, 5, 5, 7)
    yield "conv2d_input_grad", (g, w), {"shape": (3, 4, 9, 7), **_CONV}
    yield "conv2d_weight_grad", (g, x), {"shape": (5, 4, 3, 3), **_CONV}
