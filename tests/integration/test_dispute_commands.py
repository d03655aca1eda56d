"""The commands of a dispute on a real node, as owner, seats, arbiter and committee use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from disputed_round import REPLAY, Dispute, dispute

from clicooper.chain.committee import Committee, deploy_committee
from clicooper.chain.keys import account_from_seed
from clicooper.chain.rpc.node import Node
from clicooper.disputes.evidence_file import read_evidence
from clicooper.disputes.subject import Subject
from clicooper.history.follow import Outcome, follow_record
from clicooper.protocol.arbiter import Arbiter, open_case
from clicooper.protocol.trainer import Trainer
from clicooper.types import ACCUSED_OWNER, Address, Phase
from tests import adversaries as cheats
from tests.adversaries.vouching import SignsWhatItSentAndCommitsAnother
from tests.cli_calls import Capture, answered, printed, refused
from tests.scenario import Rehearsal, rehearsal, seating, tiny_config

PASSWORD = "correct horse"


@pytest.fixture
def anvil(anvil_url: str) -> Callable[[], Node]:
    return partial(Node.connect, anvil_url)


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
        assert "cannot tell" in refused(capsys, *rule, "--guilty", *options, code=4, kind="RulingUndecided")
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
