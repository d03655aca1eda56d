"""Run folders: made once, never mixed, marked until they are complete, taken back when nothing happened."""

from pathlib import Path

import pytest

from clicooper.errors import RunFolderError
from clicooper.storage.run_folder import RunFolder


@pytest.fixture
def complete(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run")
    folder.write("record.json", b"{}")
    folder.store.mkdir()
    folder.finish()
    return folder


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_new_folder_is_incomplete_and_keeps_secrets_private(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "a" / "run")
    assert contents(folder.root) == {"INCOMPLETE", "owner", "trainers", "auditor"}
    assert {(folder.root / name).stat().st_mode & 0o777 for name in ("owner", "trainers", "auditor")} == {0o700}


def test_complete_folder_opens(complete: RunFolder) -> None:
    assert RunFolder.open(complete.root).record == complete.record


def test_empty_folder_may_be_used(tmp_path: Path) -> None:
    assert not RunFolder.create(tmp_path).is_new


def test_runs_are_never_mixed(complete: RunFolder) -> None:
    before = contents(complete.root)
    with pytest.raises(RunFolderError, match="is not empty"):
        RunFolder.create(complete.root)
    assert contents(complete.root) == before


@pytest.mark.parametrize("below", ["file", "file/run", "file/deeper/run"])
def test_unwritable_place_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    for create in (RunFolder.create, RunFolder.create_next):
        with pytest.raises(RunFolderError, match="cannot write to") as caught:
            create(tmp_path / below)
        assert "--out or --home" in caught.value.hint
    assert contents(tmp_path) == {"file"}


def test_next_folder_is_the_first_free_one(tmp_path: Path) -> None:
    (tmp_path / "run-002").mkdir()
    names = [RunFolder.create_next(tmp_path).root.name for _ in range(3)]
    assert names == ["run-001", "run-003", "run-004"]


def test_incomplete_folder_is_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write("record.json", b"{}")
    folder.store.mkdir()
    with pytest.raises(RunFolderError, match="is incomplete") as caught:
        RunFolder.open(folder.root)
    assert "run the job again" in caught.value.hint


def test_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a folder"):
        RunFolder.open(tmp_path / "run")


@pytest.mark.parametrize("name", ["record.json", "store"])
def test_folder_that_lacks_a_part_is_refused(complete: RunFolder, name: str) -> None:
    path = complete.root / name
    path.rename(complete.root / "elsewhere")
    with pytest.raises(RunFolderError, match=f"has no {name}"):
        RunFolder.open(complete.root)


def test_discard_removes_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    (folder.store / "ab").mkdir(parents=True)
    folder.discard()
    assert contents(tmp_path) == set()


def test_discard_leaves_a_found_folder_empty(tmp_path: Path) -> None:
    RunFolder.create(tmp_path).discard()
    assert contents(tmp_path) == set()


def test_folder_with_keys_says_so(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    assert not folder.holds_keys
    (folder.owner / "account.key").write_bytes(b"00")
    assert folder.holds_keys
