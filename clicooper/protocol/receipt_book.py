"""A trainer's book of receipts: what its neighbours signed for it, and what it signed itself at a round's end.

Both last until the round is settled: in the trainer's folder, through a restart, or without one in memory. Whoever
shows a receipt over a value that its sender did not commit to convicts the sender, so that no sender may sign two. A
neighbour that has a round done again, with other tensors, would get a second one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from clicooper.access.receipt_files import keep_receipt, read_receipts
from clicooper.audit.checks.receipts import BoundaryRefused
from clicooper.commitments.boundary import BoundaryReceipt

__all__ = ["ReceiptBook"]

Part = Literal["received", "sent"]


class ReceiptBook:
    """The receipts of one trainer.

    Args:
        folder: of the trainer's unsettled rounds; without one the book ends with the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._pages: dict[tuple[Part, int], dict[tuple[int, str], BoundaryReceipt]] = {}

    def keep(self, receipt: BoundaryReceipt) -> None:
        """Keeps what a neighbour signed, in the place of what it signed before about the same direction."""
        self._write("received", receipt)

    def received(self, round_: int) -> tuple[BoundaryReceipt, ...]:
        """The newest receipt of each direction in which this trainer received."""
        return self._read("received", round_)

    def stand_by(self, receipt: BoundaryReceipt) -> None:
        """Notes what this trainer signs about a whole round, which it signs of no other value.

        Raises:
            BoundaryRefused: it has signed another one, in a round that began in the same head.
        """
        said = receipt.crossing
        for before in self._read("sent", receipt.round):
            place = (before.head, before.boundary, before.direction)
            if place == (said.head, said.boundary, said.direction) and before.running != said.running:
                raise BoundaryRefused(
                    f"seat {said.sender} has vouched for another value to seat {said.receiver}, {said.direction}, "
                    f"in round {said.round}",
                    hint="the round was done again and came out otherwise: go no further, and challenge the neighbour",
                )
        self._write("sent", receipt)

    def settle(self, round_: int) -> None:
        """Lets go of a round; its folder is removed by whoever made it."""
        for part in ("received", "sent"):
            self._pages.pop((part, round_), None)

    def _write(self, part: Part, receipt: BoundaryReceipt) -> None:
        if self._folder is None:
            page = self._pages.setdefault((part, receipt.round), {})
            page[receipt.boundary, receipt.direction] = receipt
        else:
            keep_receipt(_place(self._folder, part, receipt.round), receipt)

    def _read(self, part: Part, round_: int) -> tuple[BoundaryReceipt, ...]:
        if self._folder is None:
            return tuple(self._pages.get((part, round_), {}).values())
        return read_receipts(_place(self._folder, part, round_))


def _place(folder: Path, part: Part, round_: int) -> Path:
    page = folder / f"round-{round_}"
    return page if part == "received" else page / part
