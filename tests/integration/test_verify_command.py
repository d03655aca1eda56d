"""``clicooper verify`` in a process of its own, while a real job is under way on Anvil."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from clicooper.chain.client import Contract
from clicooper.chain.rpc.node import Node
from clicooper.cli.main import main
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import SegmentManifest
from clicooper.disputes.evidence_file import open_evidence
from clicooper.disputes.opinion import Answer
from clicooper.errors import ArtifactMissing
from clicooper.learning.runtime import use_threads
from clicooper.learning.training import SeatWorker
from clicooper.protocol.accusation import AccusationNote
from clicooper.protocol.arbiter import Arbiter, open_case
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.job import JobParties, open_job
from clicooper.storage.ipld.cid import cid_text
from clicooper.storage.local import LocalStore
from clicooper.storage.pins.pin_sets import PinSets
from clicooper.storage.pins.retention import JOB_PINS
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Digest, Ground, Phase
from tests import adversaries as cheats
from tests.adversaries.vouching import SignsWhatItSentAndCommitsAnother
from tests.cli_calls import Capture, answered, refused
from tests.scenario import Rehearsal, block_file, checks, rehearsal, rows, seating, tiny_config

SEED = 20_260_311
"""Of this module alone: its accounts must be new on a node that other tests share."""

PASSWORD = "correct horse"


class HonestInTheFirstRound(cheats.ReusesLastCheckpoint):
    """Trains in round 0, and is paid for doing nothing in round 1 unless somebody looks."""

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:
        return (
            super().start_round(previous) if previous is not None else super(cheats.WorkerCheat, self).start_round(None)
        )


@dataclass
class Desk:
    """A job under way, and the command line of its owner."""

    job: Rehearsal
    url: str
    committed: list[tuple[CommittedSegment, ...]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.job.folder.root

    @property
    def home(self) -> Path:
        return self.root.parent

    @property
    def arbiter(self) -> Arbiter:
        """In possession of nothing but its account, its identity and the store."""
        contract = self.job.contract()
        account = self.job.parties.arbiter
        acting = Contract(contract.node, contract.address, account)
        return Arbiter(acting, self.job.opened.index, self.job.parties.arbiter_identity, self.job.store)

    def commit_round(self, round_: int) -> None:
        last = self.committed[-1] if self.committed else ()
        self.committed.append(self.job.train_and_commit(round_, last))
        self.job.opened.owner.receive_keys(self.committed[-1])

    def reach(self, round_: int) -> None:
        """Commits every round up to this one, and pays the ones before it, as far as that was not done yet."""
        for number in range(len(self.committed), round_ + 1):
            if number:
                self.verify("--accept", "--round", str(number - 1))
            self.commit_round(number)

    def command(self, *options: str) -> tuple[str, ...]:
        account = ("--account", "owner", "--password-file", str(self.home / "password"))
        at = ("--home", str(self.home), "--network", self.url, "--json", "--quiet")
        return ("verify", str(self.root), *at, *account, *options)

    def verify(self, *options: str, code: int = 0) -> dict[str, Any]:
        """The command's object, in this process."""
        out = io.StringIO()
        with redirect_stdout(out):
            assert main(self.command(*options)) == code, out.getvalue()
        return judged(out.getvalue(), code)

    def verify_apart(self, *options: str, code: int = 0) -> dict[str, Any]:
        """The same from a process that shares nothing with this one but files and chain."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "clicooper", *self.command(*options)]
        done = subprocess.run(command, env=environment, cwd=self.home, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return judged(done.stdout, code)


def judged(text: str, code: int) -> dict[str, Any]:
    printed: dict[str, Any] = json.loads(text)
    assert (printed["ok"], printed["code"]) == (code == 0, code)
    return printed


@pytest.fixture(scope="module")
def desk(anvil_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Two rounds of two seats, of which the second cheats in the second round."""
    config = tiny_config(seed=SEED)
    home = tmp_path_factory.mktemp("desk")
    folder = RunFolder.create(home / "run")
    store, parties = LocalStore(folder.store), JobParties.drawn(config)
    (home / "password").write_text(f"{PASSWORD}\n")
    (home / "keystore").mkdir()
    keystore = parties.owner.encrypt(PASSWORD, kdf="pbkdf2", iterations=1)
    (home / "keystore" / "owner.json").write_text(json.dumps(keystore))
    with use_threads(1), Node.connect(anvil_url) as node:
        opened = open_job(config, parties, node, store, folder, seating({1: HonestInTheFirstRound}))
        yield Desk(Rehearsal(folder, store, parties, opened), anvil_url)


def test_nothing_is_committed_yet(desk: Desk, capsys: Capture) -> None:
    at = ("verify", str(desk.root), "--home", str(desk.home), "--network", desk.url)
    assert "no round committed by every seat" in refused(capsys, *at)


def test_honest_round_is_verified_and_only_then_paid_once(desk: Desk, capsys: Capture) -> None:
    desk.commit_round(0)
    contract, number = desk.job.contract(), desk.job.opened.job

    looked = desk.verify()
    assert looked["decision"]["action"] == "accept"
    assert (looked["settled"], looked["sent"]) == (None, None)
    assert contract.job(number).phase is Phase.REVIEW, "looking sends nothing"
    expected = {"record", "manifest", "links", "artifacts", "state", "coverage", "boundary", "labels", "mark", "embed"}
    assert checks(looked, "pass") == {*expected, "replay", "progress"}
    assert looked["escape"]["intervals"] == looked["escape"]["samples"] == looked["replayed"]["intervals"] == 2
    assert looked["escape"]["samples_for_99"] == 90
    assert [round(one["escape"], 4) for one in looked["escape"]["shares"]] == [0.9801, 0.9025, 0.64]

    challenged = desk.verify("--challenge")
    assert challenged["sent"] is None, "nobody is accused of honest work"

    paid = desk.verify_apart("--accept")
    assert paid["sent"]["act"] == "accept"
    assert paid["sent"]["paid_wei"] == 2 * desk.job.opened.owner.params.pay_wei
    state = contract.job(number)
    assert (state.phase, state.round, state.label_key) == (Phase.COMMIT, 1, desk.job.opened.owner.label_key(1))
    assert [pinned.round for pinned in _pins(desk)] == [0], "a round is kept before it is paid"

    assert main([part for part in desk.command() if part != "--json"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for words in ("Decision: accept", "2 of 2 intervals were drawn", "at most 90.25%", "Settled: round 0 was accepted"):
        assert words in told, told

    again = desk.verify("--accept")
    assert again["sent"] is None
    assert again["settled"].startswith("round 0 was accepted in block")
    assert paid["sent"]["tx_hash"] in again["settled"]
    assert contract.job(number) == state
    assert again["escape"]["drawn"] == looked["escape"]["drawn"], "the draw can be repeated"


def _pins(desk: Desk) -> list[Any]:
    kept = PinSets(desk.job.folder.pins).load(JOB_PINS)
    assert kept is not None
    return list(kept.rounds)


def test_files_that_a_folder_lacks_are_neither_paid_nor_held_against_the_seat(desk: Desk, tmp_path: Path) -> None:
    """A folder may have lost them: only the node to which the seats publish can say that nobody did."""
    desk.reach(1)
    lost = desk.committed[1][0].manifest.transcript.leaves.ciphertext
    path = block_file(desk.job.folder.store, lost)
    data = path.read_bytes()
    path.unlink()
    for treatment in ("challenge", "wait"):
        policy = tmp_path / f"{treatment}.toml"
        policy.write_text(f'publish_deadline_s = 0\nwithheld = "{treatment}"\n')
        found = desk.verify("--policy", str(policy), "--accept", code=4)
        assert found["decision"]["action"] == "wait"
        assert found["sent"] is None
        assert {row["cause"] for row in rows(found, "inconclusive") if row["subject"] == str(lost)} == {"the store"}
    path.write_bytes(data)


def test_cheat_is_found_not_paid_and_challenged_on_chain(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.reach(1)
    contract, number = desk.job.contract(), desk.job.opened.job
    head = contract.job(number).head
    found = desk.verify("--accept", code=1)
    assert (found["decision"]["action"], found["decision"]["seat"]) == ("challenge", 1)
    assert found["sent"] is None
    assert checks(found, "fail") == {"replay"}
    assert contract.job(number).phase is Phase.REVIEW

    with monkeypatch.context() as patch:
        patch.setattr("clicooper.protocol.accusation.make_evidence", nothing_can_be_had)
        accused = desk.verify("--accept", "--challenge", code=1)["sent"]
    assert (accused["act"], accused["evidence"]) == ("challenge", "note")
    challenge = contract.challenge_of(number)
    assert (challenge.accused, challenge.bond_wei) == (1, accused["bond_wei"])
    assert f"0x{challenge.id.hex()}" == accused["challenge_id"]
    digest = Digest(bytes.fromhex(accused["evidence_digest"][2:]))
    note = AccusationNote.from_block(desk.job.store.get_block(cid_of_digest(digest)))
    assert "0x" + note.challenger.hex() == desk.job.parties.owner.address.lower()
    assert (note.head, note.accused, note.check, note.ground) == (head, 1, "replay", "fault")

    again = desk.verify("--accept", "--challenge", code=1)
    assert again["sent"] is None
    assert again["settled"].startswith("seat 1 stands accused")
    desk.arbiter.rule(open_case(contract, desk.job.opened.index, number), False, override=True)


def nothing_can_be_had(*_: Any) -> NoReturn:
    raise ArtifactMissing("not there", cid="")


def test_challenge_of_a_cheat_names_evidence_that_convicts_it(desk: Desk) -> None:
    """Made, sealed and published by a process of its own; the arbiter has its identity and the store."""
    desk.reach(1)
    contract, number = desk.job.contract(), desk.job.opened.job
    head = contract.job(number).head
    accused = desk.verify_apart("--accept", "--challenge", code=1)["sent"]
    assert (accused["act"], accused["evidence"]) == ("challenge", "made")

    case = open_case(contract, desk.job.opened.index, number)
    assert (case.accused, case.ground, f"0x{case.id.hex()}") == (1, Ground.FAULT, accused["challenge_id"])
    assert f"0x{case.evidence_digest.hex()}" == accused["evidence_digest"]
    sealed = desk.arbiter.fetch(case)
    assert sealed.envelope.sealed
    opened = open_evidence(sealed, desk.job.parties.arbiter_identity).evidence
    assert "0x" + opened.challenger.hex() == desk.job.parties.owner.address.lower()
    assert (opened.head, opened.accused, opened.claim, opened.round) == (head, 1, "replay", 1)
    kept = PinSets(desk.job.folder.pins).load("evidence")
    assert kept is not None and cid_text(sealed.envelope.cid) in kept.roots

    judgement = desk.arbiter.judge(case, sealed)
    assert (judgement.opinion.answer, judgement.head.verified) == (Answer.GUILTY, True)
    desk.arbiter.rule(case, True, judgement)
    assert contract.job(number).phase is Phase.REFILL


def test_receipt_names_one_of_two_neighbours_to_a_later_process(
    anvil_url: str, tmp_path: Path, capsys: Capture
) -> None:
    """Without receipts the pair is all that is known; with those that seat 1 kept, seat 0 stands accused."""
    cheat = seating({0: SignsWhatItSentAndCommitsAnother})
    config = tiny_config(seed=SEED + 1, rounds=1)
    with rehearsal(tmp_path / "run", config, cheat, partial(Node.connect, anvil_url)) as job:
        job.opened.owner.receive_keys(job.train_and_commit(vouched=True))
        desk = Desk(job, anvil_url)
        looks = ("verify", str(desk.root), "--home", str(tmp_path), "--network", anvil_url)

        def boundary(*options: str) -> tuple[str, int | None, set[int | None]]:
            found = answered(capsys, *looks, *options, code=1)
            seats = {row["seat"] for row in rows(found, "fail") if row["check"] == "boundary"}
            return found["decision"]["action"], found["decision"]["seat"], seats

        assert boundary() == ("challenge", 0, {None, 0})
        (job.folder.owner / "receipts").rename(tmp_path / "moved")
        assert boundary() == ("wait", None, {None})
        kept_by_receiver = job.folder.trainer(1) / "round-log" / "round-0"
        for folder in (tmp_path / "moved" / "round-0", kept_by_receiver):
            assert boundary("--receipts", str(folder)) == ("challenge", 0, {None, 0})
        assert "holds no receipts" in refused(capsys, *looks, "--receipts", str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--round", "7"), "round 7 is not committed by every seat"),
        (("--job", "1"), "belong together"),
        (("--evidence", "x"), "goes with a challenge"),
        (("--policy", "absent.toml"), "cannot read the policy"),
    ],
)
def test_unusable_options_are_refused(options: tuple[str, ...], message: str, desk: Desk, capsys: Capture) -> None:
    at = ("verify", str(desk.root), "--home", str(desk.home), "--network", desk.url)
    assert message in refused(capsys, *at, *options)


def test_only_the_owner_can_verify_for_payment(desk: Desk, capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    stranger = RunFolder(tmp_path / "run")
    LocalStore(stranger.store)
    (stranger.root / "job.json").write_bytes((desk.root / "job.json").read_bytes())
    at = ("verify", str(stranger.root), "--home", str(tmp_path), "--network", desk.url)
    assert "cannot read the owner's" in refused(capsys, *at)
