"""What a trainer does: join, train its segment, mark it, commit it, and get paid.

A trainer keeps no state between rounds but its account and its secrets: everything else it reads back from the
chain and the store, so that a restart, or a replacement in its seat, starts from the same bytes. Within a round its
round log lets it go on from the last whole interval.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
from eth_account.signers.local import LocalAccount
from multiformats import CID
from numpy.typing import NDArray

from clicooper.access.vault import TrainerSecrets, Vault
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.receipts import check_receipt
from clicooper.chain.client import Contract, Receipt
from clicooper.chain.index.record_index import RecordIndex
from clicooper.commitments.boundary import BoundaryReceipt, Crossing
from clicooper.commitments.canonical import cid_of_digest, encode, sha256
from clicooper.commitments.head import next_head
from clicooper.commitments.manifest import (
    JobSpec,
    KeyRecord,
    SealedFile,
    SegmentManifest,
    StateLinks,
    TranscriptLinks,
)
from clicooper.errors import SpecError
from clicooper.history.follow import follow_record
from clicooper.learning.checkpoint import State
from clicooper.learning.runtime import require_class
from clicooper.learning.schedule import batch_rows, round_batches
from clicooper.learning.segments import initial_state
from clicooper.learning.training import SeatWorker, TrainedSegment
from clicooper.protocol.boundary import sign_crossing
from clicooper.protocol.committed import CommittedSegment, mark_segment
from clicooper.protocol.offer import check_offer
from clicooper.protocol.unsettled import UnsettledRounds
from clicooper.storage.base import Store
from clicooper.types import Address, Digest, Head, JobId, JobParams
from clicooper.watermark.carriers import MarkParams

__all__ = ["Trainer"]


class Trainer:
    """The holder of one seat.

    Args:
        seat: which segment it trains.
        account: signs its transactions.
        contract: the chain client that signs with ``account``.
        index: what this trainer reads of the contract's history.
        store: where the artifacts are.
        secrets: kept secret and durable by the caller.
        trusted_models: custom models whose code this trainer agrees to run.
        round_log: a folder of its own in which its rounds lie until they are settled; without one they lie in memory,
            and end with the process.
    """

    def __init__(
        self,
        seat: int,
        account: LocalAccount,
        contract: Contract,
        index: RecordIndex,
        store: Store,
        secrets: TrainerSecrets,
        trusted_models: Collection[str] = frozenset(),
        round_log: Path | None = None,
    ) -> None:
        self.seat = seat
        self.address = Address(account.address)
        self._account = account
        self._contract = contract
        self._index = index
        self._store = store
        self._secrets = secrets
        self._trusted_models = trusted_models
        self._unsettled = UnsettledRounds(round_log)
        self._transports: dict[int, bytes] = {}

    @property
    def job(self) -> JobId:
        """The job that it joined."""
        return self._job

    @property
    def spec(self) -> JobSpec:
        """The specification of that job."""
        return self._spec

    def join(self, job: JobId, genesis: Head, params: JobParams, endpoint: str) -> Receipt:
        """Reads and checks the job, grants the sealing secret to owner and arbiter, takes the seat, registers its keys.

        Args:
            genesis, params: what this trainer agreed to.

        Raises:
            SpecError, MarkCapacityError, RuntimeMismatch, UntrustedModel, ModelUnusable, ArtifactMissing,
                ArtifactCorrupt: a job that this trainer cannot serve; nothing was locked.
        """
        self._job = job
        self._vault = Vault(self._store, self.address, self._secrets, genesis)
        artifacts = self._read_job()
        check_offer(artifacts, genesis, params)
        self._spec = artifacts.spec
        return self._contract.join(job, genesis, self.seat, self._key_record(endpoint).to_block(), params.stake_wei)

    def _read_job(self) -> Artifacts:
        """What chain and store say of the job now, as far as this trainer can open it."""
        self._index.sync(self._contract.newest_block)
        history = follow_record(self._index.record(self._job))
        self._artifacts = Artifacts(history, self._store, self._vault.keys, self._trusted_models)
        return self._artifacts

    def _key_record(self, endpoint: str) -> KeyRecord:
        return KeyRecord(
            transport=self._account._key_obj.public_key.to_compressed_bytes(),
            sealing=self._secrets.recipient,
            grant=self._vault.grant_to(self._spec.owner_key, *self._spec.arbiter_keys),
            secret_digest=self._vault.secret_digest,
            endpoint=endpoint,
        )

    def receive_grant(self, grant: CID) -> None:
        """Takes what the owner granted: labels to the last seat, an evicted predecessor's files to its replacement.

        Raises:
            ArtifactMissing, SpecError, SealError: there is no such grant, it is not for this trainer and job, or it
                gives other secrets than were registered.
        """
        self._vault.receive(grant, self._read_job().registered)

    def open_labels(self, round_: int) -> NDArray[np.int64]:
        """Pseudo-labels of all rows that the round trains on, opened by the keys that the chain has revealed.

        Raises:
            SealError: the label secret was not granted, or does not open them.
            SpecError: they are for other rows than the specification's.
        """
        labels = self._read_job().pseudo_labels_until(round_)
        if labels.size != self._spec.rows_until(round_):
            hint = "the owner sealed other labels than it promised: wait for its deadline, and take back the stake"
            raise SpecError(
                f"{labels.size} labels for {self._spec.rows_until(round_)} rows up to round {round_}", hint=hint
            )
        return labels

    def schedule(self, round_: int) -> NDArray[np.int64]:
        """The release rows of every step of a round, shape (steps, batch); public."""
        return batch_rows(self._spec.seeds, round_, self._spec.rows_until(round_), self._spec.training)

    def batches(self, round_: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """``(step, input of seat 0)`` for every step of a round."""
        spec = self._spec
        return round_batches(self._artifacts.activations, self.schedule(round_), spec.seeds, round_, spec.training)

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:
        """The working segment, in the state that the seat's last accepted round left behind.

        Raises:
            RuntimeMismatch: this machine is not of the job's runtime class, as that of the join was.
        """
        here, self._transports = require_class(self._spec.runtime_class), {}
        links, spec = self.state_in(previous), self._spec
        weights, optimizer = self._open_state(links)
        round_ = 0 if previous is None else previous.round + 1
        # All that the bits of the round follow from: a log of other work is discarded.
        work = {"spec": spec.cid, "job": self._job, "round": round_, "seat": self.seat}
        work |= {"start": links.model_dump(), "trainer": self.address, "runtime": here}
        round_log = self._unsettled.open_log(round_, sha256(encode(work)))
        return SeatWorker(spec.model, spec.training, spec.replay, self.seat, weights, optimizer, round_log)

    def settle_round(self, round_: int) -> None:
        """Lets go of what was kept of a round, once it is accepted: nobody can ask for it any more."""
        self._unsettled.settle(round_)

    def state_in(self, previous: SegmentManifest | None) -> StateLinks:
        """Where the round starts: the spec's initial weights, or what the last accepted manifest hands over."""
        if previous is not None:
            return StateLinks(weights=previous.out, optimizer=previous.optimizer)
        initial = initial_state(self._spec.model, self._spec.seeds, self.seat)
        return StateLinks(weights=self._put(initial), optimizer=None)

    @property
    def _mark_params(self) -> MarkParams:
        return MarkParams(self._spec.marks.bits, self._spec.marks.strength)

    def commit_segment(
        self,
        round_: int,
        head: Head,
        trained: TrainedSegment,
        previous: SegmentManifest | None,
    ) -> CommittedSegment:
        """Marks the trained segment from the head so far, publishes it, and commits its manifest on chain.

        Raises:
            VerificationFailed: a mark that cannot be read back; nothing was committed.
            RuntimeMismatch: this machine is not of the job's runtime class; nothing was committed.
            RevertError: the head moved, or it is another seat's turn.
        """
        attempt = self._read_job().history.rounds[-1].restarts
        keys = self._secrets.mark_keys(self._job, round_, self.seat, attempt)
        place = (head, self._job, round_, self.seat, self.address)
        marked = mark_segment(trained, keys, self._mark_params, *place)
        manifest = self._publish(round_, trained, marked.out, previous, marked.commitment)
        self._store.put_block(manifest.to_block())
        receipt = self._contract.commit(self._job, head, manifest.digest, marked.commitment)
        return CommittedSegment(
            round=round_,
            seat=self.seat,
            trainer=self.address,
            manifest=manifest,
            head_before=head,
            head=next_head(*place, manifest.digest, marked.commitment),
            receipt=receipt,
            progress_key=marked.progress_key,
            progress=marked.progress,
            ownership=marked.ownership,
            receipts=self.receipts(round_),
        )

    def sign_sent(self, crossing: Crossing) -> BoundaryReceipt:
        """Vouches for what this seat sent across a boundary, at a round's end once and for all.

        Raises:
            BoundaryRefused: it has vouched for another value of the whole round.
        """
        receipt = sign_crossing(self._account, crossing)
        if crossing.steps == self._spec.training.steps:
            self._unsettled.receipts.stand_by(receipt)
        return receipt

    def keep_receipt(self, receipt: BoundaryReceipt, expected: Crossing) -> None:
        """Keeps what a neighbour signed about what this seat received; the newest covers all before it.

        Raises:
            BoundaryRefused: it is not signed by that neighbour, or about something else: this seat goes no further.
        """
        check_receipt(receipt, self._transport_of(expected.sender), expected)
        self._unsettled.receipts.keep(receipt)

    def receipts(self, round_: int) -> tuple[BoundaryReceipt, ...]:
        """What this seat can show of a round until it is settled: its neighbours' newest signatures."""
        return self._unsettled.receipts.received(round_)

    def _transport_of(self, seat: int) -> bytes:
        """The key that the holder of a seat registered; looked up once a round, in which nobody is replaced."""
        if seat not in self._transports:
            history = self._read_job().history
            holders = (*history.evicted, *history.seats)
            self._transports = {one.seat: KeyRecord.from_block(one.key_record).transport for one in holders}
        return self._transports[seat]

    def publish_states(self, round_: int, intervals: Iterable[int]) -> tuple[StateLinks, ...]:
        """Publishes the states at the start of drawn intervals, where the spec lets them be kept back until then.

        Returns:
            what was published; it has the names that the manifest has committed.

        Raises:
            SpecError: this trainer holds no such state.
        """
        if self._spec.replay.publication == "all":
            return ()
        kept = self._unsettled.states_before(round_, intervals)
        return tuple(self._links(state, self._put) for state in kept)

    def withdraw(self) -> Receipt:
        """Takes everything that the job owes this trainer."""
        return self._contract.withdraw(self._job)

    def _publish(
        self,
        round_: int,
        trained: TrainedSegment,
        out: State,
        previous: SegmentManifest | None,
        commitment: Digest,
    ) -> SegmentManifest:
        """Seals the round's files and links them in a manifest; interval states only as far as the spec demands it."""
        here = require_class(self._spec.runtime_class)
        seal = self._put if self._spec.replay.publication == "all" else self._vault.name_state
        states = tuple(self._links(state, seal) for state in trained.interval_states)
        self._unsettled.keep_states(round_, trained.interval_states)
        transcript = trained.transcript
        return SegmentManifest(
            spec=self._spec.cid,
            job=self._job,
            round=round_,
            seat=self.seat,
            trainer=bytes.fromhex(self.address[2:]),
            previous=None if previous is None else previous.cid,
            predecessor=self._predecessor(round_),
            state_in=self.state_in(previous),
            trained=self._put(trained.trained),
            out=self._put(out),
            optimizer=self._put(trained.optimizer),
            transcript=TranscriptLinks(
                steps=len(transcript.steps),
                interval=transcript.interval,
                leaves=self._vault.put(transcript.to_bytes()),
                states=states,
            ),
            boundary=transcript.boundary(),
            mark_commitment=commitment,
            metrics=dict(trained.metrics),
            runtime_class=here,
            training_transcript_merkle_root=transcript.root,
        )

    @staticmethod
    def _links(state: tuple[State, State], seal: Callable[[State], SealedFile]) -> StateLinks:
        weights, optimizer = state
        return StateLinks(weights=seal(weights), optimizer=seal(optimizer))

    def _predecessor(self, round_: int) -> CID | None:
        """The manifest that the seat below committed in this round, by the chain's word."""
        if self.seat == 0:
            return None
        return cid_of_digest(self._read_job().commitment(round_, self.seat - 1).manifest_digest)

    def _open_state(self, links: StateLinks) -> tuple[State, State | None]:
        """Weights and optimizer state that this trainer sealed, or whose author's secret it was granted."""
        return self._read_job().state(links)

    def _put(self, state: State) -> SealedFile:
        return self._vault.put_state(state)
