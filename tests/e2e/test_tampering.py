"""Tampering with a finished run, judged by the command line: which damage gives which exit code and which check.

Every case runs ``clicooper audit --json`` in this process and replays the whole training.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clicooper.audit.auditor import STORE_MARKER
from clicooper.storage.cid import cid_text, parse_cid
from tests.scenario import FinishedRun, audit_command, block_file, resealed

Printed = dict[str, Any]
Content = dict[str, Any]


def rows(printed: Printed, verdict: str) -> list[dict[str, Any]]:
    return [row for row in printed["checks"] if row["verdict"] == verdict]


def checks(printed: Printed, verdict: str) -> set[str]:
    return {row["check"] for row in rows(printed, verdict)}


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
    "initial weights": lambda run: run.rounds[0].manifests[0].state_in.weights,
    "trained": lambda run: run.rounds[1].manifests[0].trained,
    "out": lambda run: run.rounds[1].manifests[1].out,
    "optimizer": lambda run: run.rounds[0].manifests[0].optimizer,
    "transcript": lambda run: run.rounds[1].manifests[0].transcript.leaves,
    "interval state": lambda run: run.rounds[0].manifests[1].transcript.states[0].weights,
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("where", [0, -1])
def test_flipped_byte_fails_artifacts(role: str, where: int, honest_run: FinishedRun, run_dir: Path) -> None:
    cid = ROLES[role](honest_run)
    flip(block_file(run_dir / "store", cid), where)
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (1, "fail")
    assert checks(printed, "fail") == {"artifacts"}
    assert cid_text(cid) in {row["subject"] for row in rows(printed, "fail")}


@pytest.mark.parametrize("role", ROLES)
def test_deleted_artifact_is_inconclusive_and_named(role: str, honest_run: FinishedRun, run_dir: Path) -> None:
    cid = ROLES[role](honest_run)
    block_file(run_dir / "store", cid).unlink()
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    assert any(cid_text(cid) in row["subject"] + row["detail"] for row in rows(printed, "inconclusive"))


def test_every_single_artifact_is_missed(smallest_run: FinishedRun, tmp_path: Path) -> None:
    root = Path(shutil.copytree(smallest_run.root, tmp_path / "run"))
    for path in blocks(root):
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
def test_block_of_another_length_fails_artifacts(damage: Callable[[Path], Any], run_dir: Path) -> None:
    damage(blocks(run_dir)[0])
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (1, {"artifacts"})


def test_swapped_blocks_fail_artifacts_by_both_names(honest_run: FinishedRun, run_dir: Path) -> None:
    first, second = (honest_run.rounds[0].manifests[seat].cid for seat in (0, 1))
    one, two = (block_file(run_dir / "store", cid) for cid in (first, second))
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (1, {"artifacts"})
    assert {row["subject"] for row in rows(printed, "fail")} == {cid_text(first), cid_text(second)}


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
def test_flipped_store_marker_fails_artifacts(offset: int, run_dir: Path) -> None:
    flip(run_dir / "store" / STORE_MARKER, offset)
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (1, "fail")
    assert [(row["check"], row["subject"]) for row in rows(printed, "fail")] == [("artifacts", STORE_MARKER)]
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
def test_damaged_record_is_one_failing_row(damage: Callable[[bytes], bytes], run_dir: Path) -> None:
    record = run_dir / "record.json"
    record.write_bytes(damage(record.read_bytes()))
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (1, "fail")
    assert [(row["check"], row["subject"]) for row in rows(printed, "fail")] == [("record", "record.json")]
    assert checks(printed, "pass") == {"artifacts"}
    assert printed["record"]["commitments"] == 0


def test_damaged_record_and_damaged_store_are_both_reported(run_dir: Path) -> None:
    flip(run_dir / "record.json", 100)
    flip(blocks(run_dir)[3])
    code, printed = audit_command(run_dir)
    assert (code, checks(printed, "fail")) == (1, {"artifacts", "record"})


def test_damaged_record_writes_a_report_for_people(run_dir: Path) -> None:
    (run_dir / "record.json").write_bytes(b"")
    page = run_dir / "audit.html"
    code, _ = audit_command(run_dir, "--report", str(page))
    assert code == 1
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


def test_grants_of_another_run_convict_nobody(other_run: FinishedRun, run_dir: Path) -> None:
    """A key that does not open a commitment is a failed mark; the labels stay closed."""
    shutil.rmtree(run_dir / "auditor")
    shutil.copytree(other_run.root / "auditor", run_dir / "auditor")
    code, printed = audit_command(run_dir)
    assert code == 1
    assert checks(printed, "fail") == {"mark", "embed"}
    assert {"labels", "replay"} <= checks(printed, "inconclusive")


# --- the record, forged: altered content under a fitting digest ---


def events(content: Content, name: str) -> list[Content]:
    return [logged["event"] for logged in content["events"] if logged["event"]["type"] == name]


def place(content: Content, name: str, number: int = 0) -> int:
    found = [i for i, logged in enumerate(content["events"]) if logged["event"]["type"] == name]
    return found[number]


def other_digest(text: str) -> str:
    return "0x" + f"{int(text, 16) ^ 1:064x}"


def swap_manifest(content: Content) -> None:
    first = events(content, "Committed")[0]
    first["manifest_digest"] = other_digest(first["manifest_digest"])


def swap_mark(content: Content) -> None:
    first = events(content, "Committed")[0]
    first["mark_commitment"] = other_digest(first["mark_commitment"])


def exchange_manifests(content: Content) -> None:
    first, second = events(content, "Committed")[:2]
    first["manifest_digest"], second["manifest_digest"] = second["manifest_digest"], first["manifest_digest"]


def rename_trainer(content: Content) -> None:
    """The same stranger wherever the trainer stood, so that the payments still add up."""
    (old,) = {event["trainer"] for event in events(content, "SeatJoined") if event["seat"] == 0}
    text = json.dumps(content).replace(old, "0x00000000000000000000000000000000DeaDBeef")
    content.update(json.loads(text))


def exchange_trainers(content: Content) -> None:
    first, second = events(content, "SeatJoined")
    first["trainer"], second["trainer"] = second["trainer"], first["trainer"]


def edit(name: str, field: str, change: Callable[[Any], Any], number: int = 0) -> Callable[[Content], None]:
    def forge(content: Content) -> None:
        event = events(content, name)[number]
        event[field] = change(event[field])

    return forge


def edit_params(field: str, value: Any) -> Callable[[Content], None]:
    def forge(content: Content) -> None:
        events(content, "JobCreated")[0]["params"][field] = value

    return forge


def drop(name: str, number: int = 0) -> Callable[[Content], None]:
    return lambda content: content["events"].pop(place(content, name, number))


def duplicate(content: Content) -> None:
    at = place(content, "Committed")
    twin = json.loads(json.dumps(content["events"][at]))
    twin["log_index"] += 1
    content["events"].insert(at + 1, twin)


def exchange_events(content: Content) -> None:
    first, second = place(content, "Committed", 0), place(content, "Committed", 1)
    one, two = content["events"][first], content["events"][second]
    one["event"], two["event"] = two["event"], one["event"]


def reorder_events(content: Content) -> None:
    at = place(content, "Committed")
    content["events"][at : at + 2] = reversed(content["events"][at : at + 2])


def delay(name: str, number: int = 0) -> Callable[[Content], None]:
    def forge(content: Content) -> None:
        for logged in content["events"][place(content, name, number) :]:
            logged["block_timestamp"] += 100 * 86_400

    return forge


FORGED: dict[str, tuple[Callable[[Content], None], str, str]] = {
    "mark commitment": (swap_mark, "manifest", "mark commitment differs"),
    "manifests exchanged": (exchange_manifests, "manifest", "seat differs"),
    "trainer renamed": (rename_trainer, "manifest", "trainer differs"),
    "trainers exchanged": (exchange_trainers, "manifest", "trainer differs"),
    "label key released": (edit("LabelsReleased", "label_key", other_digest), "record", "does not open the key"),
    "label key accepted": (edit("RoundAccepted", "label_key", other_digest), "record", "does not open the key"),
    "round": (edit("Committed", "round", lambda r: r + 1), "record", "where round 0, seat 0 is due"),
    "seat": (edit("Committed", "seat", lambda s: s + 1), "record", "where round 0, seat 0 is due"),
    "accepted round": (edit("RoundAccepted", "round", lambda r: r + 1), "record", "is in review"),
    "dropped commitment": (drop("Committed"), "record", "is due"),
    "dropped acceptance": (drop("RoundAccepted"), "record", "cannot happen in phase REVIEW"),
    "dropped creation": (drop("JobCreated"), "record", "cannot happen in phase NONE"),
    "dropped seat": (drop("SeatJoined"), "record", "cannot happen in phase OPEN"),
    "duplicated commitment": (duplicate, "record", "where round 0, seat 1 is due"),
    "events exchanged": (exchange_events, "record", "where round 0, seat 0 is due"),
    "events reordered": (reorder_events, "record", "not in chain order"),
    "amount": (edit("Withdrawn", "amount_wei", lambda wei: str(int(wei) + 1)), "record", "who is owed"),
    "late commitment": (delay("Committed"), "record", "s after its deadline"),
    "late acceptance": (delay("RoundAccepted"), "record", "s after its deadline"),
    "late labels": (delay("LabelsReleased"), "record", "s after its deadline"),
    "late seat": (delay("SeatJoined"), "record", "s after its deadline"),
    "pay": (edit_params("pay_wei", "1"), "record", "who is owed"),
    "anchor": (edit_params("label_anchor", "0x" + "11" * 32), "record", "does not open the key"),
    "one round less": (edit_params("rounds", 1), "record", "cannot happen in phase DONE"),
    "window": (edit_params("review_window_s", 86_401), "mark", "progress mark"),
    "huge pay": (edit_params("pay_wei", str(2**255)), "record", "above 96 bits"),
    "huge rounds": (edit_params("rounds", 2**255), "record", "rounds"),
    "no seats": (edit_params("seats", 0), "record", "has 0 seats"),
    "token": (edit_params("token", "0x00000000000000000000000000000000DeaDBeef"), "record", "pays in a token"),
    "key record": (edit("SeatJoined", "key_record", lambda _: "0x00"), "record", "not a"),
    "long key record": (edit("SeatJoined", "key_record", lambda _: "0x" + "00" * 513), "record", "513 bytes of keys"),
    "chain": (lambda content: content.update(chain_id=1), "mark", "progress mark"),
}


def forged(run_dir: Path, forge: Callable[[Content], Any]) -> tuple[int, Printed]:
    record = run_dir / "record.json"
    content = json.loads(record.read_bytes())
    forge(content)
    record.write_bytes(resealed(content))
    return audit_command(run_dir)


@pytest.mark.parametrize("name", FORGED)
def test_forged_record_fails_by_the_named_check(name: str, run_dir: Path) -> None:
    forge, check, detail = FORGED[name]
    code, printed = forged(run_dir, forge)
    assert (code, printed["verdict"]) == (1, "fail")
    assert any(row["check"] == check and detail in row["detail"] for row in rows(printed, "fail")), printed


def test_forged_manifest_digest_names_a_manifest_that_nobody_has(run_dir: Path) -> None:
    code, printed = forged(run_dir, swap_manifest)
    assert code == 1
    assert "mark" in checks(printed, "fail"), "later marks are bound to the true head"
    missing = [row for row in rows(printed, "inconclusive") if row["check"] == "manifest"]
    assert [(row["round"], row["seat"]) for row in missing] == [(0, 0)]


def test_forged_job_number_is_another_job(run_dir: Path) -> None:
    def forge(content: Content) -> None:
        content["job"] = 2
        for logged in content["events"]:
            logged["event"]["job"] = 2

    code, printed = forged(run_dir, forge)
    assert (code, checks(printed, "fail")) == (1, {"manifest", "mark", "embed"})
    assert {row["detail"] for row in rows(printed, "fail") if row["check"] == "manifest"} == {"job differs"}


def test_forged_round_without_labels_in_the_spec(run_dir: Path) -> None:
    """A record that promises a third round, cut before anything contradicts it."""

    def forge(content: Content) -> None:
        events(content, "JobCreated")[0]["params"]["rounds"] = 3
        content["events"] = [e for e in content["events"] if e["event"]["type"] != "Withdrawn"]

    code, printed = forged(run_dir, forge)
    assert code == 1
    assert any("the spec is for 2 seats and 2 rounds" in row["detail"] for row in rows(printed, "fail"))


UNWITNESSED: dict[str, Callable[[Content], Any]] = {
    "source": lambda content: content.update(source="http://a.node"),
    "block hash": lambda content: content["events"][0].update(block_hash="0x" + "22" * 32),
    "transaction": lambda content: content["events"][0].update(tx_hash="0x" + "22" * 32),
    "sender": lambda content: content["events"][0].update(tx_from="0x" + "00" * 20),
    "gas": lambda content: content["events"][0].update(gas_used=1),
    "searched blocks": lambda content: content.update(blocks=[0, 10**6]),
    "end": lambda content: content["events"].pop(),
}


@pytest.mark.parametrize("name", UNWITNESSED)
def test_only_a_node_witnesses_these_fields(name: str, run_dir: Path) -> None:
    """The stated limit of an offline audit: what no head, signature or artifact depends on is the node's word."""
    code, _ = forged(run_dir, UNWITNESSED[name])
    assert code == 0


def test_names_in_the_store_are_their_contents_names(run_dir: Path) -> None:
    assert all(re.fullmatch("b[a-z2-7]{58}", path.name) and parse_cid(path.name) for path in blocks(run_dir))


@pytest.fixture(scope="module", autouse=True)
def _the_honest_run_passes(honest_run: FinishedRun) -> Iterator[None]:
    """No case means anything unless the same command passes without the damage, before and after all of them."""
    assert audit_command(honest_run.root)[0] == 0
    yield
    assert audit_command(honest_run.root)[0] == 0
