"""Commitments behind which there is nothing, or nothing that opens."""

# ruff: noqa: ARG002 - an override keeps the signature of what it replaces

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from multiformats import CID

from clicooper.access.grants import ProgressKey
from clicooper.access.sealed_files import open_bytes
from clicooper.commitments.canonical import sha256
from clicooper.commitments.head import next_head
from clicooper.commitments.manifest import SegmentManifest, StateLinks
from clicooper.learning.checkpoint import State, load_state
from clicooper.learning.training import TrainedSegment
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.trainer import Trainer
from clicooper.storage.base import put_bytes
from clicooper.types import Digest, Head
from tests.adversaries._invented import NOWHERE, OTHER_KEY
from tests.adversaries.manifests import PublishingCheat


class SealsUnderAnotherSecret(Trainer):
    """Registers and grants one secret, and seals its files under another: nobody else can read its work.

    Caught by `artifacts`; names its seat.
    """

    def join(self, *args: Any) -> Any:
        receipt = super().join(*args)
        self._vault._secret = OTHER_KEY
        return receipt

    def _open_state(self, links: StateLinks) -> tuple[State, State | None]:
        weights, optimizer = (
            None if sealed is None else load_state(io.BytesIO(open_bytes(self._store, sealed, OTHER_KEY)))
            for sealed in (links.weights, links.optimizer)
        )
        assert weights is not None
        return weights, optimizer


class SealsSomethingElse(PublishingCheat):
    """Publishes under the promised digest what does not open to it. Caught by `artifacts`; names its seat."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        ciphertext = put_bytes(self._store, bytes(1000))
        return {"out": manifest.out.model_copy(update={"ciphertext": ciphertext})}


class CommitsUnpublished(Trainer):
    """Commits the digest of a manifest that nobody ever sees. Caught by `manifest`; names its seat."""

    def commit_segment(
        self,
        round_: int,
        head: Head,
        trained: TrainedSegment,
        previous: SegmentManifest | None,
    ) -> CommittedSegment:
        digest, mark = self.digest(self._predecessor(round_)), Digest(b"\x03" * 32)
        receipt = self._contract.commit(self._job, head, digest, mark)
        after = next_head(head, self._job, round_, self.seat, self.address, digest, mark)
        shown = self._publish(round_, trained, trained.trained, previous, mark)
        unread: Any = None
        granted = ProgressKey(OTHER_KEY, OTHER_KEY)
        return CommittedSegment(
            round_, self.seat, self.address, shown, head, after, receipt, granted, progress=unread, ownership=unread
        )

    def digest(self, predecessor: CID | None) -> Digest:
        return Digest(bytes(NOWHERE.raw_digest))


class CopiesPredecessorsManifest(CommitsUnpublished):
    """Commits the digest of its predecessor's manifest as its own. Caught by `manifest`; names its seat."""

    def digest(self, predecessor: CID | None) -> Digest:
        assert predecessor is not None
        return Digest(bytes(predecessor.raw_digest))


class CommitsGarbage(CommitsUnpublished):
    """Commits and publishes a block that is no manifest. Caught by `manifest`; names its seat."""

    def digest(self, predecessor: CID | None) -> Digest:
        return sha256(self._store.get_block(self._store.put_block(b"\xa1\x61\x61\x01")))


class _Withholding(Trainer):
    """Commits honestly, and takes something of it back."""

    def commit_segment(self, *args: Any) -> CommittedSegment:
        committed = super().commit_segment(*args)
        self._store.remove(self.withheld(committed.manifest))
        return committed

    def withheld(self, manifest: SegmentManifest) -> CID:
        raise NotImplementedError


class WithholdsManifest(_Withholding):
    """Takes its manifest back. Caught by `manifest`; names its seat."""

    def withheld(self, manifest: SegmentManifest) -> CID:
        return manifest.cid


class WithholdsWeights(_Withholding):
    """Takes the weights back that it handed over. Caught by `artifacts`; names its seat."""

    def withheld(self, manifest: SegmentManifest) -> CID:
        return manifest.out.ciphertext


class WithholdsRawWeights(_Withholding):
    """Takes back what it trained before its marks. Caught by `artifacts`; names its seat."""

    def withheld(self, manifest: SegmentManifest) -> CID:
        return manifest.trained.ciphertext


class WithholdsTranscript(_Withholding):
    """Takes its transcript back. Caught by `artifacts`; names its seat."""

    def withheld(self, manifest: SegmentManifest) -> CID:
        return manifest.transcript.leaves.ciphertext


class WithholdsInterval(_Withholding):
    """Takes back a state in which an interval starts. Caught by `artifacts`; names its seat."""

    def withheld(self, manifest: SegmentManifest) -> CID:
        return manifest.transcript.states[0].weights.ciphertext


class ChangesThePin(WithholdsWeights):
    """Commits one set of weights, then unpins them and pins other ones. Caught by `artifacts`; names its seat."""

    def commit_segment(self, *args: Any) -> CommittedSegment:
        committed = super().commit_segment(*args)
        other = self._put({"weight": np.ones((4, 4), dtype=np.float32)})
        shown = committed.manifest.model_copy(update={"out": other})
        self._store.put_block(shown.to_block())
        return replace(committed, manifest=shown)
