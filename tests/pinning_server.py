"""A small server of the IPFS Pinning Service API, version 1, that keeps its promises in memory.

Source: ipfs.github.io/pinning-services-api-spec. Tests may tell it to fail, to stall for some polls, or to lie.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["TOKEN", "PinningState", "pinning_server"]

TOKEN = "token-of-the-tests-0123456789"
CREATED = "2020-01-01T00:00:00Z"
PROGRESS = ("queued", "pinning", "pinned")

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class PinningState:
    """What the server holds and how it misbehaves.

    Attributes:
        url: its endpoint.
        pins: request id to pin object with its polls so far.
        unfetchable: names that end in ``failed``.
        stuck: names that stay in ``pinning``.
        intercept: answers in place of the server where it returns something; called with method, path and headers.
        requests: every method and path, in order.
    """

    url: str = ""
    pins: dict[str, dict[str, Any]] = field(default_factory=dict)
    unfetchable: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    intercept: Callable[[str, str, dict[str, str]], Answer | None] = lambda _method, _path, _headers: None
    requests: list[tuple[str, str]] = field(default_factory=list)

    def pinned(self) -> set[str]:
        """The names that the server keeps."""
        return {item["pin"]["cid"] for item in self.pins.values()}


def status_of(state: PinningState, request_id: str) -> dict[str, Any]:
    """The PinStatus object of a request, which moves on with every look at it."""
    item = state.pins[request_id]
    cid = item["pin"]["cid"]
    step = min(item["polls"], len(PROGRESS) - 1)
    item["polls"] += 1
    status = PROGRESS[step]
    if cid in state.unfetchable and step:
        status = "failed"
    if cid in state.stuck and step:
        status = "pinning"
    return {
        "requestid": request_id,
        "status": status,
        "created": CREATED,
        "pin": item["pin"],
        "delegates": ["/ip4/127.0.0.1/tcp/4001/p2p/QmServicePeerId"],
    }


class _Handler(BaseHTTPRequestHandler):
    state: PinningState

    def do_GET(self) -> None:
        self._serve(self._get)

    def do_POST(self) -> None:
        self._serve(self._post)

    def do_DELETE(self) -> None:
        self._serve(self._delete)

    def _serve(self, act: Callable[[str, dict[str, list[str]], bytes], tuple[int, Any]]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        self.state.requests.append((self.command, parts.path))
        if answer := self.state.intercept(self.command, self.path, dict(self.headers)):
            self._send(*answer)
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            code, result = 401, error("UNAUTHORIZED", "Access token is missing or invalid")
        else:
            code, result = act(parts.path, parse_qs(parts.query), body)
        data = b"" if result is None else json.dumps(result).encode()
        self._send(code, {"Content-Type": "application/json"}, data)

    def _send(self, code: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _get(self, path: str, query: dict[str, list[str]], _body: bytes) -> tuple[int, Any]:
        if path != "/pins":
            request_id = path.removeprefix("/pins/")
            known = request_id in self.state.pins
            return (200, status_of(self.state, request_id)) if known else (404, error("NOT_FOUND", request_id))
        names = query.get("cid", [""])[0].split(",")
        if len(names) > 10:
            return 400, error("BAD_REQUEST", "at most ten names")
        wanted = query.get("status", ["pinned"])[0].split(",")
        listed = [status_of(self.state, key) for key, item in self.state.pins.items() if item["pin"]["cid"] in names]
        results = [item for item in listed if item["status"] in wanted]
        return 200, {"count": len(results), "results": results}

    def _post(self, path: str, _query: dict[str, list[str]], body: bytes) -> tuple[int, Any]:
        pin = json.loads(body)
        if path != "/pins" or not isinstance(pin, dict) or not isinstance(pin.get("cid"), str):
            return 400, error("BAD_REQUEST", "no pin")
        request_id = f"request {len(self.state.pins)}/{pin['cid'][-6:]}".replace(" ", "-")
        request_id = request_id.replace("/", "_")
        self.state.pins[request_id] = {"pin": pin, "polls": 0}
        return 202, status_of(self.state, request_id)

    def _delete(self, path: str, _query: dict[str, list[str]], _body: bytes) -> tuple[int, Any]:
        found = self.state.pins.pop(path.removeprefix("/pins/"), None)
        return (202, None) if found else (404, error("NOT_FOUND", path))

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the tests' output quiet."""


def error(reason: str, details: str) -> dict[str, Any]:
    """The specification's form of a failure."""
    return {"error": {"reason": reason, "details": details}}


@contextmanager
def pinning_server() -> Iterator[PinningState]:
    """A server on a free port of this machine."""
    state = PinningState()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
