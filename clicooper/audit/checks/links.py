"""The ``links`` check: a manifest continues the seat's last accepted round and its neighbour's manifest of this one."""

from __future__ import annotations

from collections.abc import Iterator

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import Comparison, compare_all, unless_drawn_otherwise
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import cid_of_digest, sha256
from clicooper.commitments.manifest import SealedFile, SegmentManifest
from clicooper.history.history import Commitment
from clicooper.learning.checkpoint import state_bytes
from clicooper.learning.segments import initial_state
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Verdict

__all__ = ["check_links"]


def check_links(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """One row: the manifest before it, its neighbour's, and the state that the seat started from."""
    round_, seat = commitment.round, commitment.seat
    manifest = artifacts.manifest(round_, seat)
    previous = artifacts.manifest(round_ - 1, seat) if round_ else None
    # By its digest on chain: what the neighbour's manifest says, or whether it is there, is not this seat's affair.
    predecessor = cid_of_digest(artifacts.commitment(round_, seat - 1).manifest_digest) if seat else None
    comparisons = (
        Comparison("previous", previous and str(previous.cid), manifest.previous and str(manifest.previous)),
        Comparison("predecessor", predecessor and str(predecessor), manifest.predecessor and str(manifest.predecessor)),
        *(() if previous is None else _compare_start(previous, manifest)),
    )
    row = compare_all(Check.LINKS, str(manifest.cid), comparisons, round_=round_, seat=seat)
    if previous is None and row.verdict is Verdict.PASS:
        initial = _compare_initial(artifacts, seat, manifest)
        row = compare_all(Check.LINKS, row.subject, initial, round_=round_, seat=seat)
        row = unless_drawn_otherwise(artifacts, row)
    yield row


def _compare_initial(artifacts: Artifacts, seat: int, manifest: SegmentManifest) -> Iterator[Comparison]:
    """Judged by the plaintext's digest, which needs no secret: anybody can derive the initial weights."""
    weights = sha256(state_bytes(initial_state(artifacts.spec.model, artifacts.spec.seeds, seat)))
    yield Comparison("initial weights", weights, manifest.state_in.weights.plaintext_digest)
    yield Comparison("optimizer in", "None", _describe(manifest.state_in.optimizer))


def _compare_start(previous: SegmentManifest, manifest: SegmentManifest) -> Iterator[Comparison]:
    yield Comparison("weights in", _describe(previous.out), _describe(manifest.state_in.weights))
    yield Comparison("optimizer in", _describe(previous.optimizer), _describe(manifest.state_in.optimizer))


def _describe(sealed: SealedFile | None) -> str:
    """Everything that a link to a sealed file says."""
    if sealed is None:
        return "None"
    return f"{cid_text(sealed.ciphertext)} of 0x{sealed.plaintext_digest.hex()} by 0x{sealed.author.hex()}"
