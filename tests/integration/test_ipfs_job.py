"""A whole job with its artifacts on real IPFS nodes: published to one, audited through the other."""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from multiformats import CID

from clicooper.audit.auditor import audit_record
from clicooper.audit.verdict import exit_code
from clicooper.chain.rpc.node import Node
from clicooper.cli.main import main
from clicooper.commitments.canonical import decode
from clicooper.protocol.job import JobParties, finish_job, open_job, run_rounds
from clicooper.storage.base import get_bytes, put_bytes
from clicooper.storage.ipfs.ipfs_store import IpfsStore
from clicooper.storage.ipld.cid import IPFS_LAYOUT, cid_text, parse_cid
from clicooper.storage.layered import LayeredStore
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder
from tests.ipfs_node import IpfsNode, node_programs
from tests.scenario import tiny_config

NOWHERE = "http://127.0.0.1:9"
"""The discard port, where nothing answers."""

TINY_SETTINGS = {
    **{"TRAINERS": "2", "ROUNDS": "1", "STEPS": "4", "INTERVAL": "2", "BATCH": "32", "LEARNING_RATE": "0.05"},
    **{"EPSILON": "20", "MARK_BITS": "64", "WIDTHS": "256,256,256,256", "TEST_RECORDS": "100", "SEED": "20260404"},
}


def command(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON object of a command line, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*arguments, "--json", "--quiet"])
    return code, json.loads(out.getvalue())


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The smallest demo, away from any settings file."""
    monkeypatch.chdir(tmp_path)
    for name, value in TINY_SETTINGS.items():
        monkeypatch.setenv(f"CLICOOPER_{name}", value)


def committed(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(c["manifest"], c["head"]) for round_ in result["rounds"] for c in round_["commitments"]]


def test_demo_on_a_node_equals_the_local_one_and_is_audited_through_the_other_node(
    ipfs_nodes: tuple[IpfsNode, IpfsNode], tmp_path: Path
) -> None:
    publisher, reader = ipfs_nodes
    _, local = command("demo", "--out", "local")
    code, result = command("demo", "--out", "shared", "--store", f"ipfs:{publisher.url}")
    assert code == 0, result
    assert committed(result) == committed(local)
    assert len(committed(result)) == 2

    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(tmp_path / "shared" / "record.json", bare)
    identity = str(tmp_path / "shared" / "auditor" / "identity.txt")
    code, audited = command("audit", str(bare), "--identity", identity, "--store", f"ipfs:{reader.url}")
    assert (code, audited["verdict"]) == (0, "pass"), [row for row in audited["checks"] if row["verdict"] != "pass"]
    assert not (bare / "store").exists(), "an audit writes nothing"

    check_traversal(reader, manifest=committed(result)[1][0])


def check_traversal(node: IpfsNode, manifest: str) -> None:
    """The node itself walks from a manifest along its links, by the names of the fields."""
    record = decode(IpfsStore(node.url).get_block(parse_cid(manifest)))
    # js-ipfs resolves a link only where a field of the block itself holds it.
    found = {name: value for name, value in record.items() if isinstance(value, CID)}
    assert set(found) == {"spec", "predecessor"}
    for name, cid in found.items():
        (resolved,) = node.call("dag/resolve", f"{manifest}/{name}")
        assert (parse_cid(resolved["Cid"]["/"]), resolved["RemPath"]) == (parse_cid(cid_text(cid)), "")
    assert node.call("dag/get", f"{manifest}/seat") == [1]
    assert node.call("dag/get", f"{manifest}/predecessor/seat") == [0], "one manifest leads to the other"


def test_demo_outlives_an_absent_node_and_the_audit_sends_what_waited(
    ipfs_nodes: tuple[IpfsNode, IpfsNode], tmp_path: Path
) -> None:
    code, failed = command("demo", "--out", "alone", "--store", f"ipfs:{NOWHERE}")
    assert (code, failed["ok"]) == (3, False)
    assert "artifacts have not reached the node" in failed["error"]["message"]
    assert NOWHERE in failed["error"]["message"]
    assert "clicooper audit" in failed["error"]["hint"]
    assert not (tmp_path / "alone" / "INCOMPLETE").exists(), "the job itself is done"

    code, audited = command("audit", "alone", "--store", f"ipfs:{ipfs_nodes[0].url}")
    assert (code, audited["verdict"]) == (0, "pass")
    assert LayeredStore(LocalStore(tmp_path / "alone" / "store"), IpfsStore(NOWHERE)).pending() == ()
    shutil.rmtree(tmp_path / "alone" / "store")
    assert command("audit", "alone", "--store", f"ipfs:{ipfs_nodes[0].url}")[0] == 0


def test_audit_of_absent_artifacts_is_inconclusive_and_ends(
    ipfs_nodes: tuple[IpfsNode, IpfsNode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLICOOPER_SEED", "20260505")
    command("demo", "--out", "hidden")
    shutil.rmtree(tmp_path / "hidden" / "store")
    monkeypatch.setenv("CLICOOPER_STORE_TIMEOUT", "3")
    code, audited = command("audit", "hidden", "--store", f"ipfs:{ipfs_nodes[1].url}")
    assert (code, audited["verdict"]) == (4, "inconclusive")
    said = {row["detail"] for row in audited["checks"] if row["verdict"] == "inconclusive"}
    assert any(ipfs_nodes[1].url in detail and "does not have block baf" in detail for detail in said)
    assert not any(row["verdict"] == "fail" for row in audited["checks"])


def test_audit_without_store_or_node_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "record.json").write_text("{}")
    code, failed = command("audit", "bare")
    assert code == 2
    assert "--store ipfs:" in failed["error"]["hint"]


@pytest.mark.parametrize("program", node_programs())
def test_node_gone_for_a_whole_round(program: str, tmp_path: Path) -> None:
    node = IpfsNode(node_programs()[program], tmp_path / "node")
    away: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        """Stops the node as round 1 begins, and starts it as round 2 does."""
        if "round 1" in what and not away:
            node.kill()
            away.append("gone")
        elif "round 2" in what and away == ["gone"]:
            assert store.pending(), "round 1 was published here alone"
            node.start()
            away.append("back")

    config = tiny_config(seed=7, rounds=3, steps=2, interval=1, samples=1)
    store = LayeredStore(LocalStore(tmp_path / "cache"), IpfsStore(node.url, retries=0), pause_s=0)
    try:
        node.start()
        parties = JobParties.drawn(config)
        with Node.embedded() as chain:
            opened = open_job(config, parties, chain, store, RunFolder.create(tmp_path / "run"))
            assert store.pending() == ()
            run_rounds(opened, progress)
            record = finish_job(opened)
        assert away == ["gone", "back"]
        store.catch_up()
        assert store.pending() == ()
        report = audit_record(record, IpfsStore(node.url), opened.owner.keys())
        assert exit_code(report.verdict) == 0, [row for row in report.results if row.verdict.value != "pass"]
    finally:
        node.stop()


def test_blocks_travel_from_node_to_node(ipfs_nodes: tuple[IpfsNode, IpfsNode]) -> None:
    data = b"".join(i.to_bytes(8, "big") for i in range(5 << 17))
    publisher, reader = (IpfsStore(node.url) for node in ipfs_nodes)
    root = put_bytes(publisher, data)
    assert not reader.has(root)
    assert len(data) > 8 * IPFS_LAYOUT.chunk_bytes
    assert get_bytes(reader, root) == data


def test_node_itself_reads_a_file_back(ipfs_nodes: tuple[IpfsNode, IpfsNode]) -> None:
    """What is put is a file to any IPFS tool: same name as by ``add``, same bytes by ``cat``."""
    import urllib.request

    node = ipfs_nodes[0]
    data = b"".join(i.to_bytes(4, "big") for i in range(200_000))
    root = put_bytes(IpfsStore(node.url), data)
    url = f"{node.url}/api/v0/cat?arg={cid_text(root)}"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30) as answer:  # noqa: S310
        assert answer.read() == data


@pytest.mark.parametrize("change", [str.upper, lambda text: f"{text}:x", lambda _: "ipfs:ftp://host", lambda _: "s3"])
def test_other_stores_are_refused(change: Callable[[str], str]) -> None:
    code, failed = command("config", "show", "--store", change("ipfs"))
    assert code == 2
    assert "neither local nor ipfs" in failed["error"]["message"]


def test_password_of_a_node_is_neither_shown_nor_repeated() -> None:
    code, shown = command("config", "show", "--store", "ipfs:http://ann:hunter2@node.example:5001")
    assert code == 0
    assert {"key": "store", "value": "ipfs:http://node.example:5001", "source": "--store"} in shown["settings"]
    code, failed = command("config", "show", "--store", "ipfs:ftp://ann:hunter2@node.example:5001")
    assert code == 2
    assert "hunter2" not in json.dumps([shown, failed])
