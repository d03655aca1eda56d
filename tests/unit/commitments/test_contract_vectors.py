"""The vectors that the contract's own tests read: transcripts, heads of a signed round, and its restart."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak

from clicooper.commitments.head import RESTART_TAG, next_head
from clicooper.commitments.merkle import merkle_proof, merkle_root, merkle_verify, transcript_leaf
from clicooper.types import Address, Digest, Head, JobId

VECTORS = Path(__file__).parents[2] / "vectors"
SIGNATURES = json.loads((VECTORS / "signatures.json").read_text())
TRANSCRIPTS = json.loads((VECTORS / "transcripts.json").read_text())["transcripts"]
FIELDS = ("input", "output", "gradReceived", "gradSent", "state")


def _digest(text: str) -> Digest:
    return Digest(bytes.fromhex(text.removeprefix("0x")))


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda t: f"{t['size']} steps")
def test_transcripts_have_these_leaves_roots_and_proofs(transcript: dict[str, Any]) -> None:
    steps = transcript["steps"]
    leaves = [transcript_leaf(step["step"], *(_digest(step[field]) for field in FIELDS)) for step in steps]
    root = merkle_root(leaves)
    assert leaves == [_digest(step["leaf"]) for step in steps]
    assert root == _digest(transcript["root"])
    for i, step in enumerate(steps):
        proof = tuple(_digest(sibling) for sibling in step["proof"])
        assert merkle_proof(leaves, i) == proof
        assert merkle_verify(root, leaves[i], proof)


def test_heads_of_a_signed_round_and_of_its_restart() -> None:
    job, commits = JobId(SIGNATURES["job"]), SIGNATURES["commits"]
    head = Head(_digest(SIGNATURES["head"]))
    for seat, commit in enumerate(commits):
        contents = _digest(commit["manifestDigest"]), _digest(commit["markCommitment"])
        head = next_head(head, job, 0, seat, Address(commit["signer"]), *contents)
        assert head == _digest(commit["headAfter"])
    seat = SIGNATURES["challenge"]["accused"]
    types = ["bytes32", "bytes32", "uint256", "uint32", "uint8", "address"]
    restarted = keccak(encode(types, [head, RESTART_TAG, job, 0, seat, commits[seat]["signer"]]))
    assert restarted == _digest(SIGNATURES["headAfterVacancy"])
