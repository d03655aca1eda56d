"""Interval states that a job lets its trainers keep back until they are drawn, and that are not published.

A manifest names every state all the same, by ciphertext and plaintext digest, and its transcript commits to each. So a
state that was never published hides nothing: the replay of the interval before it computes it, and the transcript says
whether it is the right one. What was drawn has to be there; that is judged before a round is paid.
"""

from __future__ import annotations

from multiformats import CID

from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import JobSpec, SegmentManifest
from clicooper.errors import CliCooperError
from clicooper.history.history import History
from clicooper.storage.base import Store

__all__ = ["find_kept_back", "unpublished_states"]


def find_kept_back(spec: JobSpec, manifest: SegmentManifest, store: Store) -> frozenset[CID]:
    """The files of a manifest's interval states that its trainer may keep back, and of which the store has nothing."""
    if spec.replay.publication == "all":
        return frozenset()
    files = (file.ciphertext for state in manifest.transcript.states for file in state.files)
    return frozenset(file for file in files if not store.has(file))


def unpublished_states(history: History, store: Store) -> frozenset[CID]:
    """``find_kept_back`` of every manifest of a job; what cannot be read leaves nothing out."""
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
        found |= find_kept_back(spec, manifest, store)
    return frozenset(found)
