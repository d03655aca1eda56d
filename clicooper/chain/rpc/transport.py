"""What a node needs of the wire: the shape of a transport, and the error that a JSON-RPC answer can carry.

The two transports are ``embedded`` (a chain in this process) and ``http`` (a node anywhere). This module imports
neither, so that each costs its import time only where it is used.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from clicooper.errors import ChainError

__all__ = ["RateLimited", "RequestTimeout", "RpcError", "TooLarge", "Transport"]

_FUND = "the account needs more coin for this call's value and gas: fund it"
_HINTS = {
    "insufficient funds": _FUND,
    "enough balance": _FUND,
    "enough funds": _FUND,
    "insufficient balance": _FUND,
    "nonce": "another transaction of this account came first: try again",
    "fee": "the network's fees rose: try again",
}


class RequestTimeout(ChainError):
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
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        hint = next((text for word, text in _HINTS.items() if word in message.lower()), "")
        super().__init__(f"the node refused: {message} (code {code})", hint=hint)
        self.code = code
        self.node_message = message
        self.data = data

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
