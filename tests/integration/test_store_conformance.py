"""What every ``Store`` promises, held against every implementation.

An implementation joins by one entry in ``HARNESSES``: the store, and how to damage and to lose a block behind its back.
IPFS is a real node, and once more behind a local store.
"""

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from multiformats import CID

from clicooper.commitments.canonical import MAX_BLOCK_BYTES, decode, encode
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, SpecError, StorageError
from clicooper.storage.base import ListableStore, Store, get_bytes, put_bytes
from clicooper.storage.ipfs.ipfs_store import IpfsStore
from clicooper.storage.ipld.cid import IPFS_LAYOUT, block_cid, build_file, file_cid
from clicooper.storage.layered import LayeredStore
from clicooper.storage.local import LocalStore
from tests.ipfs_node import IpfsNode, node_programs
from tests.simulators import MemoryStore

CHUNK = IPFS_LAYOUT.chunk_bytes
HELLO_CID = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7]


SEARCH_S = 4.0
"""How long a node looks for what it lacks: nobody has it, so that every test of absence waits for so long."""


@dataclass(frozen=True)
class Harness:
    """A fresh store; ``tamper`` overwrites a block behind its back, ``lose`` deletes one.

    Attributes:
        mends: whether putting again mends a damaged block; a node says that it has the block, and is not sent it.
    """

    store: Store
    tamper: Callable[[CID, bytes], object]
    lose: Callable[[CID], object]
    mends: bool = True


def _local(folder: Path) -> Harness:
    root = folder / "store"

    def path(cid: CID) -> Path:
        return root / str(cid)[-3:-1] / str(cid)

    return Harness(LocalStore(root), lambda cid, data: path(cid).write_bytes(data), lambda cid: path(cid).unlink())


def _memory(folder: Path) -> Harness:
    store = MemoryStore()
    return Harness(store, store.blocks.__setitem__, store.blocks.__delitem__)


def _ipfs(node: IpfsNode) -> Harness:
    def path(cid: CID) -> Path:
        return node.block_file(cid.raw_digest)

    store = IpfsStore(node.url, timeout_s=SEARCH_S)
    return Harness(store, lambda cid, data: path(cid).write_bytes(data), lambda cid: path(cid).unlink(), mends=False)


def _layered(folder: Path, node: IpfsNode) -> Harness:
    """Damage befalls both layers: what one of them still has, the other gets back."""
    local, ipfs = _local(folder), _ipfs(node)

    def tamper(cid: CID, data: bytes) -> None:
        local.tamper(cid, data)
        ipfs.tamper(cid, data)

    def lose(cid: CID) -> None:
        local.lose(cid)
        ipfs.lose(cid)

    assert isinstance(local.store, LocalStore)
    return Harness(LayeredStore(local.store, ipfs.store), tamper, lose)


IN_PROCESS = {"local": _local, "memory": _memory}
ON_NODES = [f"{kind} {program}" for kind in ("ipfs", "layered") for program in node_programs()]


@pytest.fixture(params=[*IN_PROCESS, *ON_NODES])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """Each kind of store in turn. A node serves many tests, and forgets everything between them."""
    if request.param in IN_PROCESS:
        yield IN_PROCESS[request.param](tmp_path)
        return
    kind, program = request.param.split(" ")
    node = request.getfixturevalue("ipfs_node_pairs")(program)[0]
    yield _ipfs(node) if kind == "ipfs" else _layered(tmp_path, node)
    node.call("repo/gc")


@pytest.fixture
def store(harness: Harness) -> Store:
    return harness.store


def _content(size: int) -> bytes:
    """No two chunks alike, so that swapping blocks changes the file."""
    return b"".join(i.to_bytes(4, "big") for i in range(-(-size // 4)))[:size]


def test_block_round_trip(store: Store) -> None:
    block = encode({"round": 1, "seat": 0})
    cid = store.put_block(block)
    assert cid == block_cid(block, "dag-cbor")
    assert store.get_block(cid) == block


@pytest.mark.parametrize("codec", ["raw", "dag-cbor", "dag-pb"])
def test_block_is_named_in_base32_whatever_its_codec(store: Store, codec: str) -> None:
    cid = store.put_block(b"content", codec)
    assert (cid.version, cid.base.name, cid.codec.name, cid.hashfun.name) == (1, "base32", codec, "sha2-256")
    assert store.get_block(cid) == b"content"


def test_unknown_codec_is_refused(store: Store) -> None:
    with pytest.raises(SpecError, match="dag-json"):
        store.put_block(b"{}", "dag-json")


def test_block_above_one_mebibyte_is_refused(store: Store) -> None:
    at_limit = store.put_block(bytes(MAX_BLOCK_BYTES), "raw")
    assert store.get_block(at_limit) == bytes(MAX_BLOCK_BYTES)
    with pytest.raises(SpecError, match=str(MAX_BLOCK_BYTES + 1)):
        store.put_block(bytes(MAX_BLOCK_BYTES + 1), "raw")


def test_known_cid_of_hello_world(store: Store) -> None:
    assert str(put_bytes(store, b"hello world")) == HELLO_CID


@pytest.mark.parametrize("size", SIZES)
def test_file_round_trip(store: Store, size: int) -> None:
    data = _content(size)
    cid = put_bytes(store, data)
    assert cid == file_cid(data)
    assert get_bytes(store, cid) == data


def test_file_from_a_path_and_from_a_stream_have_one_name(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "weights"
    source.write_bytes(_content(2 * CHUNK + 5))
    with source.open("rb") as stream:
        assert store.put_file(stream) == store.put_file(source)


class _Trickle(io.BytesIO):
    """A pipe's manner: at most 1000 bytes per read, long before the end."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 1000, 1000))


def test_short_reads_do_not_change_the_name(store: Store) -> None:
    data = _content(CHUNK + 5000)
    assert store.put_file(_Trickle(data)) == file_cid(data)


class _Reluctant(io.BytesIO):
    """An unbuffered file's manner: takes at most 1000 bytes per write."""

    def write(self, data: object, /) -> int:
        return super().write(memoryview(data)[:1000])  # type: ignore[arg-type]


def test_short_writes_lose_nothing(store: Store) -> None:
    data = _content(CHUNK + 5000)
    target = _Reluctant()
    store.get_file(put_bytes(store, data), target)
    assert target.getvalue() == data


@pytest.fixture(params=IN_PROCESS)
def listable(request: pytest.FixtureRequest, tmp_path: Path) -> ListableStore:
    """The stores that hold nobody else's blocks."""
    store = IN_PROCESS[request.param](tmp_path).store
    assert isinstance(store, ListableStore)
    return store


def test_node_cannot_be_listed() -> None:
    assert not isinstance(IpfsStore(), ListableStore)


def test_putting_again_changes_nothing(listable: ListableStore) -> None:
    store = listable
    first = put_bytes(store, _content(2 * CHUNK))
    before = sorted(map(str, store.cids()))
    assert put_bytes(store, _content(2 * CHUNK)) == first
    assert sorted(map(str, store.cids())) == before


def test_cids_lists_every_block_once(listable: ListableStore) -> None:
    store = listable
    assert list(store.cids()) == []
    root = put_bytes(store, _content(2 * CHUNK) + _content(CHUNK))
    record = store.put_block(encode({"file": root}))
    listed = list(store.cids())
    assert len(listed) == len(set(listed)) == 4, "two distinct leaves, a root and a record"
    assert {root, record} <= set(listed)
    assert all(store.has(cid) for cid in listed)


def test_other_spellings_of_a_cid_name_the_same_content(store: Store) -> None:
    cid = put_bytes(store, b"hello world")
    other = cid.set(base="base58btc")
    assert str(other) != str(cid)
    assert store.has(other)
    assert store.get_block(other) == get_bytes(store, other) == b"hello world"


def test_links_in_records_lead_to_their_files(store: Store) -> None:
    record = store.put_block(encode({"weights": put_bytes(store, b"hello world")}))
    link = decode(store.get_block(record))["weights"]
    assert str(link) == HELLO_CID
    assert get_bytes(store, link) == b"hello world"


def test_absent_block_is_missing(store: Store) -> None:
    cid = block_cid(b"never put", "raw")
    assert not store.has(cid)
    with pytest.raises(ArtifactMissing) as block:
        store.get_block(cid)
    with pytest.raises(ArtifactMissing) as file:
        store.get_file(cid, io.BytesIO())
    assert block.value.cid == file.value.cid == str(cid)
    assert block.value.hint
    assert block.value.exit_code == 4


def test_lost_leaf_is_missing_by_its_own_name(harness: Harness) -> None:
    root = put_bytes(harness.store, _content(3 * CHUNK))
    leaf = file_cid(_content(3 * CHUNK)[CHUNK : 2 * CHUNK])
    harness.lose(leaf)
    assert not harness.store.has(leaf)
    with pytest.raises(ArtifactMissing) as e:
        get_bytes(harness.store, root)
    assert e.value.cid == str(leaf)


def test_unknown_hash_functions_are_refused(store: Store) -> None:
    weak = CID("base32", 1, "raw", ("sha1", bytes(20)))
    for use in (store.get_block, store.has, lambda cid: store.get_file(cid, io.BytesIO())):
        with pytest.raises(SpecError):
            use(weak)


def test_identity_cid_does_not_smuggle_content_past_the_store(store: Store) -> None:
    with pytest.raises(SpecError):
        store.get_block(CID("base32", 1, "raw", ("identity", b"inline")))


def test_store_rejects_flipped_bit_in_any_block(harness: Harness) -> None:
    root = put_bytes(harness.store, _content(2 * CHUNK + 1))
    for cid, _ in build_file(io.BytesIO(_content(2 * CHUNK + 1))):
        block = harness.store.get_block(cid)
        for position in (0, len(block) // 2, len(block) - 1):
            damaged = bytearray(block)
            damaged[position] ^= 1
            harness.tamper(cid, bytes(damaged))
            with pytest.raises(ArtifactCorrupt) as one:
                harness.store.get_block(cid)
            with pytest.raises(ArtifactCorrupt) as whole:
                get_bytes(harness.store, root)
            assert one.value.cid == whole.value.cid == str(cid)
            assert one.value.exit_code == 4
        harness.tamper(cid, block)
    assert get_bytes(harness.store, root) == _content(2 * CHUNK + 1)


@pytest.mark.parametrize("change", [lambda b: b[:0], lambda b: b[:-1], lambda b: b + b"\0", lambda b: b * 50])
def test_store_rejects_cut_and_padded_blocks(harness: Harness, change: Callable[[bytes], bytes]) -> None:
    data = _content(CHUNK)
    cid = put_bytes(harness.store, data)
    harness.tamper(cid, change(data))
    with pytest.raises(ArtifactCorrupt):
        harness.store.get_block(cid)


def test_store_rejects_swapped_blocks(harness: Harness) -> None:
    data = _content(2 * CHUNK)
    root = put_bytes(harness.store, data)
    first, second = file_cid(data[:CHUNK]), file_cid(data[CHUNK:])
    harness.tamper(first, data[CHUNK:])
    harness.tamper(second, data[:CHUNK])
    with pytest.raises(ArtifactCorrupt):
        get_bytes(harness.store, root)


def test_putting_again_mends_a_damaged_block(harness: Harness) -> None:
    cid = put_bytes(harness.store, b"hello world")
    harness.tamper(cid, b"hello w0rld")
    assert put_bytes(harness.store, b"hello world") == cid
    if harness.mends:
        assert get_bytes(harness.store, cid) == b"hello world"
    else:
        with pytest.raises(ArtifactCorrupt, match=r"node http://127\.0\.0\.1:"):
            get_bytes(harness.store, cid)


def test_failed_read_leaves_a_genuine_first_part(harness: Harness) -> None:
    data = _content(3 * CHUNK)
    root = put_bytes(harness.store, data)
    harness.tamper(file_cid(data[2 * CHUNK :]), bytes(CHUNK))
    target = io.BytesIO()
    with pytest.raises(ArtifactCorrupt):
        harness.store.get_file(root, target)
    assert target.getvalue() == data[: 2 * CHUNK]


def test_get_bytes_stops_at_its_limit(store: Store) -> None:
    root = put_bytes(store, _content(CHUNK + 1))
    assert len(get_bytes(store, root, max_bytes=CHUNK + 1)) == CHUNK + 1
    with pytest.raises(ArtifactCorrupt, match=f"more than {CHUNK} bytes"):
        get_bytes(store, root, max_bytes=CHUNK)


def test_a_record_is_not_a_file(store: Store) -> None:
    record = store.put_block(encode({"a": 1}))
    with pytest.raises(ArtifactCorrupt, match="not a file"):
        get_bytes(store, record)


def test_unreadable_source_is_a_storage_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="absent") as e:
        store.put_file(tmp_path / "absent")
    assert e.value.exit_code == 3


def test_full_disk_under_the_target_is_a_storage_error(store: Store) -> None:
    root = put_bytes(store, _content(CHUNK + 1))
    with Path("/dev/full").open("wb", buffering=0) as target, pytest.raises(StorageError, match="No space left"):
        store.get_file(root, target)


def test_large_file_of_more_leaves_than_one_node_links(store: Store) -> None:
    pattern = b"".join(itertools.islice(itertools.cycle((b"\0" * CHUNK, b"\1" * CHUNK)), 175))
    root = put_bytes(store, pattern)
    if isinstance(store, ListableStore):
        assert len(list(store.cids())) == 2 + 3, "two leaves, two nodes above them and the root"
    assert get_bytes(store, root) == pattern
