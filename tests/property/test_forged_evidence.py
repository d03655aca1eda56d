"""Whatever single byte a forger changes in the root of true evidence, nobody is convicted by it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.commitments.canonical import cid_of_block
from clicooper.disputes.evidence_file import OpenedEvidence, parse_evidence
from clicooper.disputes.judge import judge_evidence
from clicooper.disputes.opinion import Answer
from clicooper.errors import EvidenceUnusable
from clicooper.storage.ipld.car import write_car
from clicooper.storage.ipld.cid import cid_bytes
from clicooper.types import Digest
from tests.evidence_files import CLAIMS, blocks_of, opened_evidence
from tests.scenario import FinishedRun

CHEAP = ("boundary", "links", "manifest", "labels", "release")
"""Claims that are judged in hundredths of a second."""


@pytest.fixture(scope="module")
def honest(honest_run: FinishedRun) -> dict[str, OpenedEvidence]:
    return {name: opened_evidence(honest_run, CLAIMS[name]) for name in CHEAP}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(CHEAP), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_convicts_nobody(honest: dict[str, OpenedEvidence], name: str, place: int, change: int) -> None:
    opened = honest[name]
    block = bytearray(opened.evidence.to_block())
    block[place % len(block)] ^= change
    root = cid_of_block(bytes(block))
    rest = sorted(blocks_of(opened).items(), key=lambda item: cid_bytes(item[0]))
    target = io.BytesIO()
    write_car(target, [root], [(root, bytes(block)), *rest])
    try:
        evidence, blocks = parse_evidence(target.getvalue())
    except EvidenceUnusable:
        return
    forged = OpenedEvidence(evidence, blocks, Digest(bytes(32)), len(block))
    assert judge_evidence(forged).answer is not Answer.GUILTY
