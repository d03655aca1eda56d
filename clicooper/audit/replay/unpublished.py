"""Interval states that a job lets its trainers keep back until they are drawn, and that nobody has seen.

A manifest names every state all the same, by ciphertext and plaintext digest, and its transcript commits to each. So a
state that was never published hides nothing: whoever replays the interval before it computes it, and the transcript
says whether it is the right one. What was drawn has to be there; that is judged before a round is paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from multiformats import CID

from clicooper.audit.verdict import CheckResult
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import JobSpec, SealedFile, SegmentManifest
from clicooper.errors import CliCooperError
from clicooper.history.follow import History
from clicooper.storage.base import Store
from clicooper.storage.ipld.cid import cid_text, normalise_cid
from clicooper.types import Verdict

__all__ = ["kept_back", "unpublished_states", "without_unpublished"]


def kept_back(spec: JobSpec, manifest: SegmentManifest, store: Store) -> frozenset[CID]:
    """The files of a manifest's interval states that its trainer may keep back, and of which the store has nothing."""
    if spec.replay.publication == "all":
        return frozenset()
    return frozenset(sealed.ciphertext for sealed in _state_files(manifest) if not store.has(sealed.ciphertext))


def unpublished_states(history: History, store: Store) -> frozenset[CID]:
    """``kept_back`` of every manifest of a job; what cannot be read leaves nothing out."""
    try:
        spec = JobSpec.from_block(store.get_block(cid_of_digest(history.params.spec_digest)))
    except CliCooperError:
        return frozenset()
    found: set[CID] = set()
    for commitment in () if spec.replay.publication == "all" else history.commitments:
        try:
            manifest = SegmentManifest.from_block(store.get_block(cid_of_digest(commitment.manifest_digest)))
        except CliCooperError:
            continue
        found |= kept_back(spec, manifest, store)
    return frozenset(found)


def without_unpublished(rows: Iterable[CheckResult], states: frozenset[CID]) -> Iterator[CheckResult]:
    """The rows of a store's check without those that only say that an unpublished state is not there."""
    names = {cid_text(normalise_cid(cid)) for cid in states}
    return (row for row in rows if row.verdict is not Verdict.INCONCLUSIVE or row.subject not in names)


def _state_files(manifest: SegmentManifest) -> Iterator[SealedFile]:
    for state in manifest.transcript.states:
        yield state.weights
        if state.optimizer is not None:
            yield state.optimizer
