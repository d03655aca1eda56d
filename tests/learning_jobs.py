"""Small jobs to train, and models of a user's own making, for tests of the learning floor and of those above it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clicooper.commitments.canonical import cid_of_digest, sha256
from clicooper.commitments.manifest import (
    JobSpec,
    MarkSpec,
    ModelSpec,
    ReleaseSpec,
    ReplaySpec,
    SealedLabels,
    SeedSpec,
    TrainingSpec,
)
from clicooper.learning.checkpoint import State
from clicooper.learning.model_code import code_digest
from clicooper.learning.models import build_segments, carrying_weights
from clicooper.learning.replay import Difference, IntervalReplay, difference_in_rows
from clicooper.learning.runtime import runtime_class
from clicooper.learning.schedule import batch_rows, round_batches
from clicooper.learning.segments import initial_state
from clicooper.learning.training import SeatWorker, TrainedSegment, train_round
from clicooper.learning.transcript import Transcript

Starts = Sequence[tuple[State, State | None]]

MLP = ModelSpec(kind="mlp", input_shape=(6,), outputs=4, widths=(9, 8, 7), cuts=(1, 3))
SEEDS = SeedSpec(weights=11, batches=12, noise=13)


def own_model(name: str, *cuts: int, kind: str = "tests.learning_jobs:{}") -> ModelSpec:
    """A model of one's own, by default a function of this file, with the digest of its code as it is here."""
    named = kind.format(name)
    return ModelSpec(kind=named, input_shape=(6,), outputs=4, widths=(), cuts=cuts, code=code_digest(named))


def training_spec(**changes: Any) -> TrainingSpec:
    """SGD with momentum, 7 steps of 5 records, noisy inputs; ``changes`` by field."""
    base = TrainingSpec(
        optimizer="sgd",
        learning_rate=0.05,
        momentum=0.9,
        weight_decay=1e-3,
        steps=7,
        batch=5,
        input_scale=0.5,
        input_noise=0.25,
        label_smoothing=0.1,
    )
    return base.model_copy(update=changes)


def job_spec(model: ModelSpec = MLP, interval: int = 3, **changes: Any) -> JobSpec:
    """A job over ``model`` whose links lead nowhere; ``changes`` are fields of its training."""
    link = cid_of_digest(sha256(b"nothing"))
    release = ReleaseSpec(
        epsilon=8.0,
        delta=1e-6,
        adjacency="replace-one",
        sigma=0.5,
        clip=1.0,
        group=4,
        grid=2.0**-20,
        gamma=(4,),
        m=5,
        records=80,
        secure=False,
    )
    return JobSpec(
        model=model,
        training=training_spec(**changes),
        seeds=SEEDS,
        release=release,
        marks=MarkSpec(bits=128, strength=2.0),
        replay=ReplaySpec(interval=interval, tolerance=1e-5),
        runtime_class=runtime_class(),
        owner_key="age13aqvttdk3ujkyjh9kg2w5an6dmy5mq5a84a4uxk3hfhnugfc9p0sy5p2wh",
        arbiter_keys=(),
        activation_release=link,
        labels=(SealedLabels(rows=20, plaintext_digest=bytes(32), ciphertext=link),),
    )


@dataclass(frozen=True, eq=False)
class SmallJob:
    """A job's specification with the data that it trains on."""

    spec: JobSpec
    activations: NDArray[np.float32]
    pseudo_labels: NDArray[np.int64]

    @property
    def seats(self) -> range:
        return range(len(self.spec.model.cuts) + 1)

    def starts(self) -> Starts:
        return [(initial_state(self.spec.model, self.spec.seeds, seat), None) for seat in self.seats]

    def train(
        self,
        round_: int = 0,
        starts: Starts | None = None,
        workers: Mapping[int, type[SeatWorker]] | None = None,
        labels: NDArray[np.int64] | None = None,
        threads: int = 1,
    ) -> list[TrainedSegment]:
        """A round; ``workers`` replaces the honest worker of some seats, ``labels`` the last seat's."""
        spec = self.spec
        classes = [(workers or {}).get(seat, SeatWorker) for seat in self.seats]
        parties = [
            kind(spec.model, spec.training, spec.replay, seat, *states)
            for seat, (kind, states) in enumerate(zip(classes, starts or self.starts(), strict=True))
        ]
        rows = batch_rows(spec.seeds, round_, self.pseudo_labels.size, spec.training)
        parties[-1].receive_labels((self.pseudo_labels if labels is None else labels)[rows])
        batches = round_batches(self.activations, rows, spec.seeds, round_, spec.training)
        train_round(parties, batches, threads=threads)
        return [party.finish() for party in parties]


def small_job(model: ModelSpec = MLP, interval: int = 3, records: int = 17, **changes: Any) -> SmallJob:
    """A job over random records, of which one row of the release is not labelled yet."""
    rng = np.random.default_rng(5)
    activations = rng.normal(size=(records + 1, *model.input_shape)).astype(np.float32)
    return SmallJob(job_spec(model, interval, **changes), activations, rng.integers(0, model.outputs, records))


def normalised_blocks(input_shape: tuple[int, ...], outputs: int) -> list[nn.Module]:
    """Layer normalisation and a constant buffer: what a user's own model may hold."""
    scaled = nn.Sequential(nn.Flatten(), _Scaled(3.0), nn.Linear(int(np.prod(input_shape)), 5), nn.LayerNorm(5))
    return [scaled, nn.Tanh(), nn.Linear(5, outputs)]


def spare_blocks(input_shape: tuple[int, ...], outputs: int) -> list[nn.Module]:
    """A parameter without any part in the result, and a layer that normalises twice in a step."""
    norm = nn.BatchNorm1d(5)
    first = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), 5), norm, nn.Tanh(), norm)
    first.register_parameter("spare", nn.Parameter(torch.ones(3)))
    return [first, nn.Linear(5, outputs)]


def dropout_blocks(input_shape: tuple[int, ...], outputs: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Dropout(0.5), nn.Linear(int(np.prod(input_shape)), outputs)]


def tied_blocks(input_shape: tuple[int, ...], outputs: int) -> list[nn.Module]:
    layer = nn.Linear(input_shape[0], input_shape[0])
    return [layer, nn.ReLU(), layer, nn.Linear(input_shape[0], outputs)]


def lazy_blocks(input_shape: tuple[int, ...], outputs: int) -> list[nn.Module]:
    return [nn.LazyLinear(outputs)]


def wrong_outputs(input_shape: tuple[int, ...], outputs: int) -> list[nn.Module]:
    return [nn.Linear(input_shape[0], outputs + 1)]


def no_list(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Linear(input_shape[0], outputs)


def raises(input_shape: tuple[int, ...], outputs: int) -> list[nn.Module]:
    raise ValueError(f"no model for {input_shape} and {outputs}")


class _Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


def diff_states(expected: Mapping[str, NDArray[Any]], actual: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """One line for each tensor that is absent, added, of another type or shape, or of other bits, in name order."""
    lines = []
    for name in sorted({*expected, *actual}):
        a, b = expected.get(name), actual.get(name)
        if a is None or b is None:
            lines.append(f"{name}: {'not expected' if a is None else 'missing'}")
        elif (a.dtype, a.shape) != (b.dtype, b.shape):
            lines.append(f"{name}: {b.dtype}{list(b.shape)} instead of {a.dtype}{list(a.shape)}")
        elif a.tobytes() != b.tobytes():
            lines.append(f"{name}: {np.count_nonzero(a != b)} of {a.size} elements differ")
    return tuple(lines)


@dataclass(frozen=True)
class SegmentSize:
    """How large a segment is: all its parameters, and those in tensors that can carry marks."""

    parameters: int
    carrying: int


def segment_sizes(spec: ModelSpec) -> tuple[SegmentSize, ...]:
    """Sizes of all segments, in seat order."""
    segments = build_segments(spec)
    return tuple(SegmentSize(sum(w.numel() for w in one.parameters()), carrying_weights(one)) for one in segments)


def first_difference(claimed: Sequence[Transcript], replayed: IntervalReplay) -> Difference | None:
    """``difference_in_rows`` for the transcripts of a whole round.

    Raises:
        SpecError: transcripts that do not cover the interval, or not every seat.
    """
    first, last = replayed.first_step, replayed.first_step + replayed.steps_count
    return difference_in_rows([transcript.steps[first:last] for transcript in claimed], replayed)
