"""The same job from a run folder, a CAR file, a chain's address and an IPFS node: every command opens it alike."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rpc_proxy import running_rpc_proxy

from clicooper.access.grants import AuditKeys, Grant, open_grant, write_grants
from clicooper.access.sealing import new_identity
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.bundle import pack_job
from clicooper.chain.record import JobRecord, write_record
from clicooper.chain.rpc.node import Node
from clicooper.commitments.canonical import sha256
from clicooper.disputes.collect import make_evidence
from clicooper.disputes.subject import Subject
from clicooper.files import write_secret
from clicooper.history.follow import follow_record
from clicooper.learning.checkpoint import save_state
from clicooper.learning.runtime import use_threads
from clicooper.learning.suspect_file import read_suspect
from clicooper.ownership.proof import prove_ownership
from clicooper.protocol.job import JobParties, finish_job, open_job, run_rounds
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder
from tests.cli_calls import Capture, answered, refused
from tests.ipfs_node import IpfsNode
from tests.scenario import quiet, rows, tiny_config

SEAT = 1
CHALLENGER = "0x00000000000000000000000000000000000000AA"
SOURCES = ["run folder", "CAR file", "chain address", "IPFS"]


@dataclass(frozen=True)
class Place:
    """A finished job on Anvil, its run folder and CAR file, and a suspect that descends from it."""

    url: str
    folder: RunFolder
    car: Path
    suspect: Path
    record: JobRecord
    keys: AuditKeys
    parties: JobParties

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(follow_record(self.record), LocalStore(self.folder.store), self.keys)

    @property
    def on_chain(self) -> tuple[str, ...]:
        return ("--contract", self.record.contract, "--job", str(self.record.job), "--network", self.url)


@dataclass(frozen=True)
class Source:
    """How a command line names the job: its files, and options besides; ``is_run`` where secrets lie beside it."""

    files: tuple[str, ...]
    options: tuple[str, ...]
    is_run: bool = False

    def command(self, *words: str) -> tuple[str, ...]:
        return (*words, *self.files, *self.options)


@pytest.fixture(scope="module")
def place(anvil_url: str, tmp_path_factory: pytest.TempPathFactory) -> Place:
    config = tiny_config(rounds=1, steps=2, interval=1)
    root = tmp_path_factory.mktemp("sources")
    folder, parties = RunFolder.create(root / "run"), JobParties.drawn(config)
    store = LocalStore(folder.store)
    with use_threads(1), Node.connect(anvil_url) as node:
        opened = open_job(config, parties, node, store, folder)
        run_rounds(opened, quiet)
        record, keys = finish_job(opened), opened.owner.keys()
    write_record(folder.record, record)
    folder.finish()
    identity, recipient = new_identity()
    write_secret(folder.auditor / "identity.txt", identity.encode())
    write_grants(folder.auditor, keys, recipient)
    pack_job(record, store, root / "job.car")
    made = Place(anvil_url, folder, root / "job.car", root / "suspect.safetensors", record, keys, parties)
    save_state(made.artifacts.state_file(made.artifacts.manifest(0, SEAT).out), made.suspect)
    return made


@pytest.fixture
def source(
    request: pytest.FixtureRequest, place: Place, ipfs_nodes: tuple[IpfsNode, IpfsNode], tmp_path: Path, capsys: Capture
) -> Source:
    home = ("--home", str(tmp_path / "home"))
    if request.param == "run folder":
        return Source((shutil.copytree(place.folder.root, str(tmp_path / "run")),), home, is_run=True)
    if request.param == "CAR file":
        return Source((str(place.car),), home)
    if request.param == "chain address":
        shutil.copytree(place.folder.store, tmp_path / "artifacts" / "store")
        return Source((str(tmp_path / "artifacts"),), (*home, *place.on_chain))
    store = ("--store", f"ipfs:{ipfs_nodes[0].url}")
    answered(capsys, "store", "import", str(place.car), "--home", str(tmp_path / "sender"), *store)
    return Source((), (*home, *place.on_chain, *store))


@pytest.mark.parametrize("source", SOURCES, indirect=True)
def test_proof_grant_and_evidence_are_made_alike_from(
    source: Source, place: Place, tmp_path: Path, capsys: Capture
) -> None:
    secrets = place.folder.root
    granted = () if source.is_run else ("--identity", str(secrets / "auditor" / "identity.txt"))

    trainer = () if source.is_run else ("--trainer", str(secrets / "trainers" / f"seat-{SEAT}"))
    claim = ("--round", "0", "--seat", str(SEAT), "--suspect", str(place.suspect), "-o", str(tmp_path / "claim.car"))
    proven = answered(capsys, *source.command("ownership", "prove"), *claim, *trainer, *granted)
    assert (parts(proven["claim"]), proven["unshown"], proven["root"]) == ("ippp", "", proof_root(place))

    about = ("--interval", "0", "--challenger", CHALLENGER, "-o", str(tmp_path / "evidence.car"))
    made = answered(capsys, *source.command("evidence", "make"), *about, *granted)
    assert made["plaintext_digest"] == evidence_digest(place)

    identity, recipient = new_identity()
    write_secret(tmp_path / "me" / "identity.txt", identity.encode())
    file = tmp_path / "me" / "grants.age"
    owner = () if source.is_run else ("--owner", str(secrets / "owner"))
    to = ("--to", recipient, "--labels", "-o", str(file))
    grant = answered(capsys, *source.command("job", "grant"), *to, *owner)
    block = Grant(
        genesis=place.keys.genesis or b"",
        author=bytes.fromhex(place.parties.owner.address[2:]),
        ciphertext=file.read_bytes(),
    )
    assert (open_grant(block, identity), grant["grant"]) == (place.keys, str(block.cid))
    by_name = () if "job.car" in str(source.files) else ("--grant", grant["grant"])
    audited = answered(capsys, *source.command("audit"), "--identity", str(file.parent / "identity.txt"), *by_name)
    assert audited["verdict"] == "pass"


def parts(claim: dict[str, Any]) -> str:
    return "".join(part["verdict"][0] for part in claim["parts"])


def proof_root(place: Place) -> str:
    secrets, suspect = place.parties.trainer_secrets[SEAT], read_suspect(place.suspect).digest
    store = LocalStore(place.folder.store)
    return str(prove_ownership(place.record, store, secrets, place.keys, 0, SEAT, suspect).bundle.cid)


def evidence_digest(place: Place) -> str:
    packed = make_evidence(place.record, place.artifacts, Subject("replay", 0, 0), CHALLENGER)
    return f"0x{sha256(packed.plaintext).hex()}"


def test_car_file_takes_no_grant(place: Place, tmp_path: Path, capsys: Capture) -> None:
    command = ("job", "grant", str(place.car), "--to", new_identity()[1])
    assert "nobody's secrets are named" in refused(capsys, *command)
    assert "can only be read" in refused(capsys, *command, "--owner", str(place.folder.owner))


def test_nobody_is_accused_from_a_record_that_nodes_disagree_about(
    place: Place, tmp_path: Path, capsys: Capture
) -> None:
    def other_hashes(call: dict[str, Any], result: Any) -> Any:
        return result | {"hash": "0x" + "ab" * 32} if call["method"] == "eth_getBlockByNumber" else result

    make = ("evidence", "make", str(place.folder.root), "--home", str(tmp_path), *place.on_chain, "--interval", "0")
    with running_rpc_proxy(place.url) as liar:
        liar.alter = other_hashes
        options = ("--challenger", CHALLENGER, "-o", str(tmp_path / "e.car"), "--endpoint", liar.url)
        assert "disagree about block" in refused(capsys, *make, *options, code=4, kind="EndpointsDisagree")
    assert not (tmp_path / "e.car").exists()


def test_nobody_is_accused_from_a_record_that_the_contract_contradicts(
    place: Place, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clicooper.audit.verdict import Check, CheckResult
    from clicooper.types import Verdict

    row = CheckResult(Check.RECORD, Verdict.FAIL, "head in the contract", "differs")
    monkeypatch.setattr("clicooper.audit.checks.record.check_on_chain", lambda *_: ((row,), None))
    make = ("evidence", "make", str(place.folder.root), "--home", str(tmp_path), *place.on_chain, "--interval", "0")
    options = ("--challenger", CHALLENGER, "-o", str(tmp_path / "e.car"))
    assert "cannot be relied on: differs" in refused(capsys, *make, *options, code=1, kind="RecordError")


def test_unfinished_folder_says_where_its_job_is(place: Place, tmp_path: Path, capsys: Capture) -> None:
    run = Path(shutil.copytree(place.folder.root, tmp_path / "run"))
    (run / "record.json").unlink()
    report = answered(capsys, "audit", str(run), "--home", str(tmp_path), "--network", place.url)
    assert report["record"]["verified"]["later_events"] == 0
    assert not rows(report, "fail")
