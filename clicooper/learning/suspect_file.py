"""Reads a model file that somebody else made: safetensors, or a torch state dict. Nothing in it is executed.

What is read are tensors by name; nested dictionaries and lists, as training programs save them, are joined with dots.
Types that numpy lacks become float32, which holds them exactly. Every tensor is kept, or the file is refused: a mark in
one that was lost in silence would be "not found". Which tensors are a segment's is found out by ``watermark.suspect``.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import safetensors
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from clicooper.errors import DataError
from clicooper.learning.checkpoint import State
from clicooper.types import Digest

__all__ = ["MAX_SUSPECT_BYTES", "Suspect", "read_suspect"]

MAX_SUSPECT_BYTES = 1 << 33
"""Default limit of a suspect's file, 8 GiB."""

MAX_TENSORS = 100_000
MAX_ITEMS = 1_000_000
MAX_DEPTH = 16
_TORCH_ERRORS = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, OSError),
    *(AssertionError, ArithmeticError, ImportError, MemoryError, NotImplementedError, struct.error),
)
_PIECE_BYTES = 1 << 20
_EXACT = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint16, torch.uint32, torch.uint64),
)
_FLOATS = (torch.float16, torch.float32, torch.float64)


@dataclass(frozen=True, eq=False)
class Suspect:
    """A model of unknown origin.

    Attributes:
        state: its tensors.
        digest: sha2-256 of the file, the ``suspectDigest`` that a claim puts on the chain.
    """

    state: State
    digest: Digest


def read_suspect(path: Path, *, max_bytes: int = MAX_SUSPECT_BYTES) -> Suspect:
    """Reads a suspect; the kind of file is told by its content, not by its name.

    Raises:
        DataError: it cannot be read, it or its tensors are larger than ``max_bytes``, it holds no tensors, one without
            values, or more than tensors: a whole model pickled by ``torch.save(model)`` would have to be executed.
    """
    size = _size(path)
    if size > max_bytes:
        raise DataError(f"{path} has {size} bytes, above the limit of {max_bytes}", hint="raise --max-bytes")
    content = _read_torch(path) if _is_torch(path) else _read_safetensors(path)
    state = _flat(content, path, max_bytes)
    if not state:
        raise DataError(f"{path} holds no tensors", hint="save the model's state_dict")
    return Suspect(state, _digest(path))


def _size(path: Path) -> int:
    try:
        if not path.is_file():
            raise DataError(f"{path} is no file", hint="name a safetensors file, or a torch state dict")
        return path.stat().st_size
    except OSError as e:
        raise DataError(f"cannot read {path}: {e.strerror}", hint="check the path and its permissions") from e


def _is_torch(path: Path) -> bool:
    """Whether it is a zip archive, as torch writes, or a pickle, as it wrote before."""
    with path.open("rb") as file:
        start = file.read(2)
    return start[:1] == b"\x80" or zipfile.is_zipfile(path)


def _read_safetensors(path: Path) -> Mapping[str, object]:
    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as e:
        hint = "give a safetensors file, or a state dict written by torch.save"
        raise DataError(f"{path} is neither safetensors nor a torch file: {_line(e)}", hint=hint) from e


def _read_torch(path: Path) -> Mapping[Any, object]:
    try:
        # Indices that nobody checked would be followed anywhere in memory.
        with torch.sparse.check_sparse_tensor_invariants():  # type: ignore[no-untyped-call]
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _TORCH_ERRORS as e:
        hint = "save model.state_dict(), or convert the file to safetensors: code in a model file is never run here"
        raise DataError(f"{path} is not a file of tensors alone: {_line(e)}", hint=hint) from e
    if not isinstance(content, Mapping):
        raise DataError(f"{path} holds a {type(content).__name__}, no state dict", hint="save model.state_dict()")
    return content


def _flat(content: object, path: Path, max_bytes: int) -> State:
    """Every tensor under its dotted name, in the order of the file; names that would be the same are told apart."""
    state: State = {}
    room = max_bytes
    for name, tensor in _tensors(content, path):
        if len(state) >= MAX_TENSORS:
            raise DataError(f"{path} holds more than {MAX_TENSORS} tensors", hint="give one model's state dict")
        room -= tensor.numel() * tensor.element_size()
        if room < 0:
            hint = "raise --max-bytes, or give one model's state dict"
            raise DataError(f"{path}: its tensors take more than {max_bytes} bytes, at {name}", hint=hint)
        for part, array in _arrays(name, tensor, path):
            state[_free_name(part, state)] = array
    return state


def _tensors(content: object, path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """The leaves that are tensors; numbers and text, such as an epoch, are passed over."""
    stack: list[tuple[str, object, int]] = [("", content, 0)]
    seen = 0
    while stack:
        name, value, depth = stack.pop()
        seen += 1
        if seen > MAX_ITEMS or depth > MAX_DEPTH:
            hint = "save the model's state_dict alone"
            raise DataError(f"{path} holds more than a state dict, or is nested too deep, at {name[:80]}", hint=hint)
        if isinstance(value, torch.Tensor):
            yield name, value
        elif isinstance(value, (torch.UntypedStorage, torch.TypedStorage)):
            raise DataError(f"{path}: {name} is a storage, no tensor", hint="save the model's state_dict")
        elif isinstance(value, (Mapping, list, tuple, set, frozenset)):
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            inner = [(f"{name}.{key}" if name else str(key), one, depth + 1) for key, one in items]
            stack += reversed(inner)


def _free_name(name: str, taken: Mapping[str, object]) -> str:
    """``name``, or with a number where another tensor has it: ``{"a.b": x, "a": {"b": y}}`` has two of one name."""
    if name not in taken:
        return name
    return next(numbered for number in count(2) if (numbered := f"{name}#{number}") not in taken)


def _arrays(name: str, tensor: torch.Tensor, path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """A tensor's values, of complex ones both parts."""
    if tensor.is_meta or tensor.is_nested:
        hint = "save the model after its weights were loaded, as plain tensors"
        raise DataError(f"{path}: tensor {name} holds no values, only a shape, or is nested", hint=hint)
    try:
        plain = tensor.detach()
        if plain.layout != torch.strided:
            plain = plain.to_dense()
        if plain.is_quantized:
            plain = plain.dequantize()
        if plain.is_complex():
            yield f"{name}.real", _array(plain.real)
            yield f"{name}.imag", _array(plain.imag)
        else:
            yield name, _array(plain)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, MemoryError) as e:
        hint = "convert it to float32, dense and on the CPU, and save the state dict again"
        raise DataError(f"{path}: tensor {name} cannot be read as numbers: {_line(e)}", hint=hint) from e


def _array(plain: torch.Tensor) -> NDArray[Any]:
    if plain.dtype not in _EXACT and plain.dtype not in _FLOATS:
        plain = plain.to(torch.float32)
    array: NDArray[Any] = plain.resolve_neg().contiguous().numpy()
    return array


def _digest(path: Path) -> Digest:
    running = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            running.update(piece)
    return Digest(running.digest())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
