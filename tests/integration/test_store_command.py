"""``clicooper store`` and audits from CAR files: what they print, write and refuse."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from multiformats import CID

from clicooper.access.sealing import new_identity
from clicooper.chain.record import read_record, record_from_json
from clicooper.commitments.bundle import JobBundle
from clicooper.commitments.canonical import encode
from clicooper.errors import SpecError
from clicooper.files import whole_file, write_secret
from clicooper.history.dag_roots import find_dag_roots
from clicooper.history.follow import follow_record
from clicooper.storage.base import put_bytes
from clicooper.storage.car_store import CarStore
from clicooper.storage.ipld.car import write_car
from clicooper.storage.ipld.cid import block_cid, cid_bytes, file_cid
from clicooper.storage.ipld.graph import walk
from clicooper.storage.local import LocalStore
from tests.cli_calls import Capture, answered, printed, refused
from tests.scenario import FinishedRun, audit_command, block_file, checks, grants_in, resealed, rows

WEIGHTS = bytes(range(256)) * 3000


@pytest.fixture
def home(tmp_path: Path) -> str:
    return str(tmp_path / "home")


@pytest.fixture(scope="module")
def car(smallest_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest run's CAR file; whoever damages it copies it first."""
    from clicooper.audit.bundle import pack_job

    path = tmp_path_factory.mktemp("packed") / "job.car"
    pack_job(smallest_run.record, LocalStore(smallest_run.root / "store"), path)
    return path


@pytest.fixture
def identity(smallest_run: FinishedRun) -> str:
    return str(smallest_run.root / "auditor" / "identity.txt")


@pytest.fixture
def run(smallest_run: FinishedRun, tmp_path: Path) -> Path:
    return Path(shutil.copytree(smallest_run.root, tmp_path / "run"))


def a_manifest(run: Path) -> CID:
    return find_dag_roots(follow_record(read_record(run / "record.json"))).manifests[0]


# --- add, get, ls ---


def test_add_and_get_return_the_same_file(home: str, tmp_path: Path, capsys: Capture) -> None:
    source, target = tmp_path / "weights", tmp_path / "out" / "weights"
    source.write_bytes(WEIGHTS)
    added = answered(capsys, "--home", home, "store", "add", str(source))
    assert added == {"ok": True, "code": 0, "cid": str(file_cid(WEIGHTS)), "bytes": len(WEIGHTS)}
    got = answered(capsys, "--home", home, "store", "get", added["cid"], "-o", str(target))
    assert (got["path"], got["bytes"]) == (str(target), len(WEIGHTS))
    assert target.read_bytes() == WEIGHTS
    assert printed(capsys, "--home", home, "store", "add", str(source)) == added["cid"]


def test_get_without_a_file_writes_the_bytes_to_stdout(home: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "home" / "store")
    record = store.put_block(encode({"round": 1}))
    for cid, expected in ((put_bytes(store, WEIGHTS), WEIGHTS), (record, encode({"round": 1}))):
        command = [sys.executable, "-m", "clicooper", "--home", home, "store", "get", str(cid)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        assert (done.stdout, done.stderr) == (expected, b"")


def test_get_with_json_needs_a_file(home: str, capsys: Capture) -> None:
    error = answered(capsys, "--home", home, "store", "get", str(file_cid(b"")), code=2)["error"]
    assert error["type"] == "UsageError" and "-o FILE" in error["hint"]


def test_get_of_an_absent_artifact_is_inconclusive_and_writes_nothing(
    home: str, tmp_path: Path, capsys: Capture
) -> None:
    cid, target = str(file_cid(b"absent")), tmp_path / "out"
    assert cid in refused(
        capsys, "--home", home, "store", "get", cid, "-o", str(target), code=4, kind="ArtifactMissing"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["flipped", "lost"])
def test_get_never_leaves_half_a_file(damage: str, home: str, tmp_path: Path, capsys: Capture) -> None:
    store, target = LocalStore(tmp_path / "home" / "store"), tmp_path / "out" / "weights"
    cid = put_bytes(store, WEIGHTS)
    leaf = block_file(store.root, block_cid(WEIGHTS[2 * 262_144 :], "raw"))
    target.parent.mkdir()
    target.write_bytes(b"what was there before")
    if damage == "lost":
        leaf.unlink()
    else:
        leaf.write_bytes(b"flipped")
    code, kind = (4, "ArtifactMissing") if damage == "lost" else (4, "ArtifactCorrupt")
    refused(capsys, "--home", home, "store", "get", str(cid), "-o", str(target), code=code, kind=kind)
    assert [path.read_bytes() for path in target.parent.iterdir()] == [b"what was there before"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "", "bafy", "Qm", "bafk\0"])
def test_get_of_a_path_like_name_is_bad_input(name: str, home: str, tmp_path: Path, capsys: Capture) -> None:
    refused(capsys, "--home", home, "store", "get", name, "-o", str(tmp_path / "o"), kind="SpecError")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["absent", "."])
def test_add_of_what_is_no_file_is_bad_input(name: str, home: str, tmp_path: Path, capsys: Capture) -> None:
    refused(capsys, "--home", home, "store", "add", str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_ls_lists_every_block_and_what_is_damaged(run: Path, capsys: Capture) -> None:
    store = LocalStore(run / "store")
    listed = answered(capsys, "store", "ls", str(run))
    assert {row["cid"]: row["bytes"] for row in listed["blocks"]} == {
        str(cid): len(store.get_block(cid)) for cid in store.cids()
    }
    assert listed["bytes"] == sum(row["bytes"] for row in listed["blocks"])
    first = next(store.cids())
    block_file(store.root, first).write_bytes(b"")
    from clicooper.cli.main import main

    assert main(["store", "ls", str(run)]) == 1
    assert "damaged" in capsys.readouterr().out


def test_ls_of_an_empty_store_is_an_empty_list(home: str, capsys: Capture, tmp_path: Path) -> None:
    assert answered(capsys, "--home", home, "store", "ls")["blocks"] == []
    assert not list(tmp_path.iterdir())


# --- export and import ---


def test_export_is_whole_and_the_same_each_time(run: Path, car: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "new" / "job.car"
    result = answered(capsys, "store", "export", str(run), "-o", str(target))
    assert target.read_bytes() == car.read_bytes()
    assert (result["bytes"], result["left_out"]) == (target.stat().st_size, [])
    with CarStore(target) as opened:
        assert [str(root) for root in opened.roots] == [result["root"]]
        walked = [cid for cid, _ in walk(opened.get_block, opened.roots)]
        assert walked == list(opened.cids())
        assert len(walked) == result["blocks"]
        bundle = JobBundle.from_block(opened.get_block(opened.roots[0]))
    assert bundle.record == file_cid((run / "record.json").read_bytes())
    granted_by_the_owner = set(LocalStore(run / "store").cids()) - set(walked)
    assert granted_by_the_owner < set(grants_in(LocalStore(run / "store"))), "all else is the job's"


def test_export_takes_along_what_is_attached(run: Path, tmp_path: Path, capsys: Capture) -> None:
    store = LocalStore(run / "store")
    grant = store.put_block(encode({"grant": put_bytes(store, b"sealed keys")}))
    target = tmp_path / "job.car"
    answered(capsys, "store", "export", str(run), "-o", str(target), "--attach", str(grant))
    with CarStore(target) as opened:
        assert opened.has(grant) and opened.has(file_cid(b"sealed keys"))
        assert JobBundle.from_block(opened.get_block(opened.roots[0])).attachments[-1] == grant


def test_seats_grants_travel_with_the_job_and_open_for_its_auditor(car: Path, run: Path, tmp_path: Path) -> None:
    """Named by the key records on chain; a grant for the auditor is told apart and attached by name."""
    store = LocalStore(run / "store")
    with CarStore(car) as opened:
        bundle = JobBundle.from_block(opened.get_block(opened.roots[0]))
    assert len(bundle.attachments) == 2
    assert set(bundle.attachments) < set(grants_in(store))


def test_an_auditor_is_let_in_by_a_grant_in_the_file(run: Path, tmp_path: Path, capsys: Capture) -> None:
    identity, recipient = new_identity()
    key_file, target = tmp_path / "me" / "key", tmp_path / "job.car"
    write_secret(key_file, identity.encode())
    made = answered(capsys, "job", "grant", str(run), "--to", recipient, "--labels")
    assert answered(capsys, "store", "gc", str(run), "--delete")["blocks"] == [], "grants are pinned"
    answered(capsys, "store", "export", str(run), "-o", str(target), "--attach", made["grant"])
    assert audit_command(target, "--identity", str(key_file), "--grant", made["grant"])[0] == 0


def test_export_of_an_incomplete_store_is_refused_and_writes_nothing(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    lost = a_manifest(run)
    block_file(run / "store", lost).unlink()
    target = tmp_path / "job.car"
    arguments = ("store", "export", str(run), "-o", str(target))
    assert str(lost) in refused(capsys, *arguments, code=4, kind="ArtifactMissing")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_export_of_a_damaged_record_is_refused(run: Path, tmp_path: Path, capsys: Capture) -> None:
    (run / "record.json").write_bytes(b"{}")
    refused(capsys, "store", "export", str(run), "-o", str(tmp_path / "job.car"), code=4, kind="RecordDamaged")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_import_into_the_home_store_and_export_from_it_lose_nothing(
    car: Path, home: str, tmp_path: Path, capsys: Capture
) -> None:
    result = answered(capsys, "--home", home, "store", "import", str(car))
    store = LocalStore(tmp_path / "home" / "store")
    with CarStore(car) as opened:
        assert (result["blocks"], result["new_blocks"]) == (len(opened), len(opened))
        again = tmp_path / "again.car"
        with whole_file(again) as stream:
            write_car(stream, opened.roots, walk(store.get_block, opened.roots))
    assert again.read_bytes() == car.read_bytes()
    assert answered(capsys, "--home", home, "store", "import", str(car))["new_blocks"] == 0


def test_import_of_a_cut_file_is_refused_with_the_byte(car: Path, home: str, tmp_path: Path, capsys: Capture) -> None:
    cut = tmp_path / "cut.car"
    cut.write_bytes(car.read_bytes()[:-10])
    message = refused(capsys, "--home", home, "store", "import", str(cut), code=4, kind="CarError")
    assert "cut.car, byte " in message
    assert [path.name for path in tmp_path.iterdir()] == ["cut.car"]


# --- audits from a CAR file ---


def test_audit_runs_from_a_car_alone(car: Path, run: Path, identity: str) -> None:
    code, from_car = audit_command(car, "--identity", identity)
    _, from_folder = audit_command(run)
    assert (code, from_car["verdict"]) == (0, "pass")
    assert from_car["replayed"] == from_folder["replayed"]
    own = [row for row in from_car["checks"] if row["subject"] not in ("store", str(_root(car)))]
    assert own == [row for row in from_folder["checks"] if row["subject"] != "store"]


def _root(car: Path) -> CID:
    with CarStore(car) as opened:
        return opened.roots[0]


def test_audit_of_a_car_without_keys_is_inconclusive(car: Path) -> None:
    code, result = audit_command(car)
    assert (code, result["verdict"], checks(result, "fail")) == (4, "inconclusive", set())


def test_audit_writes_the_bundle_of_what_it_audited(run: Path, car: Path, tmp_path: Path) -> None:
    target = tmp_path / "audited.car"
    code, result = audit_command(run, "--bundle", str(target))
    assert (code, result["bundle"]["path"], result["bundle"]["root"]) == (0, str(target), str(_root(car)))
    assert target.read_bytes() == car.read_bytes()


def test_audit_of_an_incomplete_store_keeps_its_verdict_and_writes_no_bundle(run: Path, tmp_path: Path) -> None:
    lost = a_manifest(run)
    block_file(run / "store", lost).unlink()
    code, result = audit_command(run, "--bundle", str(tmp_path / "audited.car"))
    assert (code, result["verdict"], result["bundle"]["path"]) == (4, "inconclusive", None)
    assert str(lost) in result["bundle"]["why"]
    assert not (tmp_path / "audited.car").exists()


def test_bundle_of_a_bundle_is_bad_input(car: Path, tmp_path: Path, capsys: Capture) -> None:
    refused(capsys, "audit", str(car), "--bundle", str(tmp_path / "b.car"))


def rewritten(car: Path, target: Path, change: Callable[[dict[CID, bytes]], CID | None]) -> Path:
    """The file with other blocks, as a forger writes it: every name fits its block."""
    with CarStore(car) as opened:
        blocks = {cid: opened.get_block(cid) for cid in opened.cids()}
        root = change(blocks) or opened.roots[0]
    with target.open("wb") as stream:
        write_car(stream, [root], blocks.items())
    return target


def test_audit_of_a_flipped_car_accuses_nobody(car: Path, tmp_path: Path, identity: str) -> None:
    with CarStore(car) as opened:
        cids = list(opened.cids())
    data = car.read_bytes()
    for cid in (cids[-1], cids[len(cids) // 2]):
        at = data.index(cid_bytes(cid), 100) + 36
        damaged = tmp_path / "flipped.car"
        damaged.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        code, result = audit_command(damaged, "--identity", identity)
        assert (code, checks(result, "fail")) == (4, set())
        damaged_rows = [row for row in rows(result, "inconclusive") if row["check"] == "artifacts"]
        assert damaged_rows and {row["cause"] for row in damaged_rows} == {"the store"}


@pytest.mark.parametrize("cut", [0, 1, 50, 5_000, -1])
def test_audit_of_a_cut_car_names_the_byte_and_accuses_nobody(
    cut: int, car: Path, tmp_path: Path, identity: str
) -> None:
    damaged = tmp_path / "cut.car"
    damaged.write_bytes(car.read_bytes()[:cut])
    code, result = audit_command(damaged, "--identity", identity)
    (row,) = result["checks"]
    assert (code, row["verdict"], row["check"], row["subject"]) == (4, "inconclusive", "artifacts", "cut.car")
    assert "fetch it again" in row["remedy"]
    assert "cut.car, byte " in row["detail"]


def test_audit_of_a_car_that_lacks_a_block_is_inconclusive_and_names_it(
    car: Path, tmp_path: Path, identity: str
) -> None:
    lost: list[CID] = []

    def drop_last(blocks: dict[CID, bytes]) -> None:
        lost.append(list(blocks)[-1])
        del blocks[lost[0]]

    code, result = audit_command(rewritten(car, tmp_path / "less.car", drop_last), "--identity", identity)
    assert code == 4
    assert any(str(lost[0]) in row["subject"] + row["detail"] for row in rows(result, "inconclusive"))


def with_bundle(**changes: Any) -> Callable[[dict[CID, bytes]], CID]:
    """A change of the bundle's fields under a fitting name."""

    def change(blocks: dict[CID, bytes]) -> CID:
        old = next(iter(blocks))
        bundle = JobBundle.from_block(blocks.pop(old)).model_copy(update=changes)
        blocks[bundle.cid] = bundle.to_block()
        return bundle.cid

    return change


def test_audit_rejects_a_bundle_that_lists_other_manifests_than_its_record(
    car: Path, tmp_path: Path, identity: str
) -> None:
    forged = rewritten(car, tmp_path / "forged.car", with_bundle(manifests=()))
    code, result = audit_command(forged, "--identity", identity)
    (row,) = rows(result, "fail")
    assert (code, row["check"], row["subject"]) == (1, "artifacts", str(_root(forged)))


def test_audit_rejects_a_bundle_whose_record_is_forged(car: Path, tmp_path: Path, identity: str) -> None:
    import json

    def forge(blocks: dict[CID, bytes]) -> CID:
        with CarStore(car) as opened:
            bundle = JobBundle.from_block(blocks[opened.roots[0]])
        content = json.loads(blocks[bundle.record])
        content["events"][1]["event"]["seat"] = 1
        record = resealed(content)
        record_from_json(record)
        blocks[file_cid(record)] = record
        return with_bundle(record=file_cid(record))(blocks)

    code, result = audit_command(rewritten(car, tmp_path / "forged.car", forge), "--identity", identity)
    assert (code, checks(result, "fail")) == (1, {"record"})


def test_audit_of_a_car_for_something_else_is_no_audit(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    other = tmp_path / "other.car"
    root = put_bytes(store, b"somebody's holiday pictures")
    with other.open("wb") as stream:
        write_car(stream, [root], walk(store.get_block, [root]))
    code, result = audit_command(other)
    assert (code, result["record"]["commitments"]) == (4, 0)


def test_a_job_of_too_many_manifests_for_one_block_is_refused() -> None:
    link = block_cid(b"", "raw")
    with pytest.raises(SpecError, match="exceeds"):
        JobBundle(record=link, spec=link, manifests=(link,) * 30_000, attachments=()).to_block()


def test_audit_from_a_car_within_a_read_only_folder(car: Path, tmp_path: Path, identity: str) -> None:
    folder = tmp_path / "sealed"
    folder.mkdir()
    shutil.copy(car, folder / "job.car")
    before = folder.stat().st_mtime_ns
    assert audit_command(folder / "job.car", "--identity", identity)[0] == 0
    assert folder.stat().st_mtime_ns == before
