"""Tampering with a finished run, judged by the command line: which damage gives which exit code and which check.

Every case runs ``clicooper audit --json`` in this process and replays the whole training.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clicooper.audit.auditor import STORE_MARKER
from clicooper.storage.ipld.cid import cid_text, parse_cid
from tests.scenario import FinishedRun, audit_command, block_file, checks, grants_of, rows, unlinked


def flip(path: Path, offset: int = 0, mask: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= mask
    path.write_bytes(data)


def blocks(root: Path) -> list[Path]:
    return sorted(path for path in (root / "store").rglob("b*") if path.is_file())


# --- files of the store ---

ROLES: dict[str, Callable[[FinishedRun], Any]] = {
    "spec": lambda run: run.rehearsal.opened.owner.prepared.spec.cid,
    "release": lambda run: run.rehearsal.opened.owner.prepared.spec.activation_release,
    "labels": lambda run: run.rehearsal.opened.owner.prepared.spec.labels[1].ciphertext,
    "manifest": lambda run: run.rounds[0].manifests[1].cid,
    "initial weights": lambda run: run.rounds[0].manifests[0].state_in.weights.ciphertext,
    "trained": lambda run: run.rounds[1].manifests[0].trained.ciphertext,
    "out": lambda run: run.rounds[1].manifests[1].out.ciphertext,
    "optimizer": lambda run: run.rounds[0].manifests[0].optimizer.ciphertext,
    "transcript": lambda run: run.rounds[1].manifests[0].transcript.leaves.ciphertext,
    "interval state": lambda run: run.rounds[0].manifests[1].transcript.states[0].weights.ciphertext,
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("where", [0, -1])
def test_flipped_byte_is_damage_of_this_copy_and_accuses_nobody(
    role: str, where: int, honest_run: FinishedRun, run_dir: Path
) -> None:
    cid = ROLES[role](honest_run)
    flip(block_file(run_dir / "store", cid), where)
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    assert checks(printed, "fail") == set()
    assert cid_text(cid) in corrupt_here(printed)


def corrupt_here(printed: Any) -> set[str]:
    """The blocks that the audit says to fetch again."""
    bad = [row for row in rows(printed, "inconclusive") if row["check"] == "artifacts"]
    bad = [row for row in bad if row["detail"].startswith("corrupt here")]
    assert all(row["cause"] == "the store" and "store get" in row["remedy"] for row in bad)
    return {row["subject"] for row in bad}


@pytest.mark.parametrize("role", ROLES)
def test_deleted_artifact_is_inconclusive_and_named(role: str, honest_run: FinishedRun, run_dir: Path) -> None:
    cid = ROLES[role](honest_run)
    block_file(run_dir / "store", cid).unlink()
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    assert any(cid_text(cid) in row["subject"] + row["detail"] for row in rows(printed, "inconclusive"))


@pytest.mark.parametrize("role", ["initial weights", "trained", "out", "optimizer", "transcript", "interval state"])
def test_availability_of_sealed_files_is_judged_without_a_grant(
    role: str, honest_run: FinishedRun, run_dir: Path
) -> None:
    shutil.rmtree(run_dir / "auditor")
    shutil.rmtree(run_dir / "owner")
    cid = ROLES[role](honest_run)
    block_file(run_dir / "store", cid).unlink()
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (4, set())
    assert ("artifacts", cid_text(cid)) in {(row["check"], row["subject"]) for row in rows(printed, "inconclusive")}


def test_every_single_artifact_is_missed(smallest_run: FinishedRun, tmp_path: Path) -> None:
    root = Path(shutil.copytree(smallest_run.root, tmp_path / "run"))
    linked = [path for path in blocks(root) if path.name not in unlinked(smallest_run)]
    assert len(linked) == len(blocks(root)) - 2
    for path in linked:
        kept = path.read_bytes()
        path.unlink()
        code, printed = audit_command(root)
        named = [row for row in rows(printed, "inconclusive") if path.name in row["subject"] + row["detail"]]
        assert code == 4, path.name
        assert named, path.name
        path.write_bytes(kept)
    assert audit_command(root)[0] == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        lambda path: path.write_bytes(bytes(2 << 20)),
    ],
    ids=["emptied", "cut", "extended", "oversized"],
)
def test_block_of_another_length_is_damage_of_this_copy(damage: Callable[[Path], Any], run_dir: Path) -> None:
    path = blocks(run_dir)[0]
    damage(path)
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (4, set())
    assert path.name in corrupt_here(printed)


def test_swapped_blocks_are_damage_by_both_names(honest_run: FinishedRun, run_dir: Path) -> None:
    first, second = (honest_run.rounds[0].manifests[seat].cid for seat in (0, 1))
    one, two = (block_file(run_dir / "store", cid) for cid in (first, second))
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (4, set())
    assert corrupt_here(printed) == {cid_text(first), cid_text(second)}


def test_block_in_the_wrong_shard_is_missing(run_dir: Path) -> None:
    path = blocks(run_dir)[0]
    path.rename(run_dir / "store" / path.name)
    code, printed = audit_command(run_dir)
    assert code == 4
    assert any(path.name in row["subject"] + row["detail"] for row in rows(printed, "inconclusive"))


def test_block_replaced_by_a_folder_is_missing(run_dir: Path) -> None:
    path = blocks(run_dir)[0]
    path.unlink()
    path.mkdir()
    code, _ = audit_command(run_dir)
    assert code in {3, 4}


@pytest.mark.parametrize("offset", [0, 9, -1])
def test_flipped_store_marker_is_damage_of_this_copy(offset: int, run_dir: Path) -> None:
    flip(run_dir / "store" / STORE_MARKER, offset)
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    assert [(row["check"], row["subject"]) for row in rows(printed, "inconclusive")] == [("artifacts", STORE_MARKER)]
    assert checks(printed, "pass") == {"record", "payment"}


def test_deleted_store_marker_is_inconclusive_and_named(run_dir: Path) -> None:
    (run_dir / "store" / STORE_MARKER).unlink()
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    assert [row["subject"] for row in rows(printed, "inconclusive")] == [STORE_MARKER]


def test_emptied_store_is_inconclusive(run_dir: Path) -> None:
    shutil.rmtree(run_dir / "store")
    (run_dir / "store").mkdir()
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (4, set())


def test_strays_in_the_store_change_nothing(run_dir: Path) -> None:
    store = run_dir / "store"
    shard = blocks(run_dir)[0].parent
    (store / ".tmp-0123456789abcdef").write_bytes(b"half a block")
    (shard / ".tmp-fedcba9876543210").write_bytes(b"")
    (store / "README.txt").write_bytes(b"foreign")
    (shard / "notes").mkdir()
    (store / "zz").mkdir()
    (store / "\udcff").write_bytes(b"a name that is no text")
    (store / "dangling").symlink_to("nowhere")
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (0, "pass")


# --- the record, damaged ---


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b"  ", b" ", 1),
        lambda data: b"\xff" + data[1:],
        lambda _: b"[]\n",
        lambda _: b"null\n",
        lambda _: b"[" * 100_000,
        lambda _: b'{"version": 1, "version": 1}\n',
    ],
    ids=["empty", "half", "no end", "longer", "layout", "no text", "list", "null", "nested", "twice"],
)
def test_damaged_record_is_one_row_that_accuses_nobody(damage: Callable[[bytes], bytes], run_dir: Path) -> None:
    record = run_dir / "record.json"
    record.write_bytes(damage(record.read_bytes()))
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    found = [(row["check"], row["subject"], row["cause"]) for row in rows(printed, "inconclusive")]
    assert found == [("record", "record.json", "the store")]
    assert checks(printed, "pass") == {"artifacts"}
    assert printed["record"]["commitments"] == 0


def test_damaged_record_and_damaged_store_are_both_reported(run_dir: Path) -> None:
    flip(run_dir / "record.json", 100)
    flip(blocks(run_dir)[3])
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (4, set())
    assert checks(printed, "inconclusive") == {"artifacts", "record"}


def test_damaged_record_writes_a_report_for_people(run_dir: Path) -> None:
    (run_dir / "record.json").write_bytes(b"")
    page = run_dir / "audit.html"
    code, _ = audit_command(run_dir, "--report", str(page))
    assert code == 4
    assert "record.json" in page.read_text(encoding="utf-8")


def test_absent_record_is_bad_input(run_dir: Path) -> None:
    (run_dir / "record.json").unlink()
    code, printed = audit_command(run_dir)
    assert (code, printed["error"]["type"]) == (2, "RunFolderError")


def test_record_of_another_run_proves_nothing_about_this_store(
    honest_run: FinishedRun, other_run: FinishedRun, run_dir: Path
) -> None:
    shutil.copy(other_run.root / "record.json", run_dir / "record.json")
    code, printed = audit_command(run_dir)
    spec = cid_text(other_run.rehearsal.opened.owner.prepared.spec.cid)
    assert (code, checks(printed, "fail")) == (4, set())
    assert spec in {row["subject"] for row in rows(printed, "inconclusive")}


def test_store_of_another_run_proves_nothing_about_this_record(other_run: FinishedRun, run_dir: Path) -> None:
    shutil.rmtree(run_dir / "store")
    shutil.copytree(other_run.root / "store", run_dir / "store")
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (4, set())


def test_grants_of_another_job_open_nothing_and_convict_nobody(other_run: FinishedRun, run_dir: Path) -> None:
    shutil.rmtree(run_dir / "auditor")
    shutil.copytree(other_run.root / "auditor", run_dir / "auditor")
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (4, set())
    assert {"labels", "mark", "embed", "replay", "artifacts"} <= checks(printed, "inconclusive")


def test_registered_grant_is_missed_by_name(honest_run: FinishedRun, run_dir: Path) -> None:
    for cid in grants_of(honest_run):
        if cid_text(cid) in unlinked(honest_run):
            continue
        block = block_file(run_dir / "store", cid)
        kept = block.read_bytes()
        block.unlink()
        code, printed = audit_command(run_dir)
        assert code == 4
        assert [row["subject"] for row in rows(printed, "inconclusive")] == [cid_text(cid)]
        block.write_bytes(kept)


def test_names_in_the_store_are_their_contents_names(run_dir: Path) -> None:
    assert all(re.fullmatch("b[a-z2-7]{58}", path.name) and parse_cid(path.name) for path in blocks(run_dir))


@pytest.fixture(scope="module", autouse=True)
def _the_honest_run_passes(honest_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No case means anything unless the same command passes without the damage, before and after all of them."""
    # An audit that passes is noted in the folder, so each is of a copy.
    for when in ("before", "after"):
        copy = Path(shutil.copytree(honest_run.root, tmp_path_factory.mktemp(when) / "run"))
        assert audit_command(copy)[0] == 0
        if when == "before":
            yield
