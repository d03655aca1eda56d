"""The model that honest trainers make of a release, and what it is worth beside its controls.

Job: train as a job does (same schedule, same loop, labels shard by shard), read the result out as the owner would, and
measure every control of protocol section 5. Non-jobs: marks, commitments and transcripts, which change no accuracy that
could be seen here (their cost is measured with the marks).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clicooper.attacks.evaluation_inputs import make_master
from clicooper.attacks.release_under_test import ReleaseUnderTest
from clicooper.commitments.manifest import ModelSpec, SeedSpec, TrainingSpec
from clicooper.learning.checkpoint import State
from clicooper.learning.controls import read_accuracy, train_alone
from clicooper.learning.models import build_segment
from clicooper.learning.readout import Readout
from clicooper.learning.schedule import batch_rows
from clicooper.learning.segments import Segment, initial_state
from clicooper.privacy.labels import deal_shards
from clicooper.privacy.randomness import bind
from clicooper.protocol.evaluation import Accuracies, add_controls
from clicooper.protocol.preparation.specification import make_model, make_seeds, make_training

__all__ = ["Trained", "list_boundaries", "measure_trained", "train_on_release"]

DRAWS = 128
"""Noise draws of a readout: enough for multilayer perceptrons (protocol, section 5)."""


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


def train_on_release(tested: ReleaseUnderTest) -> Trained:
    """Trains the job's model in one piece on the release, in round r on the labels of shards 0 to r."""
    config, release, label_map = tested.config, tested.release, tested.label_map
    seeds = make_seeds(config)
    model = make_model(config, label_map)
    training = make_training(config, release.sigma, label_map.mixing)
    context = bind("clicooper.evaluation.shards", bytes(label_map.digest))
    shards = deal_shards(release.pseudo_labels, config.rounds, secret=make_master(config), context=context)
    order = np.concatenate(shards)
    rows, labels = release.activations[order], release.pseudo_labels[order]
    start = initial_state(model, seeds, 0)
    segment = Segment(model, training, 0, start)
    for round_ in range(config.rounds):
        known = sum(len(shard) for shard in shards[: round_ + 1])
        train_alone([segment], rows, labels, batch_rows(seeds, round_, known, training), seeds, round_, training)
    return Trained(model, training, seeds, segment.state(), start)


def measure_trained(tested: ReleaseUnderTest, trained: Trained) -> Accuracies:
    """Accuracy of the trained model beside every control."""
    inputs, test = tested.inputs, tested.splits.test
    readout = trained.readout(tested.label_map.fold)
    clean, truth = inputs.features[test], tested.dataset.labels[test]
    read = read_accuracy(readout, clean, truth, tested.release.sigma, tested.seed, DRAWS)
    whole = trained.training.model_copy(update={"steps": trained.training.steps * tested.config.rounds})
    return add_controls(read, inputs, tested.release, tested.label_map, trained.model, whole, trained.seeds)


def list_boundaries(trained: Trained, seats: int = 3) -> tuple[int, ...]:
    """Blocks after which an activation would cross to the next seat, if ``seats`` held equal parts of the blocks."""
    blocks = len(trained.blocks())
    return tuple(round(blocks * seat / seats) for seat in range(1, seats))
