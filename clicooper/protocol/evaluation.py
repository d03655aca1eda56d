"""What the owner measures at the end: accuracy with its controls, and which marks the final model still carries.

Every figure is measured on test records that took no part in training, in choosing or in the release.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clicooper.audit.artifacts import Artifacts
from clicooper.commitments.manifest import ModelSpec, SeedSpec, TrainingSpec
from clicooper.learning.checkpoint import State
from clicooper.learning.controls import (
    ReadAccuracy,
    measure_chance,
    measure_head_only,
    measure_release_only,
    measure_unprotected,
)
from clicooper.privacy.labels import LabelMap
from clicooper.privacy.release import Release
from clicooper.protocol.preparation.job_inputs import JobInputs
from clicooper.protocol.preparation.prepare import PreparedJob
from clicooper.protocol.round import SettledRound
from clicooper.types import Digest, JobId
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.detect import MarkReading, read_mark
from clicooper.watermark.keys import MarkKeys, MarkPurpose, mark_seed

__all__ = ["Accuracies", "FinalMark", "add_controls", "final_states", "measure_accuracy", "read_final_marks"]


@dataclass(frozen=True)
class Accuracies:
    """Accuracies on the owner's test records, each in [0, 1].

    Attributes:
        protected: the trained model under the contrastive readout, after the last marks.
        protected_naive_readout: the same model, one plain forward pass.
        unprotected: the same model and steps on clean activations and true labels.
        head_only: a linear readout of the head on the owner's own labelled records: those kept for the head, or else
            the hold-out.
        release_only: the better of class means and LDA on the release, folded by the owner, without trainers.
        chance: always naming the most frequent class.
        readout_draws, readout_disagreement: noise draws of the readout, and the share of records on which its two
            halves differ.
        conclusive: whether that share is within the limit.
    """

    protected: float
    protected_naive_readout: float
    unprotected: float
    head_only: float
    release_only: float
    chance: float
    test_records: int
    readout_draws: int
    readout_disagreement: float
    conclusive: bool

    @property
    def best_control(self) -> tuple[str, float]:
        """The best of what the owner could have had without trainers."""
        controls = {"head_only": self.head_only, "release_only": self.release_only, "chance": self.chance}
        name = max(controls, key=lambda key: controls[key])
        return name, controls[name]

    def doubt_in_words(self) -> str:
        """Empty, or how far the readout is from settled."""
        if self.conclusive:
            return ""
        return (
            f"The readout is inconclusive: after {self.readout_draws} draws its two halves still differ on "
            f"{self.readout_disagreement:.1%} of the records. Take its accuracy as give or take that much."
        )

    def verdict_in_words(self) -> str:
        """Whether training was worth paying for, with the 95 % interval of the difference."""
        name, best = self.best_control
        difference = self.protected - best
        half = 1.96 * ((self.protected * (1 - self.protected) + best * (1 - best)) / self.test_records) ** 0.5
        words = {"head_only": "the head alone", "release_only": "the release alone", "chance": "chance"}[name]
        low, high = 100 * (difference - half), 100 * (difference + half)
        span = f"{100 * difference:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"
        if difference - half > 0:
            return f"Training beats the best control, {words}: {span}."
        if difference + half < 0:
            return f"Training does not pay here: {words} is better without any trainer ({span})."
        return f"Training does not clearly beat the best control, {words}: {span}."


@dataclass(frozen=True)
class FinalMark:
    """One mark of one round, as read from the final model."""

    round: int
    seat: int
    purpose: str
    reading: MarkReading


def final_states(artifacts: Artifacts) -> list[State]:
    """The marked weights of every seat after the last committed round."""
    last = len(artifacts.history.rounds) - 1
    return [artifacts.state_file(artifacts.manifest(last, seat).out) for seat in range(artifacts.history.params.seats)]


def measure_accuracy(prepared: PreparedJob, states: list[State]) -> Accuracies:
    """Accuracy of the final model beside every control."""
    spec = prepared.spec
    whole = spec.training.model_copy(update={"steps": spec.training.steps * len(spec.labels)})
    read = prepared.read_out(states, prepared.inputs.splits.test)
    return add_controls(
        read, prepared.inputs, prepared.release, prepared.secrets.label_map, spec.model, whole, spec.seeds
    )


def add_controls(
    read: ReadAccuracy,
    inputs: JobInputs,
    release: Release,
    label_map: LabelMap,
    model: ModelSpec,
    training: TrainingSpec,
    seeds: SeedSpec,
) -> Accuracies:
    """What the owner could have had without trainers, beside what was read out on its test records.

    Args:
        inputs: with clipped features.
        training: with the steps of all rounds.
    """
    labels, splits = inputs.dataset.labels, inputs.splits
    test, own, kept = ((inputs.features[part], labels[part]) for part in (splits.test, splits.own, splits.release))
    rows = release.activations, release.pseudo_labels
    return Accuracies(
        protected=read.accuracy,
        protected_naive_readout=read.naive,
        unprotected=measure_unprotected(model, training, seeds, *kept, *test),
        head_only=measure_head_only(*own, *test),
        release_only=measure_release_only(*rows, label_map.fold, *test, label_map.mixing).best,
        chance=measure_chance(test[1]),
        test_records=len(splits.test),
        readout_draws=read.draws,
        readout_disagreement=read.disagreement,
        conclusive=read.conclusive,
    )


def read_final_marks(
    rounds: Sequence[SettledRound], states: Sequence[State], params: MarkParams, keys: Callable[[int, int], MarkKeys]
) -> tuple[FinalMark, ...]:
    """Every mark of every round, read from the final model.

    Args:
        keys: the mark keys of (round, seat); only the trainers together have them all.
    """
    tests = 2 * sum(len(settled.commitments) for settled in rounds)
    commitments = [commitment for settled in rounds for commitment in settled.commitments]
    marks = []
    for commitment in commitments:
        for purpose in MarkPurpose:
            seed = mark_seed(
                keys(commitment.round, commitment.seat).of(purpose),
                purpose,
                commitment.head_before,
                JobId(commitment.manifest.job),
                commitment.round,
                commitment.seat,
                commitment.trainer,
                Digest(commitment.manifest.training_transcript_merkle_root),
            )
            reading = read_mark(states[commitment.seat], seed, params, tests=tests)
            marks.append(FinalMark(commitment.round, commitment.seat, purpose.name.lower(), reading))
    return tuple(marks)
