"""``clicooper store pin`` and ``store gc`` on homes and on a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest

from clicooper.commitments.canonical import encode
from clicooper.history.dag_roots import find_dag_roots
from clicooper.history.follow import follow_record
from clicooper.storage.base import put_bytes
from clicooper.storage.ipld.cid import cid_text
from clicooper.storage.local import LocalStore
from clicooper.storage.pins.pin_sets import PinSets
from tests.cli_calls import Capture, answered, printed, refused
from tests.scenario import FinishedRun, audit_command, block_file, rows


@pytest.fixture
def home(tmp_path: Path) -> str:
    return str(tmp_path / "home")


def names(run: Path) -> set[str]:
    return {cid_text(cid) for cid in LocalStore(run / "store").cids()}


# --- by hand ---


def test_what_is_added_stays_and_what_is_let_go_of_goes(home: str, tmp_path: Path, capsys: Capture) -> None:
    source = tmp_path / "file"
    cids = []
    for content in (b"one", b"two" * 200_000):
        source.write_bytes(content)
        cids.append(answered(capsys, "--home", home, "store", "add", str(source))["cid"])
    assert answered(capsys, "--home", home, "store", "gc", "--delete")["blocks"] == []
    (manual,) = answered(capsys, "--home", home, "store", "pin")["sets"]
    assert manual == {
        "name": "manual",
        "revision": 2,
        "finished": True,
        "audited": None,
        "pins": dict.fromkeys(cids, "recursive"),
    }
    answered(capsys, "--home", home, "store", "pin", "--remove", cids[1])
    plan_audit = answered(capsys, "--home", home, "store", "gc")
    assert (len(plan_audit["blocks"]), plan_audit["bytes"] > 600_000, plan_audit["removed"]) == (1 + 3, True, False)
    assert "would go with --delete" in printed(capsys, "--home", home, "store", "gc")
    assert answered(capsys, "--home", home, "store", "gc", "--delete")["blocks"] == plan_audit["blocks"]
    left = answered(capsys, "--home", home, "store", "ls")["blocks"]
    assert [row["cid"] for row in left] == [cids[0]]


def test_a_pin_under_a_name_of_its_own(home: str, tmp_path: Path, capsys: Capture) -> None:
    store = LocalStore(tmp_path / "home" / "store")
    record = store.put_block(encode({"file": put_bytes(store, b"content")}))
    answered(capsys, "--home", home, "store", "pin", str(record), "--set", "papers")
    done = answered(capsys, "--home", home, "store", "gc", "--delete")
    assert (done["blocks"], done["kept_blocks"]) == ([], 2)
    assert "papers" in printed(capsys, "--home", home, "store", "pin")


def test_what_is_not_there_cannot_be_pinned(home: str, tmp_path: Path, capsys: Capture) -> None:
    store = LocalStore(tmp_path / "home" / "store")
    lost = put_bytes(store, b"lost")
    record = store.put_block(encode({"file": lost}))
    store.remove(lost)
    arguments = ("--home", home, "store", "pin", str(record))
    assert str(lost) in refused(capsys, *arguments, code=4, kind="ArtifactMissing")
    assert PinSets(tmp_path / "home" / "pins").names() == []


def test_a_pin_that_is_not_there_cannot_be_removed(home: str, capsys: Capture) -> None:
    cid = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    assert cid in refused(capsys, "--home", home, "store", "pin", "--remove", cid)


@pytest.mark.parametrize("name", ["../escape", "UPPER", ""])
def test_a_set_with_a_path_like_name_is_bad_input(name: str, home: str, tmp_path: Path, capsys: Capture) -> None:
    store = LocalStore(tmp_path / "home" / "store")
    cid = str(put_bytes(store, b"content"))
    refused(capsys, "--home", home, "store", "pin", cid, "--set", name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_home_without_pins_is_not_cleaned_up(home: str, tmp_path: Path, capsys: Capture) -> None:
    put_bytes(LocalStore(tmp_path / "home" / "store"), b"content")
    for delete in ([], ["--delete"]):
        refused(capsys, "--home", home, "store", "gc", *delete, kind="RetentionRefused")
    assert len(answered(capsys, "--home", home, "store", "ls")["blocks"]) == 1


# --- a finished run ---


def test_an_owner_has_pinned_all_of_its_job(run_dir: Path, capsys: Capture) -> None:
    (job,) = answered(capsys, "store", "pin", "--run", str(run_dir))["sets"]
    assert (job["name"], job["finished"], job["audited"]) == ("job", True, None)
    done = answered(capsys, "store", "gc", str(run_dir), "--delete")
    assert (done["blocks"], done["kept_blocks"]) == ([], len(names(run_dir)))
    assert audit_command(run_dir)[0] == 0


def test_states_stay_until_an_audit_has_passed(run_dir: Path, capsys: Capture) -> None:
    before = names(run_dir)
    for delete in ([], ["--delete"]):
        message = refused(capsys, "store", "gc", str(run_dir), "--superseded", *delete, kind="RetentionRefused")
        assert "no passing audit" in message
    assert names(run_dir) == before


def test_a_failed_audit_is_not_recorded(run_dir: Path, capsys: Capture) -> None:
    path = next(path for path in (run_dir / "store").rglob("b*") if path.is_file())
    kept = path.read_bytes()
    path.write_bytes(b"other")
    assert audit_command(run_dir)[0] == 4
    path.write_bytes(kept)
    refused(capsys, "store", "gc", str(run_dir), "--superseded", kind="RetentionRefused")


def test_superseded_states_go_after_a_passing_audit(run_dir: Path, honest_run: FinishedRun, capsys: Capture) -> None:
    before, record = names(run_dir), follow_record(honest_run.record)
    assert audit_command(run_dir)[0] == 0
    sets = PinSets(run_dir / "pins").all()
    assert [pin_set.audited for pin_set in sets] == [record.head.hex()]
    plan_audit = answered(capsys, "store", "gc", str(run_dir), "--superseded")
    assert names(run_dir) == before and PinSets(run_dir / "pins").all() == sets, "a plan changes nothing"
    done = answered(capsys, "store", "gc", str(run_dir), "--superseded", "--delete")
    assert done["blocks"] == plan_audit["blocks"] and done["blocks"]
    assert names(run_dir) == before - set(done["blocks"])
    code, result = audit_command(run_dir)
    assert code == 4, "what is gone cannot be replayed, and is never taken for passed"
    assert not rows(result, "fail")
    kept = {row["check"] for row in result["checks"] if row["verdict"] == "pass"}
    assert {"record", "manifest", "links", "labels", "release", "payment"} <= kept
    last = [row for row in result["checks"] if row["round"] == 1]
    assert {row["verdict"] for row in last} == {"pass"}, "the last accepted round is whole"


def test_clean_up_of_a_run_with_a_lost_block_removes_nothing(
    run_dir: Path, honest_run: FinishedRun, capsys: Capture
) -> None:
    put_bytes(LocalStore(run_dir / "store"), b"loose")
    block_file(run_dir / "store", find_dag_roots(follow_record(honest_run.record)).manifests[0]).unlink()
    before = names(run_dir)
    refused(capsys, "store", "gc", str(run_dir), "--delete", kind="RetentionRefused")
    assert names(run_dir) == before


def test_a_run_folder_without_its_owners_pins_is_not_cleaned_up(run_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    """One artifact pinned by hand must not be taken for all that the job needs."""
    for path in (run_dir / "pins").iterdir():
        path.unlink()
    source = tmp_path / "file"
    source.write_bytes(b"mine")
    answered(capsys, "store", "add", str(source), "--run", str(run_dir))
    before = names(run_dir)
    refused(capsys, "store", "gc", str(run_dir), "--delete", kind="RetentionRefused")
    assert names(run_dir) == before


def test_superseded_states_of_no_job_are_bad_input(home: str, capsys: Capture) -> None:
    refused(capsys, "--home", home, "store", "gc", "--superseded")
