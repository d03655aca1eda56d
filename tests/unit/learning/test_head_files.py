"""Heads of other programs are read by their tensors: safetensors/safetensors#549 (notes), #598 (bfloat16)."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clicooper.errors import SpecError
from clicooper.learning.bottom_model import HeadSpec, load_head, make_random_head
from clicooper.learning.checkpoint import State, decode_state, state_bytes, state_digest

SPEC = HeadSpec("file", dims=6)
HEAD = make_random_head(HeadSpec("random", hidden=(5,), dims=6), (2, 4))
INPUTS = np.random.default_rng(0).normal(size=(9, 2, 4))


def tensors(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).to(dtype) for name, array in HEAD.state().items()}


def written(path: Path, content: dict[str, Any], note: dict[str, str] | None = None) -> Path:
    save_file(content, path, metadata=note)
    return path


def loaded(path: Path) -> State:
    head = load_head(path, (2, 4), SPEC)
    assert np.isfinite(head.features(INPUTS)).all()
    decode_state(state_bytes(head.state()))
    return head.state()


def refusal(path: Path) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load_head(path, (2, 4), SPEC)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert "not written by this program" not in caught.value.diagnostics()
    return caught.value


def test_head_with_notes_is_the_head_without(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    path.write_bytes(state_bytes(HEAD.state()))
    plain = loaded(path)
    exact = {name: torch.from_numpy(array) for name, array in HEAD.state().items()}
    assert state_digest(loaded(written(path, exact, {"format": "pt"}))) == state_digest(plain)


def test_head_whose_header_has_another_order_is_read(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    data = state_bytes(HEAD.state())
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(dict(reversed(json.loads(data[8 : 8 + size]).items()))).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    assert state_digest(loaded(path)) == state_digest(HEAD.state())
    with pytest.raises(SpecError, match="canonical"):  # The rule of committed artifacts stands.
        decode_state(path.read_bytes())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_head_of_every_float_type_is_read_exactly(dtype: str, tmp_path: Path) -> None:
    content = tensors(getattr(torch, dtype))
    state = loaded(written(tmp_path / "head.safetensors", content))
    assert {name: array.tolist() for name, array in state.items()} == {n: t.tolist() for n, t in content.items()}


def test_number_that_is_a_list_of_one_is_read(tmp_path: Path) -> None:
    content = tensors() | {"input.scale": torch.tensor([0.5]), "input.center": torch.tensor([0.25])}
    assert loaded(written(tmp_path / "head.safetensors", content))["input.scale"] == 0.5


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "whole numbers": ({"layer0.bias": torch.ones(5, dtype=torch.int8)}, "layer0.bias has dtype int8"),
    "complex": ({"layer0.bias": torch.ones(5, dtype=torch.complex64)}, "layer0.bias has dtype complex64"),
    "not finite": ({"layer0.bias": torch.full((5,), torch.nan)}, "layer0.bias holds NaN"),
    "one too many": ({"model.head": torch.ones(5)}, "model.head has shape [5] in it and no place in the head"),
    "wrong shape": ({"layer0.bias": torch.ones(4)}, "layer0.bias has shape [4] in it and shape [5] in the head"),
    "other features": ({"layer1.weight": torch.ones(7, 5)}, "8 numbers to 7 features"),
    "no scale": ({"input.scale": torch.tensor(0.0)}, "input.scale is not above 0"),
    "negative scale": ({"input.scale": torch.tensor(-1.0)}, "input.scale is not above 0"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_head_that_does_not_fit_is_refused_with_file_and_tensor(kind: str, tmp_path: Path) -> None:
    changes, message = FAULTS[kind]
    assert message in refusal(written(tmp_path / "head.safetensors", tensors() | changes)).message


def test_head_without_a_tensor_is_refused(tmp_path: Path) -> None:
    content = tensors()
    del content["input.center"]
    message = refusal(written(tmp_path / "head.safetensors", content)).message
    assert "input.center has no place in it and shape [] in the head" in message


def test_head_of_torch_is_refused_with_how_to_convert_it(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "head.safetensors")
    error = refusal(tmp_path / "head.safetensors")
    assert "no safetensors file" in error.message
    assert "save_file" in error.hint


def test_empty_damaged_or_strange_file_is_no_head(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    for content in (b"", b"hello world", state_bytes(HEAD.state())[:-1], (1 << 60).to_bytes(8, "little") + b"{}"):
        path.write_bytes(content)
        refusal(path)
    path.unlink()
    os.mkfifo(path)
    assert "no regular file" in refusal(path).message
