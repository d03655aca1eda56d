"""Any one change of an honest state is found by what a state may be, or by a replay from it, or changes nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clicooper.commitments.manifest import ModelSpec
from clicooper.learning.checkpoint import State, state_digest
from clicooper.learning.replay import difference_in_rows, replay_interval
from clicooper.learning.state_domain import StateDomain, StateViolation, find_violation, state_domain
from clicooper.learning.training import TrainedSegment
from tests.learning_jobs import MLP, SmallJob, small_job

MODELS = (
    MLP,
    ModelSpec(kind="cnn", input_shape=(1, 6, 6), outputs=4, widths=(3, 5), cuts=(1, 2)),
    ModelSpec(kind="resnet18", input_shape=(3, 8, 8), outputs=4, widths=(4, 4, 4, 4), cuts=(3, 6)),
)
OPTIMIZERS = ({"optimizer": "sgd"}, {"optimizer": "sgd", "momentum": 0.0}, {"optimizer": "adamw"})
STEPS = 3
"""The change is made in the state at the end of the first interval."""

JOBS = st.tuples(st.sampled_from(range(len(MODELS))), st.sampled_from(range(len(OPTIMIZERS))), st.integers(0, 2))
DTYPES = ("bool", "int8", "int32", "int64", "uint8", "float16", "float32", "float64")
NUMBERS = (-1.0, -1e-30, 0.0, 0.5, 1.0, 2.0, 4.0, 1e25, 3.4e38, float("nan"), float("inf"), -float("inf"))

States = tuple[State, State]


@cache
def trained(model: int, optimizer: int) -> tuple[SmallJob, list[TrainedSegment]]:
    job = small_job(MODELS[model], **OPTIMIZERS[optimizer])
    return job, job.train()


def honest(place: tuple[int, int, int]) -> tuple[StateDomain, States]:
    model, optimizer, seat = place
    job, segments = trained(model, optimizer)
    return state_domain(job.spec.model, job.spec.training, seat), segments[seat].interval_states[0]


def judge(domain: StateDomain, state: States) -> StateViolation | None:
    return find_violation(domain, STEPS, *state)


def put(state: States, part: int, name: str, array: NDArray[Any] | None) -> States:
    changed = {n: a for n, a in state[part].items() if n != name} | ({} if array is None else {name: array})
    return (changed, state[1]) if part == 0 else (state[0], changed)


def draw_tensor(data: st.DataObject, state: States) -> tuple[int, str]:
    return data.draw(st.sampled_from([(part, name) for part in (0, 1) for name in sorted(state[part])]))


@settings(max_examples=60)
@given(JOBS, st.data())
def test_a_tensor_more_or_less_or_of_another_dtype_or_shape_is_found(
    place: tuple[int, int, int], data: st.DataObject
) -> None:
    domain, state = honest(place)
    assert judge(domain, state) is None
    part, name = draw_tensor(data, state)
    array = state[part][name]
    kind = data.draw(st.sampled_from(["less", "more", "dtype", "shape"]))
    if kind == "less":
        changed = put(state, part, name, None)
    elif kind == "more":
        changed = put(state, part, data.draw(st.text(min_size=1, max_size=9)) + "+", array)
    elif kind == "dtype":
        changed = put(state, part, name, array.astype(data.draw(st.sampled_from(DTYPES))))
    else:
        changed = put(state, part, name, data.draw(st.sampled_from([array[None], np.append(array, array)])))
    if state_digest(*changed) != state_digest(*state):
        assert judge(domain, changed) is not None


@settings(max_examples=100)
@given(JOBS, st.data(), st.sampled_from(NUMBERS))
def test_another_number_is_found_unless_training_could_give_it(
    place: tuple[int, int, int], data: st.DataObject, number: float
) -> None:
    domain, state = honest(place)
    part, name = draw_tensor(data, state)
    array = state[part][name].copy()
    if not abs(number) < 1e18 and array.dtype.kind != "f":
        return
    flat = array.reshape(-1)
    at = data.draw(st.integers(0, flat.size - 1))
    before = flat[at]
    flat[at] = number
    found = judge(domain, put(state, part, name, array))
    is_count = name.startswith("step/") or name.endswith("num_batches_tracked")
    is_square = name.startswith("exp_avg_sq/") or name.endswith("running_var")
    impossible = not np.isfinite(number) or (is_square and flat[at] < 0) or (is_count and flat[at] != before)
    assert (found is not None) == impossible
    if found is not None:
        assert found.tensor == name
        assert found.expected
        assert found.actual


@settings(max_examples=40, deadline=None)
@given(JOBS, st.data(), st.sampled_from((-1.0, 0.5, 1e12, 1e25, 3.4e38)))
def test_a_state_inside_that_nobody_trained_convicts_its_seat_or_gives_the_same_numbers(
    place: tuple[int, int, int], data: st.DataObject, number: float
) -> None:
    """The seat commits to the changed state, and to the honest work after it; no other seat is ever named."""
    domain, state = honest(place)
    part, name = draw_tensor(data, state)
    array = state[part][name].copy()
    array.reshape(-1)[data.draw(st.integers(0, array.size - 1))] = number if array.dtype.kind == "f" else 7
    changed = put(state, part, name, array)
    if judge(domain, changed) is not None:
        return
    model, optimizer, seat = place
    job, segments = trained(model, optimizer)
    starts = [changed if other == seat else one.interval_states[0] for other, one in enumerate(segments)]
    replayed = replay_interval(job.spec, 0, 1, starts, job.activations, job.pseudo_labels)
    found = difference_in_rows([one.transcript.steps[3:6] for one in segments], replayed)
    assert found is None or found.seats == (seat,)
