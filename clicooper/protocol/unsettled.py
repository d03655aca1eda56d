"""What a trainer keeps of a round until it is settled: its log, its interval states, the receipts of its neighbours."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from clicooper.errors import SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.round_log import DiskRoundLog
from clicooper.protocol.receipt_book import ReceiptBook
from clicooper.types import Digest

__all__ = ["UnsettledRounds"]


class UnsettledRounds:
    """The rounds of one trainer that nobody has accepted yet.

    Args:
        folder: of its own; without one they lie in memory, and end with the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.receipts = ReceiptBook(folder)
        self._folder = folder
        self._states: dict[int, Sequence[tuple[State, State]]] = {}

    def open_log(self, round_: int, work: Digest) -> DiskRoundLog | None:
        """The log of a round, which may go on where it was interrupted; None where there is no folder.

        Args:
            work: names the work; what another work left is removed.
        """
        return None if self._folder is None else DiskRoundLog(self._folder / f"round-{round_}", work)

    def keep_states(self, round_: int, states: Sequence[tuple[State, State]]) -> None:
        """Keeps the states at the ends of all intervals but the last."""
        self._states[round_] = states

    def states_before(self, round_: int, intervals: Iterable[int]) -> tuple[tuple[State, State], ...]:
        """The states at the start of these intervals; that of interval 0 the round began with.

        Raises:
            SpecError: there is no such state.
        """
        kept = self._states.get(round_, ())
        asked = sorted({interval - 1 for interval in intervals if interval})
        if asked and asked[-1] >= len(kept):
            hint = "its states are kept from its commitment until it is accepted"
            raise SpecError(f"this seat keeps {len(kept)} states of round {round_}", hint=hint)
        return tuple(kept[number] for number in asked)

    def settle(self, round_: int) -> None:
        """Lets go of a round."""
        self._states.pop(round_, None)
        self.receipts.settle(round_)
        if self._folder is not None:
            shutil.rmtree(self._folder / f"round-{round_}", ignore_errors=True)
