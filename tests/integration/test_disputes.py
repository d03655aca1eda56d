"""Disputes from end to end on a real node: evidence, challenge, ruling, and what becomes of the stakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clicooper.audit.artifacts import Artifacts
from clicooper.chain.client import Contract
from clicooper.chain.committee import Committee, deploy_committee
from clicooper.chain.keys import LocalAccount, account_from_seed
from clicooper.chain.rpc.node import Node
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.head import next_head
from clicooper.disputes.collect import make_evidence
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.evidence_file import SealedEvidence, enclose, open_evidence, publish_evidence, read_evidence
from clicooper.disputes.failed_check import choose_subject
from clicooper.disputes.head_check import compare_with_chain, proofs_on_chain
from clicooper.disputes.opinion import Answer
from clicooper.disputes.subject import Subject
from clicooper.errors import RevertError, RulingRefused
from clicooper.history.follow import Outcome, follow_record
from clicooper.protocol.arbiter import Arbiter, Case, open_case
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.owner import RoundRefused
from clicooper.protocol.trainer import Trainer
from clicooper.types import ACCUSED_OWNER, Address, Digest, Ground, Phase
from tests import adversaries as cheats
from tests.adversaries.vouching import SignsWhatItSentAndCommitsAnother
from tests.cli_calls import Capture, answered, printed, refused
from tests.evidence_files import artifacts_of
from tests.scenario import Rehearsal, block_file, failures, keys_of, rehearsal, seating, tiny_config

PASSWORD = "correct horse"
REPLAY = Subject("replay", 0, 0)


@dataclass(frozen=True)
class Dispute:
    """A committed round, and what its owner and its arbiter need for a dispute about it."""

    job: Rehearsal
    committed: tuple[CommittedSegment, ...]

    def __post_init__(self) -> None:
        # What a challenge's bond and a trainer's transactions are paid from.
        for account in self.job.parties.accounts:
            self.job.opened.node.fund(Address(account.address), 10**18)

    @property
    def owner(self) -> Address:
        return Address(self.job.parties.owner.address)

    @property
    def artifacts(self) -> Artifacts:
        return artifacts_of(self.job, keys_of(self.job, self.committed))

    def sealed(self, subject: Subject, challenger: Address | None = None) -> SealedEvidence:
        """The owner's evidence, sealed to the arbiter of the spec."""
        artifacts = self.artifacts
        packed = make_evidence(self.job.record(), artifacts, subject, challenger or self.owner)
        return enclose(artifacts.history.genesis, packed.evidence, packed.plaintext, artifacts.spec.arbiter_keys)

    def challenge(self, accused: int, sealed: SealedEvidence, ground: Ground = Ground.FAULT) -> Case:
        """The owner accuses."""
        contract, number = self.job.contract(), self.job.opened.job
        contract.challenge(number, self.job.head, accused, ground, sealed.digest, contract.bond_due(number))
        return open_case(contract, self.job.opened.index, number)

    def view(self, account: LocalAccount) -> Contract:
        return Contract(self.job.opened.node, self.job.opened.contract, account)

    @property
    def arbiter(self) -> Arbiter:
        """In possession of nothing but its account, its identity and the store."""
        parties = self.job.parties
        return Arbiter(self.view(parties.arbiter), self.job.opened.index, parties.arbiter_identity, self.job.store)

    def owed(self, account: LocalAccount) -> int:
        return self.job.contract().owed_to(self.job.opened.job, Address(account.address))


@contextmanager
def dispute(
    root: Path, connect: Callable[[], Any], cheat: type[Trainer] = Trainer, seat: int = 1, *, vouched: bool = False
) -> Iterator[Dispute]:
    with rehearsal(root, tiny_config(rounds=1), seating({seat: cheat}), connect) as job:
        yield Dispute(job, job.train_and_commit(vouched=vouched))


@pytest.fixture
def anvil(anvil_url: str) -> Callable[[], Node]:
    return partial(Node.connect, anvil_url)


@pytest.mark.parametrize("kind", ["embedded", "anvil"])
def test_the_contract_accepts_every_proof_and_refuses_any_other(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    connect = Node.embedded if kind == "embedded" else request.getfixturevalue("anvil")
    with dispute(tmp_path / "run", connect) as case:
        contract, accepted = case.job.contract(), 0
        identity = case.job.parties.arbiter_identity
        for interval in range(case.artifacts.intervals):
            opened = open_evidence(case.sealed(replace(REPLAY, interval=interval)), identity)
            accepted += proofs_on_chain(opened, contract)
        assert accepted == case.artifacts.spec.training.steps * 2, "every leaf of both transcripts"
        assert compare_with_chain(opened, contract, case.job.opened.index, case.job.opened.job).verified

        artifacts = EnclosedArtifacts(opened)
        digest = artifacts.commitment(0, 0).manifest_digest
        block = opened.blocks.get_block(cid_of_digest(digest))
        proven = artifacts.proven_steps(0)[0]
        arguments = [digest, block[:-32], Digest(block[-32:]), proven.step, proven.proof]
        assert contract.transcript_holds(*arguments)  # type: ignore[arg-type]
        flipped = [
            (0, _flip(digest)),
            (1, _flip(block[:-32])),
            (2, _flip(block[-32:])),
            *((3, replace(proven.step, **{name: _flip(getattr(proven.step, name))})) for name in ("input", "output")),
            *(
                (3, replace(proven.step, **{name: _flip(getattr(proven.step, name))}))
                for name in ("state", "grad_sent")
            ),
            (3, replace(proven.step, step=proven.step.step + 1)),
            *((4, (*proven.proof[:i], _flip(proven.proof[i]), *proven.proof[i + 1 :])) for i in range(2)),
            (4, proven.proof[:-1]),
        ]
        for at, value in flipped:
            changed = [*arguments[:at], value, *arguments[at + 1 :]]
            assert not contract.transcript_holds(*changed), at  # type: ignore[arg-type]


def _flip(data: bytes) -> Digest:
    return Digest(bytes([data[0] ^ 1]) + data[1:])


def test_a_cheat_is_refused_challenged_and_loses_its_stake(
    anvil: Callable[[], Node], anvil_url: str, tmp_path: Path
) -> None:
    with dispute(tmp_path / "run", anvil, cheats.SkipsSteps) as case:
        job, parties, params = case.job, case.job.parties, case.job.opened.owner.params
        with pytest.raises(RoundRefused) as refusal:
            job.opened.owner.verify_round(0, case.committed)
        subject = choose_subject(refusal.value.results, 0, case.artifacts.spec.replay.interval)
        assert subject == replace(REPLAY, accused=1), "what to show follows from what failed"
        sealed = case.sealed(subject)
        path = tmp_path / "evidence.car"
        path.write_bytes(sealed.to_car())
        challenged = case.challenge(1, sealed)
        assert (challenged.accused, challenged.challenger, challenged.round) == (1, case.owner, 0)
        assert challenged.trainer == parties.trainers[1].address
        assert challenged.interrupted is Phase.REVIEW

        found = _check_elsewhere(tmp_path, path, parties.arbiter_identity, "--network", anvil_url)
        assert (found["finding"], found["guilty"], found["check"]) == ("guilty", "seat 1", "replay")
        assert (found["step"], found["field"], found["code"]) == (1, "state", 1)
        assert found["head"] == {
            "digest": f"0x{case.committed[-1].head.hex()}",
            "verified": True,
            "source": anvil_url,
            "problem": None,
            "proven_steps": 4,
        }
        assert found["expected"] != found["actual"]
        assert found["distances"]["1"] > 1e-4

        publish_evidence(job.store, sealed)
        arbiter = case.arbiter
        judgement = arbiter.judge(challenged, arbiter.fetch(challenged))
        assert judgement.opinion.answer is Answer.GUILTY
        with pytest.raises(RulingRefused, match="finding is guilty"):
            arbiter.rule(challenged, False, judgement)
        arbiter.rule(challenged, True, judgement)

        state = job.contract().job(job.opened.job)
        assert (state.phase, state.filled, state.turn) == (Phase.REFILL, 1, 1)
        assert case.owed(parties.trainers[1]) == 0
        share = params.stake_wei - params.challenge_bond_wei - params.arbiter_fee_wei
        assert case.owed(parties.trainers[0]) == share
        assert case.owed(parties.owner) == 2 * params.challenge_bond_wei
        history = follow_record(job.record())
        assert history.challenges[0].outcome is Outcome.GUILTY
        assert history.challenges[0].evidence_digest == sealed.digest
        report = job.audit(keys_of(job, case.committed))
        assert {seat for _, seat in failures(report.results)} == {1}, "honest seats pass, the guilty one is named"
        # The head has moved on, and the evidence still stands on what the chain knows.
        opened = open_evidence(sealed, parties.arbiter_identity)
        assert compare_with_chain(opened, job.contract(), job.opened.index).verified


def _check_elsewhere(folder: Path, artifacts: Path, identity: str, *options: str) -> dict[str, Any]:
    """``evidence check`` in a process of its own, with an identity and the file, and nothing else."""
    alone = folder / "arbiter"
    alone.mkdir()
    (alone / "identity.txt").write_text(identity + "\n")
    moved = alone / artifacts.name
    moved.write_bytes(artifacts.read_bytes())
    command = [sys.executable, "-m", "clicooper", "evidence", "check", artifacts.name, "--identity", "identity.txt"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--json", *options], cwd=alone, env=environment, capture_output=True, text=True, check=False
    )
    result: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, result["ok"]) == (result["code"], result["code"] == 0), done.stderr
    return result


def test_a_false_challenge_costs_its_bond(anvil: Callable[[], Node], tmp_path: Path) -> None:
    with dispute(tmp_path / "run", anvil) as case:
        params = case.job.opened.owner.params
        sealed = case.sealed(replace(REPLAY, accused=0))
        challenged = case.challenge(0, sealed)
        judgement = case.arbiter.judge(challenged, sealed)
        assert judgement.opinion.answer is Answer.NOT_GUILTY
        assert judgement.head.verified
        with pytest.raises(RulingRefused, match="finding is not guilty"):
            case.arbiter.rule(challenged, True, judgement)
        case.arbiter.rule(challenged, False, judgement)
        state = case.job.contract().job(case.job.opened.job)
        assert state.phase is Phase.REVIEW
        assert case.owed(case.job.parties.owner) == 0, "the bond is lost"
        assert case.job.contract().bond_due(case.job.opened.job) == 2 * params.challenge_bond_wei
        case.job.opened.owner.accept(0, case.job.head)
        assert case.owed(case.job.parties.trainers[0]) >= params.pay_wei


def test_a_cheat_that_accuses_its_neighbour_gets_no_ruling(anvil: Callable[[], Node], tmp_path: Path) -> None:
    with dispute(tmp_path / "run", anvil, cheats.ScalesItsOutput, seat=0) as case:
        sealed = case.sealed(REPLAY)
        challenged = case.challenge(1, sealed)
        judgement = case.arbiter.judge(challenged, sealed)
        assert judgement.opinion.answer is Answer.CANNOT_TELL
        assert judgement.opinion.fault is not None and judgement.opinion.fault.seat == 0
        for guilty in (True, False):
            with pytest.raises(RulingRefused, match="cannot tell"):
                case.arbiter.rule(challenged, guilty, judgement)
        case.arbiter.rule(challenged, False, judgement, override=True)
        assert follow_record(case.job.record()).challenges[0].outcome is Outcome.NOT_GUILTY


def test_stolen_swapped_or_foreign_evidence_is_not_judged(anvil: Callable[[], Node], tmp_path: Path) -> None:
    with dispute(tmp_path / "run", anvil, cheats.SkipsSteps) as case:
        thief = Address(case.job.parties.trainers[0].address)
        own, stolen = case.sealed(REPLAY), case.sealed(REPLAY, challenger=thief)
        challenged = case.challenge(1, stolen)
        for sealed, why in ((own, "the challenge names evidence"), (stolen, "the evidence is that of")):
            opinion = case.arbiter.judge(challenged, sealed).opinion
            assert opinion.answer is Answer.CANNOT_TELL
            assert why in opinion.detail
        wrong = replace(challenged, evidence_digest=own.digest, trainer=thief)
        opinion = case.arbiter.judge(wrong, own).opinion
        assert (opinion.answer, "is not the work of" in opinion.detail) == (Answer.CANNOT_TELL, True)
        blind = Arbiter(case.view(case.job.parties.arbiter), case.job.opened.index, None, case.job.store)
        assert blind.judge(replace(challenged, evidence_digest=own.digest), own).opinion.answer is Answer.CANNOT_TELL
        with pytest.raises(RulingRefused, match="nothing was checked"):
            blind.rule(challenged, True)


def test_evidence_of_another_chain_is_not_verified(anvil: Callable[[], Node], tmp_path: Path) -> None:
    with dispute(tmp_path / "a", anvil) as case, dispute(tmp_path / "b", anvil) as other:
        opened = open_evidence(case.sealed(REPLAY), case.job.parties.arbiter_identity)
        head = compare_with_chain(opened, other.job.contract(), other.job.opened.index)
        assert (head.verified, "of contract" in head.problem) == (False, True)
        head = compare_with_chain(opened, case.job.contract(), case.job.opened.index, job=7)
        assert (head.verified, "not 7" in head.problem) == (False, True)
        steps = list(opened.evidence.head_proof.steps)
        steps[-1] = steps[-1].model_copy(update={"mark": b"\x05" * 32})
        head_proof = opened.evidence.head_proof.model_copy(update={"steps": tuple(steps)})
        head_before = case.committed[-1].head_before
        trainer, digest = case.committed[-1].trainer, case.committed[-1].manifest.digest
        ends = next_head(head_before, case.job.opened.job, 0, 1, trainer, digest, Digest(b"\x05" * 32))
        made_up = {"head_proof": head_proof, "head": ends}
        forged = replace(opened, evidence=opened.evidence.model_copy(update=made_up))
        head = compare_with_chain(forged, case.job.contract(), case.job.opened.index)
        assert (head.verified, "knows no such head" in head.problem) == (False, True)


def test_withheld_data_is_cured_by_publishing_or_lost_after_half_the_window(
    anvil: Callable[[], Node], tmp_path: Path
) -> None:
    with dispute(tmp_path / "run", anvil) as case:
        file = block_file(case.job.folder.store, case.committed[1].manifest.out.ciphertext)
        kept = file.read_bytes()
        file.unlink()
        sealed = case.sealed(Subject("withheld", 0, None, 1))
        challenged = case.challenge(1, sealed, Ground.WITHHELD)
        missing = case.arbiter.judge(challenged, sealed)
        assert missing.opinion.answer is Answer.GUILTY
        with pytest.raises(RevertError) as early:
            case.arbiter.rule(challenged, True, missing)
        assert early.value.name == "TooEarly"
        file.write_bytes(kept)
        assert case.arbiter.judge(challenged, sealed).opinion.answer is Answer.NOT_GUILTY
        file.unlink()
        node = case.job.opened.node
        node.advance_time(challenged.rule_after - node.block().timestamp + 1)
        case.arbiter.rule(challenged, True, case.arbiter.judge(challenged, sealed))
        assert follow_record(case.job.record()).challenges[0].outcome is Outcome.GUILTY


@pytest.fixture
def desk(anvil_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Dispute], tuple[str, ...]]:
    """A home with the keystores of owner and arbiter, and the options that name node, home and contract."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "keystore").mkdir()

    def options(case: Dispute) -> tuple[str, ...]:
        parties = case.job.parties
        for name, account in (("owner", parties.owner), ("arbiter", parties.arbiter)):
            keystore = account.encrypt(PASSWORD, kdf="pbkdf2", iterations=1)
            (tmp_path / "keystore" / f"{name}.json").write_text(json.dumps(keystore))
        (tmp_path / "identity.txt").write_text(parties.arbiter_identity + "\n")
        owners = tmp_path / "owner.txt"
        owners.write_text(parties.owner_identity + "\n")
        at = ("--network", anvil_url, "--home", str(tmp_path), "--password-file", str(tmp_path / "password"))
        return (*at, "--contract", case.job.opened.contract)

    return options


def test_the_commands_of_a_dispute(
    anvil: Callable[[], Node], desk: Callable[[Dispute], tuple[str, ...]], tmp_path: Path, capsys: Capture
) -> None:
    with dispute(tmp_path / "run", anvil, cheats.UsesAnotherLearningRate) as case:
        at = desk(case)
        number, run = str(case.job.opened.job), str(tmp_path / "run")
        recipient = case.artifacts.spec.owner_key
        grant = str(case.job.opened.owner.grant([recipient], labels=True))
        common = ("evidence", "make", run, "--job", number, "--account", "owner", "--identity", "owner.txt")
        made = answered(
            capsys, *common, "--grant", grant, "--step", "1", "--seat", "1", "--publish", "-o", "e.car", *at
        )
        assert made["accused"] == "seat 1"
        assert made["sealed"] and made["challenger"] == case.owner
        assert 0.9 < made["state_bytes"] / made["size_bytes"] < 1, "states are what makes evidence large"
        assert read_evidence(Path("e.car")).digest.hex() == made["digest"][2:]
        shown = answered(capsys, "evidence", "show", "e.car")
        assert (shown["digest"], shown["challenger"]) == (made["digest"], case.owner)
        assert refused(capsys, *common, "--grant", grant, "--step", "1", "-o", "e.car", *at).endswith("not overwritten")

        checked = answered(capsys, "evidence", "check", "e.car", "--identity", "identity.txt", *at[:2], code=1)
        assert (checked["finding"], checked["seat"], checked["head"]["verified"]) == ("guilty", 1, True)
        other = ("--contract", case.job.opened.contract, "--job", "7")
        foreign = answered(capsys, "evidence", "check", "e.car", "--identity", "identity.txt", *other, *at[:2], code=4)
        assert (foreign["finding"], "not 7" in foreign["detail"]) == ("cannot tell", True)
        unasked = answered(capsys, "evidence", "check", "e.car", "--identity", "identity.txt", code=1)
        assert unasked["head"]["verified"] is False
        assert refused(capsys, "evidence", "check", "e.car", code=4, kind="SealError") == "the evidence is sealed"

        accuse = ("challenge", number, "--accused", "1", "--evidence", "e.car", "--account")
        dry = answered(capsys, *accuse, "owner", "--dry-run", *at)
        assert (dry["sent"], dry["bond_wei"]) == (False, case.job.opened.owner.params.challenge_bond_wei)
        assert case.job.contract().job(case.job.opened.job).phase is Phase.REVIEW
        assert "is that of" in refused(capsys, *accuse, "arbiter", *at)
        sent = answered(capsys, *accuse, "owner", *at)
        assert sent["evidence_digest"] == made["digest"]

        open_ = answered(capsys, "arbiter", "show", number, "--evidence", "e.car", *at)
        assert (open_["challenge_id"], open_["accused"]) == (sent["challenge_id"], "seat 1")
        assert open_["is_the_evidence"] and open_["names_the_challenger"]
        rule = ("arbiter", "rule", number, "--identity", "identity.txt", "--account", "arbiter", "--run", run)
        assert "the finding is guilty" in refused(capsys, *rule, "--not-guilty", *at, code=1, kind="RulingRefused")
        assert "not the open one" in refused(capsys, *rule, "--challenge-id", "0x00", *at)
        ruled = answered(capsys, *rule, "--guilty", "--challenge-id", sent["challenge_id"], *at)
        assert (ruled["guilty"], ruled["ruled"], ruled["phase"]) == (True, True, "Refill")
        assert ruled["check"]["finding"] == "guilty"
        assert refused(capsys, "arbiter", "show", number, *at, kind="RevertError")


def test_a_committee_rules_by_the_evidence(
    anvil: Callable[[], Node], desk: Callable[[Dispute], tuple[str, ...]], tmp_path: Path, capsys: Capture
) -> None:
    with rehearsal(tmp_path / "run", tiny_config(rounds=1), seating({1: cheats.SkipsSteps}), anvil) as first:
        members = (first.parties.arbiter, account_from_seed(b"committee", "second"))
        addresses = [Address(member.address) for member in members]
        first.opened.node.fund(addresses[1], 10**18)
        committee, _ = deploy_committee(first.opened.node, members[0], first.opened.contract, addresses, 2)
        job = _job_under(first, committee)
        case = Dispute(job, job.train_and_commit())
        sealed = case.sealed(REPLAY)
        Path("e.car").write_bytes(sealed.to_car())
        challenged = case.challenge(1, sealed)
        rule = ("arbiter", "rule", str(job.opened.job), "--evidence", "e.car", "--identity", "identity.txt")
        voted = answered(capsys, *rule, "--account", "arbiter", *desk(case))
        assert (voted["guilty"], voted["ruled"], voted["phase"]) == (True, False, "Arbitration")
        second = Committee(job.opened.node, committee, members[1])
        assert second.votes_for(job.opened.job, challenged.id, True) == 1
        member = Arbiter(case.view(members[1]), job.opened.index, job.parties.arbiter_identity, None, second)
        member.rule(challenged, True, member.judge(challenged, sealed))
        assert job.contract().job(job.opened.job).phase is Phase.REFILL


def _job_under(first: Rehearsal, arbiter: Address) -> Rehearsal:
    """The same work as a second job of the same contract, under another arbiter."""
    owner, trainers = first.opened.owner, first.opened.trainers
    owner.prepared = replace(owner.prepared, params=replace(owner.params, arbiter=arbiter))
    number, genesis = owner.create_job()
    for trainer in trainers:
        trainer.join(number, genesis, owner.params, f"in-process/{trainer.seat}")
    owner.collect_grants()
    trainers[-1].receive_grant(owner.grant_to_seat(len(trainers) - 1))
    owner.release_first_labels()
    return replace(first, opened=replace(first.opened, job=number, genesis=genesis))


def test_between_two_seats_the_arbiter_hears_the_receiver_first(
    anvil: Callable[[], Node], desk: Callable[[Dispute], tuple[str, ...]], tmp_path: Path, capsys: Capture
) -> None:
    with dispute(tmp_path / "run", anvil, cheats.AltersActivationAtBoundary, seat=0) as case:
        at = desk(case)
        sealed = case.sealed(REPLAY)
        Path("e.car").write_bytes(sealed.to_car())
        case.challenge(1, sealed)
        rule = ("arbiter", "rule", str(case.job.opened.job), "--evidence", "e.car", "--identity", "identity.txt")
        options = ("--account", "arbiter", *at)
        said = refused(capsys, *rule, *options, code=1, kind="RulingRefused")
        assert "seat 1 may have the sender's signature to show" in said
        ruled = answered(capsys, *rule, "--not-guilty", "--override", *options)
        assert (ruled["guilty"], ruled["overridden"], ruled["phase"]) == (False, True, "Review")


def test_late_receipt_acquits_the_receiver_and_its_sender_is_challenged_in_turn(
    anvil: Callable[[], Node], desk: Callable[[Dispute], tuple[str, ...]], tmp_path: Path, capsys: Capture
) -> None:
    with dispute(tmp_path / "run", anvil, SignsWhatItSentAndCommitsAnother, seat=0, vouched=True) as case:
        at = desk(case)
        sealed = case.sealed(REPLAY)
        Path("e.car").write_bytes(sealed.to_car())
        kept = case.job.folder.trainer(1) / "round-log" / "round-0" / "receipt-0-forward"
        shown = ("--receipt", str(kept))
        check = ("evidence", "check", "e.car", "--identity", "identity.txt", "--accused", "1")
        assert answered(capsys, *check, *at[:2], code=1)["guilty"] == "seat 1"
        offline = answered(capsys, *check, *shown, code=4)
        assert "the key that seat 0 registered is not known" in offline["detail"]
        cleared = answered(capsys, *check, *shown, *at[:2])
        assert (cleared["finding"], cleared["seat"], cleared["cleared"]) == ("not guilty", 0, 1)
        assert "is no receipt" in refused(
            capsys, *check, "--receipt", "e.car", *at[:2], code=4, kind="EvidenceUnusable"
        )
        assert "cannot read" in refused(capsys, *check, "--receipt", "absent", *at[:2], code=3, kind="StorageError")

        case.challenge(1, sealed)
        rule = ("arbiter", "rule", str(case.job.opened.job), "--evidence", "e.car", "--identity", "identity.txt")
        options = ("--account", "arbiter", *at)
        assert "may have the sender's signature to show" in refused(
            capsys, *rule, *options, code=1, kind="RulingRefused"
        )
        ruled = answered(capsys, *rule, *shown, *options)
        assert (ruled["guilty"], ruled["overridden"], ruled["phase"]) == (False, False, "Review")
        assert (ruled["check"]["finding"], ruled["check"]["cleared"]) == ("not guilty", 1)

        case.challenge(0, sealed)
        assert "cannot tell" in refused(capsys, *rule, "--guilty", *options, code=1, kind="RulingRefused")
        ruled = answered(capsys, *rule, *shown, *options)
        assert (ruled["guilty"], ruled["overridden"], ruled["phase"]) == (True, False, "Refill")
        outcomes = [(one.accused, one.outcome) for one in follow_record(case.job.record()).challenges]
        assert outcomes == [(1, Outcome.NOT_GUILTY), (0, Outcome.GUILTY)]


def test_people_read_who_is_guilty_of_what(
    anvil: Callable[[], Node], desk: Callable[[Dispute], tuple[str, ...]], tmp_path: Path, capsys: Capture
) -> None:
    with dispute(tmp_path / "run", anvil, Trainer) as case:
        at = desk(case)
        Path("e.car").write_bytes(case.sealed(Subject("labels", 0)).to_car())
        words = printed(capsys, "evidence", "check", "e.car", "--identity", "identity.txt", *at[:2])
        assert "Finding: not guilty" in words
        assert "is that of" in words
        accuse = ("challenge", str(case.job.opened.job), "--accused", "owner", "--evidence", "e.car")
        assert "Nothing was sent" in printed(capsys, *accuse, "--account", "owner", "--dry-run", *at)
        assert "The arbiter has until" in printed(capsys, *accuse, "--account", "owner", *at)
        opened = case.job.opened
        assert open_case(case.job.contract(), opened.index, opened.job).accused == ACCUSED_OWNER
        shown = printed(capsys, "arbiter", "show", str(case.job.opened.job), "--evidence", "e.car", *at)
        assert "The file is the evidence that the challenge names" in shown
