"""The model that honest trainers make of a release, and what it is worth beside its controls.

Job: train as a job does (same schedule, same loop, labels shard by shard), read the result out as the owner would, and
measure every control of protocol section 5. Non-jobs: marks, commitments and transcripts, which change no accuracy that
could be seen here (their cost is measured with the marks).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clicooper.attacks.release_under_test import ReleaseUnderTest
from clicooper.commitments.manifest import ModelSpec, SeedSpec, TrainingSpec
from clicooper.learning.checkpoint import State
from clicooper.learning.controls import chance, head_only_accuracy, release_only_accuracy, unprotected_accuracy
from clicooper.learning.models import build_segment
from clicooper.learning.readout import Readout
from clicooper.learning.runtime import use_threads
from clicooper.learning.schedule import batch_rows, round_batches
from clicooper.learning.segments import Segment, initial_state
from clicooper.privacy.labels import deal_shards
from clicooper.privacy.randomised_response import noise_of_rows
from clicooper.privacy.randomness import MasterSecret, bind

__all__ = ["Accuracies", "Trained", "TrainingPlan", "boundaries", "measure", "train"]

DRAWS = 128
"""Noise draws of a readout: enough for multilayer perceptrons (protocol, section 5)."""


@dataclass(frozen=True)
class TrainingPlan:
    """How long and with what the trainers train; defaults are those of the demo.

    Args:
        widths: hidden layers of the model.
        rounds: rounds, each with a further shard of labels.
        steps: optimizer steps of a round.
        label_loss: ``corrected`` or not for labels that were randomised, where rows are single records.
    """

    widths: tuple[int, ...] = (384, 384, 384, 384)
    rounds: int = 3
    steps: int = 40
    batch: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_loss: Literal["plain", "corrected"] = "plain"

    def training(self, scale: float, label_noise: float = 0.0) -> TrainingSpec:
        """One round's hyper-parameters for inputs scaled by ``scale``, and a loss corrected for ``label_noise``."""
        return TrainingSpec(
            optimizer="sgd",
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            steps=self.steps,
            batch=self.batch,
            input_scale=scale,
            input_noise=0.0,
            label_smoothing=0.0,
            label_noise=label_noise,
        )


@dataclass(frozen=True, eq=False)
class Trained:
    """The final model, in one piece, and the one it started from."""

    model: ModelSpec
    training: TrainingSpec
    seeds: SeedSpec
    state: State = field(repr=False)
    start: State = field(repr=False)

    def readout(self, fold: NDArray[np.float64]) -> Readout:
        """The model with a fold of pseudo-labels to classes: the owner's, or an attacker's guess."""
        return Readout(self.model, [self.state], fold, self.training.input_scale)

    def blocks(self, *, start: bool = False) -> nn.Sequential:
        """The network's blocks with its final or its first weights, in evaluation mode."""
        network = build_segment(self.model, 0)
        state = self.start if start else self.state
        network.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
        return network.eval()


@dataclass(frozen=True)
class Accuracies:
    """Accuracies on test records, each in [0, 1]; ``release_only`` is the better of class means and LDA."""

    protected: float
    naive: float
    unprotected: float
    head_only: float
    release_only: float
    chance: float
    test_records: int

    @property
    def best_control(self) -> float:
        """The best of what the owner could have had without trainers."""
        return max(self.head_only, self.release_only, self.chance)


def train(tested: ReleaseUnderTest, plan: TrainingPlan) -> Trained:
    """Trains on the release, in round r on the labels of shards 0 to r."""
    seen, seed = tested.observation(), tested.setting.seed
    seeds = SeedSpec(weights=seed, batches=seed, noise=seed)
    model = ModelSpec(kind="mlp", input_shape=(seen.rows.shape[1],), outputs=seen.count, widths=plan.widths, cuts=())
    noise = noise_of_rows(tested.label_map.mixing, seen.group) if plan.label_loss == "corrected" else 0.0
    training = plan.training(1.0 / seen.sigma, noise)
    context = bind("clicooper.evaluation.shards", bytes(tested.label_map.digest))
    shards = deal_shards(seen.pseudo_labels, plan.rounds, secret=MasterSecret.from_seed(seed), context=context)
    order = np.concatenate(shards)
    rows, labels = seen.rows[order], seen.pseudo_labels[order]
    start = initial_state(model, seeds, 0)
    segment = Segment(model, training, 0, start)
    with use_threads(1):
        for round_ in range(plan.rounds):
            known = sum(len(shard) for shard in shards[: round_ + 1])
            chosen = batch_rows(seeds, round_, known, training)
            for step, batch in round_batches(rows, chosen, seeds, round_, training):
                segment.forward(batch)
                segment.loss_backward(labels[chosen[step]])
                segment.step()
    return Trained(model, training, seeds, segment.state(), start)


def measure(tested: ReleaseUnderTest, trained: Trained, plan: TrainingPlan) -> Accuracies:
    """Accuracy of the trained model beside every control."""
    data, splits = tested.dataset, tested.splits
    test, truth = tested.features[splits.test], data.labels[splits.test]
    readout, seen = trained.readout(tested.label_map.fold), tested.observation()
    with use_threads(1):
        draws = readout.contrastive_scores(test, seen.sigma, tested.setting.seed, draws=DRAWS)
        naive = readout.naive_scores(test).argmax(axis=1)
    whole = trained.training.model_copy(update={"steps": plan.steps * plan.rounds})
    own = tested.features[splits.own], data.labels[splits.own]
    label_map = tested.label_map
    released = release_only_accuracy(seen.rows, seen.pseudo_labels, label_map.fold, test, truth, label_map.mixing)
    return Accuracies(
        protected=float(np.mean(draws.predictions == truth)),
        naive=float(np.mean(naive == truth)),
        unprotected=unprotected_accuracy(
            trained.model, whole, trained.seeds, tested.released_features, tested.released_labels, test, truth
        ),
        head_only=head_only_accuracy(*own, test, truth),
        release_only=released.best,
        chance=chance(truth),
        test_records=len(truth),
    )


def boundaries(trained: Trained, seats: int = 3) -> tuple[int, ...]:
    """Blocks after which an activation would cross to the next seat, if ``seats`` held equal parts of the blocks."""
    blocks = len(trained.blocks())
    return tuple(round(blocks * seat / seats) for seat in range(1, seats))
