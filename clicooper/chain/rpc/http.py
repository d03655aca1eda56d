"""JSON-RPC over HTTP: one kept-alive session to one node, every request bounded in time, none repeated silently."""

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

import requests

from clicooper.chain.rpc.recursion import recursion_limit_kept
from clicooper.chain.rpc.transport import RateLimited, RequestTimeout, RpcError, TooLarge, Unanswered
from clicooper.errors import ChainError
from clicooper.json_values import parse_json

with recursion_limit_kept():
    from web3 import HTTPProvider
    from web3.types import RPCEndpoint, RPCResponse

__all__ = ["HttpTransport"]

MAX_ANSWER_BYTES = 256 << 20
MAX_ANSWER_DEPTH = 64
"""What a node says is a few levels deep."""

SLOW_ANSWER = 30
"""How many time limits an answer may take that comes in pieces, each in time."""

_PIECE_BYTES = 1 << 16
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_START = "start the node, or give another address with --network"
_FEWER = "ask for fewer blocks"
_LATER = "wait, or name another endpoint of the same chain"


class _Provider(HTTPProvider):
    """web3.py's, reading answers as all other JSON from strangers is read."""

    @staticmethod
    def decode_rpc_response(raw_response: bytes) -> RPCResponse:
        return cast("RPCResponse", parse_json(raw_response, max_depth=MAX_ANSWER_DEPTH, finite=False))


class _Session(requests.Session):
    """Reads answers piece by piece, so that none outgrows the memory or trickles for ever."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = super().send(request, **options | {"stream": True})
        try:
            response._content = _read(response, options["timeout"])
        except BaseException:
            response.close()
            raise
        return response


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
        self._session = _Session()
        self._provider = _Provider(
            url, {"timeout": timeout_s}, session=self._session, exception_retry_configuration=None
        )

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        """The ``result`` of one call.

        Raises:
            ChainError: no answer within the time limit, or one that is no JSON-RPC.
            RpcError: the node answered with an error.
            RateLimited, TooLarge, RequestTimeout, Unanswered: it did not answer, for that reason.
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
        except _TooMuch as e:
            raise TooLarge(f"the answer of {self.source} is too large: {e}", hint=_FEWER) from e
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as e:
            raise self._not_a_node() from e
        except requests.Timeout as e:
            raise RequestTimeout(f"no answer from {self.source}: {type(e).__name__}", hint=_START) from e
        except OSError as e:
            raise Unanswered(f"no answer from {self.source}: {type(e).__name__}", hint=_START) from e

    def _result(self, answer: object) -> Any:
        if not isinstance(answer, dict):
            raise self._not_a_node()
        error = answer.get("error")
        if error or (error is not None and "result" not in answer):
            raise RpcError.from_json(error)
        if "result" not in answer:
            raise self._not_a_node()
        return answer["result"]

    def _refusal(self, error: requests.HTTPError) -> ChainError:
        """What a status other than 200 means: most often its number says it, else the body may."""
        if error.response is None:
            return self._not_a_node()
        status = error.response.status_code
        wait_s = _seconds(error.response.headers.get("Retry-After"))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimited(f"{self.source} limits the rate of requests", retry_after_s=wait_s, hint=_LATER)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge(f"{self.source} takes no request or answer of that size", hint=_FEWER)
        if status in (HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.REQUEST_TIMEOUT):
            return RequestTimeout(f"no answer from {self.source}: status {status}", hint=_FEWER)
        if (said := _error_in(error.response.content)) is not None:
            return RpcError.from_json(said)
        return self._unsaid(status, wait_s)

    def _unsaid(self, status: int, wait_s: float | None) -> ChainError:
        """What a status means that came without a JSON-RPC answer."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unanswered(f"no answer from {self.source}: status {status}", hint=_LATER, retry_after_s=wait_s)
        if status in _REFUSED:
            hint = "check the key in its address, or name another endpoint of the same chain"
            return ChainError(f"{self.source} refuses with status {status}", hint=hint)
        return self._not_a_node()

    def close(self) -> None:
        """Closes the kept-alive connections."""
        self._session.close()

    def _not_a_node(self) -> ChainError:
        return ChainError(f"{self.source} does not answer as an EVM node", hint="give the address of its JSON-RPC port")


class _TooMuch(Exception):
    """An answer beyond the bounds."""


def _read(response: requests.Response, timeout_s: float) -> bytes:
    deadline, pieces, size = time.monotonic() + SLOW_ANSWER * timeout_s, [], 0
    for piece in response.iter_content(_PIECE_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise _TooMuch(f"more than {MAX_ANSWER_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise _TooMuch(f"not whole after {SLOW_ANSWER * timeout_s:g} s")
    return b"".join(pieces)


def _error_in(body: bytes) -> object:
    """The error of a JSON-RPC answer that came with a status of its own; None if the body is none."""
    try:
        answer = parse_json(body, max_depth=MAX_ANSWER_DEPTH, finite=False)
    except ValueError:
        return None
    # Web servers answer {"error": "Not Found"}, too: only an answer in the form of JSON-RPC is the node's.
    is_rpc = isinstance(answer, dict) and ("jsonrpc" in answer or isinstance(answer.get("error"), dict))
    return cast("dict[str, Any]", answer).get("error") if is_rpc else None


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
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
