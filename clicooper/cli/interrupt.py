"""Ctrl-C that is not lost.

Python turns SIGINT into a ``KeyboardInterrupt`` wherever the program happens to be. Where that is a library's
``except:`` around an import that may fail, the interrupt vanishes and the work goes on. This handler remembers it, and
whoever reports progress asks again.
"""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["InterruptHandler", "raise_if_interrupted"]


class InterruptHandler:
    """A handler of SIGINT that raises ``KeyboardInterrupt`` and remembers that it did."""

    def __init__(self) -> None:
        self.was_interrupted = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        """What Python calls in the main thread."""
        self.was_interrupted = True
        raise KeyboardInterrupt

    def install(self) -> None:
        """Makes this the process's handler; for the main thread alone."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self)


def raise_if_interrupted() -> None:
    """Raises ``KeyboardInterrupt`` if an ``InterruptHandler`` has seen one that nobody obeyed."""
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, InterruptHandler) and handler.was_interrupted:
        raise KeyboardInterrupt
