"""Pin sets, the policy over superseded states, and clean-ups that must never take what somebody needs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multiformats import CID

from clicooper.commitments.canonical import encode
from clicooper.errors import ArtifactMissing, RetentionRefused, StorageError, UsageError
from clicooper.storage.base import Store, put_bytes
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

HEAD = Head(bytes(range(32)))
SEATS = 2


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def sets(tmp_path: Path) -> PinSets:
    return PinSets(tmp_path / "pins")


@pytest.fixture
def retention(sets: PinSets, store: LocalStore) -> JobRetention:
    return JobRetention(sets, "job", store)


def content(what: str) -> bytes:
    return (what * 40_000).encode()[:300_000]


def sealed(store: Store, what: str) -> dict[str, Any]:
    """A file as a manifest links it when it is sealed."""
    return {"author": bytes(20), "ciphertext": put_bytes(store, content(what)), "plaintext_digest": bytes(32)}


def manifest(store: Store, spec: CID, round_: int, seat: int, previous: CID | None) -> CID:
    """A record with the shape of a manifest, its files sealed."""
    last = f"round {round_ - 1} seat {seat}" if round_ else f"initial seat {seat}"
    now = f"round {round_} seat {seat}"
    record = {
        "spec": spec,
        "previous": previous,
        "state_in": {
            "weights": sealed(store, f"{last} out"),
            "optimizer": sealed(store, f"{last} optimizer") if round_ else None,
        },
        "trained": sealed(store, f"{now} trained"),
        "out": sealed(store, f"{now} out"),
        "optimizer": sealed(store, f"{now} optimizer"),
        "transcript": {
            "leaves": sealed(store, f"{now} leaves"),
            "states": [{"weights": sealed(store, f"{now} interval {i}"), "optimizer": None} for i in range(2)],
        },
    }
    return store.put_block(encode(record))


def run_job(retention: JobRetention, store: Store, rounds: int = 3) -> tuple[CID, list[list[CID]]]:
    """A job up to its last accepted round; its spec and manifests."""
    retention.begin([])
    spec = store.put_block(encode({"release": put_bytes(store, content("release"))}))
    retention.begin([spec])
    done: list[list[CID]] = []
    for round_ in range(rounds):
        last: list[Any] = done[-1] if done else [None] * SEATS
        done.append([manifest(store, spec, round_, seat, last[seat]) for seat in range(SEATS)])
        retention.pin_round(round_, done[-1])
    return spec, done


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


# --- clean-ups ---


def test_clean_up_takes_what_nobody_pinned_and_only_when_told(
    retention: JobRetention, store: LocalStore, sets: PinSets
) -> None:
    run_job(retention, store)
    retention.finish()
    before = set(store.cids())
    loose = put_bytes(store, b"loose")
    plan_audit = clean_up(store, sets)
    assert (plan_audit.removable, plan_audit.size_bytes, plan_audit.removed) == ((loose,), 5, False)
    assert store.has(loose)
    assert clean_up(store, sets, delete=True).removable == (loose,)
    assert set(store.cids()) == before


def test_planning_a_clean_up_writes_nothing(store: LocalStore, tmp_path: Path) -> None:
    put_bytes(store, b"loose")
    with pytest.raises(RetentionRefused):
        clean_up(store, PinSets(tmp_path / "pins"))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def _unpinned(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    put_bytes(store, b"everything would go")


def _unfinished(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    run_job(retention, store)


def _unfinished_beside_a_finished_one(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    run_job(retention, store)
    retention.finish()
    JobRetention(sets, "another", store).begin([])


def _lost_block(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    run_job(retention, store)
    retention.finish()
    store.remove(block_cid(content("release")[262_144:], "raw"))


def _lost_manifest(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    _, rounds = run_job(retention, store)
    retention.finish()
    store.remove(rounds[0][0])


def _damaged_block(retention: JobRetention, store: LocalStore, sets: PinSets) -> None:
    spec, _ = run_job(retention, store)
    retention.finish()
    next(store.root.rglob(cid_text(spec))).write_bytes(b"other")


DOUBTS: dict[str, Callable[[JobRetention, LocalStore, PinSets], None]] = {
    "nothing is pinned": _unpinned,
    "a job is unfinished": _unfinished,
    "another job is unfinished": _unfinished_beside_a_finished_one,
    "a pinned block is lost": _lost_block,
    "a pinned manifest is lost": _lost_manifest,
    "a pinned block is damaged": _damaged_block,
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_clean_up_in_doubt_removes_nothing(
    doubt: str, retention: JobRetention, store: LocalStore, sets: PinSets
) -> None:
    DOUBTS[doubt](retention, store, sets)
    put_bytes(store, b"loose")
    before = list(store.cids())
    with pytest.raises(RetentionRefused) as e:
        clean_up(store, sets, delete=True)
    assert e.value.hint
    assert list(store.cids()) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[:-1],
        lambda data: data.replace(b'"version": 1', b'"version": 2'),
        lambda data: data.replace(b'"job"', b'"jobs"'),
        lambda data: data.replace(b'"roots"', b'"root"'),
        lambda data: data.replace(b'"revision": 1', b'"revision":  1'),
        lambda data: data.replace(b"baf", b"../", 1),
        lambda _: b"[" * 100_000,
    ],
)
def test_clean_up_with_a_damaged_pin_set_removes_nothing(
    damage: Callable[[bytes], bytes], store: LocalStore, sets: PinSets
) -> None:
    root = put_bytes(store, b"kept")
    sets.change("job", lambda old: old.model_copy(update={"roots": texts([root])}))
    path = sets.folder / "job.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match="damaged"):
        clean_up(store, sets, delete=True)
    assert store.has(root)


@pytest.mark.parametrize("name", ["notes.txt", "Job.json", "folder"])
def test_clean_up_beside_an_unknown_file_removes_nothing(name: str, store: LocalStore, sets: PinSets) -> None:
    sets.change("job", lambda old: old.model_copy(update={"roots": texts([put_bytes(store, b"kept")])}))
    loose = put_bytes(store, b"loose")
    (sets.folder / name).mkdir()
    with pytest.raises(StorageError, match="no pin set"):
        clean_up(store, sets, delete=True)
    assert store.has(loose)


graphs = st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs, st.sets(st.integers(0, 11), min_size=1))
def test_clean_up_keeps_exactly_what_the_pins_reach(
    tmp_path_factory: pytest.TempPathFactory, shape: list[list[int]], pinned: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    store, sets = LocalStore(folder / "store"), PinSets(folder / "pins")
    made: list[CID] = []
    for number, links in enumerate(shape):
        record = {"number": number, "links": [made[i] for i in links if i < len(made)]}
        made.append(store.put_block(encode(record)))
    roots = [made[i % len(made)] for i in pinned]
    sets.change("drawn", lambda old: old.model_copy(update={"roots": texts(roots)}))
    reached = {cid for cid, _ in walk(store.get_block, roots)}
    done = clean_up(store, sets, delete=True)
    assert set(store.cids()) == reached
    assert set(done.removable) == set(made) - reached


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


ADDING = """
import sys
from pathlib import Path
from clicooper.storage.pins.roots import add_and_pin, pin_sets
from clicooper.storage.local import LocalStore
store = LocalStore(Path(sys.argv[1]) / "store")
for i in range(20):
    path = Path(sys.argv[1]) / f"{sys.argv[2]}-{i}"
    path.write_bytes(f"{sys.argv[2]} {i}".encode() * 30_000)
    add_and_pin(pin_sets(store), store, path)
"""


def test_clean_ups_beside_processes_that_add_take_nothing_of_theirs(
    store: LocalStore, sets: PinSets, tmp_path: Path
) -> None:
    """Two processes add twenty files each, while this one cleans up all the time."""
    sets.change("manual", lambda old: old.model_copy(update={"roots": texts([put_bytes(store, b"first")])}))
    adding = [
        subprocess.Popen([sys.executable, "-c", ADDING, str(tmp_path), name], stderr=subprocess.PIPE)
        for name in ("one", "other")
    ]
    while any(process.poll() is None for process in adding):
        clean_up(store, sets, delete=True)
    for process in adding:
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr.decode()
    done = sets.load("manual")
    assert done is not None
    assert len(done.roots) == 41
    assert len([cid for cid, _ in walk(store.get_block, done.pins)]) == clean_up(store, sets, delete=True).kept_blocks
