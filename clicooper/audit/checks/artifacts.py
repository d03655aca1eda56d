"""The ``artifacts`` check of one commitment: its files are there, open, and are what the transcript commits to.

The whole store is checked in ``store``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from multiformats import CID

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import Comparison, compare_all
from clicooper.audit.replay.unpublished import find_kept_back
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.manifest import SegmentManifest
from clicooper.errors import SealError
from clicooper.history.history import Commitment
from clicooper.learning.checkpoint import state_digest
from clicooper.types import Verdict, address_bytes

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["check_artifacts"]


def check_artifacts(
    artifacts: Artifacts, commitment: Commitment, intervals: Sequence[int] | None = None
) -> Iterator[CheckResult]:
    """Every file of the manifest is there, intact, opens, and is of the digests that the transcript commits to.

    Without its author's sealing secret, only that every ciphertext is there and intact. Interval states that the spec
    lets a trainer keep back need not be there.

    Args:
        intervals: of the states between intervals, only those at which these start; None takes all.
    """
    round_, seat = commitment.round, commitment.seat
    manifest = artifacts.manifest(round_, seat)
    absent = find_kept_back(artifacts.spec, manifest, artifacts.store)
    last = len(manifest.transcript.states)
    ends = range(last + 1) if intervals is None else sorted({i - 1 for i in intervals if i} | {last})
    try:
        artifacts.secret_of(address_bytes(commitment.trainer))
    except SealError as e:
        yield _check_ciphertexts(artifacts, commitment, ends, absent)
        yield CheckResult.of_error(Check.ARTIFACTS, "sealed files", e, round_=round_, seat=seat)
        return
    comparisons = tuple(_compare_states(artifacts, manifest, commitment, ends, absent))
    for sealed in (manifest.out, *(start.weights for start in manifest.own_start)):
        artifacts.state_file(sealed)
    yield compare_all(Check.ARTIFACTS, str(manifest.cid), comparisons, round_=round_, seat=seat)


def _compare_states(
    artifacts: Artifacts,
    manifest: SegmentManifest,
    commitment: Commitment,
    ends: Iterable[int],
    absent: frozenset[CID],
) -> Iterator[Comparison]:
    """The states at the ends of intervals beside the digests in the transcript."""
    transcript = artifacts.transcript(commitment.round, commitment.seat)
    for interval in ends:
        links = manifest.state_after(interval)
        if links.weights.ciphertext not in absent:
            step = min((interval + 1) * transcript.interval, len(transcript.steps)) - 1
            actual = state_digest(*artifacts.state(links))
            yield Comparison(f"state after step {step}", transcript.steps[step].state, actual, step, "state")


def _check_ciphertexts(
    artifacts: Artifacts, commitment: Commitment, ends: Iterable[int], absent: frozenset[CID]
) -> CheckResult:
    """Availability: every ciphertext is there and hashes to its name, which shows without a secret."""
    manifest = artifacts.manifest(commitment.round, commitment.seat)
    states, read = manifest.transcript.states, set(ends)
    left_out = {file for i, state in enumerate(states) if i not in read for file in state.files}
    files = [file for file in manifest.own_files if file not in left_out and file.ciphertext not in absent]
    for sealed in files:
        artifacts.store.get_file(sealed.ciphertext, cast(BinaryIO, _Discard()))
    detail = f"{len(files)} sealed files are there and intact"
    return CheckResult(Check.ARTIFACTS, Verdict.PASS, str(manifest.cid), detail, commitment.round, commitment.seat)


class _Discard(io.RawIOBase):
    """Where bytes go that a store has only to show to have."""

    def write(self, data: ReadableBuffer, /) -> int:
        return memoryview(data).nbytes
