"""A whole job on real IPFS nodes: CAR files in both directions, pins through the node's own clean-up, two readers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import urllib3
from multiformats import CID

from clicooper.audit.bundle import pack_job
from clicooper.audit.checks.store import check_store
from clicooper.audit.verdict import combine
from clicooper.disputes.evidence_file import fetch_evidence, open_evidence, publish_evidence
from clicooper.disputes.judge import judge_evidence
from clicooper.disputes.opinion import Answer
from clicooper.disputes.subject import Subject
from clicooper.history.dag_roots import find_dag_roots
from clicooper.history.follow import follow_record
from clicooper.storage.base import put_bytes
from clicooper.storage.car_store import CarStore
from clicooper.storage.ipfs.ipfs_store import IpfsStore
from clicooper.storage.ipld.cid import block_cid, parse_cid
from clicooper.storage.ipld.graph import walk
from clicooper.storage.layered import LayeredStore
from clicooper.storage.local import LocalStore
from clicooper.storage.pins.node_pins import pin_on_node
from clicooper.storage.pins.pin_sets import PinSets
from clicooper.storage.pins.pinning_service import remote_name
from clicooper.types import Verdict
from tests.cli_calls import Capture, answered
from tests.evidence_files import plain_evidence
from tests.ipfs_node import IpfsNode
from tests.scenario import FinishedRun, audit_command

Pair = tuple[IpfsNode, IpfsNode]


@pytest.fixture(scope="module")
def car(smallest_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "job.car"
    pack_job(smallest_run.record, LocalStore(smallest_run.root / "store"), path)
    return path


@pytest.fixture(scope="module")
def root(car: Path) -> CID:
    with CarStore(car) as opened:
        return opened.roots[0]


def post(node: IpfsNode, command: str, **fields: tuple[str, bytes]) -> bytes:
    """One RPC call, with a file in its body where one is named; the answer's bytes."""
    with urllib3.PoolManager(timeout=60) as http:
        answer = http.request("POST", f"{node.url}/api/v0/{command}", fields=fields or None)
        assert answer.status == 200, answer.data
        return answer.data


def import_car(node: IpfsNode, car: Path) -> None:
    """``ipfs dag import job.car``."""
    post(node, "dag/import?pin-roots=true", file=("job.car", car.read_bytes()))


def test_a_node_takes_our_file_and_exports_it_again_byte_for_byte(ipfs_nodes: Pair, car: Path, root: CID) -> None:
    node, _ = ipfs_nodes
    import_car(node, car)
    assert post(node, f"dag/export?arg={root}") == car.read_bytes()


def test_links_are_followed_by_name_on_a_node(
    ipfs_nodes: Pair, car: Path, root: CID, smallest_run: FinishedRun
) -> None:
    node, _ = ipfs_nodes
    import_car(node, car)
    (training,) = node.call("dag/get", f"{root}/spec/training")
    assert training["steps"] == 2
    (seat,) = node.call("dag/get", f"{root}/manifests/1/predecessor/seat")
    assert seat == 0
    assert post(node, f"cat?arg=/ipfs/{root}/record") == (smallest_run.root / "record.json").read_bytes()


def test_an_auditor_reads_the_job_through_another_node(ipfs_nodes: Pair, car: Path, smallest_run: FinishedRun) -> None:
    published, read_through = ipfs_nodes
    import_car(published, car)
    store = IpfsStore(read_through.url)
    rows = list(check_store(store, find_dag_roots(follow_record(smallest_run.record)).required))
    assert combine(rows) is Verdict.PASS
    with CarStore(car) as opened:
        walked = [cid for cid, _ in walk(store.get_block, opened.roots)]
        assert walked == list(opened.cids())


def test_an_audit_of_what_a_node_exports_passes(
    ipfs_nodes: Pair, car: Path, root: CID, smallest_run: FinishedRun, tmp_path: Path
) -> None:
    _, node = ipfs_nodes
    import_car(node, car)
    exported = tmp_path / "exported.car"
    exported.write_bytes(post(node, f"dag/export?arg={root}"))
    identity = str(smallest_run.root / "auditor" / "identity.txt")
    assert audit_command(exported, "--identity", identity)[0] == 0


def test_pins_of_a_job_outlast_the_clean_up_of_a_node(
    ipfs_nodes: Pair, smallest_run: FinishedRun, tmp_path: Path
) -> None:
    """Manifests directly, files recursively: together they keep every block, and nothing else is kept."""
    node, _ = ipfs_nodes
    remote = IpfsStore(node.url)
    run = Path(shutil.copytree(smallest_run.root, tmp_path / "run"))
    local, sets = LocalStore(run / "store"), PinSets(run / "pins")
    for pinned in remote.pins():
        remote.unpin(pinned)
    layered = LayeredStore(local, remote)
    for cid in local.cids():
        layered.put_block(local.get_block(cid), cid.codec.name)
    loose = put_bytes(remote, b"nobody pinned this")
    assert pin_on_node(layered, sets) > 0
    assert pin_on_node(layered, sets) == 0, "the node lists its pins as they were made"
    remote.gc()
    kept = IpfsStore(node.url, timeout_s=3)
    for cid in local.cids():
        assert kept.get_block(cid) == local.get_block(cid)
    assert not kept.has(loose)


def test_a_manifest_pinned_by_its_raw_name_is_kept_alone(ipfs_nodes: Pair, smallest_run: FinishedRun) -> None:
    """As a remote service is asked to: it knows no pins of single blocks."""
    node, _ = ipfs_nodes
    remote = IpfsStore(node.url)
    local = LocalStore(smallest_run.root / "store")
    manifest = find_dag_roots(follow_record(smallest_run.record)).manifests[1]
    for pinned in remote.pins():
        remote.unpin(pinned)
    for cid in local.cids():
        remote.put_block(local.get_block(cid), cid.codec.name)
    remote.pin(remote_name(manifest, "direct"), recursive=True)
    remote.gc()
    kept = IpfsStore(node.url, timeout_s=3)
    assert kept.get_block(manifest) == local.get_block(manifest)
    spec = parse_cid(str(find_dag_roots(follow_record(smallest_run.record)).spec))
    assert not kept.has(spec)
    assert kept.has(block_cid(local.get_block(manifest), "raw"))


def test_what_is_added_with_a_node_is_pinned_there_too(ipfs_nodes: Pair, tmp_path: Path, capsys: Capture) -> None:
    node, reader = ipfs_nodes
    source, target = tmp_path / "file", tmp_path / "fetched"
    source.write_bytes(bytes(range(256)) * 2000)
    home, other = ("--home", str(tmp_path / "home")), ("--home", str(tmp_path / "other"))
    added = answered(capsys, *home, "--store", f"ipfs:{node.url}", "store", "add", str(source))
    cid = parse_cid(added["cid"])
    assert IpfsStore(node.url).pins()[cid] == "recursive"
    answered(capsys, *other, "--store", f"ipfs:{reader.url}", "store", "get", str(cid), "-o", str(target))
    assert target.read_bytes() == source.read_bytes()


def test_what_is_imported_with_a_node_can_be_read_through_the_other(
    ipfs_nodes: Pair, car: Path, root: CID, tmp_path: Path, capsys: Capture
) -> None:
    node, reader = ipfs_nodes
    answered(capsys, "--home", str(tmp_path / "home"), "--store", f"ipfs:{node.url}", "store", "import", str(car))
    assert IpfsStore(node.url).pins()[root] == "recursive"
    store = IpfsStore(reader.url)
    with CarStore(car) as opened:
        assert [cid for cid, _ in walk(store.get_block, [root])] == list(opened.cids())


def test_an_arbiter_fetches_evidence_by_its_digest_through_another_node(
    ipfs_nodes: Pair, smallest_run: FinishedRun
) -> None:
    published, read_through = ipfs_nodes
    sealed = plain_evidence(smallest_run, Subject("replay", 0, 1))
    assert publish_evidence(IpfsStore(published.url), sealed) == sealed.envelope.cid
    fetched = fetch_evidence(IpfsStore(read_through.url), sealed.digest)
    assert fetched.to_car() == sealed.to_car()
    assert judge_evidence(open_evidence(fetched)).answer is Answer.NOT_GUILTY
