"""The scenes beside which the command blocks of README and docs run."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from clicooper.access.grants import read_identity
from clicooper.access.identity import recipient_of
from clicooper.access.sealing import new_identity
from clicooper.audit.artifacts import Artifacts
from clicooper.chain.deployments import Deployment, add_deployment
from clicooper.chain.keys import account_from_seed
from clicooper.chain.rpc.node import Node
from clicooper.cli.main import main
from clicooper.history.follow import follow_record
from clicooper.learning.checkpoint import save_state
from clicooper.storage.base import put_bytes
from clicooper.storage.ipfs.ipfs_store import IpfsStore
from clicooper.storage.ipld.cid import cid_text
from clicooper.storage.local import LocalStore
from clicooper.types import Address
from tests.scenario import FinishedRun, Rehearsal

PASSWORD = "correct horse"
FOLDER = Path(".clicooper/runs/run-001")

SMALL = {
    **{"ROUNDS": "1", "TRAINERS": "2", "STEPS": "10", "INTERVAL": "5", "LEARNING_RATE": "0.05"},
    **{"WIDTHS": "256,256,256,256,256", "MARK_BITS": "64"},
}
"""Settings of new jobs, where the page names none."""

Word = str | Callable[[], object]


@dataclass
class Scene:
    """What a block runs beside, in the working directory.

    Attributes:
        words: what stands for a placeholder, a whole word of a command.
        codes: exit codes other than 0, by the beginning of a command.
        before: commands without which the block makes no sense, such as a challenge that is ruled on.
    """

    words: Mapping[str, Word]
    codes: Mapping[str, int] = field(default_factory=dict)
    before: tuple[str, ...] = ()

    def run(self, line: str) -> None:
        """One command line, in this process."""
        program, *words = shlex.split(line)
        assert program in {"clicooper", ".venv/bin/clicooper"}, f"{line}: mark the block with a reason"
        arguments = [str(self._meant(word)) for word in words]
        code = main(arguments)
        expected = next((c for start, c in self.codes.items() if " ".join(words).startswith(start)), 0)
        assert code == expected, f"{line} ended with {code}"

    def _meant(self, word: str) -> object:
        if word.startswith("ipfs:") and word not in self.words:
            return f"ipfs:{self._meant(word.removeprefix('ipfs:'))}"
        meant = self.words.get(word, word)
        return meant() if callable(meant) else meant


# What the scenes need


def keep_accounts(**accounts: Any) -> None:
    """Keystores of the home folder under these names."""
    folder = Path(".clicooper/keystore")
    folder.mkdir(parents=True, exist_ok=True)
    for name, account in accounts.items():
        (folder / f"{name}.json").write_text(json.dumps(account.encrypt(PASSWORD, kdf="pbkdf2", iterations=1)))


def remember_contract(job: Rehearsal) -> None:
    """As ``deploy`` notes it, so that commands find it."""
    nothing = "0x" + "00" * 32
    owner = Address(job.parties.owner.address)
    made = Deployment("CliCooper", job.opened.contract, owner, 0, nothing, nothing, 0, nothing, "", 0)
    add_deployment(Path(".clicooper"), job.opened.node.chain_id, made)


@contextmanager
def undone(node: Node) -> Iterator[None]:
    """Puts the chain back to where it was."""
    before = node._transport.request("evm_snapshot")
    try:
        yield
    finally:
        node._transport.request("evm_revert", [before])


def copy_blocks(source: LocalStore, target: IpfsStore) -> None:
    """Everything that a job has in a folder, to a node."""
    for cid in source.cids():
        target.put_block(source.get_block(cid), cid.codec.name)


def new_recipient(path: Path) -> str:
    """Writes an identity; its recipient."""
    identity, recipient = new_identity()
    path.write_text(identity + "\n")
    return recipient


# Scenes


@contextmanager
def beside_a_run(request: pytest.FixtureRequest, before: tuple[str, ...] = ()) -> Iterator[Scene]:
    """A finished run of the demo's kind, and nothing else."""
    shutil.copytree(request.getfixturevalue("honest_run").root, FOLDER)
    Path("paper.pdf").write_bytes(b"some artifact")
    recipient = new_recipient(Path("identity.txt"))
    yield Scene({"RUN_DIR": FOLDER, "age1...": recipient, "CID": last_added}, before=before)


def last_added() -> str:
    """The name of ``paper.pdf``, once it is in the store of the home folder."""
    return cid_text(put_bytes(LocalStore(Path(".clicooper/store")), Path("paper.pdf").read_bytes()))


@contextmanager
def beside_a_run_and_no_identity(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The same; the block makes the identity itself."""
    with beside_a_run(request) as scene:
        Path("identity.txt").unlink()
        words = {"NAME": "default", "age1...": lambda: recipient_of(read_identity(Path("identity.txt")))}
        yield Scene({**scene.words, **words})


@contextmanager
def beside_new_jobs(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Data, a chain and an IPFS node; small jobs, whatever the page says of their size."""
    images, labels = load_digits(return_X_y=True)
    np.savez("records.npz", inputs=images.astype(np.float32) / 16, labels=labels)
    for name, value in SMALL.items():
        request.getfixturevalue("monkeypatch").setenv(f"CLICOOPER_{name}", value)

    def newest() -> Path:
        return max(Path(".clicooper/runs").iterdir())

    def bare() -> Path:
        Path("bare").mkdir()
        return Path(shutil.copy(newest() / "record.json", "bare")).parent

    yield Scene(
        {
            "http://127.0.0.1:8545": request.getfixturevalue("anvil_url"),
            "http://127.0.0.1:5001": request.getfixturevalue("ipfs").url,
            "URL": request.getfixturevalue("ipfs").url,
            "FOLDER_WITH_RECORD_JSON": bare,
            "identity.txt": lambda: newest() / "auditor" / "identity.txt",
        }
    )


@contextmanager
def beside_a_job_in_review(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The owner's folder of a round that waits for its verdict."""
    job = request.getfixturevalue("reviewed")
    keep_accounts(owner=job.parties.owner)
    receipts = job.folder.trainer(1) / "round-log" / "round-0"
    words = {"RUN_DIR": FOLDER, "anvil": request.getfixturevalue("anvil_url"), "from-seat-1/": receipts}
    yield Scene(words)


@contextmanager
def beside_a_chain(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A node on which nothing of ours is deployed, and coin for every account that the block makes."""
    url = request.getfixturevalue("anvil_url")

    def funded() -> str:
        with Node.connect(url) as node:
            for keystore in Path(".clicooper/keystore").glob("*.json"):
                node.fund(Address("0x" + json.loads(keystore.read_text())["address"].removeprefix("0x")), 10**18)
        return str(url)

    yield Scene({"anvil": funded})


@contextmanager
def beside_a_finished_job(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """An honest job on chain: its folder, its artifacts on an IPFS node, a suspect, a trainer's account."""
    run: FinishedRun = request.getfixturevalue("finished")
    job, url = run.rehearsal, request.getfixturevalue("anvil_url")
    shutil.copytree(run.root, FOLDER)
    keep_accounts(trainer1=job.parties.trainers[1])
    artifacts = Artifacts(follow_record(run.record), job.store, run.keys)
    save_state(artifacts.state_file(artifacts.manifest(2, 1).out), Path("model.safetensors"))
    places = ["http://127.0.0.1:8545", "https://node.example", "https://another.example", "URL"]
    words: dict[str, Word] = dict.fromkeys(places, url)
    words |= {"RUN_DIR": FOLDER, "0x...": job.opened.contract, "1": str(job.opened.job)}
    with ExitStack() as undo:
        node = undo.enter_context(Node.connect(url))
        undo.enter_context(undone(node))
        yield Scene(words)


@contextmanager
def beside_a_finished_job_on_ipfs(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The same, with nothing but the chain and the node: what is sealed stays unchecked."""
    ipfs = request.getfixturevalue("ipfs").url
    with beside_a_finished_job(request) as scene:
        copy_blocks(request.getfixturevalue("finished").rehearsal.store, IpfsStore(ipfs))
        shutil.rmtree(FOLDER)
        yield Scene({**scene.words, "http://127.0.0.1:5001": ipfs}, {"audit": 4})


@contextmanager
def beside_a_dispute(request: pytest.FixtureRequest, before: tuple[str, ...] = ()) -> Iterator[Scene]:
    """A cheat's round in review, accounts of everybody, and the arbiter's identity."""
    job: Rehearsal = request.getfixturevalue("disputed")
    shutil.copytree(job.folder.root, FOLDER)
    remember_contract(job)
    me = account_from_seed(b"documented commands", "challenger")
    keep_accounts(me=me, arbiter=job.parties.arbiter)
    Path("arbiter.txt").write_text(job.parties.arbiter_identity + "\n")
    shutil.copy(job.folder.trainer(1) / "round-log" / "round-2" / "receipt-0-forward", "receipt-0-forward")
    number = str(job.opened.job)
    words: dict[str, Word] = {
        "RUN_DIR": FOLDER,
        "URL": request.getfixturevalue("anvil_url"),
        "ADDRESS": job.opened.contract,
        "7": number,
        "0x...": me.address,
        "F": FOLDER / "auditor" / "identity.txt",
        "G": next((FOLDER / "auditor").glob("*.age")),
    }
    with undone(job.opened.node):
        job.opened.node.fund(Address(me.address), 10**18)
        yield Scene(words, {"evidence check": 1}, before)


@contextmanager
def beside_a_dispute_on_ipfs(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The same, with the artifacts on an IPFS node as well."""
    ipfs = request.getfixturevalue("ipfs").url
    with beside_a_dispute(request) as scene:
        copy_blocks(request.getfixturevalue("disputed").store, IpfsStore(ipfs))
        yield Scene({**scene.words, "ipfs:URL": f"ipfs:{ipfs}"}, scene.codes)


MAKE = "clicooper evidence make RUN_DIR --round 2 --step 37 --challenger 0x... -o evidence.car"
CHALLENGE = "clicooper challenge 7 --accused 1 --evidence evidence.car --account me --network URL"

SCENES: Mapping[str, Any] = {
    "README.md: Your own job 1": beside_new_jobs,
    "README.md: Your own job 2": beside_a_job_in_review,
    "README.md: The contract": beside_a_chain,
    "README.md: Disputes": beside_a_dispute,
    "docs/artifacts.md: Retention": partial(beside_a_run, before=("clicooper audit RUN_DIR",)),
    "docs/artifacts.md: Grants": beside_a_run_and_no_identity,
    "docs/audit.md: All of it, or a sample": beside_a_finished_job,
    "docs/audit.md: A record from a file": beside_a_finished_job,
    "docs/audit.md: With nothing but an address": beside_a_finished_job_on_ipfs,
    "docs/disputes.md: Make": beside_a_dispute_on_ipfs,
    "docs/disputes.md: Check": partial(beside_a_dispute, before=(MAKE,)),
    "docs/disputes.md: Receipts": partial(beside_a_dispute, before=(MAKE, CHALLENGE)),
    "docs/disputes.md: Challenge and rule": partial(beside_a_dispute, before=(MAKE,)),
    "docs/verify.md: Verifying a round, and paying for it": beside_a_job_in_review,
    "docs/verify.md: Receipts": beside_a_job_in_review,
    "docs/watermark.md: Claiming a suspect": beside_a_finished_job,
}
"""By page and heading; everything else runs beside a finished run."""
