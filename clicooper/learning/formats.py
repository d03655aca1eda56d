"""File formats of data sets: each reader returns (inputs float32, labels int64, classes).

Job: read bytes and refuse damaged ones. Non-job: the checks that all data sets share, which ``data.Dataset`` makes.
No reader unpickles anything.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clicooper.errors import DataError
from clicooper.extras import extra
from clicooper.learning.pictures import read_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Raw", "list_cifar_batches", "read_cifar", "read_digits", "read_image_folder", "read_npz"]

Raw = tuple["NDArray[np.float32]", "NDArray[np.int64]", int]

PIXEL_BYTES = 3 * 32 * 32


def read_digits() -> Raw:
    """scikit-learn's digits: (1797, 1, 8, 8) in [0, 1], 10 classes."""
    with extra("evaluate"):
        from sklearn.datasets import load_digits  # noqa: PLC0415 - an extra

    bunch = load_digits()
    inputs = (np.asarray(bunch.data, dtype=np.float32) / np.float32(16)).reshape(-1, 1, 8, 8)
    return inputs, np.asarray(bunch.target, dtype=np.int64), 10


def read_npz(path: Path) -> Raw:
    """An ``.npz`` file with ``inputs`` (or ``x``) and ``labels`` (or ``y``), and ``classes`` where it is not max + 1.

    Floating inputs are taken as they are, ``uint8`` is divided by 255, anything else is refused.

    Raises:
        DataError: not an npz file, damaged, or arrays missing or of a wrong type.
    """
    arrays = _read_archive(path)
    inputs = _floating(path, _pick(path, arrays, "inputs", "x"))
    labels = _pick(path, arrays, "labels", "y")
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or labels.size == 0:
        raise DataError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}", hint="store one whole number per record"
        )
    classes = arrays.get("classes", np.array(max(0, int(labels.max())) + 1))
    if classes.ndim or classes.dtype.kind not in "iu":
        raise DataError(f"{path}: classes is not a whole number", hint="store classes as one integer, or leave it out")
    return inputs, labels.astype(np.int64), int(classes)


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError(f"{path}: a single array, not an archive", hint="write it with numpy.savez")
            entries = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as e:
        raise DataError(f"{path}: not a readable npz file: {e}", hint="write it with numpy.savez, no objects") from e
    # Members that are no arrays come back as bytes.
    return {name: entry for name, entry in entries.items() if isinstance(entry, np.ndarray)}


def list_cifar_batches(folder: Path) -> list[Path]:
    """The training files of a CIFAR binary folder in numeric order; empty where it is not one."""
    numbered = [(re.fullmatch(r"data_batch_(\d+)\.bin", path.name), path) for path in folder.iterdir()]
    batches = sorted((int(match[1]), path) for match, path in numbered if match)
    single = folder / "train.bin"
    return [path for _, path in batches] or ([single] if single.is_file() else [])


def read_cifar(paths: Sequence[Path]) -> Raw:
    """CIFAR binary files: records of one label byte (CIFAR-10) or two (CIFAR-100, the fine one last), then pixels.

    Pixels are 3 planes of 32 x 32 bytes, returned as (n, 3, 32, 32) in [0, 1]. The format is told by the file size:
    3073 or 3074 bytes a record, CIFAR-10 where both fit.

    Raises:
        DataError: an unreadable file, or one that is not a whole number of records.
    """
    contents = [_read(path) for path in paths]
    header = 1 if len(contents[0]) % (PIXEL_BYTES + 1) == 0 else 2
    for path, content in zip(paths, contents, strict=True):
        if not content or len(content) % (PIXEL_BYTES + header):
            raise DataError(
                f"{path}: {len(content)} bytes are not a whole number of {PIXEL_BYTES + header}-byte records",
                hint="the file is truncated or not CIFAR's binary version; fetch it again",
            )
    records = np.frombuffer(b"".join(contents), dtype=np.uint8).reshape(-1, PIXEL_BYTES + header)
    inputs = (records[:, header:].astype(np.float32) / np.float32(255)).reshape(-1, 3, 32, 32)
    return inputs, records[:, header - 1].astype(np.int64), 10 if header == 1 else 100


def read_image_folder(folder: Path, *, size: int | None, grey: bool) -> Raw:
    """One sub-folder per class, classes in the order of their names, images (n, 3 or 1, height, width) in [0, 1].

    Hidden files are passed over, everything else must be an image.

    Raises:
        DataError: no class folders, an empty one, images of different sizes, or one that ``read_picture`` refuses.
    """
    if size is not None and not 1 <= size <= 4096:
        raise DataError(f"{folder}: image size {size} is outside 1..4096", hint="choose the side length in pixels")
    names = sorted(path for path in _visible(folder) if path.is_dir())
    if not names:
        raise DataError(f"{folder}: no class folders", hint="put the images of each class into a folder of its own")
    images: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        paths = sorted(_visible(name))
        if not paths:
            raise DataError(f"{name}: no images", hint="remove the empty class or add images")
        for path in paths:
            images.append(read_picture(path, size=size, grey=grey))
            labels.append(label)
            if images[-1].shape != images[0].shape:
                height, width = images[-1].shape[1:]
                raise DataError(
                    f"{path}: {width} x {height} pixels, unlike the images before it",
                    hint="scale all images alike with the size option",
                )
    return np.stack(images), np.array(labels, dtype=np.int64), len(names)


def _pick(path: Path, arrays: dict[str, NDArray[Any]], *names: str) -> NDArray[Any]:
    for name in names:
        if name in arrays:
            return arrays[name]
    raise DataError(f"{path}: holds {sorted(arrays)}, no array {names[0]!r}", hint=f"name it {' or '.join(names)}")


def _floating(path: Path, inputs: NDArray[Any]) -> NDArray[np.float32]:
    if inputs.dtype == np.uint8:
        return inputs.astype(np.float32) / np.float32(255)
    if inputs.dtype.kind != "f":
        raise DataError(f"{path}: inputs are {inputs.dtype}", hint="store floating-point numbers, or uint8 pixels")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused as such
        return inputs.astype(np.float32)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise DataError(f"{path}: {e.strerror}", hint="check the path and its permissions") from e


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]
