"""Replay confirms honest work and names who deviated, where and how."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.replay import (
    Difference,
    IntervalReplay,
    compare_states,
    relative_residual,
    replay_interval,
)
from clicooper.learning.training import SeatWorker, TrainedSegment
from clicooper.learning.transcript import Crossing, Transcript
from clicooper.types import Digest
from tests.learning_jobs import SmallJob, Starts, diff_states, first_difference, small_job

CHEAT_STEP = 4
"""In the second interval (steps 3 to 5) of three."""


def replayed(job: SmallJob, trained: list[TrainedSegment], index: int, starts: Starts | None = None) -> IntervalReplay:
    kept = [seat.interval_states for seat in trained]
    states = [states[index - 1] for states in kept] if index else (starts or job.starts())
    return replay_interval(job.spec, 0, index, states, job.activations, job.pseudo_labels)


def found(job: SmallJob, trained: list[TrainedSegment]) -> Difference | None:
    """The first difference over all intervals, each from its claimed start."""
    claimed = [seat.transcript for seat in trained]
    differences = (first_difference(claimed, replayed(job, trained, index)) for index in range(3))
    return next((difference for difference in differences if difference is not None), None)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("batch", [1, 3, 5])
def test_every_interval_of_an_honest_round_is_confirmed(optimizer: str, batch: int) -> None:
    job = small_job(optimizer=optimizer, batch=batch)
    trained = job.train()
    for index in range(3):
        replay = replayed(job, trained, index)
        assert first_difference([seat.transcript for seat in trained], replay) is None
        assert replay.losses == trained[-1].losses[index * 3 : index * 3 + 3]
        assert (replay.first_step, replay.steps_count) == (index * 3, 3 if index < 2 else 1)
    for seat, (weights, moments) in zip(trained, replay.end_states, strict=True):
        assert diff_states(seat.trained, weights) == ()
        assert diff_states(seat.optimizer, moments) == ()


@pytest.mark.parametrize(
    "model",
    [
        ModelSpec(kind="cnn", input_shape=(1, 6, 6), outputs=4, widths=(3, 5), cuts=(1, 2)),
        ModelSpec(kind="resnet18", input_shape=(3, 8, 8), outputs=4, widths=(4, 4, 4, 4), cuts=(3, 6)),
    ],
)
def test_convolutions_and_batch_normalisation_replay_bitwise(model: ModelSpec) -> None:
    job = small_job(model)
    assert found(job, job.train()) is None


class SkipsStep(SeatWorker):
    def apply_step(self) -> None:
        if self.step != CHEAT_STEP:
            super().apply_step()


class AltersOutput(SeatWorker):
    def compute_output(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        honest = super().compute_output(x)
        return honest * np.float32(1.001) if self.step == CHEAT_STEP else honest


class AltersGradient(SeatWorker):
    def compute_gradient(self, grad: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        honest = super().compute_gradient(grad)
        return -honest if honest is not None and self.step == CHEAT_STEP else honest


class UsesOtherBatch(SeatWorker):
    """Computes on another batch and claims the scheduled one."""

    def compute_output(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return super().compute_output(x[::-1].copy() if self.step == CHEAT_STEP else x)


class ClaimsOtherInput(SeatWorker):
    def record(self, what: Crossing, tensor: NDArray[np.float32] | None) -> None:
        lie = what == "input" and self.step == CHEAT_STEP and tensor is not None
        super().record(what, tensor + 1 if lie and tensor is not None else tensor)


class StealsWeights(SeatWorker):
    """Adds to its weights what no step gave, at the end of an interval."""

    def apply_step(self) -> None:
        super().apply_step()
        if self.step == 5:
            state = self.segment.state()
            state = {name: array * np.float32(1.01) for name, array in state.items()}
            moments = self.segment.optimizer_state()
            spec = small_job().spec
            self.segment = type(self.segment)(spec.model, spec.training, self.segment.seat, state, moments)


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_skipped_step_is_found_at_the_next_one(seat: int) -> None:
    job = small_job()
    difference = found(job, job.train(workers={seat: SkipsStep}))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step) == ("replay", seat, CHEAT_STEP + 1)
    assert difference.field == "output"


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_skipped_step_at_an_interval_end_is_found_in_the_state(seat: int) -> None:
    job = small_job(interval=5)
    difference = None
    trained = job.train(workers={seat: SkipsStep})
    difference = first_difference([t.transcript for t in trained], replayed(job, trained, 0))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step) == ("replay", seat, CHEAT_STEP)
    assert difference.field == "state"


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_altered_output_is_found(seat: int) -> None:
    job = small_job()
    difference = found(job, job.train(workers={seat: AltersOutput}))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step) == ("replay", seat, CHEAT_STEP)
    assert difference.field == "output"


@pytest.mark.parametrize("seat", [1, 2])
def test_altered_gradient_is_found(seat: int) -> None:
    job = small_job()
    difference = found(job, job.train(workers={seat: AltersGradient}))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step) == ("replay", seat, CHEAT_STEP)
    assert difference.field == "grad_sent"


def test_other_labels_are_found_in_the_last_seat() -> None:
    job = small_job()
    labels = job.pseudo_labels.copy()
    labels[0] = (labels[0] + 1) % 4
    difference = found(job, job.train(labels=labels))
    assert difference is not None
    assert (difference.check, difference.seat, difference.field) == ("replay", 2, "grad_sent")


def test_other_batch_is_found_in_seat_zero() -> None:
    job = small_job()
    difference = found(job, job.train(workers={0: UsesOtherBatch}))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step) == ("replay", 0, CHEAT_STEP)
    assert difference.field == "output"


def test_claimed_other_batch_is_a_matter_of_coverage() -> None:
    job = small_job()
    difference = found(job, job.train(workers={0: ClaimsOtherInput}))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step) == ("coverage", 0, CHEAT_STEP)


@pytest.mark.parametrize("seat", [1, 2])
def test_claimed_other_input_is_a_matter_of_the_boundary(seat: int) -> None:
    job = small_job()
    difference = found(job, job.train(workers={seat: ClaimsOtherInput}))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step) == ("boundary", seat, CHEAT_STEP)
    assert difference.field == "input"


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_stale_state_is_found_in_the_first_step(seat: int) -> None:
    job = small_job()
    committed = [(round0.trained, round0.optimizer) for round0 in job.train()]
    stale = [job.starts()[i] if i == seat else states for i, states in enumerate(committed)]
    trained = job.train(starts=stale)
    difference = first_difference([t.transcript for t in trained], replayed(job, trained, 0, committed))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step) == ("replay", seat, 0)
    assert difference.field == "output"


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_stale_optimizer_state_is_found_after_the_first_step(seat: int) -> None:
    job = small_job()
    committed = [(round0.trained, round0.optimizer) for round0 in job.train()]
    stale = [(w, None) if i == seat else (w, o) for i, (w, o) in enumerate(committed)]
    trained = job.train(starts=stale)
    difference = first_difference([t.transcript for t in trained], replayed(job, trained, 0, committed))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step) == ("replay", seat, 1)


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_swapped_weights_at_an_interval_end_are_found(seat: int) -> None:
    job = small_job()
    difference = found(job, job.train(workers={seat: StealsWeights}))
    assert difference is not None
    assert (difference.check, difference.seat, difference.step, difference.field) == ("replay", seat, 5, "state")


@pytest.mark.parametrize("field", ["input", "output", "grad_received", "grad_sent"])
def test_any_forged_digest_is_found(field: str) -> None:
    job = small_job()
    trained = job.train()
    claimed = [seat.transcript for seat in trained]
    steps = list(claimed[1].steps)
    steps[CHEAT_STEP] = replace(steps[CHEAT_STEP], **{field: Digest(b"\1" * 32)})
    claimed[1] = Transcript(tuple(steps), 3)
    difference = first_difference(claimed, replayed(job, trained, 1))
    assert difference is not None
    assert (difference.seat, difference.step, difference.field) == (1, CHEAT_STEP, field)
    assert difference.actual == b"\1" * 32
    assert difference.expected == getattr(trained[1].transcript.steps[CHEAT_STEP], field)


def test_transcripts_that_do_not_cover_the_interval_are_refused() -> None:
    job = small_job()
    trained = job.train()
    claimed = [seat.transcript for seat in trained]
    with pytest.raises(SpecError, match="2 transcripts"):
        first_difference(claimed[:2], replayed(job, trained, 0))
    short = Transcript(claimed[0].steps[:6], 3)
    with pytest.raises(SpecError, match="ends before"):
        first_difference([short, *claimed[1:]], replayed(job, trained, 2))
    with pytest.raises(SpecError, match="interval 3"):
        replay_interval(job.spec, 0, 3, job.starts(), job.activations, job.pseudo_labels)
    with pytest.raises(SpecError, match="2 states"):
        replay_interval(job.spec, 0, 0, job.starts()[:2], job.activations, job.pseudo_labels)


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_state_that_fits_no_segment_names_its_seat(seat: int) -> None:
    job = small_job()
    kept = [trained.interval_states[0] for trained in job.train()]
    other = small_job(optimizer="adamw").train()[seat].interval_states[0]
    mixed = [other if i == seat else states for i, states in enumerate(kept)]
    with pytest.raises(SpecError, match=f"seat {seat}"):
        replay_interval(job.spec, 0, 1, mixed, job.activations, job.pseudo_labels)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_float64_replay_agrees_within_rounding_and_not_with_a_cheat(optimizer: str) -> None:
    job = small_job(optimizer=optimizer)
    kept = [seat.interval_states[0] for seat in job.train()]
    exact = replay_interval(job.spec, 0, 0, job.starts(), job.activations, job.pseudo_labels, dtype=np.float64)
    cheated = [seat.interval_states[0] for seat in job.train(labels=(job.pseudo_labels + 1) % 4)]
    for (weights, _), (lie, _), (expected, _) in zip(kept, cheated, exact.end_states, strict=True):
        assert expected["block0.linear.weight" if "block0.linear.weight" in expected else min(expected)].dtype == float
        assert 0 < compare_states(weights, expected) < 1e-5
        assert compare_states(lie, expected) > 1e-3


def state(*values: float) -> State:
    return {"w": np.array(values, dtype=np.float32), "count": np.array(7)}


def test_relative_distance_is_euclidean() -> None:
    assert compare_states(state(3, 4.5), state(3, 4)) == pytest.approx(0.1)
    assert compare_states(state(0, 0), state(0, 0)) == 0
    assert compare_states(state(1, 0), state(0, 0)) == math.inf
    for broken in (math.nan, math.inf):
        assert compare_states(state(broken), state(1)) == compare_states(state(1), state(broken)) == math.inf
        assert compare_states(state(broken), state(broken)) == math.inf
        assert np.linalg.norm(relative_residual(state(broken, 1), state(1, 1))) == math.inf
        assert np.linalg.norm(relative_residual(state(1, 1), state(broken, 1))) == math.inf
    with pytest.raises(SpecError, match="different models"):
        compare_states(state(1), state(1, 2))


def test_steering_adds_up_and_rounding_cancels() -> None:
    rng = np.random.default_rng(0)
    reference = state(*rng.normal(size=100))
    norm = float(np.linalg.norm(reference["w"]))

    def shifted(shift: NDArray[np.float64]) -> tuple[State, State]:
        moved = {"w": reference["w"].astype(np.float64) + shift * norm * 1e-5, "count": reference["count"]}
        return moved, reference

    def summed(pairs: list[tuple[State, State]]) -> float:
        return float(np.linalg.norm(sum(relative_residual(*pair) for pair in pairs)))

    directions = [v / np.linalg.norm(v) for v in rng.normal(size=(25, 100))]
    assert summed([shifted(v) for v in directions]) < 4 * 5 * 1e-5
    assert summed([shifted(directions[0])] * 25) == pytest.approx(25e-5, rel=1e-3)
    assert summed([(state(1), state(0))]) == math.inf
    assert summed([(state(0), state(0))]) == 0
