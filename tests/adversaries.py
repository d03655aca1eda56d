"""Cheats: trainers and workers that are honest but for the one thing that their name says."""

# ruff: noqa: ARG002 - an override keeps the signature of what it replaces

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from multiformats import CID
from numpy.typing import NDArray

from clicooper.audit.grants import AuditKeys, Grant, ProgressKey, seal_grant
from clicooper.chain.events import SeatJoined
from clicooper.commitments.canonical import sha256
from clicooper.commitments.head import next_head
from clicooper.commitments.manifest import KeyRecord, SealedFile, SegmentManifest, TrainingSpec
from clicooper.learning.checkpoint import State, load_state
from clicooper.learning.training import SeatWorker, TrainedSegment
from clicooper.learning.transcript import StepDigests, Transcript
from clicooper.protocol.trainer import CommittedSegment, Trainer
from clicooper.storage.base import put_bytes
from clicooper.storage.cid import block_cid
from clicooper.storage.sealed_files import open_bytes
from clicooper.types import Address, Digest, Head
from clicooper.watermark.embed import embed_both
from clicooper.watermark.keys import MarkPurpose, mark_seed

OTHER_KEY = b"\x5a" * 32
NOWHERE = block_cid(b"a block that nobody committed", "dag-cbor")


class WorkerCheat(Trainer):
    """A trainer that does its round with another worker than the protocol's, or under other terms."""

    worker: ClassVar[type[SeatWorker]] = SeatWorker

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:
        links, spec = self.state_in(previous), self._spec
        optimizer = None if links.optimizer is None else self._load(links.optimizer)
        terms = self.terms(spec.training)
        return self.worker(spec.model, terms, spec.replay, self.seat, self._load(links.weights), optimizer)

    def terms(self, training: TrainingSpec) -> TrainingSpec:
        return training


class _SkippingWorker(SeatWorker):
    def apply_step(self) -> None:
        if self.step % 2 == 0:
            super().apply_step()


class SkipsSteps(WorkerCheat):
    """Updates its weights in every second step only."""

    worker = _SkippingWorker


class _IdleWorker(SeatWorker):
    def apply_step(self) -> None:
        pass


class ReusesLastCheckpoint(WorkerCheat):
    """Hands in the weights that it started from, with a transcript that fits them."""

    worker = _IdleWorker


class UsesAnotherLearningRate(WorkerCheat):
    """Trains ten times as fast as agreed."""

    def terms(self, training: TrainingSpec) -> TrainingSpec:
        return training.model_copy(update={"learning_rate": 10 * training.learning_rate})


class _MislabellingWorker(SeatWorker):
    def receive_labels(self, labels: NDArray[np.int64]) -> None:
        super().receive_labels(np.roll(labels, 1, axis=1))


class TrainsOnOtherLabels(WorkerCheat):
    """The last seat: gives every record its neighbour's label."""

    worker = _MislabellingWorker


class _PoisoningWorker(SeatWorker):
    def compute_output(self, x: NDArray[Any]) -> NDArray[Any]:
        return super().compute_output(x) * np.float32(1.001)


class ScalesItsOutput(WorkerCheat):
    """Sends an output that its weights do not give, and records what it sent."""

    worker = _PoisoningWorker


class _TwoFacedForward(SeatWorker):
    def forward(self, step: int, x: NDArray[Any]) -> NDArray[Any]:
        return super().forward(step, x) * np.float32(1.001)


class AltersActivationAtBoundary(WorkerCheat):
    """Records its honest output and sends another."""

    worker = _TwoFacedForward


class _TwoFacedBackward(SeatWorker):
    def backward(self, step: int, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        sent = super().backward(step, grad)
        return None if sent is None else sent * np.float32(1.001)


class AltersGradientAtBoundary(WorkerCheat):
    """Records its honest gradient and sends another."""

    worker = _TwoFacedBackward


class _ScalingBackward(SeatWorker):
    def compute_gradient(self, grad: NDArray[Any] | None) -> NDArray[Any] | None:
        sent = super().compute_gradient(grad)
        return None if sent is None else sent * np.float32(0.5)


class ScalesItsGradient(WorkerCheat):
    """Sends back a gradient that its weights do not give, and records what it sent."""

    worker = _ScalingBackward


class RepeatsOneBatch(Trainer):
    """Seat 0: feeds the batch of step 0 in every step."""

    def batches(self, round_: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        first = next(iter(super().batches(round_)))[1]
        yield from ((step, first) for step, _ in super().batches(round_))


class _ClaimingWorker(SeatWorker):
    def compute_output(self, x: NDArray[Any]) -> NDArray[Any]:
        return super().compute_output(np.roll(x, 1, axis=0))


class ComputesOnAnotherBatch(WorkerCheat):
    """Seat 0: records the scheduled batch and computes on another."""

    worker = _ClaimingWorker


class TrainedCheat(Trainer):
    """A trainer that trains honestly and hands in something else."""

    def commit_segment(self, round_: int, head: Head, trained: TrainedSegment, *rest: Any) -> CommittedSegment:
        return super().commit_segment(round_, head, self.handed_in(trained), *rest)

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        return trained


class LiesAboutMetrics(TrainedCheat):
    """Reports a tenth of its loss, or a larger weight norm where it knows no loss."""

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        name = "loss" if "loss" in trained.metrics else "weight_norm"
        return replace(trained, metrics=trained.metrics | {name: trained.metrics[name] / 10})


class FabricatesTranscript(TrainedCheat):
    """Invents every output and gradient that it recorded."""

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        steps = tuple(
            StepDigests(d.input, invented(b"output", n), d.grad_received, invented(b"gradient", n), d.state)
            for n, d in enumerate(trained.transcript.steps)
        )
        return replace(trained, transcript=Transcript(steps, trained.transcript.interval))


def invented(what: bytes, step: int) -> Digest:
    return sha256(what + step.to_bytes(4, "big"))


class StopsHalfWay(TrainedCheat):
    """Hands in the work up to its first committed state, and says so."""

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        weights, optimizer = trained.interval_states[0]
        interval = trained.transcript.interval
        steps = Transcript(trained.transcript.steps[:interval], interval)
        return replace(trained, trained=weights, optimizer=optimizer, transcript=steps, interval_states=())


class DropsIntervalStates(TrainedCheat):
    """Publishes no state between start and end, so that nothing in between can be replayed."""

    def handed_in(self, trained: TrainedSegment) -> TrainedSegment:
        return replace(trained, interval_states=())


class PublishingCheat(Trainer):
    """A trainer whose released weights or manifest are not what it trained."""

    def _publish(self, round_: int, trained: TrainedSegment, out: State, *rest: Any) -> SegmentManifest:
        manifest = super()._publish(round_, trained, self.released(round_, trained, out), *rest)
        return manifest.model_copy(update=self.lies(manifest))

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        return out

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {}


class OmitsMark(PublishingCheat):
    """Releases the raw weights under a mark commitment."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        return dict(trained.trained)


class MarksFromWrongHead(PublishingCheat):
    """Embeds marks that it computed before its predecessor committed."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        early = Head(b"\x07" * 32)
        return self.marked(trained, round_, early, self._secrets.mark_keys(self._job, round_, self.seat).of)

    def marked(self, trained: TrainedSegment, round_: int, head: Head, key_of: Any) -> State:
        place = (head, self._job, round_, self.seat, self.address, trained.transcript.root)
        seeds = [mark_seed(key_of(purpose), purpose, *place) for purpose in MarkPurpose]
        return dict(embed_both(trained.trained, seeds[0], seeds[1], self._mark_params))


class MarksWithUncommittedKey(MarksFromWrongHead):
    """Embeds marks of other keys than its commitment binds."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        head = self._contract.job(self._job).head
        return self.marked(trained, round_, head, lambda purpose: sha256(OTHER_KEY + purpose.name.encode()))


class EditsWeightsBehindTheMark(PublishingCheat):
    """Moves a few weights beside the marks."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        name = max(out, key=lambda key: out[key].size)
        edited = out[name].copy()
        edited.reshape(-1)[:5] += np.float32(0.5)
        return out | {name: edited}


class EditsBiasBehindTheMark(PublishingCheat):
    """Moves a bias, which carries no mark, by one unit in the last place."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        name = min((key for key in out if key.endswith("bias")), key=lambda key: out[key].size)
        return out | {name: np.nextafter(out[name], np.float32(1))}


class NamesWrongPredecessor(PublishingCheat):
    """Links another predecessor than its neighbour's manifest."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"predecessor": NOWHERE}


class NamesWrongPrevious(PublishingCheat):
    """Links another previous manifest than the seat's last accepted one."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"previous": NOWHERE}


class StartsFromItsOwnWeights(PublishingCheat):
    """Says that it started from where it ended."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"state_in": manifest.state_in.model_copy(update={"weights": manifest.trained})}


class ClaimsAnotherRuntime(PublishingCheat):
    """Names another runtime class, in which digests would not be compared."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"runtime_class": "another machine"}


class ClaimsAnotherSpec(PublishingCheat):
    """Links a job specification of its own."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"spec": NOWHERE}


class MisquotesBoundary(PublishingCheat):
    """Writes boundary digests into its manifest that its transcript does not give."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"boundary": manifest.boundary.model_copy(update={"output": invented(b"boundary", 0)})}


class MisquotesRoot(PublishingCheat):
    """Commits another transcript root than its transcript has."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"training_transcript_merkle_root": invented(b"root", 0)}


class SwapsOptimizerState(PublishingCheat):
    """Hands over another optimizer state than its transcript ends in."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"optimizer": manifest.transcript.states[0].optimizer}


class RegisteringCheat(Trainer):
    """A trainer that registers something else than its own working grant."""

    def _key_record(self, endpoint: str) -> KeyRecord:
        return super()._key_record(endpoint).model_copy(update=self.claims())

    def claims(self) -> dict[str, Any]:
        return {}

    @property
    def own_keys(self) -> AuditKeys:
        return AuditKeys(sealing={self.address: self._vault._secret}, genesis=self._vault._keys.genesis)

    def granted(self, keys: AuditKeys, *recipients: str) -> dict[str, Any]:
        wrapped = recipients or (self._spec.owner_key, *self._spec.arbiter_keys)
        return {"grant": self._store.put_block(seal_grant(keys, self.address, wrapped).to_block())}


class GrantsGarbage(RegisteringCheat):
    """Registers a grant that is no age file."""

    def claims(self) -> dict[str, Any]:
        grant = seal_grant(self.own_keys, self.address, [self._spec.owner_key])
        return {"grant": self._store.put_block(grant.model_copy(update={"ciphertext": b"garbage"}).to_block())}


class GrantsToSomebodyElse(RegisteringCheat):
    """Wraps its secret for itself, so that only its own files are ever read."""

    def claims(self) -> dict[str, Any]:
        return self.granted(self.own_keys, self._secrets.recipient)


class GrantsAnotherSecret(RegisteringCheat):
    """Grants a secret that is not the one it registered."""

    def claims(self) -> dict[str, Any]:
        return self.granted(replace(self.own_keys, sealing={self.address: OTHER_KEY}))


class GrantsNothing(RegisteringCheat):
    """Registers a grant that nobody ever sees."""

    def claims(self) -> dict[str, Any]:
        return {"grant": NOWHERE}


class GrantsForAnotherJob(RegisteringCheat):
    """Registers the secret of another job."""

    def claims(self) -> dict[str, Any]:
        return self.granted(replace(self.own_keys, genesis=Head(b"\x09" * 32)))


class GrantsMoreThanItsOwn(RegisteringCheat):
    """Puts a second author's secret into its grant."""

    def claims(self) -> dict[str, Any]:
        other = Address("0x" + "11" * 20)
        return self.granted(replace(self.own_keys, sealing={**self.own_keys.sealing, other: OTHER_KEY}))


class CopiesNeighboursGrant(RegisteringCheat):
    """Registers its neighbour's grant and digest, to be let in wherever its neighbour's secret opens."""

    def claims(self) -> dict[str, Any]:
        joined = [e.event for e in self._contract.events(self._job) if isinstance(e.event, SeatJoined)]
        record = KeyRecord.from_block(joined[0].key_record)
        return {"grant": record.grant, "secret_digest": record.secret_digest}


class RewrapsNeighboursGrant(CopiesNeighboursGrant):
    """The same under its own name: the ciphertext is its neighbour's."""

    def claims(self) -> dict[str, Any]:
        copied = super().claims()
        grant = Grant.from_block(self._store.get_block(copied["grant"]))
        own = grant.model_copy(update={"author": bytes.fromhex(self.address[2:])})
        return copied | {"grant": self._store.put_block(own.to_block())}


class SealsUnderAnotherSecret(Trainer):
    """Registers and grants one secret, and seals its files under another: nobody else can read its work."""

    def join(self, *args: Any) -> Any:
        receipt = super().join(*args)
        self._vault._secret = OTHER_KEY
        return receipt

    def _load(self, sealed: SealedFile) -> State:
        return load_state(io.BytesIO(open_bytes(self._store, sealed, OTHER_KEY)))


class NamesAnotherAuthor(PublishingCheat):
    """Says that its optimizer state, which does not open, was sealed by its neighbour."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        neighbour = {"author": bytes.fromhex(self._contract.seat(self._job, 0).trainer[2:])}
        return {"optimizer": manifest.optimizer.model_copy(update=neighbour)}


class SealsSomethingElse(PublishingCheat):
    """Publishes under the promised digest what does not open to it."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        ciphertext = put_bytes(self._store, bytes(1000))
        return {"out": manifest.out.model_copy(update={"ciphertext": ciphertext})}


class GrantsAnotherKey(Trainer):
    """Grants a progress key that its commitment does not bind."""

    def commit_segment(self, *args: Any) -> CommittedSegment:
        committed = super().commit_segment(*args)
        other = ProgressKey(OTHER_KEY, committed.progress_key.ownership_key_hash)
        return replace(committed, progress_key=other)


class CommitsUnpublished(Trainer):
    """Commits the digest of a manifest that nobody ever sees."""

    def commit_segment(
        self,
        round_: int,
        head: Head,
        trained: TrainedSegment,
        previous: SegmentManifest | None,
    ) -> CommittedSegment:
        digest, mark = self.digest(self._predecessor()), Digest(b"\x03" * 32)
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
    """Commits the digest of its predecessor's manifest as its own."""

    def digest(self, predecessor: CID | None) -> Digest:
        assert predecessor is not None
        return Digest(bytes(predecessor.raw_digest))


class CommitsGarbage(CommitsUnpublished):
    """Commits and publishes a block that is no manifest."""

    def digest(self, predecessor: CID | None) -> Digest:
        return sha256(self._store.get_block(self._store.put_block(b"\xa1\x61\x61\x01")))
