"""Replays honest work by the thousand, in its own runtime class and in others, and counts who is accused of it.

    python -m scripts.false_alarms [--share 0.05] [--json]

A round is trained once for each model, number of threads and precision; then every interval of it is replayed under
each number of threads, and in float64 as in a dispute. An alarm is what the audit calls one: in the same class a digest
that differs; in another an end state that differs by more than the job's tolerance, or a sum of residuals that grows as
steering does. Then whole jobs are audited by processes of other environments, see ``other_machines``. Exit code 1 if
there is any.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from clicooper.audit.checks.replay import MIN_SUMMED_RESIDUALS
from clicooper.commitments.manifest import ModelSpec
from clicooper.learning.checkpoint import State, cast_state
from clicooper.learning.replay import compare_states, relative_residual, replay_interval
from clicooper.learning.training import TrainedSegment
from scripts.other_machines import ENVIRONMENTS, Look, audit_elsewhere, make_elsewhere
from tests.learning_jobs import SmallJob, Starts, first_difference, small_job

THREADS = (1, 2, 4)
TOLERANCE = 1e-5
ADAMW_TOLERANCE = 1e-4
"""AdamW divides by the size of a gradient, and so enlarges its rounding: 1.1e-5 was seen against float64."""


@dataclass(frozen=True)
class Subject:
    """A model to train honestly: ``intervals`` of ``interval`` steps in the full count, on random records."""

    name: str
    model: ModelSpec
    optimizer: str
    batch: int
    intervals: int
    interval: int

    @property
    def tolerance(self) -> float:
        """Between runtime classes: a term of the job."""
        return ADAMW_TOLERANCE if self.optimizer == "adamw" else TOLERANCE

    def job(self, share: float) -> SmallJob:
        """Its job, with this share of the intervals, but enough for a sum of residuals."""
        steps = max(MIN_SUMMED_RESIDUALS, round(self.intervals * share)) * self.interval
        rate = 1e-3 if self.optimizer == "adamw" else 0.02
        terms = {"optimizer": self.optimizer, "batch": self.batch, "steps": steps, "learning_rate": rate}
        return small_job(self.model, self.interval, 400, **terms)


SMALL = ModelSpec(kind="mlp", input_shape=(16,), outputs=10, widths=(32, 32, 32), cuts=(1, 2))
WIDE = ModelSpec(kind="mlp", input_shape=(64,), outputs=40, widths=(384, 384, 384), cuts=(1, 2))
CNN = ModelSpec(kind="cnn", input_shape=(1, 8, 8), outputs=10, widths=(4, 8), cuts=(1, 2))
RESNET = ModelSpec(kind="resnet18", input_shape=(3, 8, 8), outputs=10, widths=(4, 4, 4, 4), cuts=(3, 6))
SUBJECTS = (
    Subject("mlp", SMALL, "sgd", 16, 320, 2),
    Subject("mlp, adamw", SMALL, "adamw", 16, 150, 2),
    Subject("wide mlp", WIDE, "sgd", 64, 17, 2),
    Subject("wide mlp, adamw", WIDE, "adamw", 64, 17, 1),
    Subject("cnn", CNN, "sgd", 16, 160, 1),
    Subject("resnet18", RESNET, "sgd", 8, 60, 1),
)


@dataclass(frozen=True)
class Setting:
    """Under which a machine computes; two settings are two runtime classes."""

    threads: int
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.dtype} x{self.threads}"

    @property
    def precision(self) -> type[np.floating]:
        """As NumPy's type."""
        return np.float64 if self.dtype == "float64" else np.float32


PLAIN = tuple(Setting(threads) for threads in THREADS)
EXACT = Setting(1, "float64"), Setting(2, "float64")
REPLAYS: dict[Setting, tuple[Setting, ...]] = {**dict.fromkeys(PLAIN, (*PLAIN, EXACT[0])), EXACT[0]: EXACT}
"""By the setting under which a round is trained, those under which it is replayed."""


@dataclass(frozen=True)
class Count:
    """One round replayed under one setting.

    Attributes:
        same_class: whether digests are compared; else states, within ``tolerance``.
        bitwise: intervals whose digests were all equal, demanded or not.
        alarms: intervals, or the sum over all of them, that an auditor would object to.
        weights, moments: largest relative L2 distance of an end state, over intervals and seats.
        sum_ratio: norm of the summed residuals over its limit, in the worst seat.
    """

    model: str
    trained: str
    replayed: str
    same_class: bool
    tolerance: float
    intervals: int
    bitwise: int
    alarms: int
    weights: float
    moments: float
    sum_ratio: float


def count_alarms(
    subject: Subject, share: float = 1.0, replays: Mapping[Setting, Sequence[Setting]] = REPLAYS
) -> Iterator[Count]:
    """Trains a subject's round under every setting, and replays every interval of it under those named for it."""
    job = subject.job(share)
    for by, auditors in replays.items():
        starts = [(cast_state(weights, by.precision), None) for weights, _ in job.starts()]
        trained = job.train(starts=starts, threads=by.threads)
        for auditor in auditors:
            yield _count(subject, by, auditor, [*_replays(job, starts, trained, by, auditor)])


@dataclass(frozen=True, eq=False)
class _Replay:
    """One interval: whether its digests were equal, and by seat both end states, weights and moments."""

    equal: bool
    ends: tuple[tuple[tuple[State, State], tuple[State, State]], ...]

    def apart(self, part: int) -> float:
        return max(compare_states(claimed[part], replayed[part]) for claimed, replayed in self.ends)


def _replays(
    job: SmallJob, starts: Starts, trained: list[TrainedSegment], by: Setting, auditor: Setting
) -> Iterator[_Replay]:
    claimed = [segment.transcript for segment in trained]
    kept = [[*segment.interval_states, (segment.trained, segment.optimizer)] for segment in trained]
    dtype = None if auditor.dtype == by.dtype else auditor.precision
    for index, (start, end) in enumerate(pairwise([starts, *zip(*kept, strict=True)])):
        again = replay_interval(
            job.spec, 0, index, start, job.activations, job.pseudo_labels, dtype=dtype, threads=auditor.threads
        )
        equal = dtype is None and first_difference(claimed, again) is None
        yield _Replay(equal, tuple(zip(end, again.end_states, strict=True)))


def _count(subject: Subject, by: Setting, auditor: Setting, replays: Sequence[_Replay]) -> Count:
    same, limit = auditor == by, subject.tolerance
    weights, moments = ([replay.apart(part) for replay in replays] for part in (0, 1))
    ratio = _sum_ratio(replays, limit)
    if same:
        alarms = sum(not replay.equal for replay in replays)
    else:
        alarms = sum(max(pair) > limit for pair in zip(weights, moments, strict=True)) + (ratio > 1)
    bitwise = sum(replay.equal for replay in replays)
    largest = max(weights), max(moments)
    return Count(subject.name, str(by), str(auditor), same, limit, len(replays), bitwise, alarms, *largest, ratio)


def _sum_ratio(replays: Sequence[_Replay], tolerance: float) -> float:
    seats = zip(*(replay.ends for replay in replays), strict=True)
    sums = [
        float(np.linalg.norm(sum(relative_residual(claimed[0], again[0]) for claimed, again in ends))) for ends in seats
    ]
    return max(sums) / (4 * math.sqrt(len(replays)) * tolerance)


def main(arguments: Sequence[str] | None = None) -> int:
    """Counts, prints, and says by its exit code whether anybody honest was accused."""
    parser = argparse.ArgumentParser(description="Replay honest work and count false alarms.")
    parser.add_argument("--share", type=float, default=1.0, help="of the full count's intervals")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args(arguments)
    started, rows = time.perf_counter(), []
    for count in (count for subject in SUBJECTS for count in count_alarms(subject, options.share)):
        rows.append(count)
        print(_line(count), file=sys.stderr if options.json else sys.stdout, flush=True)
    looks = []
    for look in look_from_elsewhere(options.share):
        looks.append(look)
        print(_told(look), file=sys.stderr if options.json else sys.stdout, flush=True)
    alarms = sum(row.alarms for row in rows) + sum(len(look.accused) for look in looks)
    intervals = sum(row.intervals for row in rows) + sum(look.intervals for look in looks)
    found = {"ok": alarms == 0, "intervals": intervals, "alarms": alarms}
    found |= {"configurations": len(rows) + len(looks), "seconds": round(time.perf_counter() - started, 1)}
    told = {"rows": [asdict(row) for row in rows], "looks": [asdict(look) for look in looks]}
    print(json.dumps(found | told) if options.json else found)
    return 0 if alarms == 0 else 1


def look_from_elsewhere(share: float) -> Iterator[Look]:
    """Honest jobs made in some environments, each audited in all of them."""
    steps = max(4, round(100 * share)) * 2
    settings = {"TRAINERS": "2", "ROUNDS": "1", "STEPS": str(steps), "INTERVAL": "2", "BATCH": "32"}
    settings |= {"MARK_BITS": "64", "LEARNING_RATE": "0.05", "SEED": "20261201"}
    for made in ("one thread", "no vector instructions"):
        with tempfile.TemporaryDirectory() as folder:
            run = make_elsewhere(Path(folder), made, settings)
            for environment in ENVIRONMENTS:
                yield audit_elsewhere(run, made, environment)


def _told(look: Look) -> str:
    verdict = {0: "pass", 4: "inconclusive"}.get(look.code, "?")
    where = f"{look.made} -> {look.audited}"
    return f"{'whole job':15} {where} {look.intervals:4} intervals, {verdict}: {len(look.accused)} alarms"


def _line(count: Count) -> str:
    how = "digests" if count.same_class else f"sum {count.sum_ratio:.3f} of its limit"
    return (
        f"{count.model:15} {count.trained} -> {count.replayed} {count.intervals:4} intervals, {count.bitwise:4} bitwise"
        f", weights {count.weights:.1e}, moments {count.moments:.1e}, {how}: {count.alarms} alarms"
    )


if __name__ == "__main__":
    sys.exit(main())
