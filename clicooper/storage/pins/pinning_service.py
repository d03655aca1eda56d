"""A client of the standard IPFS Pinning Service API: somebody else's nodes keep what we name.

Source: ipfs.github.io/pinning-services-api-spec, version 1. The token goes into one header and nowhere else, over TLS
or to this machine alone, and never to where a redirect points. A service is believed only about its own promises:
that it holds a block is shown by fetching it, which this module does not do.
"""

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from multiformats import CID
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from clicooper.commitments.canonical import cid_of_digest, digest_of_cid
from clicooper.errors import StorageError, UsageError
from clicooper.files import read_bounded
from clicooper.json_values import parse_json
from clicooper.storage.ipld.cid import cid_text, normalise_cid
from clicooper.storage.pins.pin_sets import Mode
from clicooper.urls import public_url
from clicooper.user_text import decode_text

__all__ = ["PinStatus", "PinningService", "Status", "read_token", "remote_name"]

TOKEN_VARIABLE = "CLICOOPER_PINNING_TOKEN"
MAX_ANSWER_BYTES = 1 << 20
MAX_TOKEN_FILE_BYTES = 1 << 16
LOOPBACK = frozenset(["127.0.0.1", "::1", "localhost"])
TRANSIENT = frozenset([408, 429, 500, 502, 503, 504])
MAX_CIDS_A_QUERY = 10
"""The specification allows ten names in one listing."""

Status = Literal["queued", "pinning", "pinned", "failed"]
_STATUSES = frozenset(["queued", "pinning", "pinned", "failed"])
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,256}")

Progress = Callable[[str, int, int], None]


def _silent(_what: str, _done: int, _total: int) -> None:
    """The progress of work that nobody watches."""


@dataclass(frozen=True)
class PinStatus:
    """What a service says of one request."""

    request_id: str
    status: Status
    cid: str


def remote_name(cid: CID, mode: Mode) -> CID:
    """The name under which a service is to keep a pin: services pin with everything below, always.

    A block that is to be kept alone goes by its name as raw bytes: the same digest and the same bytes, and no links.
    """
    return normalise_cid(cid) if mode == "recursive" else cid_of_digest(digest_of_cid(cid), "raw")


def read_token(path: Path | None) -> str:
    """A service's token from a file, or from the environment.

    Raises:
        UsageError: neither holds one.
    """
    where = str(path) if path is not None else TOKEN_VARIABLE
    hint = f"put the service's token alone into a file, or into {TOKEN_VARIABLE}"
    if path is None:
        data = os.environ.get(TOKEN_VARIABLE, "").encode(errors="surrogateescape")
    else:
        data = read_bounded(path, MAX_TOKEN_FILE_BYTES, what="token from", error=UsageError, hint=hint)
    try:
        token = decode_text(data).strip()
    except ValueError as e:
        raise UsageError(f"cannot read the token from {where}: {e}", hint=hint) from e
    if not _TOKEN.fullmatch(token):
        raise UsageError(f"{where} holds no token", hint=hint)
    return token


class _Transient(Exception):
    """The service may answer better in a moment."""


class PinningService:
    """One service, as one of its users sees it.

    Args:
        url: its endpoint, ``https://...``; plain http only on this machine.
        token: the user's bearer token.
        timeout_s: of one request.
        retries: further attempts of one request after a transient fault.
        patience_s: how long ``pin_all`` waits for a service to fetch everything.
        sleep, clock: for waiting; seconds.

    Raises:
        UsageError: an address that the token must not go to.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        patience_s: float = 600.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._where = url.rstrip("/"), _checked_address(url)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._retries, self._patience_s, self._sleep, self._clock = retries, patience_s, sleep, clock
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=timeout_s), retries=False)

    def __repr__(self) -> str:
        return f"PinningService({self._where!r})"

    def add(self, cid: CID, name: str) -> PinStatus:
        """Asks for one pin."""
        return self._status(self._ask("POST", "/pins", {"cid": cid_text(cid), "name": name}))

    def status(self, request_id: str) -> PinStatus:
        """How a request stands."""
        return self._status(self._ask("GET", f"/pins/{quote(request_id, safe='')}"))

    def remove(self, request_id: str) -> None:
        """Withdraws a request, whatever its status."""
        self._ask("DELETE", f"/pins/{quote(request_id, safe='')}")

    def find(self, cids: Sequence[CID]) -> dict[str, PinStatus]:
        """The requests for these names that have not failed, by name."""
        found: dict[str, PinStatus] = {}
        names = [cid_text(cid) for cid in cids]
        for start in range(0, len(names), MAX_CIDS_A_QUERY):
            asked = names[start : start + MAX_CIDS_A_QUERY]
            query = urlencode({"cid": ",".join(asked), "status": "queued,pinning,pinned", "limit": 1000})
            results = self._ask("GET", f"/pins?{query}").get("results")
            if not isinstance(results, list):
                raise self._unusable("a listing without results")
            statuses = [self._status(result) for result in results if isinstance(result, dict)]
            found |= {status.cid: status for status in statuses if status.cid in asked}
        return found

    def pin_all(self, cids: Sequence[CID], *, name: str, progress: Progress = _silent) -> dict[CID, Status]:
        """Has the service keep every one of these, asking only for what it does not keep yet, and waits until it does.

        Raises:
            StorageError: the service cannot be reached, refuses, fails to fetch one, or takes longer than its time;
                asking again goes on from where it stands.
        """
        wanted = {cid_text(cid): cid for cid in cids}
        known = self.find(list(wanted.values()))
        for text, cid in wanted.items():
            if text not in known:
                known[text] = self.add(cid, name)
        deadline, pause_s = self._clock() + self._patience_s, 0.25
        while waiting := [status for status in known.values() if status.status != "pinned"]:
            progress("pinning", len(known) - len(waiting), len(known))
            self._check_waiting(waiting, deadline)
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, 10.0)
            for status in waiting:
                known[status.cid] = self._same(status, self.status(status.request_id))
        return {cid: known[text].status for text, cid in wanted.items()}

    def _check_waiting(self, waiting: Sequence[PinStatus], deadline: float) -> None:
        for status in waiting:
            if status.status == "failed":
                hint = "make the artifact available to the service's nodes, then repeat"
                raise StorageError(f"{self._where} could not pin {status.cid}", hint=hint)
        if self._clock() > deadline:
            hint = "repeat later: what is pinned stays, and nothing is asked for twice"
            raise StorageError(f"{self._where} has not pinned {len(waiting)} artifacts in time", hint=hint)

    def _same(self, before: PinStatus, now: PinStatus) -> PinStatus:
        if (now.cid, now.request_id) != (before.cid, before.request_id):
            raise self._unusable("the status of another request")
        return now

    def _status(self, answer: dict[str, Any]) -> PinStatus:
        request_id, status, pin = answer.get("requestid"), answer.get("status"), answer.get("pin")
        cid = pin.get("cid") if isinstance(pin, dict) else None
        known = isinstance(status, str) and status in _STATUSES and isinstance(cid, str)
        if not known or not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            raise self._unusable("no status of a pin")
        return PinStatus(request_id, cast(Status, status), str(cid))

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request, repeated after transient faults with growing pauses."""
        again = Retrying(
            retry=retry_if_exception_type((_Transient, urllib3.exceptions.HTTPError)),
            wait=wait_exponential(0.25),
            stop=stop_after_attempt(self._retries + 1),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return self._answer(*again(self._send, method, path, body))
        except (_Transient, urllib3.exceptions.HTTPError) as e:
            problem = str(e) if isinstance(e, _Transient) else type(e).__name__
            hint = "check the address and the network, then repeat"
            raise StorageError(f"{self._where} does not answer: {problem}", hint=hint) from e

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        """Status and body, of which no more is read than shows that it is too long."""
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        response = self._pool.request(
            method,
            self._url + path,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            redirect=False,
            preload_content=False,
        )
        try:
            if response.status in TRANSIENT:
                raise _Transient(f"status {response.status}")
            return response.status, response.read(MAX_ANSWER_BYTES + 1, decode_content=False)
        finally:
            response.close()

    def _answer(self, code: int, data: bytes) -> dict[str, Any]:
        if code in (401, 403):
            raise StorageError(f"{self._where} does not accept the token", hint="check the token and its rights")
        if code not in (200, 202):
            hint = "check the address: its path ends where /pins begins"
            raise StorageError(f"{self._where} refuses with status {code}", hint=hint)
        if len(data) > MAX_ANSWER_BYTES:
            raise self._unusable(f"more than {MAX_ANSWER_BYTES} bytes")
        try:
            answer = parse_json(data) if data else {}
        except ValueError as e:
            raise self._unusable("no JSON") from e
        if not isinstance(answer, dict):
            raise self._unusable("no JSON object")
        return answer

    def _unusable(self, what: str) -> StorageError:
        return StorageError(f"{self._where} answers with {what}", hint="it does not keep to the Pinning Service API")


def _checked_address(url: str) -> str:
    """The address without path and credentials, for messages; refuses one that the token must not go to."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment or parts.username)
    except ValueError:
        usable = False
    if not usable or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
        hint = "use https://HOST/PATH without user, query or fragment; http only on this machine"
        raise UsageError("the address of the pinning service cannot be used", hint=hint)
    return public_url(url)
