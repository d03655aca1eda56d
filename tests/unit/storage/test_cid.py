"""Names, and files as graphs of blocks: golden values from another implementation, and hostile graphs."""

import hashlib
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from multiformats import CID

from clicooper.errors import ArtifactCorrupt, ArtifactMissing, SpecError
from clicooper.storage.ipld.cid import (
    IPFS_LAYOUT,
    FileLayout,
    block_cid,
    build_file,
    cid_text,
    file_cid,
    normalise_cid,
    parse_cid,
    read_file,
    verify_block,
)
from clicooper.storage.ipld.dagpb import Link, Malformed, encode_node, parse_node

HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
SMALL = FileLayout(chunk_bytes=16, max_links=3)
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "unixfs.json").read_text())


def _vector_content(size: int) -> bytes:
    blocks = (hashlib.sha256(j.to_bytes(8, "big")).digest() * 128 for j in range(-(-size // 4096)))
    return b"".join(blocks)[:size]


def _build(data: bytes, layout: FileLayout) -> tuple[CID, dict[CID, bytes]]:
    blocks = list(build_file(io.BytesIO(data), layout))
    return blocks[-1][0], dict(blocks)


def _fetch(blocks: dict[CID, bytes]) -> Callable[[CID], bytes]:
    def fetch(cid: CID) -> bytes:
        if cid not in blocks:
            raise ArtifactMissing("absent", cid=str(cid))
        return verify_block(cid, blocks[cid])

    return fetch


def _read(root: CID, blocks: dict[CID, bytes], layout: FileLayout = SMALL, max_bytes: int = 1 << 40) -> bytes:
    return b"".join(read_file(root, _fetch(blocks), max_bytes, layout))


class TestNames:
    def test_hello_world(self) -> None:
        assert str(block_cid(b"hello world", "raw")) == HELLO
        assert file_cid(b"hello world") == block_cid(b"hello world", "raw")

    def test_text_agrees_with_the_library(self) -> None:
        for codec in ("raw", "dag-pb", "dag-cbor"):
            cid = block_cid(codec.encode(), codec)
            assert cid_text(cid) == str(cid)
            assert parse_cid(cid_text(cid)) == cid

    @pytest.mark.parametrize("base", ["base58btc", "base16", "base36", "base64url", "base32upper"])
    def test_every_base_is_normalised(self, base: str) -> None:
        other = parse_cid(HELLO).set(base=base)
        assert str(other) != HELLO
        assert str(normalise_cid(other)) == str(parse_cid(str(other))) == cid_text(other) == HELLO

    def test_version_0_is_normalised(self) -> None:
        digest = hashlib.sha256(b"node").digest()
        old = CID("base58btc", 0, "dag-pb", ("sha2-256", digest))
        assert parse_cid(str(old)) == block_cid(b"node", "dag-pb")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "b",
            ".",
            "é",
            "../etc/passwd",
            "Qm",
            HELLO[:-1],
            HELLO + "a",
            HELLO + "\n",
            HELLO[:-1] + "f",
            "b" + "a" * 58,
            "b" + "7" * 58,
            "z" * 59,
            "f015514" + "00" * 20,
            "x" * 100_000,
        ],
    )
    def test_what_is_not_a_cid_is_refused(self, text: str) -> None:
        with pytest.raises(SpecError) as e:
            parse_cid(text)
        assert len(e.value.message) < 200

    def test_unknown_codec_and_hash_are_refused(self) -> None:
        with pytest.raises(SpecError):
            block_cid(b"", "git-raw")
        with pytest.raises(SpecError):
            normalise_cid(CID("base32", 1, "git-raw", ("sha2-256", bytes(32))))
        with pytest.raises(SpecError):
            normalise_cid(CID("base32", 1, "raw", ("sha2-512", bytes(64))))
        with pytest.raises(SpecError):
            parse_cid(str(CID("base32", 1, "raw", ("blake2b-256", bytes(32)))))

    def test_verify_block(self) -> None:
        cid = parse_cid(HELLO)
        assert verify_block(cid, b"hello world") == b"hello world"
        with pytest.raises(ArtifactCorrupt) as e:
            verify_block(cid, b"hello w0rld")
        assert e.value.cid == HELLO


class TestGoldenFiles:
    @pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['size']}-{v['chunk_bytes']}-{v['max_links']}")
    def test_root_is_what_another_implementation_computes(self, vector: dict[str, Any]) -> None:
        data = _vector_content(vector["size"])
        assert hashlib.sha256(data).hexdigest() == vector["sha256"]
        layout = FileLayout(vector["chunk_bytes"], vector["max_links"])
        root, blocks = _build(data, layout)
        assert str(root) == vector["cid"]
        assert _read(root, blocks, layout) == data

    def test_vectors_cover_the_layout_of_ipfs(self) -> None:
        sizes = {v["size"] for v in VECTORS if v["chunk_bytes"] == IPFS_LAYOUT.chunk_bytes}
        full_node = IPFS_LAYOUT.full(1)
        assert {0, IPFS_LAYOUT.chunk_bytes + 1, full_node, full_node + 1} <= sizes

    def test_children_come_before_their_parents(self) -> None:
        seen: set[bytes] = set()
        for cid, block in build_file(io.BytesIO(_vector_content(1000)), SMALL):
            if cid.codec.name == "dag-pb":
                assert all(link.name in seen for link in parse_node(block, SMALL.max_links))
            seen.add(bytes(cid))


class _Endless(io.RawIOBase):
    """``size`` bytes that never exist at once."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        size = min(size, self._left)
        self._left -= size
        return bytes(size)


def test_building_and_reading_take_bounded_memory() -> None:
    chunk, size = IPFS_LAYOUT.chunk_bytes, 200 << 20
    source: BinaryIO = _Endless(size)  # type: ignore[assignment]
    kept: dict[CID, bytes] = {}
    tracemalloc.start()
    for root, block in build_file(source):
        kept[root] = block
    read = sum(len(leaf) for leaf in read_file(root, kept.__getitem__))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == size
    assert peak < 8 * chunk


class TestHostileGraphs:
    """Blocks whose bytes are genuine (they hash to their names) and whose author lies."""

    LEAF = b"sixteen bytes ok"
    DATA = LEAF * 2

    def _forge(self, block: bytes, *others: tuple[str, bytes]) -> tuple[CID, dict[CID, bytes]]:
        root = block_cid(block, "dag-pb")
        return root, {root: block} | {block_cid(other, codec): other for codec, other in others}

    def _refuses(self, block: bytes, *others: tuple[str, bytes]) -> None:
        root, blocks = self._forge(block, ("raw", self.LEAF), *others)
        with pytest.raises(ArtifactCorrupt):
            _read(root, blocks)

    def _link(self, **changes: Any) -> Link:
        values = {"name": bytes(block_cid(self.LEAF, "raw")), "size": 16, "dag_bytes": 16} | changes
        return Link(**values)

    def test_honest_node_is_accepted(self) -> None:
        root, blocks = self._forge(encode_node([self._link()] * 2), ("raw", self.LEAF))
        assert _read(root, blocks) == self.DATA

    @pytest.mark.parametrize("length", ["80808080808080808001", "ffffffffffffffff7f", "ffffffff0f", "ff01"])
    @pytest.mark.parametrize("tag", ["0a", "12"])
    def test_reader_rejects_huge_declared_lengths(self, tag: str, length: str) -> None:
        self._refuses(bytes.fromhex(tag + length) + b"short")

    @pytest.mark.parametrize(
        "block",
        [b"", b"\x0a", b"\x80" * 30, b"\x12\x00", b"\x0a\x00", b"\x0b\x0c", b"\x0d1234", b"\x0912345678", b"\xff" * 99],
    )
    def test_reader_rejects_what_is_not_protobuf(self, block: bytes) -> None:
        self._refuses(block)

    def test_reader_rejects_every_cut_and_every_flipped_bit_of_a_node(self) -> None:
        block = encode_node([self._link()] * 2)
        for cut in range(len(block)):
            self._refuses(block[:cut])
        for bit in range(8 * len(block)):
            flipped = bytearray(block)
            flipped[bit // 8] ^= 1 << bit % 8
            root, blocks = self._forge(bytes(flipped), ("raw", self.LEAF))
            with pytest.raises((ArtifactCorrupt, ArtifactMissing)):
                _read(root, blocks)

    def test_reader_rejects_nodes_in_other_than_canonical_form(self) -> None:
        block = encode_node([self._link()] * 2)
        at = block.index(b"\x0a\x08\x08\x02")
        links, data = block[:at], block[at + 2 :]
        others = {
            "data before links": b"\x0a\x08" + data + links,
            "long length": links + b"\x0a\x88\x00" + data,
            "extra field in data": links + b"\x0a\x0a" + data + b"\x28\x01",
            "extra field in node": block + b"\x18\x00",
            "data twice": block + b"\x0a\x08" + data,
            "no link names": block.replace(b"\x12\x2a", b"\x12\x28").replace(b"\x12\x00\x18", b"\x18"),
            "packed sizes": links + b"\x0a\x08" + data.replace(b"\x20\x10\x20\x10", b"\x22\x02\x10\x10"),
        }
        for change, other in others.items():
            assert other != block, change
            self._refuses(other)

    def test_reader_rejects_names_on_links(self) -> None:
        block = encode_node([self._link()] * 2)
        named = block.replace(b"\x12\x2a", b"\x12\x2b").replace(b"\x12\x00\x18", b"\x12\x01a\x18")
        assert len(named) == len(block) + 2
        self._refuses(named)

    def test_reader_rejects_inline_data(self) -> None:
        inline = b"\x08\x02\x12\x05hello\x18\x05"
        self._refuses(b"\x0a" + bytes([len(inline)]) + inline)

    def test_reader_rejects_directories_and_symlinks(self) -> None:
        block = encode_node([self._link()] * 2)
        for kind in (b"\x08\x00", b"\x08\x01", b"\x08\x03", b"\x08\x04", b"\x08\x05"):
            self._refuses(block.replace(b"\x0a\x08\x08\x02", b"\x0a\x08" + kind))

    def test_reader_rejects_more_links_than_the_layout_has(self) -> None:
        self._refuses(encode_node([self._link()] * 4))
        with pytest.raises(Malformed, match="too many"):
            parse_node(encode_node([self._link()] * 1000), 174)

    def test_reader_rejects_node_without_links(self) -> None:
        self._refuses(encode_node([]))

    @pytest.mark.parametrize("size", [0, 1, 15, 17, 2**40, 2**62])
    def test_reader_rejects_false_file_sizes(self, size: int) -> None:
        self._refuses(encode_node([self._link(), self._link(size=size)]))

    @pytest.mark.parametrize("dag_bytes", [0, 15, 17, 2**62])
    def test_reader_rejects_false_graph_sizes(self, dag_bytes: int) -> None:
        self._refuses(encode_node([self._link(), self._link(dag_bytes=dag_bytes)]))

    def test_reader_rejects_total_that_is_not_the_sum(self) -> None:
        block = encode_node([self._link()] * 2)
        assert b"\x18\x20" in block
        self._refuses(block.replace(b"\x18\x20", b"\x18\x21"))

    def test_reader_rejects_deep_nesting_over_one_leaf(self) -> None:
        block, codec, size, others = self.LEAF, "raw", 16, []
        for _ in range(64):
            link = Link(bytes(block_cid(block, codec)), 16, size)
            block, codec = encode_node([link]), "dag-pb"
            size += len(block)
            others.append((codec, block))
        self._refuses(block, *others)

    def test_reader_rejects_exponential_graph_of_empty_files(self) -> None:
        block, codec, dag_bytes, others = b"", "raw", 0, []
        for _ in range(40):
            block, codec = encode_node([Link(bytes(block_cid(block, codec)), 0, dag_bytes)] * 3), "dag-pb"
            dag_bytes = 3 * dag_bytes + len(block)
            others.append((codec, block))
        self._refuses(block, *others, ("raw", b""))

    def test_reader_rejects_bomb_before_fetching_its_leaves(self) -> None:
        """Twelve tiny blocks that unfold, quite correctly, into 8.5 MB."""
        layout, block, codec, size, dag_bytes = SMALL, self.LEAF, "raw", 16, 16
        blocks = {block_cid(block, codec): block}
        for _ in range(12):
            block, codec, size = (
                encode_node([Link(bytes(block_cid(block, codec)), size, dag_bytes)] * 3),
                "dag-pb",
                size * 3,
            )
            dag_bytes = 3 * dag_bytes + len(block)
            blocks[block_cid(block, codec)] = block
        root = block_cid(block, codec)
        fetched: list[CID] = []

        def fetch(cid: CID) -> bytes:
            fetched.append(cid)
            return blocks[cid]

        with pytest.raises(ArtifactCorrupt, match="above the limit"):
            list(read_file(root, fetch, 1 << 20, layout))
        assert fetched == [root]
        assert next(read_file(root, fetch, size, layout)) == self.LEAF

    def test_reader_rejects_declared_size_above_any_disk(self) -> None:
        root, blocks = self._forge(encode_node([self._link(size=2**61)] * 3))
        with pytest.raises(ArtifactCorrupt, match="above the limit"):
            _read(root, blocks)

    def test_reader_rejects_the_same_bytes_cut_otherwise(self) -> None:
        """One content, one CID: a second name for it would let an author publish it twice."""
        data = _vector_content(100)
        for layout in (FileLayout(8, 3), FileLayout(16, 2), FileLayout(16, 4), FileLayout(32, 3), FileLayout(128, 3)):
            root, blocks = _build(data, layout)
            assert _read(root, blocks, layout) == data
            with pytest.raises(ArtifactCorrupt):
                _read(root, blocks)

    def test_reader_rejects_wrapped_single_leaf(self) -> None:
        self._refuses(encode_node([self._link()]))

    def test_reader_rejects_records_and_nodes_in_place_of_leaves(self) -> None:
        for codec in ("dag-cbor", "dag-pb"):
            name = bytes(block_cid(self.LEAF, codec))
            self._refuses(encode_node([self._link(name=name)] * 2), (codec, self.LEAF))

    def test_reader_rejects_links_under_other_hash_functions(self) -> None:
        digest = hashlib.sha256(self.LEAF).digest()
        for prefix in (b"\x01\x55\x00\x20", b"\x01\x55\x13\x20", b"\x00\x55\x12\x20", b"\x01\x55\x12\x1f"):
            self._refuses(encode_node([self._link(name=prefix + digest)] * 2))

    def test_reader_rejects_raw_block_above_one_chunk(self) -> None:
        block = bytes(17)
        with pytest.raises(ArtifactCorrupt):
            _read(block_cid(block, "raw"), {block_cid(block, "raw"): block})


@pytest.mark.parametrize("first", ["z", "b", "f", "k", "9", "0", "u", "Qm", "\N{ROCKET}", "\0", "bafy"])
def test_a_text_longer_than_any_cid_is_refused_before_it_is_decoded(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CID, "decode", lambda _: pytest.fail("decoded"))
    with pytest.raises(SpecError, match="is not the CID of an artifact") as e:
        parse_cid(first + "2" * 200_000)
    assert len(e.value.message) < 200


@pytest.mark.parametrize("base", ["base2", "base16", "base36", "base58btc", "base64url", "base10"])
def test_a_cid_is_read_in_the_longest_base_too(base: str) -> None:
    cid = block_cid(b"x", "raw")
    assert parse_cid(str(cid.set(base=base))) == cid
