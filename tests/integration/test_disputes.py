"""Disputes from end to end on a real node: evidence, challenge, ruling, and what becomes of the stakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from disputed_round import REPLAY, dispute

from clicooper.chain.rpc.node import Node
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.head import next_head
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.evidence_file import open_evidence, publish_evidence
from clicooper.disputes.failed_check import choose_subject
from clicooper.disputes.head_check import compare_with_chain, proofs_on_chain
from clicooper.disputes.opinion import Answer
from clicooper.disputes.subject import Subject
from clicooper.errors import RevertError, RulingRefused
from clicooper.history.follow import Outcome, follow_record
from clicooper.protocol.arbiter import Arbiter
from clicooper.protocol.owner import RoundRefused
from clicooper.types import Address, Digest, Ground, Phase
from tests import adversaries as cheats
from tests.scenario import block_file, failures, keys_of


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
