"""What stands between a store and its node and misbehaves on command: a real server on a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import urlsplit

__all__ = [
    "Fault",
    "NodeProxy",
    "flipped",
    "html",
    "padded",
    "redirected",
    "running_proxy",
    "stalled",
    "status_500",
    "truncated",
]

DATA_COMMANDS = ("/dag/import", "/block/put")

Fault = Callable[["_Handler"], None]
"""Answers a request in the node's place."""


class NodeProxy(ThreadingHTTPServer):
    """Passes calls on to a node, but for those that a fault answers.

    Attributes:
        faults: by a part of the path.
        requests: paths of all calls.
        uploaded_bytes: bytes of all bodies that carry blocks.
        watch: told of ``uploaded_bytes`` with every piece that goes by.
    """

    daemon_threads = True

    def __init__(self, target_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target_url).netloc
        self.faults: dict[str, Fault] = {}
        self.requests: list[str] = []
        self.uploaded_bytes = 0
        self.watch: Callable[[int], None] = lambda _: None
        self.closing = Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: broken connections are what it is for."""


@contextmanager
def running_proxy(target_url: str) -> Iterator[NodeProxy]:
    """A proxy for as long as the block lasts."""
    with NodeProxy(target_url) as proxy:
        thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.closing.set()
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: NodeProxy

    def do_POST(self) -> None:
        self.server.requests.append(self.path)
        fault = next((fault for part, fault in self.server.faults.items() if part in self.path), None)
        if fault is not None:
            self.close_connection = True
            fault(self)
            return
        status, kind, body = self.passed_on()
        self.answer(status, kind, body)

    def passed_on(self) -> tuple[int, str, bytes]:
        """The node's own answer."""
        connection = HTTPConnection(self.server.target, timeout=60)
        try:
            headers = {"Content-Type": self.headers.get("Content-Type", "text/plain")}
            connection.request("POST", self.path, body=self._body(), headers=headers, encode_chunked=True)
            response = connection.getresponse()
            return response.status, response.headers.get("Content-Type", ""), response.read()
        finally:
            connection.close()

    def answer(self, status: int, kind: str, body: bytes, length: int | None = None, **headers: str) -> None:
        """Sends an answer; ``length`` may claim another size."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline(), 16):
            piece = self.rfile.read(size)
            self.rfile.readline()
            if any(command in self.path for command in DATA_COMMANDS):
                self.server.uploaded_bytes += len(piece)
                self.server.watch(self.server.uploaded_bytes)
            yield piece
        self.rfile.readline()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def flipped(handler: _Handler) -> None:
    """The node's answer with one bit of its middle byte turned."""
    status, kind, body = handler.passed_on()
    damaged = bytearray(body)
    damaged[len(body) // 2] ^= 1
    handler.answer(status, kind, bytes(damaged))


def truncated(handler: _Handler) -> None:
    """The first half of the node's answer under its whole length."""
    status, kind, body = handler.passed_on()
    handler.answer(status, kind, body[: len(body) // 2], length=len(body))


def padded(handler: _Handler) -> None:
    """The node's answer and then no end of zeros, until the reader hangs up."""
    status, kind, body = handler.passed_on()
    handler.answer(status, kind, body, length=1 << 40)
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(1 << 16))


def stalled(handler: _Handler) -> None:
    """Nothing at all."""
    handler.server.closing.wait()


def status_500(handler: _Handler) -> None:
    """An error without a word that an RPC would say."""
    handler.answer(500, "text/plain", b"upstream gone")


def html(handler: _Handler) -> None:
    """The page of a hotel's network."""
    handler.answer(200, "text/html; charset=utf-8", b"<html><body>Please log in</body></html>")


def redirected(handler: _Handler) -> None:
    """Somewhere else."""
    handler.answer(307, "text/plain", b"", Location=f"http://127.0.0.1:1{handler.path}")
