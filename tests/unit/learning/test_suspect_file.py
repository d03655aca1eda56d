"""Reading a stranger's model file: every kind of tensor, and no kind of code."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clicooper.errors import DataError
from clicooper.learning.suspect_file import read_suspect

VALUES = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 8
DTYPES = ["float16", "bfloat16", "float32", "float64", "int8", "uint8", "int64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_tensors_of_every_type_are_read_exactly(kind: str, dtype: str, tmp_path: Path) -> None:
    tensor, path = (8 * VALUES).to(getattr(torch, dtype)), tmp_path / "model.bin"
    write = save_file if kind == "safetensors" else torch.save
    write({"layer.weight": tensor}, path)
    suspect = read_suspect(path)
    assert list(suspect.state) == ["layer.weight"]
    assert suspect.state["layer.weight"].tolist() == tensor.to(torch.float64).tolist()
    assert suspect.digest == hashlib.sha256(path.read_bytes()).digest()


def test_nested_checkpoints_are_joined_with_dots_and_everything_else_is_passed_over(tmp_path: Path) -> None:
    content = {"epoch": 3, "name": "x", "model": {"a": {"weight": VALUES}, "b.bias": VALUES[0]}, "list": [1, 2]}
    torch.save(content, tmp_path / "ckpt.pt")
    assert set(read_suspect(tmp_path / "ckpt.pt").state) == {"model.a.weight", "model.b.bias"}


def test_views_and_old_pickles_are_read(tmp_path: Path) -> None:
    torch.save({"w": VALUES.T[1:]}, tmp_path / "view.pt", _use_new_zipfile_serialization=False)
    assert read_suspect(tmp_path / "view.pt").state["w"].tolist() == VALUES.T[1:].tolist()


class Trap:
    """Would leave a file behind if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Path.write_text, (self.path, "executed")  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["in a state dict", "plain pickle", "whole model"])
def test_code_in_a_model_file_is_never_run(kind: str, tmp_path: Path) -> None:
    path, tested = tmp_path / "model.pt", tmp_path / "victim"
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps(Trap(tested), protocol=2))
    else:
        torch.save({"w": VALUES, "trap": Trap(tested)} if kind == "in a state dict" else torch.nn.Linear(3, 4), path)
    with pytest.raises(DataError, match="is not a file of tensors alone") as caught:
        read_suspect(path)
    assert "never run" in caught.value.hint
    assert not tested.exists()


REFUSED = {
    "absent": (None, "is no file"),
    "empty": (b"", "neither safetensors nor a torch file"),
    "text": (b"hello world, this is no model", "neither safetensors nor a torch file"),
    "endless header": ((1 << 60).to_bytes(8, "little") + b"{}", "neither safetensors nor a torch file"),
    "cut archive": (b"PK\x03\x04" + bytes(40), "neither safetensors nor a torch file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_unusable_files_are_refused(what: str, tmp_path: Path) -> None:
    content, message = REFUSED[what]
    if content is not None:
        (tmp_path / "model").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_suspect(tmp_path / "model")


def test_files_without_tensors_or_without_end_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 1}, tmp_path / "none.pt")
    torch.save([VALUES], tmp_path / "list.pt")
    np.savez(tmp_path / "arrays.npz", w=np.ones(3))
    with pytest.raises(DataError, match="holds no tensors"):
        read_suspect(tmp_path / "none.pt")
    with pytest.raises(DataError, match="holds a list, no state dict"):
        read_suspect(tmp_path / "list.pt")
    with pytest.raises(DataError, match="is not a file of tensors alone"):
        read_suspect(tmp_path / "arrays.npz")
    with pytest.raises(DataError, match="above the limit of 100"):
        read_suspect(tmp_path / "list.pt", max_bytes=100)
