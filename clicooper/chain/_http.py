"""JSON-RPC over HTTP: one kept-alive session to one node, every request bounded in time, none repeated silently."""

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import requests

from clicooper.chain._recursion import recursion_limit_kept
from clicooper.chain._transport import RpcError
from clicooper.errors import ChainError

with recursion_limit_kept():
    from web3 import HTTPProvider
    from web3.types import RPCEndpoint

__all__ = ["HttpTransport"]


class HttpTransport:
    """A node behind an ``http`` or ``https`` address.

    Args:
        url: the node's address; credentials in it never reach ``source`` or a message.
        timeout_s: bound of every single request, in seconds.

    Raises:
        ChainError: the address is no HTTP address.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.source = _without_credentials(url)
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
        except (requests.HTTPError, ValueError) as e:
            raise self._not_a_node() from e
        except OSError as e:
            hint = "is the node running, and is the address right?"
            raise ChainError(f"no answer from {self.source}: {type(e).__name__}", hint=hint) from e
        if not isinstance(answer, dict) or not ("result" in answer or isinstance(answer.get("error"), dict)):
            raise self._not_a_node()
        if isinstance(answer.get("error"), dict):
            error = cast("dict[str, Any]", answer["error"])
            raise RpcError(int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
        return answer["result"]

    def close(self) -> None:
        """Closes the kept-alive connections."""
        self._session.close()

    def _not_a_node(self) -> ChainError:
        return ChainError(f"{self.source} does not answer as an EVM node", hint="give the address of its JSON-RPC port")


def _without_credentials(url: str) -> str:
    hint = "give an address such as http://127.0.0.1:8545"
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as e:
        raise ChainError("not a node address", hint=hint) from e
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ChainError("not a node address", hint=hint)
    return f"{parts.scheme}://{parts.hostname}{port}"
