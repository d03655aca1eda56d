"""What a run does beside computing: it stops at numbers that are not finite, and holds itself to whole numbers."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from clicooper.errors import ArithmeticFault, Cause, DataError, SpecError
from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.watch import Watch
from clicooper.learning.programme.execution import Step, constants_on
from clicooper.learning.programme.making import make_programmes
from clicooper.learning.programme.segment import ProgrammedSegment, first_weights
from clicooper.learning.segments import TrainingDiverged
from tests.programme_models import MODELS, SEEDS, batch_of, segments_of, train_steps, training_of

MODEL, TRAINING = MODELS["mlp"], training_of()
CHECKED = make_programmes(MODEL, TRAINING)


def state_of(seat: int) -> list[Tensor]:
    weights = [torch.tensor(array) for array in first_weights(CHECKED[seat], SEEDS).values()]
    moments = [torch.zeros(tensor.shape) for tensor in CHECKED[seat].programme.moments]
    return [*weights, *moments, *constants_on(CHECKED[seat], torch.device("cpu"))]


def test_a_machine_that_multiplies_wrongly_stops_and_accuses_nobody() -> None:
    def wrong(watch: Watch, a: Tensor, b: Tensor) -> Tensor:
        found = PORTABLE["matmul"](watch, a, b)
        assert isinstance(found, Tensor)
        return found.nextafter(torch.full_like(found, torch.inf))

    place = next(at for at, one in enumerate(CHECKED[0].programme.training) if one.operation == "matmul")
    x, _ = batch_of(MODEL, TRAINING.batch, 0)
    Step(CHECKED[0], PORTABLE, state_of(0), Watch(), place).forward(torch.tensor(x))
    with pytest.raises(ArithmeticFault, match="computed matmul otherwise") as caught:
        Step(CHECKED[0], {**PORTABLE, "matmul": wrong}, state_of(0), Watch(), place).forward(torch.tensor(x))
    assert caught.value.cause is Cause.MACHINE


def test_a_zero_is_recorded_without_its_sign() -> None:
    segment = segments_of(CHECKED, "portable/1")[0]
    x = np.full((TRAINING.batch, *MODEL.input_shape), -1e-45, dtype=np.float32)
    assert not np.signbit(segment.forward(x)).any()


def test_a_number_that_is_not_finite_stops_the_step() -> None:
    segments = segments_of(CHECKED, "portable/1")
    x, labels = batch_of(MODEL, TRAINING.batch, 0)
    x[0, 0] = np.inf
    output = segments[0].forward(x)
    segments[1].forward(np.nan_to_num(output, posinf=0, neginf=0))
    _, gradient = segments[1].loss_backward(labels)
    assert gradient is not None
    segments[0].backward(gradient)
    with pytest.raises(TrainingDiverged):
        segments[0].step()
    segments[1].step()


def test_the_parts_of_a_step_come_in_their_order() -> None:
    first, last = segments_of(CHECKED, "portable/1")
    x, labels = batch_of(MODEL, TRAINING.batch, 0)
    with pytest.raises(DataError, match="no forward pass"):
        last.loss_backward(labels)
    output = first.forward(x)
    with pytest.raises(DataError, match="gradients to step with"):
        first.step()
    with pytest.raises(DataError, match="got a gradient"):
        first.backward(output[:2])
    with pytest.raises(DataError, match="cannot take a batch"):
        last.forward(output[:3])
    last.forward(output)
    for wrong in (labels[:3], labels + 5, labels - 9):
        with pytest.raises(DataError, match="labels do not fit"):
            last.loss_backward(wrong)


def test_a_state_of_other_tensors_is_refused() -> None:
    state = first_weights(CHECKED[0], SEEDS)
    name = next(iter(state))
    wide = {**state, name: state[name].astype(np.float64)}
    whole = {**state, name: state[name].astype(np.int64)}
    for wrong in ({}, wide, whole, {**state, "extra": state[name]}, {**state, name: state[name][..., :1]}):
        with pytest.raises(SpecError, match="does not fit its segment"):
            ProgrammedSegment(CHECKED[0], "portable/1", wrong)


def test_threads_change_nothing() -> None:
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            segments = segments_of(make_programmes(MODELS["cnn"], TRAINING), "portable/1")
            train_steps(segments, MODELS["cnn"], TRAINING.batch, range(2))
            found.append([array.tobytes() for one in segments for array in one.state().values()])
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_first_weights_do_not_depend_on_the_cuts() -> None:
    whole = MODELS["cnn"].model_copy(update={"cuts": ()})
    (alone,) = make_programmes(whole, TRAINING)
    expected = first_weights(alone, SEEDS)
    parts = [first_weights(checked, SEEDS) for checked in make_programmes(MODELS["cnn"], TRAINING)]
    assert {name for part in parts for name in part} == set(expected)
    assert all((expected[name] == array).all() for part in parts for name, array in part.items())
    other = SEEDS.model_copy(update={"weights": 9})
    assert any((array != expected[name]).any() for name, array in first_weights(alone, other).items())


def test_a_checked_programme_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CHECKED[0].work = 1  # type: ignore[misc]
