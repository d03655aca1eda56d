"""What a committed state may be: all that honest training gives, and nothing that no training gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

from clicooper.commitments.manifest import ModelSpec
from clicooper.learning.checkpoint import State, state_bytes
from clicooper.learning.models import build_segment
from clicooper.learning.state_domain import (
    MOST_COUNTED,
    StateViolation,
    find_violation,
    find_weights_violation,
    state_domain,
    state_size_limit,
)
from tests.learning_jobs import MLP, SmallJob, own_model, small_job

CNN = ModelSpec(kind="cnn", input_shape=(1, 6, 6), outputs=4, widths=(3, 5), cuts=(1, 2))
RESNET = ModelSpec(kind="resnet18", input_shape=(3, 8, 8), outputs=4, widths=(4, 4, 4, 4), cuts=(3, 6))
OWN = own_model("normalised_blocks", 1)
SPARE = own_model("spare_blocks", 1)

OPTIMIZERS = ({"optimizer": "sgd"}, {"optimizer": "sgd", "momentum": 0.0}, {"optimizer": "adamw"})


def judge(job: SmallJob, seat: int, steps: int, weights: State, moments: State | None) -> StateViolation | None:
    return find_violation(state_domain(job.spec.model, job.spec.training, seat), steps, weights, moments)


@pytest.mark.parametrize("model", [MLP, CNN, RESNET, OWN, SPARE], ids=lambda model: model.kind)
@pytest.mark.parametrize("changes", OPTIMIZERS, ids=str)
def test_every_state_of_honest_training_is_inside_over_rounds(model: ModelSpec, changes: dict[str, Any]) -> None:
    job = small_job(model, **changes)
    starts = job.starts()
    for seat, (weights, moments) in enumerate(starts):
        assert judge(job, seat, 0, weights, moments) is None
    for round_ in range(2):
        trained = job.train(round_, starts)
        starts = [(one.trained, one.optimizer) for one in trained]
        for seat, one in enumerate(trained):
            ends = [*one.interval_states, (one.trained, one.optimizer)]
            for steps, (weights, moments) in zip((3, 6, 7), ends, strict=True):
                assert judge(job, seat, 7 * round_ + steps, weights, moments) is None


@pytest.mark.parametrize("model", [MLP, CNN, RESNET, OWN], ids=lambda model: model.kind)
@pytest.mark.parametrize("changes", OPTIMIZERS, ids=str)
def test_size_limit_holds_honest_files_and_little_more(model: ModelSpec, changes: dict[str, Any]) -> None:
    job = small_job(model, **changes)
    for seat, one in enumerate(job.train()):
        domain = state_domain(job.spec.model, job.spec.training, seat)
        for forms, state in ((domain.weights, one.trained), (domain.moments, one.optimizer)):
            size, limit = len(state_bytes(state)), state_size_limit(forms)
            assert size <= limit <= size + 64 + 160 * len(forms)


def test_expected_shapes_take_no_memory_for_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = ModelSpec(kind="mlp", input_shape=(1 << 12,), outputs=4, widths=(1 << 13, 8), cuts=(1, 2))
    made: list[str] = []

    def build(spec: ModelSpec, seat: int) -> nn.Module:
        segment = build_segment(spec, seat)
        made.extend(weight.device.type for weight in segment.parameters())
        return segment

    monkeypatch.setattr("clicooper.learning.state_domain.build_segment", build)
    domain = state_domain(wide, small_job().spec.training, 0)
    assert set(made) == {"meta"}
    assert domain.weights["block0.linear.weight"].shape == (1 << 13, 1 << 12)
    assert 1 << 27 < state_size_limit(domain.weights) < 1 << 28


def changed(state: State, name: str, array: np.ndarray[Any, Any] | None) -> State:
    others = {other: kept for other, kept in state.items() if other != name}
    return others if array is None else others | {name: array}


WEIGHT = "block0.linear.weight"
BIAS = "block0.linear.bias"


@pytest.mark.parametrize(
    ("name", "array", "expected", "actual"),
    [
        (WEIGHT, np.ones((9, 6), np.float64), "float32[9, 6]", "float64[9, 6]"),
        (WEIGHT, np.ones((9, 6), np.int32), "float32[9, 6]", "int32[9, 6]"),
        (WEIGHT, np.ones((6, 9), np.float32), "float32[9, 6]", "float32[6, 9]"),
        (WEIGHT, None, "float32[9, 6]", "absent"),
        (WEIGHT, np.full((9, 6), np.inf, np.float32), "finite numbers", "not finite in 54 of 54 numbers"),
        ("another", np.ones(2, np.float32), "absent", "float32[2]"),
        ("\x1b[31m" + "x" * 200, np.ones(2, np.float32), "absent", "float32[2]"),
    ],
)
def test_weights_that_no_training_gives_are_named(
    name: str, array: np.ndarray[Any, Any] | None, expected: str, actual: str
) -> None:
    job = small_job()
    one = job.train()[0]
    weights = changed(one.trained, name, array)
    found = judge(job, 0, 7, weights, one.optimizer)
    assert found == find_weights_violation(state_domain(MLP, job.spec.training, 0), 7, weights)
    assert found is not None
    assert (found.expected, found.actual) == (expected, actual)
    assert found.tensor.isprintable()
    assert len(found.tensor) <= 120


@pytest.mark.parametrize(
    ("moment", "array", "expected", "actual"),
    [
        ("step", np.float32(-1), "7", "-1.0"),
        ("step", np.float32(8), "7", "8.0"),
        ("step", np.float32(6.5), "7", "6.5"),
        ("step", np.float32(0), "7", "0.0"),
        ("step", np.int64(7), "float32[]", "int64[]"),
        ("step", np.full(1, 7, np.float32), "float32[]", "float32[1]"),
        ("step", None, "float32[]", "absent"),
        ("exp_avg", np.zeros(9, np.int64), "float32[9]", "int64[9]"),
        ("exp_avg", None, "float32[9]", "absent"),
        ("exp_avg_sq", np.full(9, -0.25, np.float32), "finite numbers of 0 or more", "-0.25 in its least number"),
        ("momentum_buffer", np.zeros(9, np.float32), "absent", "float32[9]"),
    ],
)
def test_impossible_moments_are_named(
    moment: str, array: np.ndarray[Any, Any] | None, expected: str, actual: str
) -> None:
    job = small_job(optimizer="adamw")
    one = job.train()[0]
    name = f"{moment}/{BIAS}"
    given = None if array is None else np.asarray(array)
    found = judge(job, 0, 7, one.trained, changed(one.optimizer, name, given))
    assert found == StateViolation(name, expected, actual)


@pytest.mark.parametrize("changes", OPTIMIZERS, ids=str)
def test_moments_of_another_optimizer_or_of_none_are_outside(changes: dict[str, Any]) -> None:
    job = small_job(**changes)
    one = job.train()[0]
    for other in OPTIMIZERS:
        moments = small_job(**other).train()[0].optimizer
        found = judge(job, 0, 7, one.trained, moments)
        assert (found is None) == (moments.keys() == one.optimizer.keys())
    assert (judge(job, 0, 0, one.trained, one.optimizer) is None) == (not one.optimizer), "before the first step"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("block0.norm.running_var", -1e-3, "finite numbers of 0 or more"),
        ("block0.norm.num_batches_tracked", 6, "7"),
        ("block0.norm.num_batches_tracked", -1, "7"),
    ],
)
def test_impossible_normalisation_is_named(name: str, value: float, expected: str) -> None:
    job = small_job(RESNET)
    one = job.train()[0]
    found = judge(job, 0, 7, changed(one.trained, name, np.full_like(one.trained[name], value)), one.optimizer)
    assert found is not None
    assert (found.tensor, found.expected) == (name, expected)


def test_a_custom_model_may_pass_over_a_parameter_and_is_limited_all_the_same() -> None:
    job = small_job(SPARE, optimizer="adamw")
    one = job.train()[0]
    assert not any("spare" in name for name in one.optimizer)
    for name in (name for name in one.optimizer if name.startswith("step/")):
        for value, is_inside in ((7, True), (5, True), (0, False), (8, False), (-1, False), (2.5, False)):
            moments = changed(one.optimizer, name, np.asarray(np.float32(value)))
            assert (judge(job, 0, 7, one.trained, moments) is None) is is_inside


def test_steps_are_counted_as_far_as_float32_can() -> None:
    job = small_job(optimizer="adamw")
    one = job.train()[0]
    counted = np.float32(MOST_COUNTED)
    assert counted + np.float32(1) == counted
    moments = {name: np.asarray(counted) if "step/" in name else array for name, array in one.optimizer.items()}
    assert judge(job, 0, MOST_COUNTED + 5, one.trained, moments) is None
    assert judge(job, 0, MOST_COUNTED - 1, one.trained, moments) is not None
