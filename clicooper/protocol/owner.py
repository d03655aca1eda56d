"""What a data owner does: open the job, let people in, release label keys, verify each round, and pay.

Before it pays, the owner rebuilds the job's history from the chain, draws intervals that neither it nor the
trainers could choose, fetches what they need and replays them. Its policy makes a decision of what that shows; only
then does one transaction accept the round, earn every seat its pay and reveal the next label key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from multiformats import CID

from clicooper.access.grants import (
    GRANTS_NAME,
    IDENTITY_NAME,
    AuditKeys,
    ProgressKey,
    read_grants,
    seal_grant,
    write_grants,
)
from clicooper.access.receipt_files import keep_receipt, read_receipts
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import guarded
from clicooper.audit.checks.receipts import check_receipts
from clicooper.audit.replay.sampling import CONFIRMATIONS, sample_intervals
from clicooper.audit.replay.unpublished import unpublished_states
from clicooper.audit.rounds import check_commitments, check_round
from clicooper.audit.verdict import Check, CheckResult, Replayed
from clicooper.chain.client import Contract, Receipt
from clicooper.chain.events import LoggedEvent
from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.record import JobRecord
from clicooper.commitments.boundary import BoundaryReceipt
from clicooper.commitments.head import audit_seed
from clicooper.errors import GrantRefused, UsageError, VerificationFailed
from clicooper.history.follow import follow_record
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.decision import Accept, Decision, decide
from clicooper.protocol.grants import grant_of_seat, holders_of, open_seat_grant, recipient_of_seat
from clicooper.protocol.policy import Policy
from clicooper.protocol.preparation.prepare import PreparedJob
from clicooper.protocol.publication import Timer, await_publication, states_to_publish
from clicooper.storage.base import Store
from clicooper.storage.pins.retention import JobRetention
from clicooper.types import Address, Digest, Head, JobId, JobParams, Verdict

__all__ = ["Owner", "RoundRefused", "VerifiedRound"]

HELD_OUT = "held-out records"

RECEIPTS = "receipts"
"""Name of the folder, inside the owner's, of the receipts of each round."""

PROGRESS_DRAWS = 64
"""Noise draws of the readout that measures progress; a coarse figure is enough against a floor."""


@dataclass(frozen=True)
class VerifiedRound:
    """What the owner checked before it pays for a round, and what its policy makes of that.

    Attributes:
        head: in which the round ended.
        intervals: how many the round has.
        drawn: those that were replayed, drawn for any seat.
    """

    round: int
    head: Head
    intervals: int
    drawn: tuple[int, ...]
    results: tuple[CheckResult, ...]
    replayed: Replayed
    decision: Decision


class Owner:
    """The data owner of one job.

    Args:
        contract: the chain client that signs with the owner's account.
        index: what the owner reads of the contract's history.
        prepared: the job's public records and the owner's secrets.
        policy: its rule.
        retention: the pin set in which it keeps the job's artifacts.
        folder: where it keeps what it is granted, readable by itself alone.
        timer: how it waits for what has to be published.
    """

    def __init__(
        self,
        contract: Contract,
        index: RecordIndex,
        store: Store,
        prepared: PreparedJob,
        policy: Policy,
        retention: JobRetention,
        folder: Path,
        timer: Timer = Timer(),  # noqa: B008 - frozen
    ) -> None:
        self.prepared = prepared
        self.policy = policy
        self.retention = retention
        self._contract = contract
        self._index = index
        self._store = store
        self._folder = folder
        self.timer = timer
        self._progress_keys: dict[tuple[int, int], ProgressKey] = {}
        self._sealing: dict[Address, bytes] = {}
        self._grants: dict[CID, None] = {}

    @property
    def params(self) -> JobParams:
        """The parameters that the job was created with."""
        return self.prepared.params

    def create_job(self) -> tuple[JobId, Head]:
        """Publishes the job on chain and locks all pay and the bond."""
        job, _ = self._contract.create_job(self.params)
        return job, self._take_up(job)

    def resume_job(self, job: JobId) -> Head:
        """Goes on with a job that was created before, with what its folder holds of grants; returns its first head.

        Raises:
            GrantRefused, SealError: what was granted cannot be used.
        """
        genesis = self._take_up(job)
        if (self._folder / GRANTS_NAME).exists():
            granted = read_grants(self._folder / IDENTITY_NAME).for_job(genesis)
            self._progress_keys.update(granted.progress)
        self.collect_grants()
        return genesis

    def _take_up(self, job: JobId) -> Head:
        self.job = job
        self._genesis = self._contract.genesis_of(job)
        # A trainer has another sealing secret in every job.
        self._sealing.clear()
        self._progress_keys.clear()
        self._grants.clear()
        return self._genesis

    def label_key(self, round_: int) -> Digest:
        """Key ``round_`` of the label key chain; secret until it is on chain."""
        return self.prepared.secrets.label_keys[round_]

    def release_first_labels(self) -> Receipt:
        """Reveals key 0, once every seat's files will open to the owner: round 0 begins.

        Raises:
            GrantRefused: a seat granted something else; nothing was revealed.
        """
        self.collect_grants()
        return self._contract.release_labels(self.job, self.label_key(0))

    def collect_grants(self) -> None:
        """Opens the grant of everybody who ever held a seat, and keeps the sealing secrets.

        Raises:
            GrantRefused: one of them cannot be used; those of the others are kept.
        """
        refusals: list[GrantRefused] = []
        for joined in holders_of(self._events()):
            if joined.trainer not in self._sealing:
                try:
                    secret = open_seat_grant(self._store, joined, self._genesis, self.prepared.secrets.identity)
                    self._sealing[joined.trainer] = secret
                    self._grants[grant_of_seat(joined)] = None
                except GrantRefused as e:
                    refusals.append(e)
        if refusals:
            raise refusals[0]

    def grant(self, recipients: Sequence[str], seats: Collection[int] | None = None, *, labels: bool) -> CID:
        """Lets somebody in: puts a grant into the store, whose name its recipients have to be told.

        Args:
            recipients: the ``age1...`` of an auditor, or of a trainer; each can open the grant alone.
            seats: whose sealing secrets and progress keys, evicted holders' included; None grants those of all.
            labels: whether it may open the labels.
        """
        chosen = range(self.params.seats) if seats is None else seats
        authors = {one.trainer for one in holders_of(self._events()) if one.seat in chosen}
        return self._put_grant(self.keys().limited(chosen, authors, labels=labels), recipients)

    def _put_grant(self, keys: AuditKeys, recipients: Sequence[str]) -> CID:
        cid = self._store.put_block(seal_grant(keys, self._contract.job(self.job).owner, recipients).to_block())
        self._grants[cid] = None
        return cid

    @property
    def grants(self) -> tuple[CID, ...]:
        """Every grant so far, of the seats and of the owner: no manifest links one, so they have to be kept by name."""
        return tuple(self._grants)

    def grant_to_seat(self, seat: int) -> CID:
        """What the present holder of a seat needs: its predecessors' secrets, and the labels in the last seat.

        No progress keys: its predecessors' marks are none of its business.
        """
        held = [joined for joined in holders_of(self._events()) if joined.seat == seat]
        is_last = seat == self.params.seats - 1
        keys = self.keys().limited((), {joined.trainer for joined in held}, labels=is_last)
        return self._put_grant(keys, [recipient_of_seat(held[-1])])

    def grant_to_arbiter(self) -> CID:
        """The labels, which the arbiter needs to repeat any work; the seats' files it was granted by the seats."""
        return self.grant(self.prepared.spec.arbiter_keys, (), labels=True)

    def keys(self) -> AuditKeys:
        """Everything that the owner can grant to an auditor."""
        secrets = self.prepared.secrets
        return AuditKeys(secrets.label_secret, dict(self._progress_keys), dict(self._sealing), self._genesis)

    def artifacts(self, record: JobRecord | None = None) -> Artifacts:
        """The job's history as the chain has it now, or as ``record`` has it, and its artifacts."""
        if record is None:
            self._index.sync(self._contract.newest_block)
            record = self._index.record(self.job)
        return Artifacts(follow_record(record), self._store, self.keys(), {self.prepared.config.model})

    def _events(self) -> tuple[LoggedEvent, ...]:
        self._index.sync(self._contract.newest_block)
        return tuple(self._index.events(self.job))

    def receive_keys(self, committed: Sequence[CommittedSegment]) -> None:
        """Keeps what the trainers give with their commitments, progress keys and receipts, through a restart too."""
        for segment in committed:
            self._progress_keys[segment.round, segment.seat] = segment.progress_key
            self._keep_receipts(segment)
        with suppress(GrantRefused):
            # Files of a replacement whose grant is of no use do not open, and what cannot be checked is not paid.
            self.collect_grants()
        write_grants(self._folder, self.keys(), self.prepared.spec.owner_key)

    def _keep_receipts(self, segment: CommittedSegment) -> None:
        """Keeps a seat's receipts over what it received itself: nobody puts a worthless one in another's place."""
        for receipt in segment.receipts:
            if (receipt.round, receipt.crossing.receiver) == (segment.round, segment.seat):
                keep_receipt(self._receipts_of(segment.round), receipt)

    def _receipts_of(self, round_: int) -> Path:
        """The folder of what receivers have shown of a round."""
        return self._folder / RECEIPTS / f"round-{round_}"

    def draw(self, round_: int, artifacts: Artifacts | None = None) -> tuple[int, ...]:
        """The intervals that are replayed: drawn for every seat from the next label key and a later block.

        Raises:
            ChainError: that block does not come.
        """
        artifacts = artifacts or self.artifacts()
        last = artifacts.history.rounds[round_].commitments[-1]
        block = last.logged.block_number + CONFIRMATIONS
        self._contract.node.wait_for_block(block, timeout_s=600)
        seed = audit_seed(self.label_key(round_ + 1), self._contract.node.block_hash(block), last.head)
        seats, draws = range(self.params.seats), self.policy.draws
        return tuple(sorted({i for seat in seats for i in sample_intervals(seed, seat, artifacts.intervals, draws)}))

    def request_states(self, round_: int) -> tuple[int, ...]:
        """At the start of which intervals every seat has to publish its state; none where all are published anyway.

        Trainers cannot draw for themselves: the key that the draw needs is the owner's until it accepts. Asking for
        more than was drawn would gain it nothing, and the key shows later what was.
        """
        if self.prepared.spec.replay.publication == "all":
            return ()
        artifacts = self.artifacts()
        return states_to_publish(artifacts, self.draw(round_, artifacts))

    def examine_round(
        self, round_: int, record: JobRecord | None = None, shown: Sequence[BoundaryReceipt] = ()
    ) -> VerifiedRound:
        """Checks a committed round against chain and store, replaying a sample that nobody could choose.

        Args:
            record: of the chain, where the caller has read it already.
            shown: receipts beside those that the trainers gave with their commitments.

        Raises:
            UsageError: not every seat has committed.
            StorageError, ChainError: nobody is answerable for that.
        """
        artifacts = self.artifacts(record)
        commitments = artifacts.history.rounds[round_].commitments if round_ < len(artifacts.history.rounds) else ()
        if len(commitments) < self.params.seats:
            what = f"{len(commitments)} of {self.params.seats} seats have committed in round {round_}"
            raise UsageError(what, hint="verify once the last seat has; `job show` says for whom the job waits")
        drawn = self.draw(round_, artifacts)
        results = [*await_publication(artifacts, round_, drawn, self.policy.publish_deadline_s, self.timer)]
        results += check_commitments(artifacts, round_, drawn)
        receipts = partial(self._check_receipts, round_, artifacts, shown)
        results += guarded(Check.BOUNDARY, "receipts", receipts, round_)
        rows, replayed = check_round(artifacts, round_, drawn)
        held_out = partial(self._check_progress, round_, artifacts)
        results += [*rows, *guarded(Check.PROGRESS, HELD_OUT, held_out, round_)]
        decision = decide(results, self.policy)
        head, intervals = commitments[-1].head, artifacts.intervals
        return VerifiedRound(round_, head, intervals, drawn, tuple(results), replayed, decision)

    def verify_round(self, round_: int, committed: Sequence[CommittedSegment]) -> VerifiedRound:
        """``examine_round`` with the keys that came with the commitments, for a round that is to be paid.

        Raises:
            VerificationFailed: the policy does not let it be paid; the rows that say why are in ``results``.
        """
        self.receive_keys(committed)
        verified = self.examine_round(round_)
        if not isinstance(verified.decision, Accept):
            raise RoundRefused(verified)
        return verified

    def keep_round(self, round_: int, manifests: Sequence[CID]) -> None:
        """Fetches and pins a verified round and every grant, so that whoever replaces a trainer can start from it.

        Raises:
            ArtifactMissing, ArtifactCorrupt: something of it is not there; the round must not be accepted.
        """
        self.retention.keep(self.grants)
        self.retention.pin_round(round_, manifests, unpublished_states(self.artifacts().history, self._store))

    def accept(self, round_: int, head: Head) -> Receipt:
        """Accepts the round that ended in ``head``, pays it and reveals the next label key."""
        return self._contract.accept(self.job, head, self.label_key(round_ + 1))

    def withdraw(self) -> Receipt:
        """Takes back the bond and whatever was not spent."""
        return self._contract.withdraw(self.job)

    def _check_receipts(
        self, round_: int, artifacts: Artifacts, shown: Sequence[BoundaryReceipt]
    ) -> Iterator[CheckResult]:
        """Whom the receipts convict that the owner has; one of its own that it cannot read leaves the check undone."""
        yield from check_receipts(artifacts, round_, (*shown, *read_receipts(self._receipts_of(round_))))

    def _check_progress(self, round_: int, artifacts: Artifacts) -> Iterator[CheckResult]:
        """Accuracy of the committed segments on records that only the owner has."""
        outs = [artifacts.state_file(artifacts.manifest(round_, seat).out) for seat in range(self.params.seats)]
        accuracy = self.prepared.read_out(outs, self.prepared.inputs.splits.holdout, PROGRESS_DRAWS).accuracy
        floor = self.prepared.guessing if self.policy.progress_floor is None else self.policy.progress_floor
        passed = accuracy > floor
        yield CheckResult(
            Check.PROGRESS,
            Verdict.PASS if passed else Verdict.FAIL,
            HELD_OUT,
            "contrastive readout of the committed segments",
            round_,
            None,
            f"> {floor:.3f}",
            f"{accuracy:.3f}",
        )


class RoundRefused(VerificationFailed):
    """A round that its owner does not pay, with the rows that say why."""

    def __init__(self, verified: VerifiedRound) -> None:
        bad = next(row for row in verified.results if row.verdict is not Verdict.PASS)
        where = f"seat {bad.seat}" if bad.seat is not None else bad.subject
        super().__init__(
            f"round {verified.round}: check {bad.check.value} of {where}: {bad.verdict.value}: {bad.detail}",
            hint="the round was not accepted and nothing was paid",
        )
        self.round = verified.round
        self.results = verified.results
        self.decision = verified.decision
