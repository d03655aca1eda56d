"""Manifests that are not what was trained, linked or agreed."""

# ruff: noqa: ARG002 - an override keeps the signature of what it replaces

from __future__ import annotations

from typing import Any

from clicooper.commitments.manifest import SegmentManifest
from clicooper.learning.checkpoint import State
from clicooper.learning.training import TrainedSegment
from clicooper.protocol.trainer import Trainer
from tests.adversaries._invented import NOWHERE, invented


class PublishingCheat(Trainer):
    """A trainer whose released weights or manifest are not what it trained."""

    def _publish(self, round_: int, trained: TrainedSegment, out: State, *rest: Any) -> SegmentManifest:
        manifest = super()._publish(round_, trained, self.released(round_, trained, out), *rest)
        return manifest.model_copy(update=self.lies(manifest))

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        return out

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {}


class NamesWrongPredecessor(PublishingCheat):
    """Links another predecessor than its neighbour's manifest. Caught by `links`; names its seat."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"predecessor": NOWHERE}


class NamesWrongPrevious(PublishingCheat):
    """From round 1 on: links another manifest than its last accepted one. Caught by `links`; names its seat."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"previous": NOWHERE} if manifest.round else {}


class StartsFromItsOwnWeights(PublishingCheat):
    """Says that it started from where it ended. Caught by `links`; names its seat."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"state_in": manifest.state_in.model_copy(update={"weights": manifest.trained})}


class ClaimsAnotherRuntime(PublishingCheat):
    """Names another runtime class, in which digests would not be compared. Caught by `manifest`; names its seat."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"runtime_class": "another machine"}


class ClaimsAnotherSpec(PublishingCheat):
    """Links a job specification of its own. Caught by `manifest`; names its seat."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"spec": NOWHERE}


class MisquotesBoundary(PublishingCheat):
    """Writes boundary digests into its manifest that its transcript does not give.

    Caught by `boundary`; names its seat.
    """

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"boundary": manifest.boundary.model_copy(update={"output": invented(b"boundary", 0)})}


class MisquotesRoot(PublishingCheat):
    """Commits another transcript root than its transcript has. Caught by `boundary`; names its seat."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"training_transcript_merkle_root": invented(b"root", 0)}


class SwapsOptimizerState(PublishingCheat):
    """Hands over another optimizer state than its transcript ends in. Caught by `artifacts`; names its seat."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"optimizer": manifest.transcript.states[0].optimizer}


class NamesAnotherAuthor(PublishingCheat):
    """Says that its optimizer state, which does not open, was sealed by its neighbour.

    Caught by `manifest`; names its seat.
    """

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        neighbour = {"author": bytes.fromhex(self._contract.seat(self._job, 0).trainer[2:])}
        return {"optimizer": manifest.optimizer.model_copy(update=neighbour)}


class NamesNeighboursFiles(PublishingCheat):
    """Copies its neighbour: hands in the files of the seat below as its own. Caught by `manifest`; names its seat."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        assert manifest.predecessor is not None
        below = SegmentManifest.from_block(self._store.get_block(manifest.predecessor))
        return {"trained": below.trained, "out": below.out, "optimizer": below.optimizer}
