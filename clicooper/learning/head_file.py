"""The tensors of a head's file, whichever program wrote it.

A head is its owner's input, named by the digest of its tensors. So its file may hold notes, another order, or types
that numpy lacks; committed artifacts have one form alone, which ``checkpoint`` holds them to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray

from clicooper.errors import SpecError
from clicooper.files import read_bounded
from clicooper.learning.checkpoint import MAX_STATE_BYTES, State

__all__ = ["read_head_state"]

_KEPT = (torch.float16, torch.float32, torch.float64)
_CONSTANTS = ("input.center", "input.scale")


def read_head_state(path: Path) -> State:
    """The float tensors of a safetensors file; types that numpy lacks become float32, which holds them exactly.

    Raises:
        SpecError: the file cannot be read, is no safetensors file, or holds a tensor that is not of finite floats.
    """
    hint = "clicooper head export writes one"
    data = read_bounded(path, MAX_STATE_BYTES, what="head", error=SpecError, hint=hint)
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, LookupError, ValueError, TypeError, RuntimeError, AttributeError) as e:
        hint = "convert it: safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'head.safetensors')"
        raise SpecError(f"{path} is no safetensors file: {' '.join(str(e).split())[:120]}", hint=hint) from e
    state: State = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            hint = f"save it as floats: state[{name!r}] = state[{name!r}].float()"
            raise SpecError(f"{path}: tensor {name} has dtype {kind}", hint=hint)
        array = _array(path, name, tensor)
        if not np.isfinite(array).all():
            hint = "give a head whose training went well"
            raise SpecError(f"{path}: tensor {name} holds NaN or infinite numbers", hint=hint)
        # Many programs write a number as a list of one.
        state[name] = array.reshape(()) if name in _CONSTANTS and array.shape == (1,) else array
    return state


def _array(path: Path, name: str, tensor: torch.Tensor) -> NDArray[Any]:
    try:
        array: NDArray[Any] = (tensor if tensor.dtype in _KEPT else tensor.to(torch.float32)).numpy()
    except (RuntimeError, TypeError, NotImplementedError) as e:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise SpecError(f"{path}: tensor {name} has dtype {kind}", hint="save it as float32") from e
    return array
