"""Reading a stranger's model file: every kind of tensor, and no kind of code."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

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


# --- no tensor is lost in silence: pytorch/pytorch#105963, pytorch/tensordict#29 ---

CLASHES = {
    "dots": {"a.b": torch.ones(2), "a": {"b": torch.zeros(2)}},
    "a number and its digits": {1: torch.ones(2), "1": torch.zeros(2)},
    "a list and its place": {"a": [torch.ones(2)], "a.0": torch.zeros(2)},
    "true and its word": {True: torch.ones(2), "True": torch.zeros(2)},
}


@pytest.mark.parametrize("kind", CLASHES)
def test_tensors_of_one_name_are_both_kept(kind: str, tmp_path: Path) -> None:
    torch.save(CLASHES[kind], tmp_path / "s.pt")
    state = read_suspect(tmp_path / "s.pt").state
    assert sorted(array.sum() for array in state.values()) == [0, 2]
    assert [name.endswith("#2") for name in state] == [False, True]


def test_numbered_name_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    torch.save({1: VALUES, "1#2": VALUES + 1, "1": VALUES + 2}, tmp_path / "s.pt")
    state = read_suspect(tmp_path / "s.pt").state
    assert {name: float(array[0, 0]) for name, array in state.items()} == {"1": 0, "1#2": 1, "1#3": 2}


@pytest.mark.parametrize("wrap", [list, tuple, lambda one: [{"deep": (one[0], [one[1]])}]])
def test_tensors_in_lists_are_read(wrap: Any, tmp_path: Path) -> None:
    torch.save({"blocks": wrap([VALUES, VALUES + 1]), "epoch": 3, "name": None}, tmp_path / "s.pt")
    state = read_suspect(tmp_path / "s.pt").state
    assert [float(array[0, 0]) for array in state.values()] == [0, 1]
    assert all(name.startswith("blocks.0") or name.startswith("blocks.1") for name in state)


def nested(depth: int) -> object:
    return {"deep": nested(depth - 1)} if depth else VALUES


def test_tensor_below_the_deepest_level_is_no_silent_loss(tmp_path: Path) -> None:
    torch.save({"w": VALUES, "x": nested(10)}, tmp_path / "s.pt")
    assert len(read_suspect(tmp_path / "s.pt").state) == 2
    torch.save({"w": VALUES, "x": nested(40)}, tmp_path / "s.pt")
    with pytest.raises(DataError, match=r"nested too deep, at x\.deep"):
        read_suspect(tmp_path / "s.pt")


def test_lists_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    content: list[object] = [VALUES]
    for _ in range(7):
        content = [content] * 10
    torch.save({"w": VALUES, "x": content}, tmp_path / "s.pt")
    with pytest.raises(DataError, match="more than"):
        read_suspect(tmp_path / "s.pt")


FORMS = {
    "coordinates": (VALUES.to_sparse, {"w": VALUES}),
    "rows": (VALUES.to_sparse_csr, {"w": VALUES}),
    "columns": (VALUES.to_sparse_csc, {"w": VALUES}),
    "quantised": (lambda: torch.quantize_per_tensor(VALUES, 0.125, 0, torch.qint8), {"w": VALUES}),
    "complex": (lambda: torch.complex(VALUES, VALUES + 1), {"w.real": VALUES, "w.imag": VALUES + 1}),
    "conjugate": (lambda: torch.complex(VALUES, VALUES + 1).conj(), {"w.real": VALUES, "w.imag": -VALUES - 1}),
    "parameter": (lambda: torch.nn.Parameter(VALUES), {"w": VALUES}),
    "float8": (lambda: (8 * VALUES).to(torch.float8_e4m3fn), {"w": 8 * VALUES}),
    "large whole numbers": (lambda: torch.tensor([[2**32 - 1]]).to(torch.uint32), {"w": torch.tensor([[2**32 - 1]])}),
}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_unusual_forms_of_tensors_keep_their_values(kind: str, tmp_path: Path) -> None:
    make, expected = FORMS[kind]
    torch.save({"w": make()}, tmp_path / "s.pt")
    state = read_suspect(tmp_path / "s.pt").state
    assert {name: array.tolist() for name, array in state.items()} == {n: e.tolist() for n, e in expected.items()}


REFUSED_TENSORS = {
    "without values": lambda: torch.empty(4, 4, device="meta"),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "endless sparse": lambda: torch.sparse_coo_tensor(torch.tensor([[0], [0]]), torch.ones(1), (1 << 20, 1 << 20)),
    "endless by repetition": lambda: torch.ones(1).expand(1 << 20, 1 << 20),
    "storage": lambda: torch.ones(2).untyped_storage(),
    "sparse beyond its shape": lambda: torch.sparse_coo_tensor(
        torch.tensor([[1 << 40], [0]]), torch.ones(1), (2, 2), check_invariants=False
    ),
}


@pytest.mark.parametrize("kind", REFUSED_TENSORS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensor_that_is_no_array_is_named(kind: str, tmp_path: Path) -> None:
    torch.save({"good": VALUES, "model": {"odd": REFUSED_TENSORS[kind]()}}, tmp_path / "s.pt")
    with pytest.raises(DataError) as caught:
        read_suspect(tmp_path / "s.pt")
    assert str(tmp_path / "s.pt") in caught.value.message
    assert "model.odd" in caught.value.message or "not a file of tensors alone" in caught.value.message
    assert caught.value.hint


def test_pipe_is_no_suspect(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is no file"):
        read_suspect(tmp_path / "pipe")
