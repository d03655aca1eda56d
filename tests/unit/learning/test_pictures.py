"""Pictures are read as viewers show them, or refused by name: python-pillow/Pillow#3011, pytorch/vision#7977."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clicooper.errors import DataError
from clicooper.learning.pictures import MAX_PICTURE_BYTES, read_picture

RAMP = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
BYTES = (RAMP >> 8).astype(np.uint8)
SHOWN = BYTES.astype(np.float32) / 255
COLOURS = np.stack([BYTES, BYTES.T, BYTES[::-1]], axis=2)


def write_pgm(path: Path, largest: int, magic: bytes = b"P5") -> None:
    values = (RAMP.astype(np.int64) * largest // 65535).astype(">u2")
    body = values.tobytes() if magic == b"P5" else " ".join(map(str, values.ravel())).encode()
    path.write_bytes(magic + f"\n8 8\n{largest}\n".encode() + body)


WIDE = {
    "png": lambda path: Image.fromarray(RAMP).save(path, "PNG"),
    "tiff": lambda path: Image.fromarray(RAMP).save(path, "TIFF"),
    "tiff with its high bytes first": lambda path: Image.fromarray(RAMP.astype(">u2")).save(path, "TIFF"),
    "jpeg2000": lambda path: Image.fromarray(RAMP).save(path, "JPEG2000"),
    "pgm": lambda path: write_pgm(path, 65535),
    "pgm of ten bits": lambda path: write_pgm(path, 1023),
    "pgm in words": lambda path: write_pgm(path, 65535, b"P2"),
}


@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.parametrize("grey", [True, False])
def test_sixteen_bits_a_pixel_are_not_cut_off_at_255(kind: str, grey: bool, tmp_path: Path) -> None:
    WIDE[kind](tmp_path / "picture")
    found = read_picture(tmp_path / "picture", size=None, grey=grey)
    assert found.dtype == np.float32
    assert found.shape == (1 if grey else 3, 8, 8)
    assert np.abs(found - SHOWN).max() <= 1.5 / 255
    assert len(np.unique(found)) == 64


def test_scaled_wide_pictures_look_like_scaled_narrow_ones(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "wide.png")
    Image.fromarray(BYTES).save(tmp_path / "narrow.png")
    wide, narrow = (read_picture(tmp_path / name, size=4, grey=False) for name in ("wide.png", "narrow.png"))
    assert np.abs(wide - narrow).max() <= 1.5 / 255


UNKNOWN = {
    "32-bit integers": (RAMP.astype(np.int32), {}, "mode I, TIFF"),
    "floats": ((RAMP / 65535).astype(np.float32), {}, "mode F, TIFF"),
    "16-bit numbers whose zero is white": (RAMP, {262: 0}, "mode I;16, TIFF"),
    "signed bytes": (BYTES, {339: 2}, "mode L, TIFF"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("grey", [True, False])
def test_pixels_of_an_unknown_range_are_refused_with_file_and_mode(kind: str, grey: bool, tmp_path: Path) -> None:
    pixels, tags, mode = UNKNOWN[kind]
    Image.fromarray(pixels).save(tmp_path / "x.tiff", tiffinfo=tags)
    with pytest.raises(DataError, match=mode) as caught:
        read_picture(tmp_path / "x.tiff", size=None, grey=grey)
    assert str(tmp_path / "x.tiff") in caught.value.message
    assert "8 bits" in caught.value.hint


def test_colours_that_cannot_be_converted_are_named(tmp_path: Path) -> None:
    Image.new("LAB", (8, 8)).save(tmp_path / "x.tiff")
    with pytest.raises(DataError, match="mode LAB"):
        read_picture(tmp_path / "x.tiff", size=None, grey=False)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_opaque_pictures_of_bytes_keep_their_colours(mode: str, tmp_path: Path) -> None:
    source = Image.fromarray(COLOURS).convert(mode)
    source.save(tmp_path / "x.tiff")
    expected = np.asarray(source.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255
    assert np.array_equal(read_picture(tmp_path / "x.tiff", size=None, grey=False), expected)
    assert len(np.unique(expected)) > 1


def transparent(kind: str) -> Image.Image:
    """A picture whose pixel (0, 0) is transparent; what lies under it must not be trained on."""
    image = Image.fromarray(COLOURS).convert("L" if kind in ("LA", "grey with a key") else "RGB")
    if kind == "palette":
        return image.quantize(8)
    if kind in ("LA", "RGBA"):
        image = image.convert(kind)
        image.putpixel((0, 0), (*image.getpixel((0, 0))[:-1], 128))  # type: ignore[index]
    return image


GREY = int(np.asarray(Image.fromarray(COLOURS).convert("L"))[0, 0])
KEYS = {"palette": 0, "grey with a key": GREY, "colour with a key": tuple(map(int, COLOURS[0, 0]))}


@pytest.mark.parametrize("kind", ["LA", "RGBA", *KEYS])
@pytest.mark.parametrize("grey", [True, False])
def test_transparent_pixels_are_refused(kind: str, grey: bool, tmp_path: Path) -> None:
    options = {"transparency": KEYS[kind]} if kind in KEYS else {}
    transparent(kind).save(tmp_path / "x.png", **options)
    with pytest.raises(DataError, match=r"x\.png: transparent pixels") as caught:
        read_picture(tmp_path / "x.png", size=None, grey=grey)
    assert "background" in caught.value.hint


def test_key_that_no_pixel_has_hides_nothing(tmp_path: Path) -> None:
    Image.fromarray(BYTES | 1).save(tmp_path / "x.png", transparency=0)
    assert read_picture(tmp_path / "x.png", size=None, grey=True).shape == (1, 8, 8)


def test_transparent_wide_pictures_are_refused(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "x.png", transparency=0)
    with pytest.raises(DataError, match="mode I;16"):
        read_picture(tmp_path / "x.png", size=None, grey=True)


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
    9: lambda a: a,
}


@pytest.mark.parametrize("tag", TURNS)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_orientation_tag_turns_the_picture_as_viewers_do(tag: int, suffix: str, tmp_path: Path) -> None:
    stored = COLOURS[:6]
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[0x0112] = tag
    image.save(tmp_path / f"x.{suffix}", exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    found = read_picture(tmp_path / f"x.{suffix}", size=None, grey=False)
    assert np.array_equal(np.rint(found * 255).transpose(1, 2, 0), TURNS[tag](stored))


def test_orientation_of_a_wide_picture_counts_too(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP[:6])
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.png", exif=exif)
    found = read_picture(tmp_path / "x.png", size=None, grey=True)
    assert np.array_equal(np.rint(found[0] * 65535), np.rot90(RAMP[:6], -1))


@pytest.mark.parametrize("suffix", ["gif", "tiff", "png", "webp"])
def test_file_of_several_pictures_is_refused(suffix: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(COLOURS, step, axis=0)) for step in range(3)]
    frames[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=rf"x\.{suffix}: several pictures"):
        read_picture(tmp_path / f"x.{suffix}", size=None, grey=False)


def test_phones_picture_with_a_preview_is_its_picture(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    assert read_picture(tmp_path / "x.jpg", size=None, grey=False).shape == (3, 8, 8)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tiff", "bmp", "webp", "ppm", "jp2"])
def test_truncated_picture_is_refused(suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"x\.{suffix}: (not an|a damaged)"):
        read_picture(path, size=None, grey=False)


def test_picture_that_unfolds_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (300, 300)).save(tmp_path / "x.png")
    for limit in (50_000, 20_000):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match="oversized"):
            read_picture(tmp_path / "x.png", size=None, grey=False)


def test_pipe_and_endless_file_are_no_pictures(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_PICTURE_BYTES + 1)
    for name, message in (("pipe", "no regular file"), ("large", "more than")):
        with pytest.raises(DataError, match=message):
            read_picture(tmp_path / name, size=None, grey=False)
