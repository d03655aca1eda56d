"""Clean-ups of a store, which must never take what somebody needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multiformats import CID

from clicooper.commitments.canonical import encode
from clicooper.errors import RetentionRefused, StorageError
from clicooper.storage.base import put_bytes
from clicooper.storage.ipld.cid import block_cid, cid_text
from clicooper.storage.ipld.graph import walk
from clicooper.storage.local import LocalStore
from clicooper.storage.pins.clean_up import clean_up
from clicooper.storage.pins.pin_sets import PinSets, texts
from clicooper.storage.pins.retention import JobRetention
from tests.unit.storage.retained_job import content, run_job


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def sets(tmp_path: Path) -> PinSets:
    return PinSets(tmp_path / "pins")


@pytest.fixture
def retention(sets: PinSets, store: LocalStore) -> JobRetention:
    return JobRetention(sets, "job", store)


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
