"""Carrying JSON-RPC calls to a chain: what a transport is, and the errors that a JSON-RPC answer can carry.

The two transports are ``embedded`` (a chain in this process) and ``http`` (a node anywhere). This module imports
neither, so that each costs its import time only where it is used.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, TypeGuard

from clicooper.errors import ChainError

__all__ = ["RateLimited", "RequestTimeout", "RpcError", "TooLarge", "Transport", "Unanswered", "plain_words"]

NO_METHOD = -32601
MOST_WORDS = 300
"""Characters of a node's words that a message repeats."""

_CODE_BITS = 63
_METHOD_NAME = re.compile(r"\b[a-zA-Z0-9]+_[a-zA-Z]+\b")

_FUND = "the account needs more coin for this call's value and gas: fund it"
_HINTS = {
    "insufficient funds": _FUND,
    "enough balance": _FUND,
    "enough funds": _FUND,
    "insufficient balance": _FUND,
    "nonce": "another transaction of this account came first: try again",
    "fee": "the network's fees rose: try again",
    "underpriced": "the network's fees rose: try again",
}


class Unanswered(ChainError):
    """No answer came, or none of a node: whether the node acted on the question is unknown.

    Args:
        retry_after_s: how long the node asks to be left alone, in seconds; None if it does not say.
    """

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class RequestTimeout(Unanswered):
    """No answer within the time limit: the node is gone, or was asked for too much at once."""


class TooLarge(ChainError):
    """A request or its answer is larger than the node, or what stands before it, lets through."""


class RateLimited(ChainError):
    """The node wants to be asked less often.

    Args:
        retry_after_s: how long it asks to be left alone, in seconds; None if it does not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class RpcError(ChainError):
    """An error object in a node's answer.

    Args:
        code: JSON-RPC error code; 3 is a revert on most nodes.
        message: the node's words.
        data: revert data as ``0x``-hex text, a node's own structure that holds it, or None.
        said_code: what the node gave in place of a code, for the message.
    """

    def __init__(self, code: int, message: str, data: object = None, *, said_code: object = None) -> None:
        shown = code if said_code is None else plain_words(said_code, 40)
        super().__init__(f"the node refused: {plain_words(message)} (code {shown})", hint=_hint(code, message))
        self.code = code
        self.node_message = message
        self.data = data

    @classmethod
    def from_json(cls, error: object) -> Self:
        """The error of an answer, whatever a gateway before the node made of it; code 0 where it names none."""
        if not isinstance(error, Mapping):
            return cls(0, _text(error))
        said = error.get("code")
        code = _whole(said)
        message = _text(error["message"] if error.get("message") else error)
        return cls(code or 0, message, error.get("data"), said_code=said if code is None else None)

    @property
    def retry_after_s(self) -> float | None:
        """How long the node asks to be left alone, in seconds; None if it does not say."""
        data = self.data if isinstance(self.data, Mapping) else {}
        places = [data, data["rate"]] if isinstance(data.get("rate"), Mapping) else [data]
        said = [place.get(name) for place in places for name in ("backoff_seconds", "retry_after")]
        return next((float(pause) for pause in said if _is_pause(pause)), None)

    def revert_data(self) -> bytes | None:
        """The bytes that the contract reverted with; None if the answer holds none.

        Anvil and Geth put hex text into ``data``; Ganache puts an object there with the hex text under ``result``,
        its older versions one such object per transaction hash; some nodes prefix the text with ``Reverted``.
        No bytes are a revert without a reason, but only where the node speaks of a revert: Ganache answers so for an
        account with too little coin, too.
        """
        found = _find_hex(self.data, depth=3)
        speaks_of_revert = "revert" in f"{self.node_message} {self.data}".lower()
        return found if found or speaks_of_revert else None


def plain_words(said: object, most: int = MOST_WORDS) -> str:
    """What a stranger said, in one line that a terminal can show: no control characters, and shortened."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(said)[: 8 * most]).split())
    return words if len(words) <= most else words[:most] + "..."


def _hint(code: int, message: str) -> str:
    if code == NO_METHOD:
        return "the node lacks this method: name another node of the same chain"
    # A method's name is no word of a refusal: eth_maxPriorityFeePerGas speaks of no fee.
    spoken = _METHOD_NAME.sub("", message[: 8 * MOST_WORDS]).lower()
    return next((text for word, text in _HINTS.items() if word in spoken), "")


def _text(said: object) -> str:
    return said if isinstance(said, str) else repr(said)


def _whole(code: object) -> int | None:
    """A code that is a whole number, also one that is written as text or with a point; None for anything else."""
    if isinstance(code, str) and re.fullmatch(r"-?[0-9]{1,9}", code):
        return int(code)
    if isinstance(code, float) and math.isfinite(code) and code.is_integer():
        code = int(code)
    return code if type(code) is int and not abs(code) >> _CODE_BITS else None


def _is_pause(said: object) -> TypeGuard[float]:
    return isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said <= 1e9


def _find_hex(data: object, depth: int) -> bytes | None:
    if isinstance(data, str):
        try:
            return bytes.fromhex(data.removeprefix("Reverted ").removeprefix("0x"))
        except ValueError:
            return None
    if isinstance(data, dict) and depth:
        inner = [data["result"]] if "result" in data else [v for v in data.values() if isinstance(v, dict)]
        return next((found for v in inner if (found := _find_hex(v, depth - 1)) is not None), None)
    return None


class Transport(Protocol):
    """What ``Node`` needs of a chain, near or far."""

    @property
    def source(self) -> str:
        """A name for records and messages, without credentials."""

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        """The ``result`` of one call; raises RpcError for an error answer, ChainError if none comes."""

    def request_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """The ``result`` of each call, in their order, all asked at once; raises as ``request`` for any of them."""

    def close(self) -> None:
        """Releases what the transport holds; further requests are undefined."""
