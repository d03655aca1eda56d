"""A seat's programme computes what torch's modules, gradients and optimizers do."""

import numpy as np
import pytest
import torch
from torch import nn

from clicooper.errors import NotPortable, SpecError
from clicooper.learning.models import build_segments
from clicooper.learning.programme.making import make_programmes
from clicooper.learning.programme.segment import Arithmetic
from clicooper.learning.programme.step import make_programme
from clicooper.learning.programme.trace import trace
from tests.programme_models import (
    MODELS,
    Run,
    batch_of,
    run_programmes,
    run_torch,
    segments_of,
    train_steps,
    training_of,
)

OPTIONS = {
    "plain": (training_of(), 1, 0.0),
    "micro-batches, clipped": (training_of(), 2, 0.5),
    "noisy labels, no momentum": (training_of(label_noise=0.2, label_smoothing=0.0, momentum=0.0), 1, 0.0),
    "adamw": (training_of(optimizer="adamw", learning_rate=0.01, steps=2), 1, 0.0),
}


def apart(one: Run, other: Run) -> float:
    """The largest difference of any weight, relative to the largest weight of its tensor, at least 1."""
    return max(
        float(np.abs(mine[name] - theirs[name]).max()) / max(1.0, float(np.abs(theirs[name]).max()))
        for mine, theirs in zip(one.states, other.states, strict=True)
        for name in theirs
    )


@pytest.mark.parametrize("arithmetic", ["portable/1", "native"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", MODELS)
def test_the_steps_are_those_of_torch(kind: str, options: str, arithmetic: Arithmetic) -> None:
    training, micro_batches, clip_norm = OPTIONS[options]
    found = run_programmes(MODELS[kind], training, arithmetic, micro_batches, clip_norm)
    expected = run_torch(MODELS[kind], training, micro_batches, clip_norm)
    assert [set(state) for state in found.states] == [set(state) for state in expected.states]
    assert np.allclose(found.losses, expected.losses, rtol=0, atol=2e-4)
    # Adam moves a weight whose gradient is nothing but rounding by its whole rate, either way.
    limit = 2.5 * training.learning_rate * training.steps if training.optimizer == "adamw" else 2e-3
    assert apart(found, expected) < limit


def test_micro_batches_without_batch_normalisation_change_little() -> None:
    whole, parts = (run_programmes(MODELS["mlp"], training_of(), "portable/1", count) for count in (1, 5))
    assert apart(whole, parts) < 1e-5


def test_a_weight_that_only_chooses_has_no_gradient_and_is_refused_by_name() -> None:
    class Chosen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.limit = nn.Parameter(torch.zeros(6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x > self.limit, x, -x)

    traced = trace(Chosen(), (4, 6), evaluation=False)
    with pytest.raises(NotPortable, match=r"gradient|limit"):
        make_programme(0, training_of(batch=4), traced, traced, {}, is_last=False)


def test_a_batch_falls_into_equal_micro_batches() -> None:
    with pytest.raises(SpecError, match="10 records does not fall into 3"):
        make_programmes(MODELS["mlp"], training_of(), 3)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_segment_made_of_anothers_state_continues_it_bit_for_bit(optimizer: str) -> None:
    training, model = training_of(optimizer=optimizer), MODELS["cnn"]
    programmes = make_programmes(model, training)
    through, first = segments_of(programmes, "portable/1"), segments_of(programmes, "portable/1")
    train_steps(through, model, training.batch, range(4))
    train_steps(first, model, training.batch, range(2))
    again = [
        type(one)(checked, "portable/1", one.state(), one.optimizer_state())
        for one, checked in zip(first, programmes, strict=True)
    ]
    train_steps(again, model, training.batch, range(2, 4))
    for one, other in zip(through, again, strict=True):
        for mine, theirs in ((one.state(), other.state()), (one.optimizer_state(), other.optimizer_state())):
            assert mine.keys() == theirs.keys()
            assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


def test_evaluation_is_that_of_the_module() -> None:
    import torch
    from torch import nn

    for model in MODELS.values():
        training = training_of()
        segments = segments_of(make_programmes(model, training), "portable/1")
        train_steps(segments, model, training.batch, range(2))
        x, _ = batch_of(model, training.batch, 9)
        modules = build_segments(model)
        for module, segment in zip(modules, segments, strict=True):
            state = {name: torch.tensor(array) for name, array in segment.state().items()}
            module.load_state_dict(state, strict=False)
        with torch.no_grad():
            expected = nn.Sequential(*modules).double().eval()(torch.tensor(x).double()).numpy()
        for segment in segments:
            x = segment.evaluate(x)
        assert np.allclose(x, expected, rtol=0, atol=1e-4)
