"""States as bytes and as digests.

A *state* maps names to arrays: a segment's parameters and buffers, or its optimizer's moments. Equal states have
equal bytes and equal digests; ``decode_state(state_bytes(s)) == s``, and ``state_bytes(decode_state(b)) == b``
for every accepted ``b``, so a file can hide nothing beside its tensors.

Hashing of files to CIDs is the job of ``clicooper.storage``.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from clicooper.commitments.canonical import sha256, tensor_digest
from clicooper.errors import SpecError
from clicooper.files import read_bounded
from clicooper.types import Digest

__all__ = [
    "MAX_STATE_BYTES",
    "State",
    "cast_state",
    "decode_state",
    "load_state",
    "save_state",
    "state_bytes",
    "state_digest",
    "weight_norm",
]

State: TypeAlias = dict[str, NDArray[Any]]
"""Name of a parameter, buffer or moment -> its array."""

MAX_STATE_BYTES = 1 << 32
"""Default limit of a state file, 4 GiB: what is larger is not read into memory."""

_DTYPES = frozenset(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
)


def state_bytes(state: Mapping[str, NDArray[Any]]) -> bytes:
    """The safetensors file of a state, the same bytes for equal states.

    Raises:
        SpecError: a dtype without a place in the format, or a NaN or infinite number.
    """
    _check(state)
    return safetensors.numpy.save({name: np.ascontiguousarray(a).reshape(a.shape) for name, a in state.items()})


def decode_state(data: bytes) -> State:
    """Reads one safetensors file.

    Raises:
        SpecError: not safetensors, not the bytes that ``state_bytes`` writes (metadata, another order, gaps),
            an unknown dtype, or a NaN or infinite number.
    """
    hint = "the file was not written by this program, or is damaged"
    try:
        state: State = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as e:
        raise SpecError(f"not a readable state file: {' '.join(str(e).split())[:120]}", hint=hint) from e
    if state_bytes(state) != data:
        raise SpecError("state file is not in canonical form", hint=hint)
    return state


def save_state(state: Mapping[str, NDArray[Any]], target: Path | str | BinaryIO) -> None:
    """Writes ``state_bytes(state)`` to a path or an open binary file."""
    data = state_bytes(state)
    if isinstance(target, (Path, str)):
        Path(target).write_bytes(data)
    else:
        target.write(data)


def load_state(source: Path | str | BinaryIO, *, max_bytes: int = MAX_STATE_BYTES) -> State:
    """Reads a state from a path or an open binary file.

    Args:
        max_bytes: larger files are refused before they are read.

    Raises:
        SpecError: as ``decode_state``, more than ``max_bytes`` bytes, or a path that cannot be read.
    """
    if isinstance(source, (Path, str)):
        return decode_state(read_bounded(source, max_bytes, what="state", error=SpecError))
    data = source.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise SpecError(f"state file exceeds {max_bytes} bytes", hint="raise the limit if the model is this large")
    return decode_state(data)


def state_digest(weights: Mapping[str, NDArray[Any]], optimizer: Mapping[str, NDArray[Any]] | None = None) -> Digest:
    """sha2-256 over the tensors of a state in UTF-8 order of their names.

    For each tensor: the name's length (4 bytes, big-endian), the name, ``commitments.canonical.tensor_digest``; the
    length makes the concatenation injective.

    Args:
        optimizer: if given, the result is sha2-256 of both states' digests, the ``state`` of a transcript's row.
    """
    if optimizer is not None:
        return sha256(state_digest(weights) + state_digest(optimizer))
    running = hashlib.sha256()
    for name in sorted(weights, key=lambda key: key.encode()):
        encoded = name.encode()
        running.update(len(encoded).to_bytes(4, "big") + encoded + tensor_digest(weights[name]))
    return Digest(running.digest())


def weight_norm(state: Mapping[str, NDArray[Any]]) -> float:
    """L2 norm over all floating arrays of a state, summed in float64 in name order."""
    squares = (np.square(state[n], dtype=np.float64).sum() for n in sorted(state) if state[n].dtype.kind == "f")
    return math.sqrt(float(sum(squares)))


def cast_state(state: Mapping[str, NDArray[Any]], dtype: type[np.floating[Any]]) -> State:
    """A copy with every floating array in ``dtype``; integer buffers keep theirs."""
    return {name: a.astype(dtype if a.dtype.kind == "f" else a.dtype) for name, a in state.items()}


def _check(state: Mapping[str, NDArray[Any]]) -> None:
    for name, array in state.items():
        if array.dtype.name not in _DTYPES:
            raise SpecError(f"state tensor {name} has dtype {array.dtype}", hint="use a standard numeric dtype")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise SpecError(f"state tensor {name} holds NaN or infinite numbers", hint="lower the learning rate")
