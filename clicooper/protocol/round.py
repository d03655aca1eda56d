"""One round, top to bottom.

    labels released -> per interval: train all segments, exchange signed receipts between neighbours
    -> per seat in order: embed, manifest, put, commit
    -> draw the audit sample -> publish what was drawn -> verify -> pin
    -> accept: payment and the next labels in one transaction

Each step takes the frozen record that the step before returned. The ends that touch the world
(store, chain clients, randomness) came in with the roles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from clicooper.audit.verdict import CheckResult
from clicooper.chain.client import Receipt
from clicooper.commitments.manifest import SegmentManifest
from clicooper.learning.training import SeatWorker, TrainedSegment, train_round
from clicooper.learning.transcript import interval_bounds, interval_count
from clicooper.protocol.boundary import exchange_receipts
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.owner import Owner
from clicooper.protocol.trainer import Trainer
from clicooper.types import Head

__all__ = ["Progress", "SettledRound", "commit_in_order", "run_round", "start_workers", "train_segments"]

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) while work goes on."""


@dataclass(frozen=True)
class SettledRound:
    """A round that its owner accepted.

    Attributes:
        commitments: one a seat, in seat order.
        losses: training loss of every step, in nats.
        checks: what the owner verified before it paid.
        paid_wei: what all seats together earned.
    """

    round: int
    commitments: tuple[CommittedSegment, ...]
    losses: tuple[float, ...]
    checks: tuple[CheckResult, ...]
    replayed_intervals: int
    accepted: Receipt
    paid_wei: int

    @property
    def head(self) -> Head:
        """The head in which the round ended."""
        return self.commitments[-1].head

    @property
    def manifests(self) -> tuple[SegmentManifest, ...]:
        """What each seat hands over to the next round."""
        return tuple(commitment.manifest for commitment in self.commitments)


def run_round(
    owner: Owner, trainers: Sequence[Trainer], round_: int, head: Head, last: SettledRound | None, progress: Progress
) -> SettledRound:
    """Runs a round whose labels are released, up to its acceptance.

    Args:
        trainers: in seat order.
        head: the job's head at the start of the round.
        last: the round before, None before round 0.

    Raises:
        RoundRefused: the owner's checks found a difference; nothing was paid.
        RevertError: the contract refused a call.
    """
    previous = last.manifests if last else (None,) * len(trainers)
    trained = train_segments(trainers, round_, head, previous, progress)
    committed = commit_in_order(trainers, round_, head, trained, previous)
    wanted = owner.request_states(round_)
    for trainer in trainers:
        trainer.publish_states(round_, wanted)
    progress(f"round {round_}: verifying", 0, 1)
    verified = owner.verify_round(round_, committed)
    owner.keep_round(round_, [segment.manifest.cid for segment in committed])
    receipt = owner.accept(round_, committed[-1].head)
    for trainer in trainers:
        trainer.settle_round(round_)
    return SettledRound(
        round=round_,
        commitments=committed,
        losses=trained[-1].losses,
        checks=verified.results,
        replayed_intervals=verified.replayed.intervals,
        accepted=receipt,
        paid_wei=owner.params.pay_wei * owner.params.seats,
    )


def train_segments(
    trainers: Sequence[Trainer],
    round_: int,
    head: Head,
    previous: Sequence[SegmentManifest | None],
    progress: Progress,
) -> tuple[TrainedSegment, ...]:
    """Trains all segments together, interval by interval; after each one, neighbours vouch for what they sent.

    Args:
        head: in which the round began.
        previous: by seat, what its last accepted round left behind.

    Raises:
        BoundaryRefused: a seat does not vouch for what it sent.
    """
    workers, whole = start_workers(trainers, round_, previous)
    steps, length = trainers[0].spec.training.steps, trainers[0].spec.replay.interval
    batches = islice(trainers[0].batches(round_), whole * length, None)
    for interval in range(whole, interval_count(steps, length)):
        train_round(workers, _report(islice(batches, length), round_, steps, progress))
        crossed = [worker.recorder.boundary() for worker in workers]
        covered = interval_bounds(interval, steps, length)[1]
        exchange_receipts(trainers, crossed, trainers[0].job, round_, head, covered)
    return tuple(worker.finish() for worker in workers)


def start_workers(
    trainers: Sequence[Trainer], round_: int, previous: Sequence[SegmentManifest | None]
) -> tuple[tuple[SeatWorker, ...], int]:
    """A worker for each seat, the last one with the round's labels.

    A round that was interrupted goes on behind the last interval that every seat has whole.

    Returns:
        the workers, and how many intervals they have done.
    """
    workers = tuple(trainer.start_round(before) for trainer, before in zip(trainers, previous, strict=True))
    labels, schedule = trainers[-1].open_labels(round_), trainers[-1].schedule(round_)
    workers[-1].receive_labels(labels[schedule])
    whole = min(worker.whole_intervals for worker in workers)
    for worker in workers:
        worker.resume(whole)
    return workers, whole


def _report(
    batches: Iterable[tuple[int, NDArray[np.float32]]], round_: int, steps: int, progress: Progress
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for step, batch in batches:
        progress(f"round {round_}: training", step, steps)
        yield step, batch


def commit_in_order(
    trainers: Sequence[Trainer],
    round_: int,
    head: Head,
    trained: Sequence[TrainedSegment],
    previous: Sequence[SegmentManifest | None],
) -> tuple[CommittedSegment, ...]:
    """Each seat marks its segment from the head that the seat before it made, and commits."""
    committed: list[CommittedSegment] = []
    for trainer, segment, before in zip(trainers, trained, previous, strict=True):
        committed.append(trainer.commit_segment(round_, head, segment, before))
        head = committed[-1].head
    return tuple(committed)
