"""Parts of files: the wanted leaves and what proves them, and nothing that is not a part."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID

from clicooper.errors import ArtifactCorrupt, ArtifactMissing
from clicooper.storage.base import missing
from clicooper.storage.ipld.cid import FileLayout, block_cid, build_file
from clicooper.storage.ipld.slices import file_parts, leaves_of

SMALL = FileLayout(chunk_bytes=4, max_links=3)


def built(data: bytes) -> tuple[CID, dict[CID, bytes]]:
    blocks = dict(build_file(io.BytesIO(data), SMALL))
    return list(blocks)[-1], blocks


def fetch_from(blocks: dict[CID, bytes]):  # type: ignore[no-untyped-def]
    def fetch(cid: CID) -> bytes:
        if cid not in blocks:
            raise missing(cid, "the blocks")
        return blocks[cid]

    return fetch


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_range_of_bytes_comes_back_from_its_leaves_alone(data: bytes, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, len(data) - 1))
    stop = draw.draw(st.integers(start + 1, len(data)))
    root, blocks = built(data)
    wanted = leaves_of(start, stop, SMALL)
    parts = list(file_parts(root, fetch_from(blocks), wanted, SMALL))
    leaves = {part.leaf: part.block for part in parts if part.leaf is not None}
    assert sorted(leaves) == list(wanted)
    joined = b"".join(leaves[number] for number in wanted)
    assert joined[start - wanted.start * 4 :][: stop - start] == data[start:stop]
    # What was yielded is all that a second reader needs.
    kept = {part.cid: part.block for part in parts}
    assert [part.leaf for part in file_parts(root, fetch_from(kept), wanted, SMALL)] == [part.leaf for part in parts]


@given(st.binary(min_size=13, max_size=200), st.data())
def test_a_part_that_is_missing_is_missed(data: bytes, draw: st.DataObject) -> None:
    root, blocks = built(data)
    wanted = leaves_of(0, len(data), SMALL)
    lost = draw.draw(st.sampled_from(sorted(blocks, key=str)))
    del blocks[lost]
    with pytest.raises(ArtifactMissing):
        list(file_parts(root, fetch_from(blocks), wanted, SMALL))


def test_a_record_is_no_file_and_another_cut_is_refused() -> None:
    record = block_cid(b"\xa0", "dag-cbor")
    with pytest.raises(ArtifactCorrupt, match="record"):
        list(file_parts(record, {record: b"\xa0"}.__getitem__, [0], SMALL))
    blocks = dict(build_file(io.BytesIO(bytes(range(40))), FileLayout(chunk_bytes=5, max_links=3)))
    with pytest.raises(ArtifactCorrupt, match=r"cut|size"):
        list(file_parts(list(blocks)[-1], blocks.__getitem__, range(8), SMALL))


def test_leaves_beyond_the_end_are_passed_over() -> None:
    root, blocks = built(b"0123456789abcdef")
    assert [part.leaf for part in file_parts(root, blocks.__getitem__, [3, 99], SMALL)][-1] == 3
    single = block_cid(b"abc", "raw")
    assert [part.leaf for part in file_parts(single, {single: b"abc"}.__getitem__, [7], SMALL)] == [0]
