"""CAR files: the golden vectors of another implementation, round trips, and every refusal with its byte."""

import base64
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from multiformats import CID

from clicooper.commitments.canonical import MAX_BLOCK_BYTES, encode
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, CarError, SpecError, StorageError
from clicooper.storage.base import ListableStore, get_bytes, put_bytes
from clicooper.storage.car_store import CarStore
from clicooper.storage.ipld.car import read_car, read_sections, write_car
from clicooper.storage.ipld.cid import IPFS_LAYOUT, block_cid, cid_bytes, parse_cid
from clicooper.storage.ipld.graph import walk
from clicooper.storage.local import LocalStore
from clicooper.storage.transfer import import_car
from tests.simulators import MemoryStore

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "car.json").read_text())
CHUNK = IPFS_LAYOUT.chunk_bytes


def packed(store: MemoryStore, *roots: CID) -> bytes:
    target = io.BytesIO()
    write_car(target, roots, walk(store.get_block, roots))
    return target.getvalue()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def root(store: MemoryStore) -> CID:
    """A record over a file of two chunks, a small file and another record."""
    large = put_bytes(store, bytes(CHUNK) + b"\x01" * 100)
    inner = store.put_block(encode({"small": put_bytes(store, b"small")}))
    return store.put_block(encode({"large": large, "inner": inner}))


@pytest.fixture
def car(store: MemoryStore, root: CID) -> bytes:
    return packed(store, root)


@pytest.fixture
def path(car: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "job.car"
    path.write_bytes(car)
    return path


# --- the same bytes as another implementation ---


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_reads_the_golden_file(vector: dict[str, Any]) -> None:
    roots, blocks = read_car(io.BytesIO(base64.b64decode(vector["car"])))
    assert [str(root) for root in roots] == vector["roots"]
    expected = [(block["cid"], bytes.fromhex(block["hex"])) for block in vector["blocks"]]
    assert [(str(found.cid), found.block) for found in blocks] == expected


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_writes_the_golden_file_byte_for_byte(vector: dict[str, Any]) -> None:
    store = MemoryStore()
    for block in reversed(vector["blocks"]):
        cid = parse_cid(block["cid"])
        store.put_block(bytes.fromhex(block["hex"]), cid.codec.name)
    assert packed(store, *map(parse_cid, vector["roots"])) == base64.b64decode(vector["car"])


# --- round trips ---


def test_a_file_reads_as_it_was_written(store: MemoryStore, root: CID, car: bytes) -> None:
    roots, blocks = read_car(io.BytesIO(car))
    read = [(found.cid, found.block) for found in blocks]
    assert roots == (root,)
    assert read == list(walk(store.get_block, [root]))


def test_offsets_are_where_the_sections_begin(car: bytes) -> None:
    for found in read_car(io.BytesIO(car))[1]:
        assert cid_bytes(found.cid) in car[found.offset : found.offset + 4 + 36]


class _Trickle(io.BytesIO):
    """A pipe's manner: a few bytes per read, long before the end."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 7, 7))


def test_a_pipe_reads_like_a_file(car: bytes) -> None:
    assert [b.offset for b in read_car(_Trickle(car))[1]] == [b.offset for b in read_car(io.BytesIO(car))[1]]


def test_a_file_without_roots_is_not_written() -> None:
    target = io.BytesIO()
    with pytest.raises(SpecError, match="root"):
        write_car(target, [], [])
    assert target.getvalue() == b""


def test_a_target_that_fails_is_an_error(store: MemoryStore, root: CID) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(StorageError, match="/dev/full"):
        write_car(full, [root], walk(store.get_block, [root]))


# --- the file as a store ---


def test_a_file_is_a_store(store: MemoryStore, path: Path) -> None:
    with CarStore(path) as opened:
        assert isinstance(opened, ListableStore)
        assert sorted(map(str, opened.cids())) == sorted(map(str, store.blocks))
        assert len(opened) == len(store.blocks)
        for cid, block in store.blocks.items():
            assert opened.has(cid) and opened.get_block(cid) == block
        file = next(cid for cid in store.blocks if cid.codec.name == "dag-pb")
        assert get_bytes(opened, file) == bytes(CHUNK) + b"\x01" * 100


def test_a_file_as_a_store_lacks_what_it_lacks_and_keeps_nothing(path: Path) -> None:
    before = path.read_bytes()
    with CarStore(path) as opened:
        assert not opened.has(block_cid(b"other", "raw"))
        with pytest.raises(ArtifactMissing, match=r"job\.car"):
            opened.get_block(block_cid(b"other", "raw"))
        for put in (lambda: opened.put_block(b"{}", "raw"), lambda: opened.put_file(io.BytesIO(b"x"))):
            with pytest.raises(StorageError, match="only be read"):
                put()
    assert path.read_bytes() == before


def test_a_flipped_block_is_found_when_it_is_read(path: Path, store: MemoryStore, car: bytes) -> None:
    small = block_cid(b"small", "raw")
    at = car.index(cid_bytes(small) + b"small") + 36
    path.write_bytes(car[:at] + b"S" + car[at + 1 :])
    with CarStore(path) as opened, pytest.raises(ArtifactCorrupt) as e:
        opened.get_block(small)
    assert e.value.cid == str(small)


@pytest.mark.parametrize("name", ["absent.car", "."])
def test_what_cannot_be_read_is_a_storage_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        CarStore(tmp_path / name)


def test_a_pipe_is_no_store(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    try:
        os.write(writer, packed_small())
        with pytest.raises(StorageError, match="pipe"):
            CarStore(pipe)
    finally:
        os.close(writer)


def packed_small() -> bytes:
    store = MemoryStore()
    return packed(store, put_bytes(store, b"small"))


def test_import_keeps_every_block_once(store: MemoryStore, root: CID, path: Path, tmp_path: Path) -> None:
    target = LocalStore(tmp_path / "store")
    first, second = import_car(path, target), import_car(path, target)
    assert first.roots == (root,)
    assert (first.blocks, first.new_blocks, second.new_blocks) == (len(store.blocks), len(store.blocks), 0)
    assert first.size_bytes == sum(map(len, store.blocks.values()))
    assert {cid: target.get_block(cid) for cid in target.cids()} == store.blocks


# --- refusals ---


def section(cid: bytes, block: bytes) -> bytes:
    return varint(len(cid) + len(block)) + cid + block


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def header(content: bytes) -> bytes:
    return varint(len(content)) + content


LEAF = block_cid(b"leaf", "raw")
NAME = cid_bytes(LEAF)
HEAD = header(encode({"roots": [LEAF], "version": 1}))
GOOD = HEAD + section(NAME, b"leaf")
V2_PRAGMA = bytes.fromhex("0aa16776657273696f6e02")
IDENTITY = bytes([1, 0x55, 0, 4]) + b"leaf"
LINK = b"\xd8\x2a\x58\x25\x00" + NAME

HOSTILE: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 0),
    "a header of no bytes": (b"\x00", 0),
    "HTML": (b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", 0),
    "a zip": (b"PK\x03\x04" + bytes(60), 0),
    "CARv2": (V2_PRAGMA + bytes(40) + GOOD, 0),
    "version 3": (header(encode({"roots": [LEAF], "version": 3})), 0),
    "version true": (header(encode({"roots": [LEAF], "version": True})), 0),
    "no version": (header(encode({"roots": [LEAF]})), 0),
    "no roots": (header(encode({"roots": [], "version": 1})), 0),
    "roots that are text": (header(encode({"roots": [str(LEAF)], "version": 1})), 0),
    "an unknown field": (header(encode({"roots": [LEAF], "version": 1, "x": 0})), 0),
    "duplicate keys": (header(b"\xa3\x65roots\x81" + LINK + b"\x67version\x01\x67version\x01"), 0),
    "a header with keys out of order": (header(b"\xa2\x67version\x01\x65roots\x81" + LINK), 0),
    "a header nested a hundred thousand deep": (header(b"\xa1\x65roots" + b"\x81" * 100_000 + b"\x00"), 0),
    "a header of 2^28 bytes": (b"\xff\xff\xff\x7f" + encode({"roots": [LEAF], "version": 1}), 0),
    "a header of 2^63 bytes": (b"\xff" * 8 + b"\x7f", 0),
    "an endless length": (b"\xff" * 1000, 0),
    "a header of more roots than any file has": (header(encode({"roots": [LEAF] * 2000, "version": 1})), 0),
    "a cut header": (HEAD[:20], 0),
    "a root by its identity": (header(b"\xa2\x65roots\x81\xd8\x2a\x49\x00" + IDENTITY + b"\x67version\x01"), 0),
    "a section of no bytes": (GOOD + b"\x00", len(GOOD)),
    "zeros behind the end": (GOOD + bytes(100), len(GOOD)),
    "text behind the end": (GOOD + b"and so on", len(GOOD)),
    "a cut length": (GOOD + b"\x80", len(GOOD)),
    "a cut name": (HEAD + section(NAME, b"leaf")[:20], len(HEAD)),
    "a cut block": (GOOD[:-1], len(HEAD)),
    "a length in a longer form": (HEAD + b"\xa8\x00" + NAME + b"leaf", len(HEAD)),
    "a section shorter than a name": (HEAD + section(NAME[:35], b""), len(HEAD)),
    "a section of 2^27 bytes": (HEAD + b"\xff\xff\xff\x3f" + NAME, len(HEAD)),
    "a section of 2^63 bytes": (HEAD + b"\xff" * 8 + b"\x7f" + NAME, len(HEAD)),
    "a block above the limit": (HEAD + section(NAME, bytes(MAX_BLOCK_BYTES + 1)), len(HEAD)),
    "a name of version 0": (HEAD + section(NAME[2:], b"leaf--"), len(HEAD)),
    "a name of version 2": (HEAD + section(b"\x02" + NAME[1:], b"leaf"), len(HEAD)),
    "an unknown codec": (HEAD + section(b"\x01\x78" + NAME[2:], b"leaf"), len(HEAD)),
    "an identity": (HEAD + section(IDENTITY + bytes(28), b"leaf"), len(HEAD)),
    "another hash": (HEAD + section(b"\x01\x55\x1b\x20" + NAME[4:], b"leaf"), len(HEAD)),
    "a shorter digest": (HEAD + section(b"\x01\x55\x12\x1f" + NAME[4:], b"leaf"), len(HEAD)),
    "a block twice": (GOOD + section(NAME, b"leaf"), len(GOOD)),
}


def read_through(data: bytes) -> None:
    for _ in read_car(io.BytesIO(data))[1]:
        pass


def skim(data: bytes) -> None:
    for _ in read_sections(io.BytesIO(data))[1]:
        pass


@pytest.mark.parametrize("read", [read_through, skim])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_is_refused_with_its_byte(kind: str, read: Callable[[bytes], None]) -> None:
    data, offset = HOSTILE[kind]
    with pytest.raises(CarError, match=f"byte {offset}: ") as e:
        read(data)
    assert (e.value.offset, e.value.exit_code) == (offset, 4)
    assert e.value.hint and e.value.message.isprintable() and len(e.value.message) < 400


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_is_not_imported(kind: str, tmp_path: Path) -> None:
    path, target = tmp_path / "hostile.car", tmp_path / "store"
    path.write_bytes(HOSTILE[kind][0])
    with pytest.raises(CarError, match=r"hostile\.car"):
        import_car(path, LocalStore(target))
    assert not target.exists()


def test_very_many_small_sections_take_no_longer_than_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    sections = b"".join(section(NAME[:4] + i.to_bytes(32, "big"), b"") for i in range(1000))
    monkeypatch.setattr("clicooper.storage.ipld.car.cid_of_bytes", lambda _: pytest.fail("made a CID of a section"))
    skim(HEAD + sections)


def test_the_good_file_that_the_hostile_ones_vary_is_read() -> None:
    assert [found.block for found in read_car(io.BytesIO(GOOD))[1]] == [b"leaf"]


def test_flipped_block_is_refused_with_name_and_byte() -> None:
    with pytest.raises(ArtifactCorrupt, match=f"byte {len(HEAD)}: corrupt here: block {LEAF}") as e:
        read_through(HEAD + section(NAME, b"loaf"))
    assert e.value.cid == str(LEAF)


def test_import_refuses_a_flipped_block_and_keeps_nothing(path: Path, car: bytes, tmp_path: Path) -> None:
    path.write_bytes(car[:-1] + bytes([car[-1] ^ 1]))
    with pytest.raises(ArtifactCorrupt):
        import_car(path, LocalStore(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_import_refuses_a_flipped_block_that_nothing_links(path: Path, car: bytes, tmp_path: Path) -> None:
    path.write_bytes(car + section(NAME, b"loaf"))
    with pytest.raises(ArtifactCorrupt, match=str(LEAF)):
        import_car(path, LocalStore(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_import_refuses_a_file_cut_between_two_blocks(path: Path, car: bytes, tmp_path: Path) -> None:
    """Such a file is well-formed: only its graph shows that something is missing."""
    last = [found.offset for found in read_car(io.BytesIO(car))[1]][-1]
    path.write_bytes(car[:last])
    read_through(car[:last])
    with pytest.raises(ArtifactMissing, match=r"job\.car"):
        import_car(path, LocalStore(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_import_refuses_a_file_without_its_root(path: Path, tmp_path: Path) -> None:
    path.write_bytes(HEAD + section(cid_bytes(block_cid(b"", "raw")), b""))
    with pytest.raises(ArtifactMissing, match=str(LEAF)):
        import_car(path, LocalStore(tmp_path / "store"))


def test_memory_of_reading_is_one_block() -> None:
    """A hundred million bytes in blocks of a million, from a source that has none of them in memory."""
    blocks = [(block_cid(data, "raw"), i) for i in range(100) for data in [bytes([i]) * 1_000_000]]

    class Long(io.RawIOBase):
        def __init__(self) -> None:
            self._parts = self._made()
            self._rest = b""

        def _made(self) -> Any:
            yield header(encode({"roots": [blocks[0][0]], "version": 1}))
            for cid, i in blocks:
                yield section(cid_bytes(cid), bytes([i]) * 1_000_000)

        def read(self, size: int = -1, /) -> bytes:
            while not self._rest and (part := next(self._parts, None)):
                self._rest = part
            data, self._rest = self._rest[:size], self._rest[size:]
            return data

    tracemalloc.start()
    try:
        assert sum(len(found.block) for found in read_car(Long())[1]) == 100_000_000  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


LIMITED = """
import resource, sys
from pathlib import Path
from clicooper.errors import CliCooperError
from clicooper.storage.local import LocalStore
from clicooper.storage.transfer import import_car

with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), used + (64 << 20)))
for path in sys.argv[2:]:
    try:
        import_car(Path(path), LocalStore(Path(sys.argv[1])))
    except CliCooperError as e:
        print(type(e).__name__)
"""


def test_hostile_files_are_refused_within_64_mebibytes(tmp_path: Path) -> None:
    """In a process of its own whose address space cannot grow further; nested, endless and oversized alike."""
    paths = []
    for number, (data, _) in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{number}.car")
        paths[-1].write_bytes(data)
    bombs = {"sparse": HEAD + b"\xff\xff\xff\x3f", "deep": deep_record()}
    for name, data in bombs.items():
        paths.append(tmp_path / f"{name}.car")
        with paths[-1].open("wb") as stream:
            stream.write(data)
            if name == "sparse":
                stream.truncate(1 << 40)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "store"), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["CarError"] * (len(HOSTILE) + 1) + ["ArtifactMalformed"]
    assert not (tmp_path / "store").exists()


def deep_record() -> bytes:
    """A sound file around a record that nests half a million lists."""
    block = b"\xa1\x61a" + b"\x81" * 500_000 + b"\x00"
    cid = block_cid(block, "dag-cbor")
    return header(encode({"roots": [cid], "version": 1})) + section(cid_bytes(cid), block)
