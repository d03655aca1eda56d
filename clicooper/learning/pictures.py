"""One picture file as the pixels that every viewer shows, or a refusal that names the file and what is the matter.

Pillow cuts values off where a mode's range is not 0..255, drops transparency, reads the first of several frames, and
leaves a camera's turn to its caller: what was trained on would not be what the file shows, and nobody would notice.
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from clicooper.errors import DataError
from clicooper.files import open_regular

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MAX_PICTURE_BYTES", "read_picture"]

MAX_PICTURE_BYTES = 1 << 28
"""Larger files are not opened."""

_BYTE_MODES = frozenset(["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"])
"""What ``convert`` brings to 0..255 without a loss."""

_WIDE_MODES = frozenset(["I;16", "I;16B", "I;16L", "I;16N"])
_WIDE_FORMATS = frozenset(["PNG", "TIFF", "JPEG2000"])
_LARGEST = 65535
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
"""Tags of TIFF."""

# Pillow's readers raise whatever a damaged byte leads them to.
_DAMAGED = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, LookupError, TypeError, AttributeError),
    *(ArithmeticError, RuntimeError, MemoryError, AssertionError, Image.DecompressionBombError, Warning),
)


def read_picture(path: Path, *, size: int | None, grey: bool) -> NDArray[np.float32]:
    """The pixels of a picture, float32 (3 or 1, height, width) in [0, 1], turned as its orientation tag says.

    Args:
        size: scale to size x size pixels.
        grey: one channel instead of three.

    Raises:
        DataError: no picture, a damaged or oversized one, several in one file, transparent pixels, or pixels whose
            range is not known.
    """
    with open_regular(path, what="picture", error=DataError) as file:
        if os.fstat(file.fileno()).st_size > MAX_PICTURE_BYTES:
            raise DataError(f"{path}: more than {MAX_PICTURE_BYTES} bytes", hint="scale the picture down")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(file) as image:
                    array = _channels_first(_shown(path, image, grey), size)
        except _DAMAGED as e:
            kind = "not an image" if isinstance(e, UnidentifiedImageError) else "a damaged or oversized image"
            raise DataError(f"{path}: {kind}", hint="remove or replace the file") from e
    return array if grey else np.repeat(array, 3 // len(array), axis=0)


def _shown(path: Path, image: Image.Image, grey: bool) -> Image.Image:
    """The picture as viewers show it: bytes in mode L or RGB, or a wide one in [0, 1] in mode F."""
    if getattr(image, "is_animated", False) and image.format != "MPO":  # A phone's MPO is one shot and its previews.
        hint = "write every frame that is a record to a file of its own"
        raise DataError(f"{path}: several pictures in one {image.format} file", hint=hint)
    wide = _is_wide(path, image)
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data and (wide or upright.convert("RGBA").getchannel("A").getextrema() != (255, 255)):
        hint = "lay it on a background, such as: convert IN -background white -flatten OUT"
        raise DataError(f"{path}: transparent pixels (mode {image.mode})", hint=hint)
    if wide:
        return Image.fromarray(np.asarray(upright, dtype=np.float32) / np.float32(_LARGEST))
    return upright.convert("L" if grey else "RGB")


def _is_wide(path: Path, image: Image.Image) -> bool:
    """Whether its pixels are 0..65535 instead of bytes; anything else is refused."""
    tags: dict[int, Any] = dict(image.tag_v2) if image.format == "TIFF" else {}  # type: ignore[attr-defined]
    signed = any(kind != 1 for kind in tags.get(_SAMPLE_FORMAT, (1,)))
    if image.mode in _BYTE_MODES and not signed:
        return False
    # Pillow scales a PGM of any depth to 16 bits, and calls it I.
    if image.format == "PPM" and image.mode == "I":
        return True
    shallow = bool(tags) and (tags.get(_BITS) != (16,) or tags.get(_PHOTOMETRIC) != 1)
    if image.mode in _WIDE_MODES and image.format in _WIDE_FORMATS and not signed and not shallow:
        return True
    hint = "save it with 8 bits a channel, or as a 16-bit grey PNG"
    raise DataError(f"{path}: the range of its pixels is not known (mode {image.mode}, {image.format})", hint=hint)


def _channels_first(pixels: Image.Image, size: int | None) -> NDArray[np.float32]:
    if size is not None:
        pixels = pixels.resize((size, size), Image.Resampling.BILINEAR)
    array = np.asarray(pixels, dtype=np.float32)
    if pixels.mode != "F":
        array = array / np.float32(255)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))
