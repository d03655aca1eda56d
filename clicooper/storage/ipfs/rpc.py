"""Calls to an IPFS node: retried where that can help, bounded in time and size, and every failure by name.

What carries a call is a ``RpcTransport``; which calls there are, ``clicooper.storage.ipfs.ipfs_store`` says.
"""

import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from multiformats import CID
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_before_delay, wait_random_exponential

from clicooper.errors import StorageError
from clicooper.json_values import parse_json
from clicooper.storage.base import missing
from clicooper.storage.ipld.cid import cid_text

__all__ = ["MAX_LINE_BYTES", "NodeCall", "Refused", "Rpc", "RpcTransport", "Transient", "parse_object"]

MAX_LINE_BYTES = 1 << 16
"""Longest JSON value that a node may send."""

_PAUSE_S = 0.2
_LEAST_TIME_S = 0.1
_SHARE_FOR_NODE = 0.9
"""The node gives up a little before the caller does, so that its own words arrive."""

_ABSENT = re.compile(
    r"not found|could not find|timed out|deadline exceeded|unwanted|could not be retrieved|does not exist", re.I
)

T = TypeVar("T")


class Transient(Exception):
    """Nothing usable came back, and another attempt may fare better."""


class Refused(Exception):
    """The node's answer is a refusal.

    Args:
        message: its own words.
        is_final: the call itself is at fault, so that another attempt would end the same way.
    """

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.message = message
        self.is_final = is_final


class RpcTransport(Protocol):
    """Carries one call to a node."""

    def post(
        self, command: str, options: Mapping[str, str], body: Iterable[bytes] | None, timeout_s: float
    ) -> Generator[bytes, None, None]:
        """The bytes of the answer as they arrive; closing the generator ends the call.

        Args:
            timeout_s: longest silence of the node.

        Raises:
            Transient, Refused: now or while the answer is read.
        """
        ...


@dataclass(frozen=True)
class NodeCall:
    """One command of the node's RPC.

    Attributes:
        cid: what it is about, for the error; a node that does not find it lacks an artifact.
    """

    command: str
    options: Mapping[str, str]
    cid: CID | None = None

    @classmethod
    def about(cls, command: str, cid: CID, **options: str) -> "NodeCall":
        """A command whose argument is ``cid``."""
        return cls(command, {"arg": cid_text(cid), **options}, cid)


class Rpc:
    """A node's commands.

    Args:
        name: the node as errors call it: no credentials.
        timeout_s: longest time for one call, its retries included; for an answer of many lines, to the next line.
        retries: further attempts after a failure that may pass.
    """

    def __init__(self, transport: RpcTransport, name: str, timeout_s: float, retries: int) -> None:
        self.name = name
        self._transport = transport
        self._timeout_s = timeout_s
        self._retries = retries

    def ask(self, call: NodeCall, max_bytes: int = MAX_LINE_BYTES) -> bytes:
        """The whole answer, or the first ``max_bytes + 1`` bytes of one that is longer.

        Raises:
            ArtifactMissing: the node says that it cannot find ``call.cid``.
            StorageError: no answer, or a refusal.
        """
        return self._attempt(call, lambda left_s: self._read(call, max_bytes, left_s))

    def ask_json(self, call: NodeCall) -> Mapping[str, object]:
        """The one JSON object that answers a call; raises as ``ask``."""
        return self._object(call, self.ask(call))

    def lines(self, call: NodeCall) -> Iterator[Mapping[str, object]]:
        """The JSON objects of an answer of any length; raises as ``ask``, but does not try again."""
        with self._named(call):
            rest = b""
            for chunk in self._transport.post(call.command, call.options, None, self._timeout_s):
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    raise self._failure(call, f"it sends a line of more than {MAX_LINE_BYTES} bytes")
                yield from (self._object(call, line) for line in whole if line.strip())
            if rest.strip():
                yield self._object(call, rest)

    def send(self, call: NodeCall, body: Callable[[], Iterable[bytes] | None]) -> bytes:
        """Sends a body and returns the answer; raises as ``ask``. Every attempt has the whole time for itself.

        Args:
            body: makes what is left to send, afresh for every attempt; None if nothing is.
        """

        def run(_: float) -> bytes:
            parts = body()
            return b"" if parts is None else self._collect(call, parts, MAX_LINE_BYTES, self._timeout_s)

        return self._attempt(call, run, budget_s=self._timeout_s * (self._retries + 1))

    def _attempt(self, call: NodeCall, run: Callable[[float], T], budget_s: float | None = None) -> T:
        """Runs until it succeeds, is refused for good, or attempts or time run out."""
        budget_s = self._timeout_s if budget_s is None else budget_s
        deadline = time.monotonic() + budget_s
        again = Retrying(
            retry=retry_if_exception(lambda e: isinstance(e, (Transient, Refused)) and not _is_final(call, e)),
            wait=wait_random_exponential(_PAUSE_S, min=_PAUSE_S / 2),  # So that not all parties return at once.
            stop=stop_after_attempt(self._retries + 1) | stop_before_delay(budget_s),
            reraise=True,
        )
        with self._named(call):
            return again(lambda: run(max(deadline - time.monotonic(), _LEAST_TIME_S)))

    def _read(self, call: NodeCall, max_bytes: int, left_s: float) -> bytes:
        options = {**call.options, "timeout": f"{int(left_s * _SHARE_FOR_NODE * 1000)}ms"}
        return self._collect(NodeCall(call.command, options, call.cid), None, max_bytes, left_s)

    def _collect(self, call: NodeCall, body: Iterable[bytes] | None, max_bytes: int, left_s: float) -> bytes:
        deadline = time.monotonic() + left_s
        answer = bytearray()
        with closing(self._transport.post(call.command, call.options, body, left_s)) as chunks:
            for chunk in chunks:
                answer += chunk
                if len(answer) > max_bytes:
                    break
                if body is None and time.monotonic() > deadline:
                    raise Transient(f"its answer was not complete after {left_s:.1f} s")
        return bytes(answer[: max_bytes + 1])

    def _object(self, call: NodeCall, data: bytes) -> Mapping[str, object]:
        try:
            value = parse_json(data)
        except ValueError as e:
            raise self._failure(call, f"it answers {data[:40]!r}, which is not JSON") from e
        if not isinstance(value, dict):
            raise self._failure(call, "its answer is not an object")
        if value.get("Type") == "error":
            raise self._failure(call, f"it says {str(value.get('Message'))[:200]!r}")
        return value

    def _failure(self, call: NodeCall, problem: str) -> StorageError:
        subject = f" for {cid_text(call.cid)}" if call.cid is not None else ""
        hint = "check that an IPFS node runs there and that the address is that of its RPC, then repeat"
        return StorageError(f"IPFS node {self.name}, {call.command}{subject}: {problem}", hint=hint)

    @contextmanager
    def _named(self, call: NodeCall) -> Iterator[None]:
        """Turns a failure into an error that names node, command and CID."""
        try:
            yield
        except Refused as e:
            if call.cid is not None and _ABSENT.search(e.message):
                raise missing(call.cid, f"IPFS node {self.name}") from e
            raise self._failure(call, f"it says {e.message[:200]!r}") from e
        except Transient as e:
            raise self._failure(call, str(e)) from e


def _is_final(call: NodeCall, failure: Transient | Refused) -> bool:
    """Whether another attempt would end the same way: a node that does not find a block has looked for it."""
    if isinstance(failure, Transient):
        return False
    return failure.is_final or (call.cid is not None and bool(_ABSENT.search(failure.message)))


def parse_object(data: bytes) -> Mapping[str, Any]:
    """The JSON object in ``data``; an empty one if there is none."""
    try:
        value = parse_json(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
