"""What verification costs, beside the training that it verifies, in the same run.

Three questions. What a transcript adds to a training step: seats that record and seats that do not take turns, at the
size of ResNet-18 and for the demo's model; draining the recorder counts. What an owner pays to catch a seat that
cheated in 5 % of a round with 99 % probability: all checks of a real committed round with 90 drawn intervals, fixed
parts and reading of states included, beside the training of the whole round; nothing is extrapolated. What a full
replay costs beside training, on one core and on two.

Compute is CPU time of the process, so that other work on the machine does not count; a step's time and the two
processes' are wall time. Options: ``--json``; ``--intervals N`` of a round (2,000), ``--interval K`` steps each (10).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from _table import Row, report

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from clicooper.audit.artifacts import Artifacts  # noqa: E402
from clicooper.audit.checks.replay import replay_intervals  # noqa: E402
from clicooper.audit.replay.executors import HERE, Executor, Processes  # noqa: E402
from clicooper.audit.replay.sampling import Sample  # noqa: E402
from clicooper.audit.rounds import check_commitments, check_round  # noqa: E402
from clicooper.audit.verdict import CheckResult, combine  # noqa: E402
from clicooper.commitments.manifest import ModelSpec, ReplaySpec, SeedSpec, TrainingSpec  # noqa: E402
from clicooper.config import JobConfig  # noqa: E402
from clicooper.history.follow import follow_record  # noqa: E402
from clicooper.learning.runtime import use_threads  # noqa: E402
from clicooper.learning.segments import initial_state  # noqa: E402
from clicooper.learning.training import SeatWorker, train_round  # noqa: E402
from clicooper.protocol.preparation.defaults import MLP_WIDTH, RESNET_CHANNELS  # noqa: E402
from clicooper.protocol.round import commit_in_order, train_segments  # noqa: E402
from clicooper.types import Digest, Verdict  # noqa: E402
from tests.scenario import Rehearsal, keys_of, quiet, rehearsal  # noqa: E402

T = TypeVar("T")
SAMPLED = 90
"""Intervals after which a seat that cheated in 5 % of them has escaped with probability 0.95^90 < 0.01."""

SEATS = 2
RESNET_SHARE, DEMO_SHARE, VERIFY_SHARE, REPLAY_SHARE, TWO_WORKERS = 1.03, 1.10, 0.05, 1.10, 0.60
RESNET = ModelSpec(kind="resnet18", input_shape=(3, 32, 32), outputs=40, widths=RESNET_CHANNELS, cuts=(4, 7))
DEMO = ModelSpec(kind="mlp", input_shape=(64,), outputs=40, widths=(MLP_WIDTH,) * 6, cuts=(2, 4))


class Unrecorded(SeatWorker):
    """The same training without a transcript."""

    def record(self, what: object, tensor: object) -> None:
        """Nothing."""

    def update(self, step: int) -> None:
        """The optimizer's step alone."""
        self.step = step
        self.apply_step()


def step_seconds(kind: type[SeatWorker], model: ModelSpec, batch: int, steps: int) -> float:
    """Wall time of a step of a fresh round of all seats, its recorder drained."""
    training = TrainingSpec(
        optimizer="sgd", learning_rate=0.01, momentum=0.9, weight_decay=5e-4, steps=steps, batch=batch,
        input_scale=1.0, input_noise=0.0, label_smoothing=0.0,
    )  # fmt: skip
    seeds, replay = SeedSpec(weights=1, batches=2, noise=3), ReplaySpec(interval=10, tolerance=1e-5)
    seats = range(len(model.cuts) + 1)
    workers = [kind(model, training, replay, seat, initial_state(model, seeds, seat)) for seat in seats]
    rng = np.random.default_rng(0)
    workers[-1].receive_labels(rng.integers(0, model.outputs, (steps, batch)))
    batches = [rng.standard_normal((batch, *model.input_shape), dtype=np.float32) for _ in range(steps)]
    started = time.perf_counter()
    train_round(workers, enumerate(batches))
    for worker in workers:
        worker.recorder.steps  # noqa: B018 - waits for what is still being hashed
    return (time.perf_counter() - started) / steps


def transcript_row(name: str, model: ModelSpec, batch: int, steps: int, turns: int, target: float) -> Row:
    """Median step with and without a transcript, in turns."""
    step_seconds(SeatWorker, model, batch, 2)
    pairs = [[step_seconds(kind, model, batch, steps) for kind in (SeatWorker, Unrecorded)] for _ in range(turns)]
    recorded, bare = (median(pair[side] for pair in pairs) for side in (0, 1))
    return Row(f"a step with its transcript, {name}", 1000 * recorded, "ms", 1000 * bare, target)


@dataclass(frozen=True)
class Committed:
    """A committed round, what its training cost in CPU seconds, and what its owner knows."""

    artifacts: Artifacts
    training_s: float


def train_and_commit(job: Rehearsal) -> Committed:
    """A round up to its last commit; sealing and publishing are not training, so they do not count."""
    trainers = job.opened.trainers
    (trained, cost) = cpu(lambda: train_segments(trainers, 0, job.head, (None,) * len(trainers), quiet))
    committed = commit_in_order(trainers, 0, job.head, trained, (None,) * len(trainers))
    return Committed(Artifacts(follow_record(job.record()), job.store, keys_of(job, committed)), cost)


def cpu(work: Callable[[], T]) -> tuple[T, float]:
    """What the work returns, and the CPU seconds of this process."""
    started = time.process_time()
    return work(), time.process_time() - started


def wall(work: Callable[[], T]) -> tuple[T, float]:
    """What the work returns, and how long it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def verify(artifacts: Artifacts, drawn: Sequence[int]) -> tuple[CheckResult, ...]:
    """All that an owner checks of a round before it pays, but for its own held-out records."""
    rows, _ = check_round(artifacts, 0, drawn)
    return (*check_commitments(artifacts, 0, drawn), *rows)


def fresh(artifacts: Artifacts) -> Artifacts:
    """The same evidence with nothing read yet."""
    return Artifacts(artifacts.history, artifacts.store, artifacts.keys)


def replay(artifacts: Artifacts, intervals: Sequence[int], executor: Executor = HERE) -> int:
    """Replays intervals, all of which must be confirmed; the steps."""
    result = replay_intervals(artifacts, 0, intervals, executor)
    if result.failed or result.unknown or result.unattributed:
        sys.exit("an honest round was not confirmed")
    return result.steps


def sample_of(artifacts: Artifacts) -> tuple[int, ...]:
    """So many draws that ``SAMPLED`` intervals come out, which are judged for all seats together."""
    for per_seat in range(SAMPLED // SEATS, artifacts.intervals):
        drawn = Sample(per_seat, {}, Digest(bytes(32))).draw(artifacts.history, 0, artifacts.intervals).intervals
        if len(drawn) >= min(SAMPLED, artifacts.intervals):
            return drawn
    return tuple(range(artifacts.intervals))


def measure_round(config: JobConfig, folder: Path) -> Iterator[Row]:
    """Verification and replay of one real round."""
    with use_threads(1), rehearsal(folder / "run", config) as job:
        done = train_and_commit(job)
    artifacts, steps = done.artifacts, config.steps
    drawn = sample_of(artifacts)
    rows, verified = cpu(lambda: verify(fresh(artifacts), drawn))
    if combine(rows) is not Verdict.PASS:
        sys.exit("an honest round did not pass")
    (_, drawn_s) = cpu(lambda: replay(fresh(artifacts), drawn))
    name = f"verify {len(drawn)} of {artifacts.intervals} intervals of {config.interval} steps"
    yield Row(f"{name}, over training", verified, "CPU s", done.training_s, VERIFY_SHARE)
    yield Row("of which replay of the drawn intervals", drawn_s, "CPU s", done.training_s)
    some = range(min(artifacts.intervals, 400))
    (replayed, again) = cpu(lambda: replay(fresh(artifacts), some))
    per_step = 1000 * done.training_s / steps
    name, value = f"full replay of {len(some)} intervals, over training", 1000 * again / replayed
    yield Row(name, value, "CPU ms a step", per_step, REPLAY_SHARE)
    yield two_workers(artifacts, some)


def two_workers(artifacts: Artifacts, some: Sequence[int]) -> Row:
    """The same intervals by one process and by two that run already."""
    with Processes(2) as two:
        replay(fresh(artifacts), range(4), two)
        pairs = [
            (wall(lambda: replay(fresh(artifacts), some, two))[1], wall(lambda: replay(fresh(artifacts), some))[1])
            for _ in range(3)
        ]
    both, one = (median(pair[side] for pair in pairs) for side in (0, 1))
    return Row(f"replay of {len(some)} intervals by two processes, over one", both, "s", one, TWO_WORKERS)


def measure(intervals: int, interval: int, folder: Path) -> Iterator[Row]:
    """All rows."""
    yield transcript_row("ResNet-18, 16 images of 32 x 32", RESNET, 16, 10, 3, RESNET_SHARE)
    yield transcript_row("the demo's model, batch 64", DEMO, 64, 100, 7, DEMO_SHARE)
    config = JobConfig(
        seed=1, trainers=SEATS, rounds=1, steps=intervals * interval, interval=interval, batch=64, mark_bits=64,
        widths=(256, 256, 256, 256), learning_rate=0.01,
    )  # fmt: skip
    yield from measure_round(config, folder)


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--intervals", type=int, default=2000, help="replayable intervals of the round")
    parser.add_argument("--interval", type=int, default=10, help="steps of an interval")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(tuple(measure(arguments.intervals, arguments.interval, Path(folder))))


if __name__ == "__main__":
    main()
