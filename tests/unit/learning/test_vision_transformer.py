"""The built-in vision transformer: sizes that it has a place for, and training that repeats bit for bit."""

import numpy as np
import pytest

from clicooper.commitments.manifest import ModelSpec
from clicooper.config import JobConfig
from clicooper.errors import SpecError
from clicooper.learning.model_sizes import size_blocks
from clicooper.learning.runtime import use_threads
from clicooper.learning.segments import Segment, initial_state
from clicooper.protocol.preparation.defaults import choose_shape, choose_widths
from tests.learning_jobs import SEEDS, training_spec

VIT = ModelSpec(kind="vit", input_shape=(3, 8, 8), outputs=10, widths=(12, 2, 3), cuts=())


@pytest.mark.parametrize(
    "changes",
    [{"widths": (12, 2)}, {"widths": (13, 2, 3)}, {"input_shape": (3, 8, 9)}, {"input_shape": (64,)}],
)
def test_sizes_without_a_place_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=r"vit cannot take"):
        size_blocks(VIT.model_copy(update=changes))


@pytest.mark.parametrize(("trainers", "rounds"), [(2, 1), (3, 2), (5, 40)])
def test_by_default_every_seat_has_a_block_with_room_for_its_marks(trainers: int, rounds: int) -> None:
    config = JobConfig(model="vit", trainers=trainers, rounds=rounds)
    wide, depth, heads = choose_widths(config)
    model = ModelSpec(kind="vit", input_shape=choose_shape(config), outputs=10, widths=(wide, depth, heads), cuts=())
    assert wide % heads == 0
    assert depth > trainers
    assert sum(size_blocks(model)[1].matrices) >= 128_000 * max(1, rounds // 26)


def test_it_trains_natively_and_repeats_itself() -> None:
    rng = np.random.default_rng(3)
    training = training_spec()
    x = rng.standard_normal((training.batch, 3, 8, 8)).astype(np.float32)
    labels = rng.integers(0, 10, training.batch)
    found = []
    for _ in range(2):
        segment = Segment(VIT, training, 0, initial_state(VIT, SEEDS, 0))
        with use_threads(1):
            losses = []
            for _step in range(8):
                segment.forward(x)
                losses.append(segment.loss_backward(labels)[0])
                segment.step()
        assert losses[-1] < losses[0]
        found.append([array.tobytes() for array in segment.state().values()])
    assert found[0] == found[1]
