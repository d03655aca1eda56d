"""The store's own check: every block that a job needs, and every other one that the store can list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from multiformats import CID

from clicooper.audit.bundle import _is_whole, pack_job
from clicooper.audit.checks.store import check_store
from clicooper.audit.verdict import CheckResult
from clicooper.commitments.canonical import cid_of_digest, encode
from clicooper.errors import ArtifactMissing, Cause, StorageError
from clicooper.history.dag_roots import find_dag_roots
from clicooper.history.follow import follow_record
from clicooper.storage.base import ListableStore, Store, put_bytes
from clicooper.storage.ipld.cid import block_cid
from clicooper.storage.local import LocalStore
from clicooper.types import Digest, Verdict
from tests.scenario import FinishedRun, grants_of
from tests.simulators import MemoryStore


class Node:
    """A store that cannot say what it holds, as a node of a network; it may be out of reach for one block."""

    def __init__(self, store: MemoryStore, unreachable: CID | None = None) -> None:
        self._store, self._unreachable = store, unreachable
        self.put_block, self.put_file, self.has = store.put_block, store.put_file, store.has

    def get_block(self, cid: CID) -> bytes:
        if cid == self._unreachable:
            raise StorageError("no route to the node", hint="wait")
        return self._store.get_block(cid)

    def get_file(self, cid: CID, target: BinaryIO) -> None:
        self._store.get_file(cid, target)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def leaves(store: MemoryStore) -> list[CID]:
    return [put_bytes(store, bytes([i])) for i in range(4)]


@pytest.fixture
def root(store: MemoryStore, leaves: list[CID]) -> CID:
    return store.put_block(encode({"leaves": leaves[:3]}))


def bad(rows: list[CheckResult]) -> dict[str, Verdict]:
    return {row.subject: row.verdict for row in rows[:-1]}


def check(store: Store, *roots: CID) -> list[CheckResult]:
    rows = list(check_store(store, roots))
    assert rows[-1].subject == "store"
    return rows


def test_a_whole_job_is_one_passing_row(store: MemoryStore, root: CID) -> None:
    (row,) = check(store, root)
    assert (row.verdict, row.detail) == (Verdict.PASS, "4 blocks that the job links and 1 others hash to their names")


def test_every_bad_block_has_its_row(store: MemoryStore, leaves: list[CID], root: CID) -> None:
    """Missing, damaged, damaged but not linked by anything: none hides another."""
    del store.blocks[leaves[0]]
    store.blocks[leaves[1]] = b"other"
    store.blocks[leaves[3]] = b"another"
    rows = check(store, root)
    assert bad(rows) == {str(leaves[place]): Verdict.INCONCLUSIVE for place in (0, 1, 3)}
    assert {row.cause for row in rows[:-1]} == {Cause.STORE}
    assert rows[-1].verdict is Verdict.PASS and rows[-1].detail.startswith("2 blocks that the job links and 0 others")


def test_a_store_that_cannot_be_listed_is_judged_by_what_the_job_needs(
    store: MemoryStore, leaves: list[CID], root: CID
) -> None:
    store.blocks[leaves[3]] = b"somebody else's"
    del store.blocks[leaves[2]]
    node = Node(store)
    assert not isinstance(node, ListableStore)
    assert bad(check(node, root)) == {str(leaves[2]): Verdict.INCONCLUSIVE}


def test_a_genuine_block_that_is_malformed_fails(store: MemoryStore) -> None:
    cid = block_cid(b"\xff", "dag-cbor")
    store.blocks[cid] = b"\xff"
    assert bad(check(store, cid)) == {str(cid): Verdict.FAIL}


def test_an_unreachable_node_is_inconclusive_and_keeps_what_was_found(
    store: MemoryStore, leaves: list[CID], root: CID
) -> None:
    del store.blocks[leaves[0]]
    rows = check(Node(store, unreachable=leaves[1]), root)
    assert [row.verdict for row in rows[:-1]] == [Verdict.INCONCLUSIVE] * 2
    assert rows[0].subject == str(leaves[0]) and "no route" in rows[1].detail


def test_an_empty_store_is_inconclusive(store: MemoryStore, root: CID) -> None:
    (row,) = check(MemoryStore())
    assert row.verdict is Verdict.INCONCLUSIVE
    assert [row.verdict for row in check(MemoryStore(), root)] == [Verdict.INCONCLUSIVE] * 2


def test_roots_of_a_job_are_its_spec_and_every_manifest(smallest_run: FinishedRun) -> None:
    history = follow_record(smallest_run.record)
    roots = find_dag_roots(history)
    assert roots.spec == cid_of_digest(history.params.spec_digest)
    assert [str(cid) for cid in roots.manifests] == [str(m.cid) for m in smallest_run.rounds[0].manifests]
    assert roots.required == (roots.spec, *roots.manifests)


def test_what_a_record_names_besides_is_attached_and_needed_by_nobody(smallest_run: FinishedRun) -> None:
    """Key records with links, evicted holders, abandoned attempts: their authors may have published nothing."""
    history = follow_record(smallest_run.record)
    grant, junk = block_cid(b"grant", "dag-cbor"), block_cid(b"junk", "raw")
    seats = tuple(replace(seat, key_record=encode({"grant": grant})) for seat in history.seats)
    evicted = (
        replace(history.seats[1], key_record=encode({"deep": [{"link": junk}]})),
        replace(history.seats[1], key_record=b"\xff anything"),
    )
    abandoned = replace(history.commitments[0], manifest_digest=Digest(bytes(32)))
    rounds = (replace(history.rounds[0], abandoned=(abandoned, history.commitments[0])),)
    roots = find_dag_roots(replace(history, seats=seats, evicted=evicted, rounds=rounds))
    assert roots.attached == (junk, grant, cid_of_digest(Digest(bytes(32))))
    assert roots.required == find_dag_roots(history).required


def test_a_job_is_packed_whole_without_what_nobody_published(smallest_run: FinishedRun, tmp_path: Path) -> None:
    store = LocalStore(Path(smallest_run.root / "store"))
    published, absent = put_bytes(MemoryStore(), b"x"), block_cid(b"absent", "dag-cbor")
    manifest = find_dag_roots(follow_record(smallest_run.record)).manifests[0]
    assert _is_whole(store, manifest)
    assert not _is_whole(store, published)
    assert not _is_whole(store, absent)
    packed = pack_job(smallest_run.record, store, tmp_path / "job.car", attach=[manifest, manifest])
    assert packed.left_out == ()
    with pytest.raises(ArtifactMissing, match=str(absent)):
        pack_job(smallest_run.record, store, tmp_path / "other.car", attach=[absent])
    assert [path.name for path in tmp_path.iterdir()] == ["job.car"]


def test_a_finished_run_holds_what_its_roots_need_and_nothing_else(smallest_run: FinishedRun) -> None:
    store = LocalStore(Path(smallest_run.root / "store"))
    (row,) = check(store, *find_dag_roots(follow_record(smallest_run.record)).required)
    assert row.verdict is Verdict.PASS
    assert row.detail.endswith(f" and {len(grants_of(smallest_run))} others hash to their names"), "grants alone"
