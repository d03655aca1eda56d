"""What a manifest has under seal: whose files they are, and what shows of them to somebody without a secret.

Opening them is the business of ``artifacts``; what their contents must be is judged in ``checks``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.replay.unpublished import kept_back
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.manifest import SealedFile, SegmentManifest, StateLinks
from clicooper.history.follow import Commitment
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Verdict

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["author_of", "check_ciphertexts", "own_start", "sealed_by_seat", "sealed_text"]


def author_of(trainer: str) -> bytes:
    """A trainer's address as manifests and grants have it, 20 bytes."""
    return bytes.fromhex(trainer[2:])


def sealed_by_seat(manifest: SegmentManifest) -> Iterator[SealedFile]:
    """What the seat sealed itself: all its files but the state that it took over."""
    yield from (manifest.trained, manifest.out, manifest.optimizer, manifest.transcript.leaves)
    for state in (*manifest.transcript.states, *own_start(manifest)):
        yield from (sealed for sealed in (state.weights, state.optimizer) if sealed is not None)


def own_start(manifest: SegmentManifest) -> tuple[StateLinks, ...]:
    """The initial weights, which are everybody's to derive and sealed by whoever starts from them."""
    return (manifest.state_in,) if manifest.previous is None else ()


def sealed_text(sealed: SealedFile | None) -> str:
    """Everything that a link to a sealed file says."""
    if sealed is None:
        return "None"
    return f"{cid_text(sealed.ciphertext)} of 0x{sealed.plaintext_digest.hex()} by 0x{sealed.author.hex()}"


def check_ciphertexts(
    artifacts: Artifacts, commitment: Commitment, intervals: Sequence[int] | None = None
) -> CheckResult:
    """Availability: every ciphertext is there and hashes to its name, which nobody needs a secret to see.

    Args:
        intervals: of the states between intervals, only those at which these start; None takes all.
    """
    manifest = artifacts.manifest(commitment.round, commitment.seat)
    states = manifest.transcript.states
    unread = [] if intervals is None else [state for i, state in enumerate(states, start=1) if i not in intervals]
    passed_over = {file for state in unread for file in (state.weights, state.optimizer)}
    absent = kept_back(artifacts.spec, manifest, artifacts.store)
    files = tuple(
        file for file in sealed_by_seat(manifest) if file not in passed_over and file.ciphertext not in absent
    )
    for sealed in files:
        artifacts.store.get_file(sealed.ciphertext, cast(BinaryIO, _Discard()))
    detail = f"{len(files)} sealed files are there and intact"
    return CheckResult(Check.ARTIFACTS, Verdict.PASS, str(manifest.cid), detail, commitment.round, commitment.seat)


class _Discard(io.RawIOBase):
    """Where bytes go that a store has only to show to have."""

    def write(self, data: ReadableBuffer, /) -> int:
        return memoryview(data).nbytes
