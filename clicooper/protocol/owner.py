"""What a data owner does: open the job, let people in, release label keys, verify each round, and pay.

Before it pays, the owner rebuilds the job's history from the chain, draws intervals that neither it nor the
trainers could choose, fetches what they need and replays them. Only then does one transaction accept the
round, earn every seat its pay and reveal the next label key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from multiformats import CID

from clicooper.audit.auditor import check_commitments, check_round
from clicooper.audit.checks import guarded
from clicooper.audit.evidence import Evidence
from clicooper.audit.grants import AuditKeys, ProgressKey, seal_grant
from clicooper.audit.sampling import sample_intervals
from clicooper.audit.state import follow_record
from clicooper.audit.verdict import Check, CheckResult, Replayed, combine
from clicooper.chain.client import Contract, Receipt
from clicooper.commitments.head import audit_seed
from clicooper.errors import GrantRefused, VerificationFailed
from clicooper.protocol.grants import grant_of_seat, holders_of, open_seat_grant, recipient_of_seat
from clicooper.protocol.prepare import PreparedJob
from clicooper.protocol.trainer import CommittedSegment
from clicooper.storage.base import Store
from clicooper.storage.retention import JobRetention
from clicooper.types import Address, Digest, Head, JobId, JobParams, Verdict

__all__ = ["Owner", "RoundRefused", "VerifiedRound"]

CONFIRMATIONS = 2
"""Blocks after a round's last commit whose hash seeds the audit sample."""


HELD_OUT = "held-out records"

PROGRESS_DRAWS = 64
"""Noise draws of the readout that measures progress; a coarse figure is enough against a floor."""


@dataclass(frozen=True)
class VerifiedRound:
    """What the owner checked before it pays for a round."""

    results: tuple[CheckResult, ...]
    replayed: Replayed


class Owner:
    """The data owner of one job.

    Args:
        prepared: the job's public records and the owner's secrets.
        samples: intervals that it replays a seat and round.
        progress_floor: accuracy on its own held-out records below which it does not pay.
        retention: the pin set in which it keeps the job's artifacts.
    """

    def __init__(
        self,
        contract: Contract,
        store: Store,
        prepared: PreparedJob,
        samples: int,
        progress_floor: float,
        retention: JobRetention,
    ) -> None:
        self.prepared = prepared
        self.retention = retention
        self._contract = contract
        self._store = store
        self._samples = samples
        self._progress_floor = progress_floor
        self._progress_keys: dict[tuple[int, int], ProgressKey] = {}
        self._sealing: dict[Address, bytes] = {}
        self._grants: dict[CID, None] = {}

    @property
    def params(self) -> JobParams:
        """The parameters that the job was created with."""
        return self.prepared.params

    def create_job(self) -> tuple[JobId, Head]:
        """Publishes the job on chain and locks all pay and the bond."""
        self.job, _ = self._contract.create_job(self.params)
        self._genesis = self._contract.genesis_of(self.job)
        # A trainer has another sealing secret in every job.
        self._sealing.clear()
        self._progress_keys.clear()
        self._grants.clear()
        return self.job, self._genesis

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
        for joined in holders_of(self._contract.events(self.job)):
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
        authors = {one.trainer for one in holders_of(self._contract.events(self.job)) if one.seat in chosen}
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
        held = [joined for joined in holders_of(self._contract.events(self.job)) if joined.seat == seat]
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

    def evidence(self) -> Evidence:
        """The job's history as the chain has it now, and its artifacts."""
        return Evidence(
            follow_record(self._contract.record(self.job)), self._store, self.keys(), {self.prepared.config.model}
        )

    def verify_round(self, round_: int, committed: Sequence[CommittedSegment]) -> VerifiedRound:
        """Checks a committed round against chain and store, replaying a sample that nobody could choose.

        Raises:
            VerificationFailed: a check failed or could not be made; its rows are in ``results``.
        """
        for segment in committed:
            self._progress_keys[round_, segment.seat] = segment.progress_key
        with suppress(GrantRefused):
            # Files of a replacement whose grant is of no use do not open, and what cannot be checked is not paid.
            self.collect_grants()
        evidence = self.evidence()
        results = [*check_commitments(evidence, round_)]
        rows, replayed = check_round(evidence, round_, self._draw(round_, committed, evidence.intervals))
        held_out = partial(self._check_progress, round_, evidence)
        results += [*rows, *guarded(Check.PROGRESS, HELD_OUT, held_out, round_)]
        if combine(results) is not Verdict.PASS:
            raise RoundRefused(round_, tuple(results))
        return VerifiedRound(tuple(results), replayed)

    def keep_round(self, round_: int, committed: Sequence[CommittedSegment]) -> None:
        """Fetches and pins a verified round and every grant, so that whoever replaces a trainer can start from it.

        Raises:
            ArtifactMissing, ArtifactCorrupt: something of it is not there; the round must not be accepted.
        """
        self.retention.keep(self.grants)
        self.retention.pin_round(round_, [segment.manifest.cid for segment in committed])

    def accept(self, round_: int, head: Head) -> Receipt:
        """Accepts the round that ended in ``head``, pays it and reveals the next label key."""
        return self._contract.accept(self.job, head, self.label_key(round_ + 1))

    def withdraw(self) -> Receipt:
        """Takes back the bond and whatever was not spent."""
        return self._contract.withdraw(self.job)

    def _draw(self, round_: int, committed: Sequence[CommittedSegment], intervals: int) -> tuple[int, ...]:
        """The intervals to replay: drawn for every seat from the next label key and a later block."""
        block = committed[-1].receipt.block_number + CONFIRMATIONS
        self._contract.node.wait_for_block(block, timeout_s=600)
        seed = audit_seed(self.label_key(round_ + 1), self._contract.node.block_hash(block), committed[-1].head)
        drawn = {i for seat in range(self.params.seats) for i in sample_intervals(seed, seat, intervals, self._samples)}
        return tuple(sorted(drawn))

    def _check_progress(self, round_: int, evidence: Evidence) -> Iterator[CheckResult]:
        """Accuracy of the committed segments on records that only the owner has."""
        outs = [evidence.state_file(evidence.manifest(round_, seat).out) for seat in range(self.params.seats)]
        accuracy = self.prepared.read_out(outs, self.prepared.splits.holdout, PROGRESS_DRAWS).accuracy
        passed = accuracy > self._progress_floor
        yield CheckResult(
            Check.PROGRESS,
            Verdict.PASS if passed else Verdict.FAIL,
            HELD_OUT,
            "contrastive readout of the committed segments",
            round_,
            None,
            f"> {self._progress_floor:.3f}",
            f"{accuracy:.3f}",
        )


class RoundRefused(VerificationFailed):
    """A round that its owner does not pay, with the rows that say why."""

    def __init__(self, round_: int, results: tuple[CheckResult, ...]) -> None:
        bad = next(row for row in results if row.verdict is not Verdict.PASS)
        where = f"seat {bad.seat}" if bad.seat is not None else bad.subject
        super().__init__(
            f"round {round_}: check {bad.check.value} of {where}: {bad.verdict.value}: {bad.detail}",
            hint="the round was not accepted and nothing was paid",
        )
        self.round = round_
        self.results = results
