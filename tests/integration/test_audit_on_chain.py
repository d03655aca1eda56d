"""``clicooper audit`` beside a real node: a record from nothing but an address, and files that the chain refutes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rpc_proxy import running_rpc_proxy

from clicooper.audit.replay.sampling import sample_intervals
from clicooper.chain.events import Committed, RoundAccepted
from clicooper.chain.record import write_record
from clicooper.chain.rpc.node import Node
from clicooper.cli.main import main
from clicooper.commitments.head import audit_seed
from clicooper.history.follow import follow_record
from clicooper.learning.runtime import use_threads
from clicooper.protocol.job import JobParties, finish_job, open_job, run_rounds
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder
from tests.cli_calls import Capture, answered, refused
from tests.ipfs_node import IpfsNode
from tests.scenario import Rehearsal, quiet, resealed, rows, tiny_config


@pytest.fixture(scope="module")
def run(anvil_url: str, tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """An honest job of one round on Anvil, and its folder."""
    config = tiny_config(rounds=1, steps=2, interval=1)
    folder = RunFolder.create(tmp_path_factory.mktemp("onchain") / "run")
    store, parties = LocalStore(folder.store), JobParties.drawn(config)
    with use_threads(1), Node.connect(anvil_url) as node:
        opened = open_job(config, parties, node, store, folder)
        run_rounds(opened, quiet)
        write_record(folder.record, finish_job(opened))
    folder.finish()
    shutil.rmtree(folder.owner)
    return Rehearsal(folder, store, parties, opened)


@pytest.fixture
def command(run: Rehearsal, anvil_url: str, tmp_path: Path) -> tuple[str, ...]:
    return ("audit", str(run.folder.root), "--home", str(tmp_path / "home"), "--network", anvil_url)


# Nobody granted this auditor anything, so that the sealed parts stay inconclusive whatever the record is.
SEALED = 4


def test_record_from_a_file_is_unverified(run: Rehearsal, capsys: Capture) -> None:
    report = answered(capsys, "audit", str(run.folder.root), code=SEALED)
    assert report["record"]["verified"] is None


def test_record_that_the_chain_bears_out_is_verified(
    run: Rehearsal, command: tuple[str, ...], anvil_url: str, capsys: Capture
) -> None:
    report = answered(capsys, *command, "--endpoint", anvil_url, code=SEALED)
    found = report["record"]["verified"]
    assert found["source"] == anvil_url
    with Node.connect(anvil_url) as node:
        assert found["block_hash"] == "0x" + node.block_hash(found["block"]).hex()
    passed = [row["subject"] for row in rows(report, "pass") if row["check"] == "record"]
    assert {anvil_url, "head in the contract"} <= set(passed)


def test_audit_with_nothing_but_an_address_and_artifacts(
    run: Rehearsal, command: tuple[str, ...], capsys: Capture, tmp_path: Path
) -> None:
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    shutil.copytree(run.folder.store, artifacts / "store")
    address = run.opened.contract
    at = ("--contract", address, "--job", str(run.opened.job))
    report = answered(capsys, "audit", str(artifacts), *command[2:], *at, code=SEALED)
    from_file = answered(capsys, *command, code=SEALED)
    assert report["checks"] == from_file["checks"]
    assert report["record"]["verified"]["later_events"] == 0
    assert (tmp_path / "home" / "index" / f"31337-{address}.sqlite").exists()


FORGERIES: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "the record leaves out Withdrawn": lambda events: events.pop(),
    "has another tx_hash on the chain": lambda events: events[3].update(tx_hash="0x" + "ab" * 32),
    "has another event on the chain": lambda events: events[3]["event"].update(label_key="0x" + "ab" * 32),
}


@pytest.mark.parametrize("message", FORGERIES)
def test_auditor_rejects_a_forged_record(
    message: str, run: Rehearsal, command: tuple[str, ...], capsys: Capture, tmp_path: Path
) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(run.folder.root, forged)
    content = json.loads(run.folder.record.read_bytes())
    FORGERIES[message](content["events"])
    (forged / "record.json").write_bytes(resealed(content))
    report = answered(capsys, "audit", str(forged), *command[2:], code=1)
    assert report["record"]["verified"] is None
    assert any(message in row["detail"] for row in rows(report, "fail"))


def test_disagreeing_endpoint_leaves_the_record_inconclusive(
    command: tuple[str, ...], anvil_url: str, capsys: Capture
) -> None:
    def other_hashes(call: dict[str, Any], result: Any) -> Any:
        return result | {"hash": "0x" + "ab" * 32} if call["method"] == "eth_getBlockByNumber" else result

    with running_rpc_proxy(anvil_url) as liar:
        liar.alter = other_hashes
        report = answered(capsys, *command, "--endpoint", liar.url, code=SEALED)
        details = [row["detail"] for row in rows(report, "inconclusive") if row["check"] == "record"]
        assert any("disagree about block" in detail and liar.url in detail for detail in details)
    assert report["record"]["verified"] is None


def test_sample_is_drawn_from_the_chain(
    run: Rehearsal, command: tuple[str, ...], anvil_url: str, capsys: Capture
) -> None:
    last = run.record().events
    committed = [logged for logged in last if isinstance(logged.event, Committed)][-1]
    (accepted,) = [logged.event for logged in last if isinstance(logged.event, RoundAccepted)]
    head = follow_record(run.record()).rounds[0].commitments[-1].head
    with Node.connect(anvil_url) as node:
        seed = audit_seed(accepted.label_key, node.block_hash(committed.block_number + 2), head)
    report = answered(capsys, *command, "--sample", "1", "--endpoint", anvil_url, code=SEALED)
    (drawn,) = report["sample"]["rounds"]
    assert drawn["seeds"] == {"chain": "0x" + seed.hex()}
    assert set(drawn["intervals"]) == {i for seat in range(2) for i in sample_intervals(seed, seat, 2, 1)}
    assert drawn["confirmed"] == 0, "without labels nothing is replayed"


def test_nothing_is_drawn_from_a_hash_that_endpoints_disagree_about(
    command: tuple[str, ...], anvil_url: str, capsys: Capture
) -> None:
    def other_hashes(call: dict[str, Any], result: Any) -> Any:
        return result | {"hash": "0x" + "ab" * 32} if call["method"] == "eth_getBlockByNumber" else result

    with running_rpc_proxy(anvil_url) as liar:
        liar.alter = other_hashes
        report = answered(capsys, *command, "--sample", "1", "--endpoint", liar.url, code=SEALED)
    (drawn,) = report["sample"]["rounds"]
    assert (drawn["seeds"], drawn["intervals"]) == ({}, [])
    assert "is not known here" in drawn["missing"]


def test_unreachable_node_leaves_the_record_inconclusive(run: Rehearsal, capsys: Capture) -> None:
    report = answered(capsys, "audit", str(run.folder.root), "--network", "http://127.0.0.1:1", code=SEALED)
    assert report["record"]["verified"] is None
    assert any(row["subject"] == "comparison with a node" for row in rows(report, "inconclusive"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to audit"),
        (("--contract", "0x" + "00" * 20), "belong together"),
        (("--job", "1", "."), "belong together"),
        (("--contract", "0x" + "00" * 20, "--job", "1"), "embedded chain ended"),
        (("--contract", "0x12", "--job", "1", "--network", "anvil"), "is no address"),
        (("--contract", "0x" + "00" * 20, "--job", "1", "--network", "anvil"), "no place is named"),
    ],
)
def test_unusable_choice_is_refused(options: tuple[str, ...], message: str, capsys: Capture) -> None:
    assert message in refused(capsys, "audit", *options)


def test_source_and_block_are_printed(
    run: Rehearsal, command: tuple[str, ...], anvil_url: str, capsys: Capture
) -> None:

    assert main([*command, "--quiet"]) == SEALED
    assert f"verified against {anvil_url} at block" in " ".join(capsys.readouterr().out.split())


def test_audit_with_nothing_but_an_address(
    run: Rehearsal, command: tuple[str, ...], ipfs_nodes: tuple[IpfsNode, IpfsNode], capsys: Capture, tmp_path: Path
) -> None:
    car, store = tmp_path / "job.car", ("--store", f"ipfs:{ipfs_nodes[0].url}")
    answered(capsys, "store", "export", str(run.folder.root), "-o", str(car))
    answered(capsys, "store", "import", str(car), "--home", str(tmp_path / "sender"), *store)
    at = ("--contract", run.opened.contract, "--job", str(run.opened.job))
    report = answered(capsys, "audit", *command[2:], *at, *store, code=SEALED)
    assert not rows(report, "fail")
    from_file = answered(capsys, *command, code=SEALED)
    verdicts = [
        [(row["check"], row["subject"], row["verdict"]) for row in one["checks"]] for one in (report, from_file)
    ]
    assert verdicts[0] == verdicts[1]
