"""How many blocks to ask for at once: halved where the node refuses, doubled where it answers easily.

Pure: no node, no clock. Law: whatever the node refuses, the pages that succeed are contiguous, in order, and cover
exactly the blocks that were asked for.
"""

from clicooper.errors import ChainError

__all__ = ["MOST_SPAN", "Pager"]

FIRST_SPAN = 16
"""Small, so that even the first page of a busy contract is no more than a few thousand entries."""
MOST_SPAN = 1 << 20
"""Blocks of a page at most, so that a mistaken answer never costs more than that range to read again."""


class Pager:
    """Walks from block ``first`` to block ``last`` in pages of fitting size.

    Args:
        first: number of the first block.
        last: number of the last one, inclusive; below ``first`` there is nothing to walk.
        most_logs: log entries of a page above which the next one gets smaller, which bounds the memory.
        span: blocks of the first page.
    """

    def __init__(self, first: int, last: int, *, most_logs: int = 4_000, span: int = FIRST_SPAN) -> None:
        self._next = first
        self._last = last
        self._most_logs = most_logs
        self.span = max(1, span)

    @property
    def page(self) -> tuple[int, int] | None:
        """First and last block to ask for now; None once all is read."""
        if self._next > self._last:
            return None
        return self._next, min(self._last, self._next + self.span - 1)

    def refused(self) -> None:
        """The node did not answer for this page: asks for its first half from now on.

        Raises:
            ChainError: the page is a single block, which no node can halve.
        """
        first, last = self._current()
        if first == last:
            hint = "the node limits answers below one block's events: name another endpoint"
            raise ChainError(f"block {first} cannot be read: the node refuses even this one alone", hint=hint)
        self.span = (last - first + 1) // 2

    def succeeded(self, logs: int) -> None:
        """This page is read; moves on, by pages that hold fewer than ``most_logs`` entries at this density.

        Args:
            logs: how many entries it held.
        """
        first, last = self._current()
        self._next = last + 1
        if logs > self._most_logs:
            self.span = max(1, (last - first + 1) * self._most_logs // logs)
        elif 2 * logs <= self._most_logs and last - first + 1 == self.span:
            self.span = min(2 * self.span, MOST_SPAN)

    def restart(self, first: int, last: int) -> None:
        """Walks another range with the size that was found to fit."""
        self._next, self._last = first, last

    def _current(self) -> tuple[int, int]:
        if self.page is None:
            raise ValueError("there is no page left")
        return self.page
