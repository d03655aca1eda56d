"""Some rows of a release without the rest of it: where they lie in its file, and how they are read from leaves.

The release's name is the root of its file; a leaf that hangs below that root proves every row that it holds.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.manifest import ActivationRelease
from clicooper.errors import SpecError
from clicooper.storage.base import Store
from clicooper.storage.ipld.cid import IPFS_LAYOUT
from clicooper.storage.ipld.slices import file_parts, leaves_of

__all__ = ["ReleaseRows", "RowPlaces"]

FLOAT32_BYTES = 4
LENGTH_BYTES = 8
HEADER_ALIGNMENT = 8


@dataclass(frozen=True)
class RowPlaces:
    """Where a release's rows lie in its safetensors file, which holds one tensor, ``activations``, and no more.

    Attributes:
        header: the file's beginning, up to the first row.
        rows: number of rows.
        shape: of one row.
    """

    header: bytes
    rows: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, release: ActivationRelease) -> RowPlaces:
        """The places in the file of a release of this shape; there is only one way to write it.

        Raises:
            SpecError: a shape without rows.
        """
        if not release.shape:
            raise SpecError("the release has no rows", hint="its owner released a single number")
        size_bytes = prod(release.shape) * FLOAT32_BYTES
        entry = {"dtype": "F32", "shape": list(release.shape), "data_offsets": [0, size_bytes]}
        text = json.dumps({"activations": entry}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % HEADER_ALIGNMENT)
        return cls(len(text).to_bytes(LENGTH_BYTES, "little") + text, release.shape[0], release.shape[1:])

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return prod(self.shape) * FLOAT32_BYTES

    def bounds(self, row: int) -> tuple[int, int]:
        """First byte of a row, and the byte after its last."""
        start = len(self.header) + row * self.row_bytes
        return start, start + self.row_bytes

    def leaves(self, rows: NDArray[np.int64]) -> frozenset[int]:
        """The leaves that hold some rows, and the one that holds the header."""
        chosen = np.unique(rows).tolist()
        return frozenset(leaf for row in chosen for leaf in leaves_of(*self.bounds(row))) | {0}


class ReleaseRows:
    """The rows that leaves at hand hold, indexed as the whole release would be.

    Args:
        release: whose file the leaves belong to.
        store: where they are.
        wanted: rows that will be asked for.

    Raises:
        ArtifactMissing: a leaf that holds one of them is not there.
        ArtifactCorrupt, SpecError: the file is not what the release says.
    """

    def __init__(self, release: ActivationRelease, store: Store, wanted: NDArray[np.int64]) -> None:
        places = RowPlaces.of(release)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < places.rows:
            raise SpecError(f"the release has {places.rows} rows only", hint="its owner released too little")
        self._rows = places.rows
        self._shape = places.shape
        leaves = _read_leaves(release, store, places.leaves(wanted))
        if _cut(leaves, 0, len(places.header)) != places.header:
            raise SpecError("the release's file is not of the shape that it says", hint="its owner released it so")
        self._held = {row: _cut(leaves, *places.bounds(row)) for row in np.unique(wanted).tolist()}

    def __len__(self) -> int:
        """Rows of the whole release."""
        return self._rows

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The chosen rows, float32 (len(rows), *shape); ``KeyError`` for one that was not asked for."""
        data = b"".join(self._held[row] for row in rows.tolist())
        return np.frombuffer(data, dtype="<f4").reshape(len(rows), *self._shape)

    def as_array(self) -> NDArray[Any]:
        """Itself, for callers that index and measure an array and do no more with it."""
        return self  # type: ignore[return-value]


def _read_leaves(release: ActivationRelease, store: Store, wanted: Collection[int]) -> dict[int, bytes]:
    parts = file_parts(release.activations, store.get_block, wanted)
    return {part.leaf: part.block for part in parts if part.leaf is not None}


def _cut(leaves: dict[int, bytes], start: int, stop: int) -> bytes:
    """Bytes of a file out of the leaves that hold them."""
    chunk = IPFS_LAYOUT.chunk_bytes
    numbers = leaves_of(start, stop)
    joined = b"".join(leaves.get(number, b"") for number in numbers)
    data = joined[start - numbers.start * chunk :][: stop - start]
    if len(data) != stop - start:
        raise SpecError("the release's file is shorter than it says", hint="its owner released it so")
    return data
