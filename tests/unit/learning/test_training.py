"""The round's loop: split equals whole, and interrupted equals uninterrupted."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from clicooper.errors import SpecError
from clicooper.learning.checkpoint import state_digest
from clicooper.learning.replay import compare_states
from clicooper.learning.runtime import runtime_class, use_threads
from clicooper.learning.schedule import batch_rows, round_batches
from clicooper.learning.segments import Segment, initial_state
from clicooper.learning.training import SeatWorker, train_round
from clicooper.types import ZERO_DIGEST
from tests.learning_jobs import MLP, diff_states, small_job


def test_same_seeds_give_the_same_digests() -> None:
    first, second = small_job().train(), small_job().train()
    assert [t.transcript for t in first] == [t.transcript for t in second]
    assert [t.transcript.root for t in first] != [t.transcript.root for t in small_job().train(round_=1)]


def test_split_training_equals_training_in_one_piece() -> None:
    job = small_job()
    spec = job.spec
    whole = MLP.model_copy(update={"cuts": ()})
    segment = Segment(whole, spec.training, 0, initial_state(whole, spec.seeds, 0))
    rows = batch_rows(spec.seeds, 0, job.pseudo_labels.size, spec.training)
    losses = []
    for step, batch in round_batches(job.activations, rows, spec.seeds, 0, spec.training):
        segment.forward(batch)
        losses.append(segment.loss_backward(job.pseudo_labels[rows[step]])[0])
        segment.step()
    split: dict[str, np.ndarray] = {}
    trained = job.train()
    for seat in trained:
        split |= seat.trained
    assert compare_states(split, segment.state()) < 1e-6
    assert np.allclose(trained[-1].losses, losses, rtol=1e-5)


def test_neighbours_record_the_same_crossings() -> None:
    below, middle, above = (t.transcript for t in small_job().train())
    for step in range(7):
        assert below.steps[step].output == middle.steps[step].input
        assert middle.steps[step].output == above.steps[step].input
        assert above.steps[step].grad_sent == middle.steps[step].grad_received
        assert middle.steps[step].grad_sent == below.steps[step].grad_received
        assert below.steps[step].grad_sent == above.steps[step].grad_received == ZERO_DIGEST
    assert below.boundary().output == middle.boundary().input
    assert above.boundary().grad_received == ZERO_DIGEST


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("interval", [1, 3, 7, 10])
def test_states_are_recorded_and_kept_at_interval_ends(optimizer: str, interval: int) -> None:
    for seat in small_job(interval=interval, optimizer=optimizer).train():
        kept = [*seat.interval_states, (seat.trained, seat.optimizer)]
        assert len(kept) == -(-7 // interval)
        for index, (weights, moments) in enumerate(kept):
            assert seat.transcript.state_after(index) == state_digest(weights, moments)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stop", [1, 2])
def test_resume_after_any_interval_is_bitwise_equal(optimizer: str, stop: int) -> None:
    job = small_job(optimizer=optimizer)
    spec, through = job.spec, job.train()
    states = [seat.interval_states[stop - 1] for seat in through]
    workers = [SeatWorker(spec.model, spec.training, spec.replay, i, *state) for i, state in enumerate(states)]
    rows = batch_rows(spec.seeds, 0, job.pseudo_labels.size, spec.training)
    workers[-1].receive_labels(job.pseudo_labels[rows])
    train_round(workers, round_batches(job.activations, rows, spec.seeds, 0, spec.training, first=stop * 3))
    for worker, seat in zip(workers, through, strict=True):
        assert worker.recorder.steps == seat.transcript.steps[stop * 3 :]
        assert diff_states(seat.trained, worker.segment.state()) == ()


def test_metrics_are_means_of_the_losses() -> None:
    trained = small_job().train()
    last = trained[-1]
    assert last.metrics["loss"] == pytest.approx(np.mean(last.losses))
    assert last.metrics["final_loss"] == last.losses[-1]
    assert [set(seat.metrics) for seat in trained[:-1]] == [{"weight_norm"}] * 2
    assert trained[0].losses == ()


def test_training_learns() -> None:
    job = small_job(steps=200, batch=17, input_noise=0.0, input_scale=1.0, label_smoothing=0.0)
    assert job.train()[-1].metrics["final_loss"] < 0.1


def test_labels_go_to_the_last_seat_only() -> None:
    spec = small_job().spec
    workers = [
        SeatWorker(spec.model, spec.training, spec.replay, seat, *state)
        for seat, state in enumerate(small_job().starts())
    ]
    with pytest.raises(SpecError, match="seat 0"):
        workers[0].receive_labels(np.zeros((7, 5), np.int64))
    with pytest.raises(SpecError, match="6 steps"):
        workers[2].receive_labels(np.zeros((6, 5), np.int64))
    with pytest.raises(SpecError, match="nothing to go back from"):
        train_round(workers, [(0, np.zeros((5, 6), np.float32))])
    with pytest.raises(SpecError, match="0 of 7 steps"):
        workers[0].finish()


def test_thread_settings_are_restored_even_after_an_error() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with pytest.raises(SpecError, match="inside"), use_threads(1):
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
        raise SpecError("inside")
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    with pytest.raises(SpecError, match="0 threads"), use_threads(0):
        pass


def test_runtime_class_names_what_changes_results() -> None:
    name = runtime_class()
    assert name.startswith("torch-") and f"numpy-{np.__version__}" in name and "threads=1" in name
    assert runtime_class(2) != name
    assert re.search(r" bits=[0-9a-f]{16}$", name)


def test_runtime_class_is_the_same_in_another_process() -> None:
    code = "import torch; torch.rand(7); from clicooper.learning.runtime import runtime_class as r; print(r())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == runtime_class()
