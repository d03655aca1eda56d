"""Loaders on files written here, sound and damaged; splits; the data set's digest."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from clicooper.errors import DataError
from clicooper.learning.data import Dataset, digest_dataset, load_dataset, split_dataset

RNG = np.random.default_rng(2)


def toy(n=60, classes=3):
    inputs = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    return Dataset("toy", inputs, np.arange(n) % classes, classes)


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def cifar10_bytes(n=20, labels=None):
    labels = np.arange(n) % 10 if labels is None else labels
    pixels = RNG.integers(0, 256, size=(n, 3072), dtype=np.uint8)
    return np.hstack([np.asarray(labels, dtype=np.uint8)[:, None], pixels]).tobytes(), pixels


def write_images(folder, sizes=((6, 4),) * 3, classes=("cat", "dog"), mode="RGB"):
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index, (width, height) in enumerate(sizes):
            Image.new(mode, (width, height), color=index * 51).save(folder / name / f"{index}.png")
    return folder


# --- sound sources


def test_digits():
    dataset = load_dataset("digits")
    assert dataset.inputs.shape == (1797, 1, 8, 8)
    assert (dataset.inputs.min(), dataset.inputs.max(), dataset.classes, len(dataset)) == (0.0, 1.0, 10, 1797)
    assert dataset.inputs.dtype == np.float32
    assert dataset.labels.dtype == np.int64


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("inputs", "labels")])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_npz_of_floats_is_taken_as_it_is(tmp_path, x, y, dtype):
    values = np.arange(12, dtype=dtype).reshape(4, 3)
    dataset = load_dataset(write_npz(tmp_path / "d.npz", **{x: values, y: np.array([0, 1, 1, 0], dtype=np.uint8)}))
    assert np.array_equal(dataset.inputs, values)
    assert dataset.classes == 2
    assert dataset.shape == (3,)


def test_npz_of_bytes_is_scaled(tmp_path):
    values = np.array([[0, 255], [51, 102]], dtype=np.uint8)
    dataset = load_dataset(write_npz(tmp_path / "d.npz", x=values, y=np.array([0, 1])))
    assert np.allclose(dataset.inputs, [[0, 1], [0.2, 0.4]])


def test_cifar10_folder_reads_training_batches_in_numeric_order(tmp_path):
    first, pixels = cifar10_bytes()
    second, _ = cifar10_bytes()
    (tmp_path / "data_batch_2.bin").write_bytes(first)
    (tmp_path / "data_batch_10.bin").write_bytes(second)
    (tmp_path / "test_batch.bin").write_bytes(b"not read")
    dataset = load_dataset(str(tmp_path))
    assert dataset.inputs.shape == (40, 3, 32, 32)
    assert np.array_equal(np.rint(dataset.inputs[:20] * 255).astype(np.uint8).reshape(20, -1), pixels)
    assert np.array_equal(dataset.labels, np.arange(40) % 20 % 10)
    assert dataset.classes == 10


def test_cifar10_single_file(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(cifar10_bytes()[0])
    assert len(load_dataset(str(tmp_path / "data_batch_1.bin"))) == 20


def test_cifar100_takes_the_fine_label(tmp_path):
    records = np.zeros((100, 3074), dtype=np.uint8)
    records[:, 0], records[:, 1] = np.arange(100) % 20, np.arange(100)
    (tmp_path / "train.bin").write_bytes(records.tobytes())
    dataset = load_dataset(str(tmp_path))
    assert dataset.classes == 100
    assert np.array_equal(dataset.labels, np.arange(100))


def test_image_folder_in_colour_and_grey(tmp_path):
    folder = write_images(tmp_path / "images")
    (folder / ".DS_Store").write_bytes(b"hidden")
    colour, grey = load_dataset(str(folder)), load_dataset(str(folder), grey=True)
    assert colour.inputs.shape == (6, 3, 4, 6)
    assert grey.inputs.shape == (6, 1, 4, 6)
    assert colour.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert 0 <= colour.inputs.min() < colour.inputs.max() <= 1


def test_image_folder_scaled_to_one_size(tmp_path):
    folder = write_images(tmp_path / "images", sizes=((6, 4), (9, 9)))
    assert load_dataset(str(folder), size=5).inputs.shape == (4, 3, 5, 5)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "1"])
def test_images_of_every_mode_become_colour(tmp_path, mode):
    assert load_dataset(str(write_images(tmp_path / "images", mode=mode))).shape == (3, 4, 6)


# --- damaged sources: what, where, and a hint


def refused(source, message, **options):
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(str(source), **options)
    assert str(source) in caught.value.message
    assert caught.value.hint


def test_unknown_source():
    refused("nowhere", "no such data set, file or folder")


def test_text_file_is_no_data_set(tmp_path):
    (tmp_path / "data.csv").write_text("1,2")
    refused(tmp_path / "data.csv", "no such data set")


VALUES, TARGETS = np.ones((4, 3)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": VALUES}, "no array 'labels'"),
        ({"y": TARGETS}, "no array 'inputs'"),
        ({"x": VALUES.astype(np.int32), "y": TARGETS}, "inputs are int32"),
        ({"x": VALUES.astype(complex), "y": TARGETS}, "inputs are complex128"),
        ({"x": np.array(["a", "b"]), "y": TARGETS}, "inputs are <U1"),
        ({"x": VALUES, "y": TARGETS.astype(float)}, "labels are float64"),
        ({"x": VALUES, "y": TARGETS[:, None]}, r"labels are int64 of shape \(4, 1\)"),
        ({"x": VALUES, "y": TARGETS[:3]}, r"shape \(3,\) for 4 records"),
        ({"x": VALUES[:, 0], "y": TARGETS}, r"inputs are float32 of shape \(4,\)"),
        ({"x": VALUES[:0], "y": TARGETS[:0]}, "labels are int64"),
        ({"x": VALUES[:, :0], "y": TARGETS}, "inputs are float32"),
        ({"x": np.array([[1.0], [np.nan], [1.0], [1.0]]), "y": TARGETS}, "record 1 holds NaN"),
        ({"x": np.array([[1.0], [1.0], [-np.inf], [1.0]]), "y": TARGETS}, "record 2 holds NaN"),
        ({"x": VALUES * 1e39, "y": TARGETS}, "record 0 holds NaN or an infinite"),
        ({"x": VALUES, "y": TARGETS - 1}, "record 0 has label -1"),
        ({"x": VALUES, "y": TARGETS, "classes": np.array(1)}, "record 1 has label 1, outside 0..0"),
        ({"x": VALUES, "y": TARGETS, "classes": np.array(2.5)}, "classes is not a whole number"),
        ({"x": VALUES, "y": TARGETS, "classes": np.array([2])}, "classes is not a whole number"),
        ({"x": VALUES, "y": TARGETS * 2}, "class 1 has no record"),
        ({"x": VALUES, "y": TARGETS, "classes": np.array(3)}, "class 2 has no record"),
        ({"x": VALUES, "y": TARGETS * 0}, "only one class"),
        ({"x": VALUES, "y": TARGETS * 10**15}, "1000000000000001 classes for 4 records"),
        ({"x": VALUES, "y": TARGETS.astype(np.uint64) + np.uint64(1 << 63)}, "label -"),
    ],
)
def test_npz_with_wrong_arrays(tmp_path, arrays, message):
    refused(write_npz(tmp_path / "d.npz", **arrays), message)


def test_npz_truncated_flipped_or_foreign(tmp_path):
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=RNG.normal(size=(50, 3)), y=np.arange(50) % 2)
    sound = path.read_bytes()
    flipped = bytearray(sound)
    flipped[200] ^= 0xFF
    plain = io.BytesIO()
    np.save(plain, VALUES)
    for content in (sound[:-30], sound[:100], bytes(flipped), b"", b"hello"):
        path.write_bytes(content)
        refused(path, "not a readable npz file")
    path.write_bytes(plain.getvalue())
    refused(path, "a single array")


def test_npz_with_a_pickle_inside_is_never_unpickled(tmp_path):
    objects = np.empty(2, dtype=object)
    objects[:] = [print, 1]
    np.savez(tmp_path / "d.npz", x=objects, y=np.array([0, 1]), allow_pickle=True)
    refused(tmp_path / "d.npz", "not a readable npz file.*allow_pickle")


def test_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("inputs", "hello")
    refused(tmp_path / "d.npz", "no array 'inputs'")


@pytest.mark.parametrize("cut", [1, 100, 3072])
def test_cifar_truncated(tmp_path, cut):
    (tmp_path / "data_batch_1.bin").write_bytes(cifar10_bytes()[0])
    (tmp_path / "data_batch_2.bin").write_bytes(cifar10_bytes()[0][:-cut])
    refused(tmp_path, "data_batch_2.bin: .* not a whole number of 3073-byte records")


def test_cifar_empty_or_with_a_wrong_label(tmp_path):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(b"")
    refused(path, "not a whole number")
    path.write_bytes(cifar10_bytes(labels=np.full(20, 11))[0])
    refused(path, "record 0 has label 11")
    path.write_bytes(cifar10_bytes(labels=np.arange(20) % 9)[0])
    refused(path, "class 9 has no record")


def test_cifar_batch_that_cannot_be_read(tmp_path):
    (tmp_path / "data_batch_1.bin").mkdir()
    refused(tmp_path, "Is a directory")


def test_image_folders_with_faults(tmp_path):
    refused(tmp_path, "no class folders")
    refused(write_images(tmp_path / "one", classes=("cat",)), "only one class")
    refused(write_images(tmp_path / "sizes", sizes=((6, 4), (4, 6))), "4 x 6 pixels, unlike")
    empty = write_images(tmp_path / "empty")
    (empty / "ant").mkdir()
    refused(empty, "ant: no images")
    text = write_images(tmp_path / "text")
    (text / "cat" / "notes.txt").write_text("hello")
    refused(text, "notes.txt: not an image")
    cut = write_images(tmp_path / "cut")
    (cut / "dog" / "1.png").write_bytes((cut / "dog" / "1.png").read_bytes()[:50])
    refused(cut, "1.png: a damaged")
    refused(cut, "size 0 is outside", size=0)


def test_decompression_bomb_is_refused(tmp_path, monkeypatch):
    folder = write_images(tmp_path / "images", sizes=((300, 300),))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    refused(folder, "oversized")


# --- the record itself


def test_data_sets_are_frozen():
    dataset = toy()
    with pytest.raises(ValueError, match="read-only"):
        dataset.inputs[0, 0] = 1


def test_data_sets_of_other_types_are_refused():
    with pytest.raises(DataError, match="inputs are float64"):
        Dataset("toy", np.ones((2, 2)), np.array([0, 1]), 2)
    with pytest.raises(DataError, match="labels are int32"):
        Dataset("toy", np.ones((2, 2), dtype=np.float32), np.array([0, 1], dtype=np.int32), 2)


def test_digest_covers_inputs_labels_and_classes_but_not_the_name():
    base = toy()
    swapped = base.labels.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    nudged = base.inputs.copy()
    nudged[5, 2] = np.nextafter(nudged[5, 2], np.float32(9))
    reshaped = base.inputs.reshape(60, 2, 2)
    assert digest_dataset(Dataset("other", base.inputs, base.labels, 3)) == digest_dataset(base)
    others = [(base.inputs, swapped), (nudged, base.labels), (reshaped, base.labels)]
    digests = {digest_dataset(Dataset("toy", x, y, 3)) for x, y in others}
    assert len(digests | {digest_dataset(base)}) == 4


# --- splits


def test_splits_are_stratified_and_repeatable():
    dataset = toy(300)
    splits = split_dataset(dataset, 4, head=0.2, holdout=0.1, test=0.3)
    for part, expected in ((splits.head, 20), (splits.holdout, 10), (splits.test, 30), (splits.release, 40)):
        assert np.bincount(dataset.labels[part]).tolist() == [expected] * 3
    again = split_dataset(dataset, 4, head=0.2, holdout=0.1, test=0.3)
    other = split_dataset(dataset, 5, head=0.2, holdout=0.1, test=0.3)
    assert np.array_equal(splits.release, again.release)
    assert not np.array_equal(splits.release, other.release)


def test_a_share_of_zero_leaves_a_part_empty_and_a_small_one_gets_every_class():
    splits = split_dataset(toy(), 0, head=0.0, holdout=0.001, test=0.2)
    assert (splits.head.size, splits.holdout.size, splits.head.dtype) == (0, 3, np.int64)


def test_copies_never_cross_parts_even_under_two_labels():
    """A copy in the head's part would make the head depend on a released record."""
    base = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    inputs = np.concatenate([base, base[:20], base[:10]])
    labels = np.concatenate([np.arange(40) % 2, np.arange(20) % 2, (np.arange(10) + 1) % 2])
    splits = split_dataset(Dataset("copies", inputs, labels, 2), 1, head=0.3, holdout=0.1, test=0.2)
    seen = [{inputs[i].tobytes() for i in part} for part in (splits.head, splits.release, splits.holdout, splits.test)]
    assert sum(len(part) for part in seen) == len(set.union(*seen)) == 40


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (-0.1, 0.1, 0.1), (1.0, 0.0, 0.0), (float("nan"), 0.1, 0.1)])
def test_shares_that_leave_nothing_to_release_are_refused(shares):
    head, holdout, test = shares
    with pytest.raises(DataError, match="leave nothing"):
        split_dataset(toy(), 0, head=head, holdout=holdout, test=test)


def test_negative_seed_is_refused():
    with pytest.raises(DataError):
        split_dataset(toy(), -1, head=0.1, holdout=0.1, test=0.1)


def test_too_few_distinct_records_of_a_class_are_named():
    inputs = np.ones((8, 2), dtype=np.float32)
    inputs[4:] = np.arange(8).reshape(4, 2)
    dataset = Dataset("few", inputs, np.array([0, 0, 0, 0, 1, 1, 1, 1]), 2)
    with pytest.raises(DataError, match="class 0 has 4 records in 1 distinct inputs"):
        split_dataset(dataset, 0, head=0.2, holdout=0.2, test=0.2)
