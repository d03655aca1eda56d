"""How a JSON-RPC call reaches a node: the transport's shape, its error, and HTTP."""

from collections.abc import Sequence
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider
from web3.types import RPCEndpoint

from clicooper.errors import ChainError

__all__ = ["HttpTransport", "RpcError", "Transport"]


class RpcError(Exception):
    """An error object in a node's answer. Internal to ``chain``: callers meet ``ChainError`` or ``RevertError``.

    Args:
        code: JSON-RPC error code, 3 for a revert on most nodes.
        message: the node's words.
        data: revert data as ``0x``-hex text, or a node's own structure that holds it, or None.
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.message = message
        self.data = data

    def revert_data(self) -> bytes | None:
        """The bytes that the contract reverted with; None if the answer holds none.

        Anvil and Geth put hex text into ``data``; Ganache puts an object there with the hex text under ``result``,
        older ones one such object per transaction hash; some nodes prefix the text with ``Reverted``.
        """
        return _find_hex(self.data, depth=3)


def _find_hex(data: object, depth: int) -> bytes | None:
    if isinstance(data, str):
        text = data.removeprefix("Reverted ").removeprefix("0x")
        try:
            return bytes.fromhex(text)
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
        """A name for records, without credentials."""

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        """The ``result`` of one call; raises RpcError for an error answer, ChainError if there is none."""

    def close(self) -> None:
        """Releases what the transport holds; further requests are undefined."""


class HttpTransport:
    """JSON-RPC over HTTP or HTTPS with one kept-alive session.

    Args:
        url: the node's address.
        timeout_s: bound of every single request.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ChainError(f"not a node address: {url!r}", hint="give an address such as http://127.0.0.1:8545")
        port = f":{parts.port}" if parts.port else ""
        self.source = f"{parts.scheme}://{parts.hostname}{port}"
        self._session = requests.Session()
        self._provider = HTTPProvider(
            url, {"timeout": timeout_s}, session=self._session, exception_retry_configuration=None
        )

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        """The ``result`` of one call.

        Raises:
            ChainError: no answer within the time limit, or one that is no JSON-RPC.
            RpcError: the node answered with an error.
        """
        try:
            answer: object = self._provider.make_request(RPCEndpoint(method), list(params))
        except requests.HTTPError as e:
            raise self._not_a_node() from e
        except OSError as e:
            raise ChainError(
                f"no answer from {self.source}: {type(e).__name__}", hint="is the node running, and the address right?"
            ) from e
        except ValueError as e:
            raise self._not_a_node() from e
        if not isinstance(answer, dict) or not ("result" in answer or isinstance(answer.get("error"), dict)):
            raise self._not_a_node()
        if "result" in answer:
            return answer["result"]
        error = cast("dict[str, Any]", answer["error"])
        raise RpcError(int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))

    def close(self) -> None:
        """Closes the kept-alive connections."""
        self._session.close()

    def _not_a_node(self) -> ChainError:
        return ChainError(f"{self.source} does not answer as an EVM node", hint="give the address of its JSON-RPC port")
