"""Asking a node that limits its rate: waits as long as it wishes, and gives up in the end."""

import time
from collections.abc import Callable
from typing import TypeVar

from clicooper.chain.rpc.transport import RateLimited, RpcError
from clicooper.errors import ChainError

__all__ = ["Patience", "speaks_of_range"]

LIMIT_EXCEEDED = -32005
TOO_MANY_REQUESTS = 429
RANGE_WORDS = ("range", "results", "more than", "response size", "too large", "too big", "timeout", "timed out")
FIRST_PAUSE_S = 0.5
MOST_PAUSE_S = 60.0

_T = TypeVar("_T")


class Patience:
    """Repeats what a node puts off.

    Args:
        pause: waits for a number of seconds.
        tries: how often one question is asked at most.
    """

    def __init__(self, pause: Callable[[float], None] = time.sleep, tries: int = 8) -> None:
        self._pause = pause
        self._tries = tries

    def ask(self, question: Callable[[], _T]) -> _T:
        """The answer, once the node gives one.

        Raises:
            ChainError: the node still limits the rate after the last try, or wants to be left alone for longer than a
                minute; any other error of the question is passed on at once.
        """
        for attempt in range(self._tries):
            try:
                return question()
            except (RateLimited, RpcError) as e:
                wished = _wait_of(e)
                if attempt + 1 == self._tries or (wished or 0) > MOST_PAUSE_S:
                    raise
                self._pause(min(FIRST_PAUSE_S * 2**attempt, MOST_PAUSE_S) if wished is None else wished)
        raise ValueError("tries must be at least 1")


def _wait_of(error: ChainError) -> float | None:
    """The pause that a rate limit asks for, None if it names none; raises the error if it is none."""
    if isinstance(error, RateLimited):
        return error.retry_after_s
    limited = isinstance(error, RpcError) and error.code in (LIMIT_EXCEEDED, TOO_MANY_REQUESTS)
    if limited and not speaks_of_range(error):
        return None
    raise error


def speaks_of_range(error: ChainError) -> bool:
    """Whether a node refuses the size of a question, so that a smaller one may do; the same code says both."""
    message = error.node_message.lower() if isinstance(error, RpcError) else ""
    return any(word in message for word in RANGE_WORDS)
