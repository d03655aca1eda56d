"""Trails of evidence through everything that moves a head: evictions, restarts, refills, rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from chain_world import account_of
from court import DISPUTED, Court, open_court

from clicooper.chain.rpc.node import Node
from clicooper.commitments.head import label_anchor, label_keys
from clicooper.disputes.evidence import Evidence
from clicooper.disputes.head_proof import history_of, pack_params, prove_head
from clicooper.errors import EvidenceUnusable
from clicooper.history.follow import follow_record
from clicooper.types import Digest

CHALLENGER = b"\xaa" * 20


def smooth(court: Court) -> None:
    court.commit_all()


def evicted_for_silence(court: Court) -> None:
    court.commit(0, 1)
    court.time_out()
    court.refill(2)
    court.commit_all()


def evicted_twice(court: Court) -> None:
    court.commit(0)
    court.time_out()
    court.refill(1)
    court.equivocate(1)
    court.owner.name_replacement(court.job, court.state.head, 1, account_of(court.challenger))
    court.join(court.challenger, 1)
    court.trainers[1] = court.challenger
    court.commit_all()


def convicted(court: Court) -> None:
    court.commit_all()
    court.challenge(0)
    court.rule(guilty=True)
    court.refill(0)
    court.commit(0, 1)


LIVES: dict[str, Callable[[Court], None]] = {
    "smooth": smooth,
    "silence": evicted_for_silence,
    "twice": evicted_twice,
    "convicted": convicted,
}


def evidence_of(court: Court, round_: int) -> Evidence:
    record = court.record()
    history = follow_record(record)
    return Evidence(
        chain_id=history.chain_id,
        contract=bytes.fromhex(history.contract[2:]),
        job=history.job,
        owner=bytes.fromhex(history.owner[2:]),
        params=pack_params(history.params),
        challenger=CHALLENGER,
        claim="manifest",
        accused=0,
        round=round_,
        interval=None,
        label_key=history.rounds[round_].label_key,
        head_proof=prove_head(record, history, round_),
        head=history.rounds[round_].commitments[-1].head,
        rows=(),
        files=(),
        progress=None,
        sealing=None,
        wanted=(),
    )


def assert_same_past(court: Court, round_: int) -> None:
    """What the head proof proves of its rounds is what the chain knows."""
    known = follow_record(court.record())
    told = history_of(Evidence.from_block(evidence_of(court, round_).to_block()))
    assert told.genesis == known.genesis
    assert told.head == known.rounds[round_].commitments[-1].head
    for mine, theirs in zip(told.rounds, known.rounds, strict=False):
        assert mine.label_key == theirs.label_key
        if mine.round >= round_ - 1:
            facts = [(c.seat, c.trainer, c.manifest_digest, c.head_before, c.head) for c in mine.commitments]
            assert facts == [(c.seat, c.trainer, c.manifest_digest, c.head_before, c.head) for c in theirs.commitments]
        else:
            assert mine.commitments == ()


@pytest.mark.parametrize("life", LIVES)
def test_a_head_proof_leads_to_the_heads_of_the_chain(life: str) -> None:
    with Node.embedded() as node:
        court = open_court(node)
        court.open()
        LIVES[life](court)
        assert_same_past(court, 0)
        if court.state.phase.name == "REVIEW":
            court.accept()
            court.commit(0)
            assert_same_past(court, 1)
            court.commit(1, 2)
            assert_same_past(court, 1)
            assert_same_past(court, 0)


def test_a_head_proof_begins_no_earlier_than_the_round_before() -> None:
    keys = label_keys(Digest(b"\x08" * 32), rounds=3)
    with Node.embedded() as node:
        court = open_court(node, replace(DISPUTED, rounds=3, label_anchor=label_anchor(keys[0])))
        court.job, _ = court.owner.create_job(court.params)
        for seat in range(court.params.seats):
            court.join(court.trainers[seat], seat)
        court.owner.release_labels(court.job, keys[0])
        for round_ in range(3):
            court.commit_all()
            assert_same_past(court, round_)
            court.owner.accept(court.job, court.state.head, keys[round_ + 1])
        proof = evidence_of(court, 2).head_proof
        assert proof.start == court.owner.round_head(court.job, 0)
        assert [step.round for step in proof.steps] == [1, 1, 1, 2, 2, 2]


def test_no_head_proof_leads_to_a_round_without_commitments() -> None:
    with Node.embedded() as node:
        court = open_court(node)
        court.open()
        with pytest.raises(EvidenceUnusable, match="no seat has committed"):
            evidence_of(court, 0)
