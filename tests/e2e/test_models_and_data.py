"""Every kind of data and of model runs a whole job from the command line and passes its own audit."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clicooper.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
CLASSES = 3
CUSTOM = "tests.custom_model:blocks"

SETTINGS: dict[str, Any] = {
    "trainers": 2,
    "rounds": 1,
    "steps": 8,
    "interval": 4,
    "batch": 16,
    "learning_rate": 0.05,
    "epsilon": 50.0,
    "gamma": 2,
    "group": 2,
    "mechanism": "gaussian",
    "mark_bits": 64,
    "head_records": 60,
    "holdout_records": 18,
    "test_records": 18,
}
"""A job of seconds; its weak privacy lets so few steps on so few records learn something."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    settings(tmp_path)
    return tmp_path


def settings(folder: Path, **changes: Any) -> None:
    """Writes the settings file; numbers and lists look the same in TOML as in JSON."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**SETTINGS, **changes}.items()]
    (folder / "clicooper.toml").write_text("\n".join(lines), encoding="utf-8")


def pixels(size: int, records: int = 180, classes: int = CLASSES) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy copies of one random picture per class: uint8 (records, 3, size, size) and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(records) % classes
    pictures = rng.integers(0, 256, size=(classes, 3, size, size))
    noisy = pictures[labels] + rng.normal(scale=40, size=(records, 3, size, size))
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


def write_npz(folder: Path) -> str:
    inputs, labels = pixels(4)
    np.savez(folder / "blobs.npz", inputs=inputs, labels=labels)
    return "blobs.npz"


def write_cifar(folder: Path) -> str:
    inputs, labels = pixels(32, records=300, classes=10)
    records = np.concatenate([labels[:, None].astype(np.uint8), inputs.reshape(len(labels), -1)], axis=1)
    (folder / "cifar").mkdir()
    for number, part in enumerate(np.array_split(records, 2), start=1):
        (folder / "cifar" / f"data_batch_{number}.bin").write_bytes(part.tobytes())
    return "cifar"


def write_images(folder: Path) -> str:
    for number, (picture, label) in enumerate(zip(*pixels(8), strict=True)):
        path = folder / "images" / f"class-{label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.transpose(1, 2, 0)).save(path)
    return "images"


def command(*arguments: str) -> tuple[int, dict[str, Any]]:
    with redirect_stdout(io.StringIO()) as out:
        code = main([*arguments, "--json", "--quiet"])
    return code, json.loads(out.getvalue())


def demo(*options: str) -> dict[str, Any]:
    code, result = command("demo", "--out", "run", *options)
    assert code == 0, result
    assert result["audit"]["verdict"] == "pass"
    return result


@pytest.mark.parametrize("write", [write_npz, write_cifar, write_images])
def test_data_of_the_users_own(write: Any, folder: Path) -> None:
    settings(folder, widths=[256] * 4)
    result = demo("--data", write(folder))
    assert result["accuracy"]["protected"] > result["accuracy"]["chance"]


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("cnn", {"widths": [96, 96, 96], "activation_shape": [1, 4, 4]}),
        ("resnet18", {"widths": [32, 32, 48, 48], "activation_shape": [3, 4, 4], "steps": 40, "interval": 20}),
    ],
)
def test_models_for_images(model: str, sizes: dict[str, Any], folder: Path) -> None:
    settings(folder, **sizes)
    result = demo("--data", write_images(folder), "--model", model)
    assert {mark["matched"] for mark in result["marks_in_final_model"]} == {64}


def test_model_of_the_users_own_is_audited_only_by_who_trusts_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    demo("--data", write_npz(folder), "--model", CUSTOM)
    assert command("audit", "run", "--trust-model", CUSTOM)[0] == 0
    code, result = command("audit", "run")
    assert (code, result["verdict"]) == (4, "inconclusive")
    assert any(CUSTOM in row["detail"] for row in result["checks"])
