"""Reads a model file that somebody else made: safetensors, or a torch state dict. Nothing in it is executed.

What is read are tensors by name; nested dictionaries, as training programs save them, are joined with dots. Types that
numpy lacks become float32, which holds them exactly. Which of the tensors are a segment's is found out by
``watermark.suspect``.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
MAX_DEPTH = 8
_TORCH_ERRORS = (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError, TypeError, AttributeError)
_PIECE_BYTES = 1 << 20
_EXACT = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
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
        DataError: it cannot be read, is larger than ``max_bytes``, holds no tensors, or more than tensors: a whole
            model pickled by ``torch.save(model)`` would have to be executed.
    """
    size = _size(path)
    if size > max_bytes:
        raise DataError(f"{path} has {size} bytes, above the limit of {max_bytes}", hint="raise --max-bytes")
    state = _read_torch(path) if _is_torch(path) else _read_safetensors(path)
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


def _read_safetensors(path: Path) -> State:
    try:
        tensors = load_file(path)
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as e:
        hint = "give a safetensors file, or a state dict written by torch.save"
        raise DataError(f"{path} is neither safetensors nor a torch file: {_line(e)}", hint=hint) from e
    return dict(_flat(tensors, path))


def _read_torch(path: Path) -> State:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _TORCH_ERRORS as e:
        hint = "save model.state_dict(), or convert the file to safetensors: code in a model file is never run here"
        raise DataError(f"{path} is not a file of tensors alone: {_line(e)}", hint=hint) from e
    if not isinstance(content, Mapping):
        raise DataError(f"{path} holds a {type(content).__name__}, no state dict", hint="save model.state_dict()")
    return dict(_flat(content, path))


def _flat(content: Mapping[Any, Any], path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Every tensor with its dotted name."""
    stack: list[tuple[str, Any, int]] = [("", content, 0)]
    count = 0
    while stack:
        name, value, depth = stack.pop()
        if isinstance(value, torch.Tensor):
            count += 1
            if count > MAX_TENSORS:
                raise DataError(f"{path} holds more than {MAX_TENSORS} tensors", hint="give one model's state dict")
            yield name, _array(value)
        elif isinstance(value, Mapping) and depth < MAX_DEPTH:
            stack += [(f"{name}.{key}" if name else str(key), inner, depth + 1) for key, inner in value.items()]


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    plain = tensor.detach().to_dense() if tensor.is_sparse else tensor.detach()
    if plain.is_quantized:
        plain = plain.dequantize()
    if plain.dtype not in _EXACT and plain.dtype not in _FLOATS:
        plain = (plain.real if plain.is_complex() else plain).to(torch.float32)
    array: NDArray[Any] = plain.contiguous().numpy()
    return array


def _digest(path: Path) -> Digest:
    running = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            running.update(piece)
    return Digest(running.digest())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
