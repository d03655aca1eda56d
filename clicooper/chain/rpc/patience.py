"""What a refusal means, judged in one place, and asking a node that limits its rate or fails now and then.

A rate that is too high is waited for, a question that is too large is asked by halves, a method that is absent is done
without. The same codes and many of the same words stand for all of them.
"""

import re
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential
from tenacity.stop import stop_base

from clicooper.chain.rpc.transport import RateLimited, RequestTimeout, RpcError, TooLarge, Unanswered
from clicooper.errors import ChainError

__all__ = ["Looks", "Patience", "lacks_method", "limits_rate", "may_pass", "refuses_size"]

RATE_CODES = (-32005, 429)
METHOD_CODES = (-32601, -32600, -32004)
REVERT_CODE = 3
FIRST_PAUSE_S = 0.5
MOST_PAUSE_S = 60.0
POLL_FIRST_S = 0.02
POLL_MOST_S = 2.0

_RATE = re.compile(
    r"\brate\b|\brate.?limit|too many requests|request count|requests? per|per (second|minute|hour|day)\b"
    r"|quota|throttl|compute units|slow down|back.?off"
)
_RANGE = re.compile(r"range|results|more than|response size|too large|too big|time.?out|timed out")
_PASSING = re.compile(
    r"time.?out|timed out|deadline exceeded|temporar|try again|unavailable|overload|\bbusy\b|indexing|internal error"
    r"|internal server error|server error|gateway|upstream|connection|not ready|syncing"
)
_ABSENT = re.compile(
    r"not (be )?(found|supported|available|allowed|enabled|implemented|whitelisted|exist)|unsupported|unknown"
    r"|no such|has no|unavailable|disabled|invalid|unrecognized"
)
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
            retry=retry_if_exception(limits_rate),
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


class Looks:
    """Looks that are repeated until a deadline, with growing pauses; that one of them fails ends nothing.

    Args:
        timeout_s: how long, in seconds.
        pause: waits for a number of seconds.
    """

    def __init__(self, timeout_s: float, pause: Callable[[float], None]) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._pause = pause
        self._pause_s = POLL_FIRST_S
        self._failed: ChainError | None = None

    def ask(self, question: Callable[[], _T]) -> _T | None:
        """The answer; None if this look failed."""
        try:
            found = question()
        except ChainError as e:
            self._failed = e
            return None
        self._failed = None
        return found

    def insist(self, question: Callable[[], _T]) -> _T:
        """The answer, however many looks it takes.

        Raises:
            ChainError: the last look's failure, once the deadline has passed.
        """
        while (found := self.ask(question)) is None:
            if not self.wait():
                raise self._failed or ChainError("no answer came in time", hint="try again later")
        return found

    def failed(self, error: ChainError) -> None:
        """Remembers a failure of something else than a look, so that its pause is kept and its words repeated."""
        self._failed = error

    @property
    def failure(self) -> str:
        """Why the last try failed, to be put behind what was waited for; empty if it did not."""
        return "" if self._failed is None else f"; the last try failed: {self._failed.message}"

    def wait(self) -> bool:
        """Pauses, at least as long as the node asked for; false once the deadline has passed."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            return False
        wished_s = min(_wished_s(self._failed) or 0, MOST_PAUSE_S)
        self._pause(min(max(self._pause_s, wished_s), left_s))
        self._pause_s = min(2 * self._pause_s, POLL_MOST_S)
        return True


def limits_rate(error: BaseException) -> bool:
    """Whether a node wants to be asked less often: the same question may be asked again later."""
    if not isinstance(error, RpcError):
        return isinstance(error, RateLimited)
    words = error.node_message.lower()
    if error.code == REVERT_CODE or "revert" in words:
        return False
    return bool(_RATE.search(words)) or (error.code in RATE_CODES and not _RANGE.search(words))


def may_pass(error: BaseException) -> bool:
    """Whether the same question may be answered later: no answer came, or one about the state of the node."""
    if limits_rate(error) or isinstance(error, Unanswered):
        return True
    return isinstance(error, RpcError) and bool(_PASSING.search(error.node_message.lower()))


def refuses_size(error: BaseException) -> bool:
    """Whether a node refuses the size of a question, so that a smaller one may do."""
    if not isinstance(error, RpcError):
        return isinstance(error, (TooLarge, RequestTimeout))
    return bool(_RANGE.search(error.node_message.lower())) and not limits_rate(error)


def lacks_method(error: BaseException, method: str) -> bool:
    """Whether a node has no such method, by its code or by words about the method."""
    if not isinstance(error, RpcError) or limits_rate(error):
        return False
    words = error.node_message.lower()
    names_it = method.lower() in words or "method" in words
    return error.code in METHOD_CODES or (names_it and bool(_ABSENT.search(words.replace(method.lower(), ""))))


def _wished_s(error: BaseException | None) -> float | None:
    """The pause that a node asks for, in seconds; None if it names none."""
    return error.retry_after_s if isinstance(error, (RateLimited, RpcError, Unanswered)) else None


def _failure(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def _wait(state: RetryCallState) -> float:
    wished = _wished_s(_failure(state))
    return _GROWING(state) if wished is None else wished


class _AsksForTooLong(stop_base):
    def __call__(self, retry_state: RetryCallState) -> bool:
        return (_wished_s(_failure(retry_state)) or 0) > MOST_PAUSE_S
