"""Whatever single byte a forger changes in the root of true evidence, nobody is convicted by it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.audit.exhibit_check import judge_exhibit
from clicooper.audit.exhibit_file import OpenedExhibit, parse_exhibit
from clicooper.audit.finding import Finding
from clicooper.commitments.canonical import cid_of_block
from clicooper.errors import EvidenceUnusable
from clicooper.storage.car import write_car
from clicooper.storage.cid import cid_bytes
from clicooper.types import Digest
from tests.exhibits import CLAIMS, blocks_of, opened_exhibit
from tests.scenario import FinishedRun

CHEAP = ("boundary", "links", "manifest", "labels", "release")
"""Claims that are judged in hundredths of a second."""


@pytest.fixture(scope="module")
def honest(honest_run: FinishedRun) -> dict[str, OpenedExhibit]:
    return {name: opened_exhibit(honest_run, CLAIMS[name]) for name in CHEAP}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(CHEAP), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_convicts_nobody(honest: dict[str, OpenedExhibit], name: str, place: int, change: int) -> None:
    opened = honest[name]
    block = bytearray(opened.exhibit.to_block())
    block[place % len(block)] ^= change
    root = cid_of_block(bytes(block))
    rest = sorted(blocks_of(opened).items(), key=lambda item: cid_bytes(item[0]))
    target = io.BytesIO()
    write_car(target, [root], [(root, bytes(block)), *rest])
    try:
        exhibit, blocks = parse_exhibit(target.getvalue())
    except EvidenceUnusable:
        return
    forged = OpenedExhibit(exhibit, blocks, Digest(bytes(32)), len(block))
    assert judge_exhibit(forged).finding is not Finding.GUILTY
