"""JSON-RPC over HTTP: one kept-alive session to one node, every request bounded in time, none repeated silently."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

import requests

from clicooper.chain.rpc.recursion import recursion_limit_kept
from clicooper.chain.rpc.transport import RateLimited, RequestTimeout, RpcError, TooLarge
from clicooper.errors import ChainError
from clicooper.json_values import parse_json

with recursion_limit_kept():
    from web3 import HTTPProvider
    from web3.types import RPCEndpoint, RPCResponse

__all__ = ["HttpTransport"]


class _Provider(HTTPProvider):
    """web3.py's, reading answers as all other JSON from strangers is read."""

    @staticmethod
    def decode_rpc_response(raw_response: bytes) -> RPCResponse:
        return cast("RPCResponse", parse_json(raw_response))


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
        self._provider = _Provider(
            url, {"timeout": timeout_s}, session=self._session, exception_retry_configuration=None
        )

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        """The ``result`` of one call.

        Raises:
            ChainError: no answer within the time limit, or one that is no JSON-RPC.
            RpcError: the node answered with an error.
            RateLimited, TooLarge, RequestTimeout: it did not answer, for that reason.
        """
        return self._result(self._sent(lambda: self._provider.make_request(RPCEndpoint(method), list(params))))

    def request_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """The ``result`` of each call, in their order, by one JSON-RPC batch.

        Raises:
            ChainError, RpcError: as for ``request``, for any of the calls.
        """
        if not calls:
            return []
        batch = [(RPCEndpoint(method), list(params)) for method, params in calls]
        answers = self._sent(lambda: self._provider.make_batch_request(batch))
        if isinstance(answers, dict):
            # A refusal of the whole batch; a result of it would belong to no call.
            self._result(answers)
        if not isinstance(answers, list) or len(answers) != len(calls):
            raise self._not_a_node()
        return [self._result(answer) for answer in answers]

    def _sent(self, send: Callable[[], object]) -> object:
        try:
            return send()
        except requests.HTTPError as e:
            raise self._refusal(e) from e
        except (ValueError, KeyError, TypeError) as e:
            raise self._not_a_node() from e
        except requests.Timeout as e:
            hint = "start the node, or give another address with --network"
            raise RequestTimeout(f"no answer from {self.source}: {type(e).__name__}", hint=hint) from e
        except OSError as e:
            hint = "start the node, or give another address with --network"
            raise ChainError(f"no answer from {self.source}: {type(e).__name__}", hint=hint) from e

    def _result(self, answer: object) -> Any:
        if not isinstance(answer, dict) or not ("result" in answer or isinstance(answer.get("error"), dict)):
            raise self._not_a_node()
        if isinstance(answer.get("error"), dict):
            error = cast("dict[str, Any]", answer["error"])
            raise RpcError(int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
        return answer["result"]

    def _refusal(self, error: requests.HTTPError) -> ChainError:
        """What a status other than 200 means."""
        if error.response is None:
            return self._not_a_node()
        status = error.response.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            wait_s = _seconds(error.response.headers.get("Retry-After"))
            hint = "wait, or name another endpoint of the same chain"
            return RateLimited(f"{self.source} limits the rate of requests", retry_after_s=wait_s, hint=hint)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge(f"{self.source} takes no request or answer of that size", hint="ask for fewer blocks")
        if status in (HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.REQUEST_TIMEOUT):
            return RequestTimeout(f"no answer from {self.source}: status {status}", hint="ask for fewer blocks")
        return self._not_a_node()

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


def _seconds(text: str | None) -> float | None:
    """A ``Retry-After`` of seconds; its other form, a date, depends on two clocks and is left aside."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
