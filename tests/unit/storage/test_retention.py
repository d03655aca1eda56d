"""Pin sets, and the policy over superseded states."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID

from clicooper.errors import ArtifactMissing, RetentionRefused, StorageError, UsageError
from clicooper.storage.ipld.cid import block_cid, cid_text
from clicooper.storage.ipld.graph import walk
from clicooper.storage.layered import LayeredStore
from clicooper.storage.local import LocalStore
from clicooper.storage.pins.clean_up import clean_up
from clicooper.storage.pins.node_pins import pin_on_node
from clicooper.storage.pins.pin_sets import Mode, PinSet, PinSets, RoundPins, texts
from clicooper.storage.pins.retention import JobRetention, release_superseded, superseded_links
from clicooper.types import Head
from tests.simulators import MemoryStore
from tests.unit.storage.retained_job import SEATS, content, manifest, run_job

HEAD = Head(bytes(range(32)))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def sets(tmp_path: Path) -> PinSets:
    return PinSets(tmp_path / "pins")


@pytest.fixture
def retention(sets: PinSets, store: LocalStore) -> JobRetention:
    return JobRetention(sets, "job", store)


def holds(store: LocalStore, what: str) -> bool:
    roots = {cid_text(cid) for cid in store.cids()}
    import io

    from clicooper.storage.ipld.cid import build_file

    return all(cid_text(cid) in roots for cid, _ in build_file(io.BytesIO(content(what))))


STATES = ("optimizer", "interval 0", "interval 1")
FILES = ("trained", "out", "leaves")


# --- what is pinned ---


def test_a_job_that_ran_keeps_every_block_of_it(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    run_job(retention, store)
    retention.finish()
    done = clean_up(store, sets, delete=True)
    assert (done.removable, done.removed) == ((), True)
    assert done.kept_blocks == len(list(store.cids()))


def test_manifests_are_pinned_alone_and_files_with_their_blocks(
    retention: JobRetention, store: LocalStore, sets: PinSets
) -> None:
    """A manifest links its predecessors: pinned recursively, it would keep all history for ever."""
    spec, rounds = run_job(retention, store)
    pinned = sets.load("job")
    assert pinned is not None
    direct = {cid for cid, mode in pinned.pins.items() if mode == "direct"}
    assert direct == {cid for manifests in rounds for cid in manifests}
    assert pinned.pins[spec] == "recursive"


def test_a_round_that_is_not_whole_is_not_pinned(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    spec, rounds = run_job(retention, store, rounds=1)
    before = sets.load("job")
    extra = [manifest(store, spec, 1, seat, rounds[0][seat]) for seat in range(SEATS)]
    store.remove(block_cid(content("round 1 seat 1 optimizer")[262_144:], "raw"))
    with pytest.raises(ArtifactMissing):
        retention.pin_round(1, extra)
    assert sets.load("job") == before


def test_pinning_a_round_again_replaces_it(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    spec, rounds = run_job(retention, store, rounds=1)
    other = [manifest(store, spec, 7, seat, rounds[0][seat]) for seat in range(SEATS)]
    retention.pin_round(0, other)
    pinned = sets.load("job")
    assert pinned is not None
    assert [round_.blocks for round_ in pinned.rounds] == [texts(other)]


class Node(MemoryStore):
    """A node that keeps pins, and can be out of reach."""

    def __init__(self) -> None:
        super().__init__()
        self.pinned: dict[CID, str] = {}
        self.is_away = False

    def _answer(self) -> None:
        if self.is_away:
            raise StorageError("no route to the node", hint="wait")

    def put_block(self, block: bytes, codec: str = "dag-cbor") -> CID:
        self._answer()
        return super().put_block(block, codec)

    def put_file(self, source: Path | BinaryIO) -> CID:
        self._answer()
        return super().put_file(source)

    def pin(self, cid: CID, *, recursive: bool = True) -> None:
        self._answer()
        for _ in walk(self.get_block, [cid]) if recursive else [self.get_block(cid)]:
            pass
        self.pinned[cid] = "recursive" if recursive else "direct"

    def unpin(self, cid: CID) -> None:
        self._answer()
        self.pinned.pop(cid, None)

    def pins(self) -> dict[CID, str]:
        self._answer()
        return dict(self.pinned)

    def gc(self) -> tuple[CID, ...]:
        return ()

    def node_id(self) -> str:
        return "a node of the tests"


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def layered(store: LocalStore, node: Node) -> LayeredStore:
    return LayeredStore(store, node, pause_s=0)


def pins_of(sets: PinSets) -> dict[CID, Mode]:
    pin_set = sets.load("job")
    assert pin_set is not None
    return pin_set.pins


def test_the_node_is_told_of_every_pin_and_every_release(layered: LayeredStore, node: Node, sets: PinSets) -> None:
    retention = JobRetention(sets, "job", layered)
    run_job(retention, layered)
    assert node.pinned == pins_of(sets)
    retention.finish()
    retention.record_audit(HEAD)
    assert retention.release_superseded()
    assert node.pinned == pins_of(sets)


def test_a_node_that_is_away_holds_nothing_up_and_catches_up(
    layered: LayeredStore, node: Node, sets: PinSets, store: LocalStore
) -> None:
    node.is_away = True
    run_job(JobRetention(sets, "job", layered), layered)
    assert node.pinned == {}
    with pytest.raises(StorageError, match="have not reached the node"):
        pin_on_node(layered, sets)
    JobRetention(sets, "job", layered).finish()
    with pytest.raises(RetentionRefused, match="wait for a node"):
        clean_up(store, sets, delete=True)
    node.is_away = False
    layered.catch_up()
    assert pin_on_node(layered, sets) == len(pins_of(sets))
    assert pin_on_node(layered, sets) == 0
    assert node.pinned == pins_of(sets)
    assert clean_up(store, sets, delete=True).removable == ()


def test_states_stay_in_the_set_while_the_node_cannot_let_go_of_them(
    layered: LayeredStore, node: Node, sets: PinSets
) -> None:
    retention = JobRetention(sets, "job", layered)
    run_job(retention, layered)
    retention.finish()
    retention.record_audit(HEAD)
    before = sets.load("job")
    node.is_away = True
    with pytest.raises(StorageError):
        retention.release_superseded()
    assert sets.load("job") == before
    node.is_away = False
    assert retention.release_superseded()


# --- the policy ---


@pytest.mark.parametrize("missing", ["finished", "audited"])
def test_states_stay_until_the_job_is_finished_and_audited(
    missing: str, retention: JobRetention, store: LocalStore, sets: PinSets
) -> None:
    run_job(retention, store)
    if missing == "audited":
        retention.finish()
    before = sets.load("job")
    with pytest.raises(RetentionRefused):
        retention.release_superseded()
    assert sets.load("job") == before


def test_an_audit_of_an_unfinished_job_is_not_recorded(retention: JobRetention, store: LocalStore) -> None:
    run_job(retention, store)
    with pytest.raises(RetentionRefused, match="not finished"):
        retention.record_audit(HEAD)


def test_a_job_that_goes_on_is_unaudited_again(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    spec, _ = run_job(retention, store)
    retention.finish()
    retention.record_audit(HEAD)
    retention.begin([spec])
    again = sets.load("job")
    assert again is not None
    assert (again.finished, again.audited) == (False, None)


def test_superseded_states_go_and_everything_else_stays(
    retention: JobRetention, store: LocalStore, sets: PinSets
) -> None:
    """Including what the last round started from, so that its work can still be done again."""
    spec, rounds = run_job(retention, store)
    retention.finish()
    retention.record_audit(HEAD)
    assert retention.release_superseded()
    clean_up(store, sets, delete=True)
    for seat in range(SEATS):
        for round_ in range(3):
            assert all(holds(store, f"round {round_} seat {seat} {what}") for what in FILES)
        assert not any(holds(store, f"round 0 seat {seat} {what}") for what in STATES)
        assert not any(holds(store, f"round 1 seat {seat} {what}") for what in STATES[1:])
        assert holds(store, f"round 1 seat {seat} optimizer"), "the last round starts from it"
        assert all(holds(store, f"round 2 seat {seat} {what}") for what in STATES)
    assert all(store.has(cid) for manifests in rounds for cid in (spec, *manifests))


def test_a_job_of_one_round_has_nothing_to_let_go_of(retention: JobRetention, store: LocalStore) -> None:
    run_job(retention, store, rounds=1)
    retention.finish()
    retention.record_audit(HEAD)
    assert retention.release_superseded() == ()


@given(st.integers(0, 6), st.booleans(), st.booleans())
def test_the_last_round_keeps_its_states_whatever_happens(rounds: int, finished: bool, audited: bool) -> None:
    names = texts([block_cid(bytes([i]), "raw") for i in range(rounds)])
    pins = tuple(RoundPins(round=i, blocks=(), files=(), states=(name,)) for i, name in enumerate(names))
    before = PinSet(name="job", finished=finished, audited=HEAD.hex() if audited else None, rounds=pins)
    try:
        after = release_superseded(before)
    except RetentionRefused:
        assert not (finished and audited)
        return
    assert [round_.states_kept for round_ in after.rounds] == [False] * (rounds - 1) + [True] * (rounds > 0)


def test_links_to_states_are_found_plain_or_sealed(store: LocalStore) -> None:
    link = block_cid(b"state", "raw")
    for value in (link, {"author": bytes(20), "ciphertext": link, "plaintext_digest": bytes(32)}):
        record = {"out": block_cid(b"out", "raw"), "optimizer": value, "transcript": {"states": [{"weights": value}]}}
        assert list(superseded_links(record)) == [link, link]
    assert list(superseded_links({"optimizer": None, "transcript": 3})) == []


# --- the files ---


def test_a_set_reads_as_it_was_written_and_counts_its_changes(sets: PinSets) -> None:
    root = texts([block_cid(b"root", "raw")])
    first = sets.change("job", lambda old: old.model_copy(update={"roots": root}))
    same = sets.change("job", lambda old: old)
    second = sets.change("job", lambda old: old.model_copy(update={"roots": ()}))
    assert [pin_set.revision for pin_set in (first, same, second)] == [1, 1, 2]
    assert PinSets(sets.folder).load("job") == second
    assert sets.names() == ["job"]


@pytest.mark.parametrize("name", ["", "../job", "/etc/passwd", "Job", "a" * 65, ".lock", "job\n", "a/b"])
def test_path_like_names_of_sets_are_refused(name: str, sets: PinSets) -> None:
    with pytest.raises(UsageError, match="name"):
        sets.change(name, lambda old: old)
    assert not sets.folder.exists() or [path.name for path in sets.folder.iterdir()] == [".lock"]


def test_a_change_that_fails_leaves_the_set_as_it_was(sets: PinSets) -> None:
    before = sets.change("job", lambda old: old)

    def fail(old: PinSet) -> PinSet:
        raise UsageError("no")

    with pytest.raises(UsageError):
        sets.change("job", fail)
    assert sets.load("job") == before


def test_two_threads_that_change_a_set_lose_nothing(sets: PinSets) -> None:
    names = texts([block_cid(bytes([i]), "raw") for i in range(40)])

    def add(part: tuple[str, ...]) -> None:
        for name in part:
            sets.change("job", lambda old, name=name: old.model_copy(update={"roots": (*old.roots, name)}))  # type: ignore[misc]

    threads = [threading.Thread(target=add, args=(names[start::2],)) for start in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = sets.load("job")
    assert done is not None
    assert (set(done.roots), done.revision) == (set(names), 40)
