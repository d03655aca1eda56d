"""Asking a node that limits its rate: waits as long as it wishes, and gives up in the end."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential
from tenacity.stop import stop_base

from clicooper.chain.rpc.transport import RateLimited, RpcError

__all__ = ["Patience", "speaks_of_range"]

LIMIT_EXCEEDED = -32005
TOO_MANY_REQUESTS = 429
RANGE_WORDS = ("range", "results", "more than", "response size", "too large", "too big", "timeout", "timed out")
FIRST_PAUSE_S = 0.5
MOST_PAUSE_S = 60.0

_GROWING = wait_exponential(FIRST_PAUSE_S, MOST_PAUSE_S)

_T = TypeVar("_T")


class Patience:
    """Repeats what a node puts off.

    Args:
        pause: waits for a number of seconds.
        tries: how often one question is asked at most.
    """

    def __init__(self, pause: Callable[[float], None] = time.sleep, tries: int = 8) -> None:
        self._retry = Retrying(
            retry=retry_if_exception(_puts_off),
            wait=_wait,
            stop=stop_after_attempt(tries) | _AsksForTooLong(),
            sleep=pause,
            reraise=True,
        )

    def ask(self, question: Callable[[], _T]) -> _T:
        """The answer, once the node gives one.

        Raises:
            ChainError: the node still limits the rate after the last try, or wants to be left alone for longer than a
                minute; any other error of the question is passed on at once.
        """
        return self._retry.copy()(question)


def _puts_off(error: BaseException) -> bool:
    if isinstance(error, RateLimited):
        return True
    limited = isinstance(error, RpcError) and error.code in (LIMIT_EXCEEDED, TOO_MANY_REQUESTS)
    return limited and not speaks_of_range(error)


def _wished_s(state: RetryCallState) -> float | None:
    """The pause that a rate limit asks for, None if it names none."""
    error = state.outcome and state.outcome.exception()
    return error.retry_after_s if isinstance(error, RateLimited) else None


def _wait(state: RetryCallState) -> float:
    wished = _wished_s(state)
    return _GROWING(state) if wished is None else wished


class _AsksForTooLong(stop_base):
    def __call__(self, retry_state: RetryCallState) -> bool:
        return (_wished_s(retry_state) or 0) > MOST_PAUSE_S


def speaks_of_range(error: BaseException) -> bool:
    """Whether a node refuses the size of a question, so that a smaller one may do; the same code says both."""
    message = error.node_message.lower() if isinstance(error, RpcError) else ""
    return any(word in message for word in RANGE_WORDS)
