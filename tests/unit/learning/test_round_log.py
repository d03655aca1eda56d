"""Rounds that are hashed and written while they go on, and rounds that were interrupted."""

import gc
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clicooper.commitments.canonical import sha256
from clicooper.errors import SpecError, StorageError
from clicooper.learning.checkpoint import state_digest
from clicooper.learning.recorder import LAG_STEPS, Recorder
from clicooper.learning.round_log import DiskRoundLog, MemoryRoundLog, RoundLog
from clicooper.learning.schedule import batch_rows, round_batches
from clicooper.learning.training import SeatWorker, TrainedSegment, train_round
from clicooper.learning.transcript import StepDigests
from clicooper.types import ZERO_DIGEST, Digest
from tests.learning_jobs import MLP, SmallJob, diff_states, small_job

WORK, OTHER_WORK = sha256(b"work"), sha256(b"other work")
LARGE = MLP.model_copy(update={"widths": (96, 96, 96)})
"""Its states are large enough to be handed to the recorder's thread."""


def row(step: int, state: Digest = ZERO_DIGEST) -> StepDigests:
    return StepDigests(*[sha256(b"%d %d" % (step, part)) for part in range(4)], state)


def weights(value: float) -> dict[str, np.ndarray]:
    return {"block0.weight": np.full((3, 2), value, np.float32)}


@pytest.fixture(params=["memory", "disk"])
def make_round_log(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], RoundLog]:
    """Every test that takes it is part of the conformance suite of ``RoundLog``."""
    return MemoryRoundLog if request.param == "memory" else lambda: DiskRoundLog(tmp_path / "round-log", WORK)


def filled(round_log: RoundLog, intervals: int = 3) -> RoundLog:
    """Intervals of two steps with a state each."""
    for index in range(intervals):
        round_log.add_step(row(2 * index), 0.5 + index)
        round_log.add_step(row(2 * index + 1, state_digest(weights(index), {})), None)
        round_log.add_state(index, weights(index), {})
    return round_log


def test_round_log_gives_back_what_it_was_given(make_round_log: Callable[[], RoundLog]) -> None:
    round_log = filled(make_round_log())
    assert round_log.steps[:2] == (row(0), row(1, state_digest(weights(0), {})))
    assert round_log.losses == (0.5, 1.5, 2.5)
    assert len(round_log.states) == 3
    assert [diff_states(weights(i), state[0]) for i, state in enumerate(round_log.states)] == [()] * 3
    assert round_log.states[-1][1] == {}
    assert [float(state[0]["block0.weight"][0, 0]) for state in round_log.states[1:]] == [1.0, 2.0]


def test_cut_round_log_forgets_what_follows(make_round_log: Callable[[], RoundLog]) -> None:
    round_log = filled(make_round_log())
    assert round_log.whole_intervals(2) == 3
    round_log.cut(1, 2)
    assert (len(round_log.steps), round_log.losses, len(round_log.states), round_log.whole_intervals(2)) == (
        2,
        (0.5,),
        1,
        1,
    )
    round_log.cut(0, 2)
    assert (round_log.steps, round_log.losses, len(round_log.states), round_log.whole_intervals(2)) == ((), (), 0, 0)


def test_round_log_on_disk_is_its_users_alone(tmp_path: Path) -> None:
    folder = tmp_path / "round-log" / "round-0"
    filled(DiskRoundLog(folder, WORK))
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}


def test_round_log_of_another_work_is_discarded(tmp_path: Path) -> None:
    filled(DiskRoundLog(tmp_path, WORK))
    assert len(DiskRoundLog(tmp_path, WORK).steps) == 6
    other = DiskRoundLog(tmp_path, OTHER_WORK)
    assert (other.steps, len(other.states)) == ((), 0)


@pytest.mark.parametrize("torn", [1, 100, 167])
def test_torn_last_row_is_dropped(torn: int, tmp_path: Path) -> None:
    filled(DiskRoundLog(tmp_path, WORK))
    rows = tmp_path / "steps"
    os.truncate(rows, rows.stat().st_size - torn)
    again = DiskRoundLog(tmp_path, WORK)
    assert len(again.steps) == 5
    assert again.whole_intervals(2) == 2, "the last state's row is gone"


def test_damaged_state_is_never_gone_on_from(tmp_path: Path) -> None:
    round_log = filled(DiskRoundLog(tmp_path, WORK))
    (tmp_path / "state-2-weights").write_bytes(b"damaged")
    assert round_log.whole_intervals(2) == 2
    (tmp_path / "state-1-weights").write_bytes((tmp_path / "state-0-weights").read_bytes())
    assert round_log.whole_intervals(2) == 1, "another state under its name"
    (tmp_path / "state-0-optimizer").unlink()
    assert round_log.whole_intervals(2) == 0


def test_unusable_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot read the round log"):
        DiskRoundLog(tmp_path / "file" / "round-log", WORK)


class SlowRoundLog(MemoryRoundLog):
    """Takes a row only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let, self.threads = threading.Event(), set[int]()

    def add_step(self, row: StepDigests, loss: float | None) -> None:
        assert self.let.wait(60)
        self.threads.add(threading.get_ident())
        super().add_step(row, loss)


LARGE_TENSOR = np.ones((200, 100), np.float32)


def test_hashing_does_not_stall_the_step_until_too_many_wait() -> None:
    round_log = SlowRoundLog()
    recorder = Recorder(round_log)
    for _ in range(LAG_STEPS):
        recorder.note("input", LARGE_TENSOR)
        recorder.close_step()
    assert round_log.threads == set(), "the steps went on while none was taken"
    recorder.note("input", LARGE_TENSOR)
    closing = threading.Thread(target=recorder.close_step)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive(), "one step too many waits"
    round_log.let.set()
    closing.join(60)
    assert len(recorder.steps) == LAG_STEPS + 1
    assert threading.get_ident() not in round_log.threads


def test_tensor_changed_before_it_is_hashed_keeps_its_digest() -> None:
    round_log, recorder = SlowRoundLog(), Recorder()
    slow, x = Recorder(round_log), LARGE_TENSOR.copy()
    for one in (recorder, slow):
        one.note("output", x)
        one.close_step()
    x[:] = 0
    round_log.let.set()
    assert slow.steps == recorder.steps


def test_tensor_that_cannot_be_hashed_is_refused_in_the_end() -> None:
    recorder = Recorder()
    recorder.note("input", np.ones((200, 100), np.complex128))
    recorder.close_step()
    with pytest.raises(SpecError, match="complex128"):
        _ = recorder.steps


def test_recorders_thread_ends_with_it() -> None:
    recorder, before = Recorder(), set(threading.enumerate())
    recorder.note("input", LARGE_TENSOR)
    recorder.close_step()
    assert len(recorder.steps) == 1
    (thread,) = set(threading.enumerate()) - before
    del recorder
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def workers(job: SmallJob, folder: Path) -> list[SeatWorker]:
    spec = job.spec
    return [
        SeatWorker(spec.model, spec.training, spec.replay, seat, *state, DiskRoundLog(folder / str(seat), WORK))
        for seat, state in enumerate(job.starts())
    ]


def go_on(job: SmallJob, folder: Path, stop: Callable[[int], object] = id) -> list[TrainedSegment]:
    """A round from wherever its round logs stand; ``stop`` is called before each step."""
    spec, parties = job.spec, workers(job, folder)
    rows = batch_rows(spec.seeds, 0, job.pseudo_labels.size, spec.training)
    parties[-1].receive_labels(job.pseudo_labels[rows])
    whole = min(party.whole_intervals for party in parties)
    first = max(party.resume(whole) for party in parties)
    batches = round_batches(job.activations, rows, spec.seeds, 0, spec.training, first=first)
    train_round(parties, _watched(batches, stop))
    return [party.finish() for party in parties]


def _watched(batches: Iterator[tuple[int, Any]], stop: Callable[[int], object]) -> Iterator[tuple[int, Any]]:
    for step, batch in batches:
        stop(step)
        yield step, batch


def assert_same(found: list[TrainedSegment], expected: list[TrainedSegment]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.transcript == other.transcript
        assert (one.losses, one.metrics) == (other.losses, other.metrics)
        assert len(one.interval_states) == len(other.interval_states)
        pairs = [*zip(one.interval_states, other.interval_states, strict=True)]
        pairs.append(((one.trained, one.optimizer), (other.trained, other.optimizer)))
        assert all(diff_states(a, b) == () for mine, theirs in pairs for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_logged_round_is_bitwise_the_one_in_memory(optimizer: str, tmp_path: Path) -> None:
    job = small_job(LARGE, optimizer=optimizer)
    assert_same(go_on(job, tmp_path), job.train())


class Interrupted(Exception):
    """What stops a round in its midst."""


@pytest.mark.parametrize("stop_at", [1, 2, 3, 5, 6])
def test_interrupted_round_goes_on_bitwise_from_its_last_whole_interval(stop_at: int, tmp_path: Path) -> None:
    job, trained = small_job(LARGE, interval=2), []

    def stop(step: int) -> None:
        if step == stop_at:
            raise Interrupted

    with pytest.raises(Interrupted):
        go_on(job, tmp_path, stop)
    assert_same(go_on(job, tmp_path, trained.append), job.train())
    assert trained[0] <= max(0, stop_at // 2 * 2), "no step is skipped"
    assert trained[0] >= stop_at // 2 * 2 - 2 * LAG_STEPS, "only what was under way is done again"


def test_trainer_killed_in_mid_round_goes_on_bitwise(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.learning_jobs import small_job\n"
        "from tests.unit.learning.test_round_log import LARGE, go_on\n"
        "def stop(step):\n"
        "    if step == 5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "go_on(small_job(LARGE, interval=2), Path(sys.argv[1]), stop)\n"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=False)
    assert killed.returncode == -9
    job, trained = small_job(LARGE, interval=2), []
    assert workers(job, tmp_path)[0].whole_intervals >= 1
    assert_same(go_on(job, tmp_path, trained.append), job.train())
    assert trained[0] in (2, 4)
