"""``clicooper ownership`` on Anvil: prove from a run folder, verify from a bundle, claim from a keystore."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clicooper.access.grants import write_grants
from clicooper.access.sealing import new_identity
from clicooper.audit.artifacts import Artifacts
from clicooper.chain.client import Contract, MarkOpening, OpenedCommit
from clicooper.chain.events import MarkOpened
from clicooper.chain.index.record_index import IN_MEMORY, RecordIndex
from clicooper.chain.keys import save_keystore
from clicooper.chain.record import write_record
from clicooper.chain.rpc.node import Node
from clicooper.commitments.ownership import OwnershipBundle
from clicooper.errors import RevertError
from clicooper.files import write_secret
from clicooper.history.follow import follow_record
from clicooper.learning.checkpoint import save_state
from clicooper.learning.runtime import use_threads
from clicooper.protocol.job import JobParties, finish_job, open_job, run_rounds
from clicooper.storage.car_store import CarStore
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Digest, Head
from tests.cli_calls import answered, printed, refused
from tests.scenario import quiet, tiny_config

Capture = pytest.CaptureFixture[str]
SEAT = 1
PASSWORD = "a password of the tests"
MAX_CLAIM_GAS = 90_000


class Place:
    """A finished job on Anvil, its run folder, a suspect, a claim upon it, and keystores of both trainers."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self.run, self.home, self.bundle = root / "run", root / "home", root / "claim.car"
        self.suspect, self.password = root / "suspect.safetensors", root / "password"
        config = tiny_config()
        self.parties = JobParties.drawn(config)
        folder = RunFolder.create(self.run)
        with use_threads(1), Node.connect(url) as node:
            store = LocalStore(folder.store)
            opened = open_job(config, self.parties, node, store, folder)
            run_rounds(opened, quiet)
            self.record = finish_job(opened)
            keys = opened.owner.keys()
        identity, recipient = new_identity()
        write_secret(folder.auditor / "identity.txt", identity.encode())
        write_grants(folder.auditor, keys, recipient)
        write_record(folder.record, self.record)
        folder.finish()
        artifacts = Artifacts(follow_record(self.record), store, keys)
        save_state(artifacts.state_file(artifacts.manifest(1, SEAT).out), self.suspect)
        self.password.write_text(PASSWORD)
        (self.home / "keystore").mkdir(parents=True)
        for seat in (0, 1):
            save_keystore(self.home / "keystore" / f"seat-{seat}.json", self.parties.trainers[seat], PASSWORD)

    def prove(self, *more: str) -> tuple[str, ...]:
        arguments = ("ownership", "prove", str(self.run), "--round", "1", "--seat", str(SEAT))
        return (*arguments, "--suspect", str(self.suspect), *more)

    def verify(self, *bundles: Path, network: bool = True) -> tuple[str, ...]:
        there = ("--network", self.url) if network else ()
        return ("ownership", "verify", *map(str, bundles), "--suspect", str(self.suspect), *there)

    def claim(self, seat: int) -> tuple[str, ...]:
        account = ("--account", f"seat-{seat}", "--password-file", str(self.password), "--home", str(self.home))
        return ("ownership", "claim", str(self.bundle), "--network", self.url, *account)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, anvil_url: str) -> Iterator[Place]:
    yield Place(tmp_path_factory.mktemp("ownership"), anvil_url)


@pytest.fixture
def claimed(place: Place, capsys: Capture) -> Place:
    """With a bundle that was proven once."""
    if not place.bundle.exists():
        answered(capsys, *place.prove("-o", str(place.bundle)))
    return place


def parts(claim: dict[str, Any]) -> str:
    return "".join(part["verdict"][0] for part in claim["parts"])


def test_proof_is_written_for_its_owner_alone_and_judged_at_once(place: Place, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "claim.car"
    made = answered(capsys, *place.prove("-o", str(target)))
    assert (parts(made["claim"]), made["unshown"], made["bundle"]) == ("ippp", "", str(target))
    assert target.stat().st_mode & 0o777 == 0o600 and target.stat().st_size == made["size_bytes"]
    secrets = place.parties.trainer_secrets[SEAT]
    assert secrets.secret.hex() not in json.dumps(made) and secrets.secret not in target.read_bytes()
    assert "exists and is not overwritten" in refused(capsys, *place.prove("-o", str(target)))


def test_claim_is_verified_from_bundle_suspect_and_node(claimed: Place, capsys: Capture) -> None:
    result = answered(capsys, *claimed.verify(claimed.bundle))
    assert (result["verdict"], result["order"]) == ("pass", [str(claimed.bundle)])
    (claim,) = result["claims"]
    assert (parts(claim), claim["trainer"], claim["made_for_this_suspect"]) == (
        "pppp",
        claimed.parties.trainers[SEAT].address,
        True,
    )


def test_claim_without_a_node_is_undecided(claimed: Place, capsys: Capture) -> None:
    result = answered(capsys, *claimed.verify(claimed.bundle, network=False), code=4)
    assert parts(result["claims"][0]) == "ippp" and result["order"] == []


def test_competing_claims_are_ordered_and_the_failing_part_is_shown(
    claimed: Place, tmp_path: Path, capsys: Capture
) -> None:
    """Round 0 of the seat comes first; seat 0, whose weights are not in this suspect, fails b and d."""
    earlier, other = tmp_path / "earlier.car", tmp_path / "other.car"
    suspect = ("--suspect", str(claimed.suspect))
    for target, seat in ((earlier, "1"), (other, "0")):
        place = ("--round", "0", "--seat", seat, "-o", str(target))
        answered(capsys, "ownership", "prove", str(claimed.run), *place, *suspect)
    result = answered(capsys, *claimed.verify(claimed.bundle, earlier, other))
    assert [parts(claim) for claim in result["claims"]] == ["pppp", "pppp", "pfpf"]
    assert result["order"] == [str(earlier), str(claimed.bundle)]
    words = printed(capsys, *claimed.verify(claimed.bundle, earlier))
    assert f"First: {earlier}" in words and "d descent pass" in words and "Verdict: pass" in words


def test_trainer_without_a_grant_still_proves_what_it_can(place: Place, tmp_path: Path, capsys: Capture) -> None:
    copy = Path(shutil.copytree(place.run, tmp_path / "run"))
    shutil.rmtree(copy / "auditor")
    shutil.rmtree(copy / "owner")
    arguments = ("--round", "1", "--seat", str(SEAT), "--suspect", str(place.suspect), "-o", str(tmp_path / "b.car"))
    made = answered(capsys, "ownership", "prove", str(copy), *arguments)
    assert parts(made["claim"]) == "ipip" and "cannot be shown" in made["unshown"]


def opening(bundle: Path, **changes: Any) -> tuple[Any, ...]:
    """The arguments of ``open_mark`` after the job, some of them changed."""
    with CarStore(bundle) as store:
        opened = OwnershipBundle.from_block(store.get_block(store.roots[0]))
    commits = [
        OpenedCommit("0x" + c.trainer.hex(), Digest(c.manifest_digest), Digest(c.mark_commitment))
        for c in opened.commits
    ]
    key = changes.get("ownership_key", opened.ownership_key)
    mark = MarkOpening(Digest(opened.progress_key_hash), Digest(key), Digest(opened.suspect_digest))
    return changes.get("round", 1), changes.get("seat", SEAT), Head(opened.head_before), commits, mark


FORGERIES = {
    "another round": ({"round": 0}, "StaleHead"),
    "another seat": ({"seat": 0}, "WrongLength"),
    "another key": ({"ownership_key": b"\x05" * 32}, "WrongMarkKeys"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_contract_refuses_an_opening_of(what: str, claimed: Place) -> None:
    changes, error = FORGERIES[what]
    with Node.connect(claimed.url) as node:
        contract = Contract(node, claimed.record.contract, claimed.parties.trainers[SEAT])
        with pytest.raises(RevertError) as caught:
            contract.open_mark(claimed.record.job, *opening(claimed.bundle, **changes))
    assert caught.value.name == error


def test_contract_refuses_another_sender(claimed: Place, capsys: Capture) -> None:
    with Node.connect(claimed.url) as node:
        contract = Contract(node, claimed.record.contract, claimed.parties.trainers[0])
        with pytest.raises(RevertError) as caught:
            contract.open_mark(claimed.record.job, *opening(claimed.bundle))
    assert caught.value.name == "NotCommitted"
    assert "whose commitment this is" in refused(capsys, *claimed.claim(0))


def test_keystore_opens_the_mark_on_chain_once(claimed: Place, capsys: Capture) -> None:
    result = answered(capsys, *claimed.claim(SEAT))
    assert result["gas_used"] <= MAX_CLAIM_GAS
    with (
        Node.connect(claimed.url) as node,
        RecordIndex(IN_MEMORY, node, claimed.record.contract, result["block"]) as index,
    ):
        index.sync()
        events = tuple(index.events(claimed.record.job))
    (opened,) = (logged.event for logged in events if isinstance(logged.event, MarkOpened))
    assert "0x" + opened.suspect_digest.hex() == result["suspect_digest"]
    assert (opened.round, opened.seat, opened.trainer) == (1, SEAT, claimed.parties.trainers[SEAT].address)
    refused(capsys, *claimed.claim(SEAT), kind="RevertError")


USAGE: dict[str, tuple[list[str], str]] = {
    "no such seat": (["--round", "0", "--seat", "2"], "--seat 2: there is no such seat"),
    "no such round": (["--round", "2", "--seat", "1"], "--round 2: no such round"),
    "another trainer's secrets": (
        ["--round", "0", "--seat", "0", "--trainer", "{run}/trainers/seat-1"],
        "not the secrets",
    ),
    "no secrets": (["--round", "0", "--seat", "0", "--trainer", "{run}"], "holds no trainer's secrets"),
}


@pytest.mark.parametrize("what", USAGE)
def test_wrong_use_writes_nothing(what: str, place: Place, tmp_path: Path, capsys: Capture) -> None:
    options, message = USAGE[what]
    filled = [option.format(run=place.run) for option in options]
    target = tmp_path / "b.car"
    arguments = ("ownership", "prove", str(place.run), *filled, "--suspect", str(place.suspect), "-o", str(target))
    assert message in refused(capsys, *arguments)
    assert not target.exists()


def test_claim_needs_the_network_of_its_job(claimed: Place, capsys: Capture) -> None:
    assert "there is no job on it" in refused(capsys, "ownership", "claim", str(claimed.bundle))


def test_verify_refuses_what_is_no_bundle(claimed: Place, tmp_path: Path, capsys: Capture) -> None:
    text = tmp_path / "text.car"
    text.write_text("no bundle")
    refused(capsys, *claimed.verify(text), code=4, kind="CarError")
    suspect = ("--suspect", str(text))
    assert "neither safetensors" in refused(
        capsys, "ownership", "verify", str(claimed.bundle), *suspect, kind="DataError"
    )
