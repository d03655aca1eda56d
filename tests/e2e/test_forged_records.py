"""A forger who recomputes the record's digest: which check catches which field, and what only a node can witness.

Every case runs ``clicooper audit --json`` in this process, with the auditor's grants, and replays the whole training.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scenario import Printed, audit_command, checks, resealed, rows

Content = dict[str, Any]


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
    "window": (edit_params("review_window_s", 86_401), "record", "job of the registered grant"),
    "huge pay": (edit_params("pay_wei", str(2**255)), "record", "above 96 bits"),
    "huge rounds": (edit_params("rounds", 2**255), "record", "rounds"),
    "no seats": (edit_params("seats", 0), "record", "has 0 seats"),
    "token": (
        edit_params("token", "0x00000000000000000000000000000000DeaDBeef"),
        "record",
        "job of the registered grant",
    ),
    "key record": (edit("SeatJoined", "key_record", lambda _: "0x00"), "record", "not a"),
    "long key record": (edit("SeatJoined", "key_record", lambda _: "0x" + "00" * 513), "record", "513 bytes of keys"),
    "chain": (lambda content: content.update(chain_id=1), "record", "job of the registered grant"),
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


def test_forged_terms_are_found_out_without_any_secret(run_dir: Path) -> None:
    shutil.rmtree(run_dir / "auditor")
    shutil.rmtree(run_dir / "owner")
    code, printed = forged(run_dir, edit_params("review_window_s", 86_401))
    assert (code, checks(printed, "fail")) == (1, {"record"})
    assert all(row["detail"].startswith("job of the registered grant differs") for row in rows(printed, "fail"))
    assert {row["culprit"] for row in rows(printed, "fail")} == {None}, "either side may be the wrong one"


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
    assert (code, checks(printed, "fail")) == (1, {"record", "manifest"})
    forged_rows = [row for row in rows(printed, "fail") if row["check"] == "record"]
    assert all(row["detail"].startswith("job of the registered grant differs") for row in forged_rows)
    assert {row["detail"] for row in rows(printed, "fail") if row["check"] == "manifest"} == {"job differs"}


def test_forged_round_without_labels_in_the_spec(run_dir: Path) -> None:
    """A record that promises a third round, cut before anything contradicts it."""

    def forge(content: Content) -> None:
        events(content, "JobCreated")[0]["params"]["rounds"] = 3
        content["events"] = [e for e in content["events"] if e["event"]["type"] != "Withdrawn"]

    code, printed = forged(run_dir, forge)
    assert code == 1
    assert any("the spec is for 2 seats (model.cuts) and 2 rounds" in row["detail"] for row in rows(printed, "fail"))


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


@pytest.mark.parametrize("kept", [1, 2, 3, 4, 5])
def test_a_record_that_is_only_a_beginning_never_passes(kept: int, run_dir: Path) -> None:
    def cut(content: Content) -> None:
        del content["events"][kept:]

    code, printed = forged(run_dir, cut)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    details = [row["detail"] for row in rows(printed, "inconclusive") if row["check"] == "record"]
    assert any(detail.startswith(f"the job goes on after event {kept}, in phase ") for detail in details)
