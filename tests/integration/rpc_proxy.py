"""What stands between a reader and its node and misbehaves on command: a real server that alters JSON-RPC answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Alter", "Dropped", "Refusal", "RpcProxy", "Status", "running_rpc_proxy"]

Alter = Callable[[dict[str, Any], Any], Any]
"""Makes the ``result`` that is passed on, out of the call and the node's own result; may raise ``Status``."""


class Status(Exception):
    """Answer the whole request with this HTTP status instead."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Dropped(Exception):
    """Close the connection without an answer."""


class Refusal(Exception):
    """Answer this call with a JSON-RPC error instead."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message}


class RpcProxy(ThreadingHTTPServer):
    """Passes JSON-RPC calls on to a node.

    Attributes:
        alter: what becomes of each result.
        calls: method and parameters of all calls so far.
    """

    daemon_threads = True

    def __init__(self, target_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target_url).netloc
        self.alter: Alter = lambda _, result: result
        self.calls: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: broken connections are what it is for."""

    def methods(self) -> list[str]:
        """The methods of all calls so far."""
        return [call["method"] for call in self.calls]


@contextmanager
def running_rpc_proxy(target_url: str) -> Iterator[RpcProxy]:
    """A proxy for as long as the block lasts."""
    with RpcProxy(target_url) as proxy:
        thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RpcProxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body)
        calls = asked if isinstance(asked, list) else [asked]
        self.server.calls += calls
        answered = self._passed_on(body)
        answers = {answer["id"]: answer for answer in (answered if isinstance(answered, list) else [answered])}
        try:
            altered = [self._altered(call, answers[call["id"]]) for call in calls]
        except Status as e:
            self._answer(e.status, b"", e.headers)
            return
        except Dropped:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self._answer(200, json.dumps(altered if isinstance(asked, list) else altered[0]).encode(), {})

    def _passed_on(self, body: bytes) -> Any:
        connection = HTTPConnection(self.server.target, timeout=60)
        try:
            connection.request("POST", "/", body=body, headers={"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def _altered(self, call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if "result" not in answer:
            return answer
        try:
            return answer | {"result": self.server.alter(call, answer["result"])}
        except Refusal as e:
            return {"jsonrpc": "2.0", "id": call["id"], "error": e.error}

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""
