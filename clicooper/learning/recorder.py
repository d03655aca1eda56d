"""Takes a transcript while training goes on: hashing must not stall the step.

``note`` copies a tensor before it returns, so that nothing which happens to it later can change its digest. A step's
copies are hashed on a thread of the recorder's own, which runs while the next step trains (hashing releases Python's
lock), and its row goes to the round log. At most ``LAG_STEPS`` closed steps wait: hashing that cannot keep up slows
training down instead of filling memory. What is too small to be worth a hand-over is hashed at once. The rows are the
same either way.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.commitments.canonical import tensor_digest
from clicooper.commitments.manifest import BoundaryDigests
from clicooper.learning.checkpoint import State, state_digest
from clicooper.learning.round_log import MemoryRoundLog, RoundLog
from clicooper.learning.transcript import Crossing, RunningBoundary, StepDigests
from clicooper.types import ZERO_DIGEST, Digest

__all__ = ["LAG_STEPS", "Recorder"]

LAG_STEPS = 2

INLINE_BYTES = 1 << 15
"""Below this, handing a step over costs more than hashing it."""


class Recorder:
    """Takes digests of what crosses one seat's boundaries, and of its states, in order, into a round log.

    Raises (``close_step``, ``run`` and what reads):
        SpecError: a tensor without a canonical form, or a state that is not finite.
        StorageError: the round log cannot be written. Either may come up to ``LAG_STEPS`` steps late, but it comes.
    """

    def __init__(self, round_log: RoundLog | None = None) -> None:
        self._round_log: RoundLog = MemoryRoundLog() if round_log is None else round_log
        # The thread starts with the first step that is handed over, and ends with this object.
        self._thread = ThreadPoolExecutor(1, "clicooper-recorder")
        self._waiting: deque[Future[None]] = deque()
        self._running = RunningBoundary()
        self._open: dict[Crossing, NDArray[Any]] = {}
        self._state: tuple[State, State] | None = None

    def note(self, what: Crossing, tensor: NDArray[Any] | None) -> None:
        """Records one crossing of the current step; None is recorded as nothing."""
        self._open.pop(what, None)
        if tensor is not None:
            self._open[what] = np.array(tensor, order="C")

    def note_state(self, weights: State, optimizer: State) -> None:
        """Records the state after the current step. The arrays are the recorder's: nobody changes them any more."""
        self._state = weights, optimizer

    def close_step(self, state: Digest = ZERO_DIGEST, loss: float | None = None) -> None:
        """Ends the current step; what was not noted did not cross.

        Args:
            state: the state's digest, where its arrays were not noted.
            loss: training loss in nats, for the round log.
        """
        crossed, snapshot = self._open, self._state
        self._open, self._state = {}, None
        arrays = [*crossed.values(), *(array for part in snapshot or () for array in part.values())]

        def settle() -> None:
            row = _row(crossed, state if snapshot is None else state_digest(*snapshot))
            self._round_log.add_step(row, loss)
            self._running.add(row)

        self.run(settle, sum(array.nbytes for array in arrays))

    def run(self, work: Callable[[], None], size_bytes: int) -> None:
        """Does a piece of work on that many bytes after everything before it, while training goes on."""
        if not self._waiting and size_bytes < INLINE_BYTES:
            work()
            return
        self._waiting.append(self._thread.submit(work))
        self._wait(LAG_STEPS)

    @property
    def steps(self) -> tuple[StepDigests, ...]:
        """The steps closed so far."""
        self._wait(0)
        return self._round_log.steps

    def boundary(self) -> BoundaryDigests:
        """Running digests over the steps closed so far: what neighbours sign every interval."""
        self._wait(0)
        return self._running.digests()

    def restart(self) -> None:
        """Takes up the steps that the round log holds, after it was cut."""
        self._wait(0)
        self._running = RunningBoundary()
        for row in self._round_log.steps:
            self._running.add(row)

    def _wait(self, most: int) -> None:
        while len(self._waiting) > most:
            self._waiting.popleft().result()


def _row(crossed: dict[Crossing, NDArray[Any]], state: Digest) -> StepDigests:
    digests = {what: tensor_digest(array) for what, array in crossed.items()}
    nothing = ZERO_DIGEST
    return StepDigests(
        input=digests.get("input", nothing),
        output=digests.get("output", nothing),
        grad_received=digests.get("grad_received", nothing),
        grad_sent=digests.get("grad_sent", nothing),
        state=state,
    )
