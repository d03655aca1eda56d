"""Data sets: load one from a named source, check it, name it by digest, split it.

Job: everything between a user's files and four disjoint index sets. Whatever is wrong with the files ends in a
``DataError`` that says what, where and what to do. Non-jobs: file formats (``formats``), bottom models, training.

Splits are public: they come from a NumPy generator and a seed in the job's specification.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clicooper.commitments.canonical import encode, sha256, tensor_digest
from clicooper.errors import DataError
from clicooper.learning import formats
from clicooper.types import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Dataset", "Splits", "digest_dataset", "digest_records", "load_dataset", "split_dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled records, checked on construction. Arrays are read-only.

    Args:
        name: where the data came from; says so in errors, and is no part of the digest.
        inputs: float32 (n, *shape), finite.
        labels: int64 (n,), 0..classes-1, every class present.
        classes: K >= 2.

    Raises:
        DataError: anything else.
    """

    name: str
    inputs: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    classes: int

    def __post_init__(self) -> None:
        _check_inputs(self.name, self.inputs, self.labels)
        _check_labels(self.name, self.labels, self.classes)
        for array in ("inputs", "labels"):
            view = getattr(self, array).view()
            view.setflags(write=False)
            object.__setattr__(self, array, view)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record."""
        return self.inputs.shape[1:]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Splits:
    """Disjoint, covering, ascending int64 index arrays into one data set.

    Args:
        head: records that train the head; never released. May be empty for a head that is not disjoint.
        release: records that are released, once.
        holdout: the owner's own, for judging progress between rounds.
        test: for the accuracy that is reported.
    """

    head: NDArray[np.int64]
    release: NDArray[np.int64]
    holdout: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def own(self) -> NDArray[np.int64]:
        """Labelled records that the owner never releases: the head's, or the hold-out's where the head has none."""
        return self.head if self.head.size else self.holdout


def load_dataset(source: str, *, size: int | None = None, grey: bool = False) -> Dataset:
    """Loads ``digits``, an ``.npz`` file, CIFAR-10/100 binary files, or a folder of images by class.

    Args:
        source: ``digits`` (scikit-learn's 8 x 8 digits), or the path of a file or folder. A folder with
            ``data_batch_*.bin`` or ``train.bin`` is CIFAR, any other folder has one sub-folder per class.
        size: image folders only: scale every image to size x size pixels; by default all must be equal.
        grey: image folders only: one channel instead of three.

    Returns:
        Pixels in [0, 1], channels first; arrays of an ``.npz`` as they are, ``uint8`` divided by 255.

    Raises:
        DataError: what is wrong, where, and what to do.
    """
    path = Path(source)
    if source == "digits":
        raw = formats.read_digits()
    elif path.is_file() and path.suffix == ".npz":
        raw = formats.read_npz(path)
    elif path.is_file() and path.suffix == ".bin":
        raw = formats.read_cifar([path])
    elif path.is_dir():
        batches = formats.list_cifar_batches(path)
        raw = formats.read_cifar(batches) if batches else formats.read_image_folder(path, size=size, grey=grey)
    else:
        hint = "name 'digits', an .npz file, CIFAR .bin files or a folder of images by class"
        raise DataError(f"{source}: no such data set, file or folder", hint=hint)
    return Dataset(source, *raw)


def digest_dataset(dataset: Dataset) -> Digest:
    """The digest of a data set; its name is left out."""
    return digest_records(dataset.inputs, dataset.labels, dataset.classes)


def digest_records(inputs: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> Digest:
    """sha2-256 of the DAG-CBOR map {classes, inputs, labels}, tensors by their own digests.

    Args:
        inputs: float32 (n, *shape); labels: int64 (n,), of which a class may be absent.
    """
    record = {"classes": classes, "inputs": tensor_digest(inputs), "labels": tensor_digest(labels)}
    return sha256(encode(record))


def split_dataset(
    dataset: Dataset, seed: int, *, head: float, holdout: float, test: float, by_class: bool = True
) -> Splits:
    """Splits every class by the same shares; what remains is released.

    Records with identical inputs go to one part together, so that no part holds a copy of another's record, as far
    as bytes can tell. Shares are met to within one such group of copies in each class.

    Args:
        dataset: to split.
        seed: >= 0, public; seeds NumPy's PCG64.
        head, holdout, test: shares in [0, 1); 0 leaves a part empty, any other share gets a record of each class.
        by_class: False splits all records at once and looks at no label: where labels are protected, one of them
            must not decide which records are released.

    Raises:
        DataError: shares out of range, or too few records of a class.
    """
    shares = (head, holdout, test)
    if not all(0 <= share < 1 for share in shares) or sum(shares) >= 1 or seed < 0:
        raise DataError(
            f"shares {shares} with seed {seed} leave nothing to release", hint="choose shares that sum to less than 1"
        )
    rng = np.random.Generator(np.random.PCG64(seed))
    source = _source_of_record(dataset.inputs)
    part_of_source = np.full(len(dataset), -1, dtype=np.int64)
    for name, members in _strata(dataset, source, by_class):
        sources, copies = np.unique(source[members], return_counts=True)
        order = rng.permutation(sources.size)
        parts = _deal_stratum(f"{dataset.name}: {name}", copies[order], shares)
        part_of_source[sources[order]] = parts
    part = part_of_source[source]
    indices = [np.flatnonzero(part == number).astype(np.int64) for number in range(4)]
    return Splits(head=indices[0], holdout=indices[1], test=indices[2], release=indices[3])


def _strata(dataset: Dataset, source: NDArray[np.int64], by_class: bool) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """What is split by the same shares, in words, and which records it has: each class, copies with their first."""
    if not by_class:
        yield "the data set", np.ones(len(dataset), dtype=np.bool_)
        return
    for label in range(dataset.classes):
        yield f"class {label}", dataset.labels[source] == label


def _deal_stratum(name: str, copies: NDArray[np.int64], shares: tuple[float, ...]) -> NDArray[np.int64]:
    """Part 0..3 of each group of copies: parts are filled one after the other, the rest goes to the last."""
    total = int(copies.sum())
    wanted = [max(1, round(share * total)) if share else 0 for share in shares]
    parts = np.full(copies.size, len(shares), dtype=np.int64)
    group = 0
    for part, records in enumerate(wanted):
        held = 0
        while held < records and group < copies.size:
            held += int(copies[group])
            parts[group] = part
            group += 1
    if group == copies.size:
        raise DataError(
            f"{name} has {total} records in {copies.size} distinct inputs, too few for the shares {shares}",
            hint="use smaller shares or more records",
        )
    return parts


def _source_of_record(inputs: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each record the index of the first record with the same bytes."""
    first: dict[bytes, int] = {}
    return np.array(
        [first.setdefault(hashlib.sha256(row.tobytes()).digest(), number) for number, row in enumerate(inputs)],
        dtype=np.int64,
    )


def _check_inputs(name: str, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    if inputs.dtype != np.float32 or inputs.ndim < 2 or inputs.size == 0:
        raise DataError(
            f"{name}: inputs are {inputs.dtype} of shape {inputs.shape}",
            hint="inputs must be float32 of shape (records, ...), with at least one record",
        )
    if labels.dtype != np.int64 or labels.shape != (len(inputs),):
        raise DataError(
            f"{name}: labels are {labels.dtype} of shape {labels.shape} for {len(inputs)} records",
            hint="labels must be one whole number per record",
        )
    finite = np.isfinite(inputs.reshape(len(inputs), -1)).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{name}: record {int(np.argmin(finite))} holds NaN or an infinite number", hint="drop or repair the record"
        )


def _check_labels(name: str, labels: NDArray[np.int64], classes: int) -> None:
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        record = int(np.argmax(wrong))
        raise DataError(
            f"{name}: record {record} has label {labels[record]}, outside 0..{classes - 1}",
            hint="number classes from 0 without gaps",
        )
    if classes < 2:
        raise DataError(f"{name}: only one class", hint="a classifier needs at least two")
    if classes > labels.size:
        raise DataError(
            f"{name}: {classes} classes for {labels.size} records", hint="number classes from 0 without gaps"
        )
    missing = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if missing.size:
        raise DataError(
            f"{name}: class {missing[0]} has no record", hint="number classes from 0 without gaps, or add the class"
        )
