"""The walk over a graph: what it yields, in which order, and what it refuses; attacks are named after themselves."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from multiformats import CID, multihash

from clicooper.commitments.canonical import encode
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, CliCooperError, GraphTooLarge, SpecError, StorageError
from clicooper.storage.base import put_bytes
from clicooper.storage.ipld.cid import IPFS_LAYOUT, block_cid, cid_bytes
from clicooper.storage.ipld.dagpb import Link, encode_node
from clicooper.storage.ipld.graph import block_links, walk
from tests.simulators import MemoryStore

CHUNK = IPFS_LAYOUT.chunk_bytes


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def put(store: MemoryStore, **fields: Any) -> CID:
    return store.put_block(encode(fields))


def names(store: MemoryStore, *roots: CID, **limits: Any) -> list[CID]:
    return [cid for cid, _ in walk(store.get_block, roots, **limits)]


def test_a_leaf_is_a_graph_of_one(store: MemoryStore) -> None:
    leaf = put_bytes(store, b"leaf")
    assert list(walk(store.get_block, [leaf])) == [(leaf, b"leaf")]


def test_parents_come_first_and_links_in_the_order_of_their_block(store: MemoryStore) -> None:
    a, b, c = (put_bytes(store, text) for text in (b"a", b"b", b"c"))
    inner = put(store, z=[a, {"y": b}])
    top = put(store, one=c, two=inner)
    assert names(store, top) == [top, c, inner, a, b]


def test_a_file_is_walked_down_to_its_leaves(store: MemoryStore) -> None:
    content = b"".join(bytes([i]) * CHUNK for i in range(3))
    root = put_bytes(store, content)
    blocks = list(walk(store.get_block, [root]))
    assert blocks[0][0] == root
    assert b"".join(block for _, block in blocks[1:]) == content


def test_what_is_linked_many_times_comes_once(store: MemoryStore) -> None:
    leaf = put_bytes(store, b"leaf")
    inner = put(store, leaf=[leaf] * 50)
    top = put(store, parts=[inner, leaf, inner])
    assert names(store, top) == [top, inner, leaf]
    assert names(store, top, inner, top) == [top, leaf, inner], "a root keeps its place among the roots"


def test_roots_come_in_their_order(store: MemoryStore) -> None:
    a, b = put_bytes(store, b"a"), put_bytes(store, b"b")
    assert names(store, b, a) == [b, a]


def test_no_roots_are_an_empty_graph(store: MemoryStore) -> None:
    assert names(store) == []


def test_the_same_graph_is_walked_the_same_way_from_any_store(store: MemoryStore) -> None:
    leaves = [put_bytes(store, bytes([i])) for i in range(20)]
    top = put(store, parts=[put(store, pair=leaves[i : i + 3]) for i in range(17)])
    other = MemoryStore()
    other.blocks = dict(reversed(store.blocks.items()))
    assert names(store, top) == names(other, top)
    assert len(names(store, top)) == 1 + 17 + 19 + 0


def test_a_root_in_another_base_or_version_is_the_same_content(store: MemoryStore) -> None:
    leaf = put_bytes(store, b"leaf")
    assert names(store, leaf.set(base="base58btc"), leaf) == [leaf]


# --- damage ---


def test_a_missing_block_is_named(store: MemoryStore) -> None:
    leaf = put_bytes(store, b"leaf")
    top = put(store, leaf=leaf)
    del store.blocks[leaf]
    with pytest.raises(ArtifactMissing) as e:
        names(store, top)
    assert e.value.cid == str(leaf)


def test_a_walk_that_is_told_to_go_on_reports_every_bad_block(store: MemoryStore) -> None:
    good, lost, damaged = (put_bytes(store, text) for text in (b"good", b"lost", b"damaged"))
    top = put(store, parts=[lost, damaged, good])
    del store.blocks[lost]
    store.blocks[damaged] = b"other"
    bad: dict[CID, type[CliCooperError]] = {}
    found = names(store, top, on_bad=lambda cid, e: bad.update({cid: type(e)}))
    assert found == [top, good]
    assert bad == {lost: ArtifactMissing, damaged: ArtifactCorrupt}


def test_an_unreachable_store_ends_the_walk_whatever_is_done_about_bad_blocks() -> None:
    def unreachable(cid: CID) -> bytes:
        raise StorageError("no route", hint="wait")

    with pytest.raises(StorageError):
        list(walk(unreachable, [block_cid(b"", "raw")], on_bad=lambda _cid, _e: None))


def test_walk_rejects_a_store_that_lies(store: MemoryStore) -> None:
    leaf = put_bytes(store, b"leaf")
    with pytest.raises(ArtifactCorrupt, match=str(leaf)):
        list(walk(lambda _: b"lie", [leaf]))


# --- attacks ---


def test_walk_survives_a_chain_deeper_than_any_stack(store: MemoryStore) -> None:
    top = put(store, previous=None)
    for _ in range(1_500):
        top = put(store, previous=top)
    assert len(names(store, top)) == 1_501


def test_walk_refuses_a_fan_out_beyond_its_limit_before_it_fetches_any_of_it(store: MemoryStore) -> None:
    top = put(store, parts=[block_cid(i.to_bytes(4, "big"), "raw") for i in range(2_000)])
    fetched: list[CID] = []

    def get_block(cid: CID) -> bytes:
        fetched.append(cid)
        return store.get_block(cid)

    with pytest.raises(GraphTooLarge, match="1000 blocks") as e:
        list(walk(get_block, [top], max_blocks=1_000))
    assert fetched == [top]
    assert e.value.exit_code == 4 and e.value.hint


def test_walk_refuses_more_bytes_than_its_limit(store: MemoryStore) -> None:
    root = put_bytes(store, b"".join(bytes([i]) * CHUNK for i in range(2)))
    with pytest.raises(GraphTooLarge, match="500000 bytes"):
        names(store, root, max_bytes=500_000)


def test_limits_are_inclusive(store: MemoryStore) -> None:
    root = put_bytes(store, b"".join(bytes([i]) * CHUNK for i in range(2)))
    size = sum(map(len, store.blocks.values()))
    assert len(names(store, root, max_blocks=3, max_bytes=size)) == 3
    for limits in ({"max_blocks": 2}, {"max_bytes": size - 1}):
        with pytest.raises(GraphTooLarge):
            names(store, root, **limits)


def test_a_diamond_of_repeated_links_is_walked_once_a_block(store: MemoryStore) -> None:
    """Forty levels that link the next one twice: 2^40 paths, 41 blocks."""
    top = put_bytes(store, b"bottom")
    for _ in range(40):
        top = put(store, left=top, right=top)
    assert len(names(store, top)) == 41


def _foreign(name: str, digest: bytes, codec: str = "raw") -> CID:
    return CID("base32", 1, codec, multihash.wrap(digest, name) if name != "identity" else (name, digest))


FOREIGN = {
    "identity": _foreign("identity", b"the content itself"),
    "sha2-512": _foreign("sha2-512", bytes(64)),
    "blake2b": _foreign("blake2b-256", bytes(32)),
    "git": _foreign("sha2-256", bytes(32), "git-raw"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_walk_refuses_a_link_that_could_close_a_cycle(store: MemoryStore, kind: str) -> None:
    top = put(store, fine=put_bytes(store, b"leaf"), link=FOREIGN[kind])
    with pytest.raises(ArtifactCorrupt, match="does not name an artifact") as e:
        names(store, top)
    assert e.value.cid == str(top)


@pytest.mark.parametrize("kind", FOREIGN)
def test_walk_refuses_such_a_root(store: MemoryStore, kind: str) -> None:
    with pytest.raises(SpecError):
        names(store, FOREIGN[kind])


def nested(depth: int) -> bytes:
    return b"\xa1\x61a" + b"\x81" * depth + b"\x00"


MALFORMED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "no CBOR": ("dag-cbor", lambda: b"\xff\x00"),
    "empty": ("dag-cbor", lambda: b""),
    "a list": ("dag-cbor", lambda: b"\x80"),
    "followed by more": ("dag-cbor", lambda: encode({}) + b"\0"),
    "duplicate keys": ("dag-cbor", lambda: b"\xa2\x61a\x01\x61a\x02"),
    "keys out of order": ("dag-cbor", lambda: b"\xa2\x61b\x01\x61a\x02"),
    "an integer as key": ("dag-cbor", lambda: b"\xa1\x01\x02"),
    "nested 33 deep": ("dag-cbor", lambda: nested(33)),
    "nested a million deep": ("dag-cbor", lambda: nested(1_000_000)),
    "a list of 2^63 items": ("dag-cbor", lambda: b"\xa1\x61a\x9b\x7f" + b"\xff" * 7),
    "a text of 2^40 bytes": ("dag-cbor", lambda: b"\xa1\x61a\x7b\x00\x00\x01" + bytes(5)),
    "an unknown tag": ("dag-cbor", lambda: b"\xa1\x61a\xd8\x2b\x00"),
    "an indefinite list": ("dag-cbor", lambda: b"\xa1\x61a\x9f\xff"),
    "a link of no bytes": ("dag-cbor", lambda: b"\xa1\x61a\xd8\x2a\x41\x00"),
    "an oversized block": ("dag-cbor", lambda: encode({"a": bytes(1 << 19)}) + bytes(1 << 20)),
    "no node": ("dag-pb", lambda: b"\xff" * 10),
    "no links": ("dag-pb", lambda: b"\x0a\x02\x08\x02"),
    "a folder with a path-like name": ("dag-pb", lambda: _named(b"../../etc/passwd")),
    "a huge length in a node": ("dag-pb", lambda: b"\x12\xff\xff\xff\xff\xff\xff\xff\x7f"),
    "more links than a node has": ("dag-pb", lambda: encode_node([_leaf_link()] * 175)),
}


def _leaf_link() -> Link:
    return Link(cid_bytes(block_cid(b"", "raw")), 1, 1)


def _named(name: bytes) -> bytes:
    body = b"\x0a\x24" + cid_bytes(block_cid(b"", "raw")) + b"\x12" + bytes([len(name)]) + name + b"\x18\x00"
    return b"\x12" + bytes([len(body)]) + body + b"\x0a\x02\x08\x01"


@pytest.mark.parametrize("kind", MALFORMED)
def test_walk_refuses_a_genuine_block_that_is_malformed(store: MemoryStore, kind: str) -> None:
    codec, make = MALFORMED[kind]
    block = make()
    cid = block_cid(block, codec)
    store.blocks[cid] = block
    with pytest.raises(ArtifactCorrupt, match="is malformed") as e:
        names(store, cid)
    assert (e.value.cid, e.value.exit_code) == (str(cid), 4)
    assert len(e.value.message) < 400 and e.value.message.isprintable()


def test_keys_that_look_like_paths_are_only_keys(store: MemoryStore) -> None:
    leaf = put_bytes(store, b"leaf")
    top = store.put_block(encode({"../../etc/passwd": leaf, "/": {"..": leaf}, "\0": None}))
    assert names(store, top) == [top, leaf]


def test_links_of_a_block_keep_their_repeats(store: MemoryStore) -> None:
    leaf = put_bytes(store, b"leaf")
    block = encode({"a": [leaf, leaf], "b": leaf})
    assert block_links(block_cid(block, "dag-cbor"), block) == (leaf, leaf, leaf)
    assert block_links(leaf, b"leaf") == ()


def test_memory_of_a_walk_is_that_of_its_names() -> None:
    """A million bytes a block, a hundred blocks: less than four blocks at any time."""
    leaves = {block_cid(data, "raw"): i for i in range(100) for data in [bytes([i]) * 1_000_000]}
    top = encode({"parts": list(leaves)})
    top_cid = block_cid(top, "dag-cbor")

    def get_block(cid: CID) -> bytes:
        return top if cid == top_cid else bytes([leaves[cid]]) * 1_000_000

    tracemalloc.start()
    try:
        assert sum(len(block) for _, block in walk(get_block, [top_cid])) == 100_000_000 + len(top)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


LIMITED = """
import resource, sys
from clicooper.commitments.canonical import encode
from clicooper.commitments.manifest import SegmentManifest
from clicooper.errors import CliCooperError
from clicooper.storage.ipld.cid import block_cid
from clicooper.storage.ipld.graph import walk

with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
limit = used + (192 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
size = (1 << 20) - 16
block = b"\\xa1\\x61a\\x9a" + size.to_bytes(4, "big") + b"\\x80" * size
cid = block_cid(block, "dag-cbor")
for read in (lambda: list(walk(lambda _: block, [cid])), lambda: SegmentManifest.from_block(block)):
    try:
        read()
    except CliCooperError as e:
        print(type(e).__name__)
"""


def test_a_manifest_of_a_million_empty_lists_is_refused_within_192_mebibytes() -> None:
    """The most that 1 MiB of DAG-CBOR can become in memory, in a process whose address space cannot grow further."""
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["ArtifactMalformed", "SpecError"]), done.stderr
