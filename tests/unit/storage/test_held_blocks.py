"""Blocks in memory as a store: hashed when asked for, completed by what lies behind them, never written."""

from __future__ import annotations

import io

import pytest

from clicooper.errors import ArtifactCorrupt, ArtifactMissing, StorageError
from clicooper.storage.base import get_bytes, put_bytes
from clicooper.storage.held import HeldBlocks
from clicooper.storage.ipld.cid import block_cid, build_file
from tests.simulators import MemoryStore

DATA = bytes(range(256)) * 3000


def test_blocks_and_files_come_back() -> None:
    blocks = dict(build_file(io.BytesIO(DATA)))
    held = HeldBlocks(blocks.items(), "the test")
    root = list(blocks)[-1]
    assert get_bytes(held, root) == DATA
    assert [held.get_block(cid) for cid in held.cids()] == list(blocks.values())
    assert held.has(root)


def test_a_block_under_another_name_is_corrupt_and_an_absent_one_missing() -> None:
    cid, absent = block_cid(b"one", "raw"), block_cid(b"two", "raw")
    held = HeldBlocks([(cid, b"other")], "the test")
    with pytest.raises(ArtifactCorrupt):
        held.get_block(cid)
    with pytest.raises(ArtifactMissing, match="the test"):
        held.get_block(absent)
    assert not held.has(absent)


def test_what_is_not_held_is_looked_for_behind() -> None:
    behind = MemoryStore()
    root = put_bytes(behind, DATA)
    held = HeldBlocks([(block_cid(b"one", "raw"), b"one")], "the test")
    with pytest.raises(ArtifactMissing):
        get_bytes(held, root)
    both = held.before(behind)
    assert get_bytes(both, root) == DATA
    assert both.has(root)
    assert len(list(both.cids())) == 1, "what lies behind is not listed"
    assert not held.before(None).has(root)


def test_it_cannot_be_written() -> None:
    held = HeldBlocks([], "the test")
    with pytest.raises(StorageError):
        held.put_block(b"one", "raw")
    with pytest.raises(StorageError):
        held.put_file(io.BytesIO(b"one"))
