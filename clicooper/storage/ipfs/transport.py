"""Calls of an IPFS node over HTTP, by ``ipfshttpclient``: an extra that only this module imports.

Job: one call and its body, its failures as ``rpc`` knows them. Non-jobs: retries (``rpc``), what the commands are
(``ipfs_store``).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

import requests
from ipfshttpclient import exceptions as ipfs_errors
from ipfshttpclient.http_requests import ClientSync
from urllib3.exceptions import HTTPError

from clicooper.storage.ipfs.address import NodeAddress
from clicooper.storage.ipfs.rpc import MAX_LINE_BYTES, Refused, Transient, parse_object
from clicooper.storage.ipfs.upload import MULTIPART_TYPE

__all__ = ["IpfsTransport"]

_CONNECT_TIMEOUT_S = 10.0


class IpfsTransport:
    """Carries calls by ``ipfshttpclient``; see ``rpc.Transport``."""

    def __init__(self, address: NodeAddress) -> None:
        self._client = _Client(address.multiaddr, "api/v0", auth=address.credentials)
        self._client.open_session()

    def close(self) -> None:
        """Gives the connections back, and begins anew."""
        self._client.close_session()
        self._client.open_session()

    def post(
        self, command: str, options: Mapping[str, str], body: Iterable[bytes] | None, timeout_s: float
    ) -> Generator[bytes, None, None]:
        """See ``rpc.Transport``."""
        headers = {} if body is None else {"Content-Type": MULTIPART_TYPE}
        timeouts = (min(timeout_s, _CONNECT_TIMEOUT_S), timeout_s)
        try:
            with closing(
                self._client.request(command, opts=options, data=body, headers=headers, timeout=timeouts, stream=True)
            ) as chunks:
                yield from chunks
        except ipfs_errors.TimeoutError as e:
            raise Transient(f"no answer within {timeout_s:.1f} s") from e
        except ipfs_errors.ConnectionError as e:
            raise Transient("it cannot be reached, or drops the connection") from e
        except (ipfs_errors.CommunicationError, requests.RequestException, HTTPError) as e:
            raise Transient(f"its answer is cut off or no HTTP ({type(e).__name__})") from e


class _Client(ClientSync):  # type: ignore[misc]
    """The library's client, without what a node must not be able to do: lead elsewhere, flood, or trickle."""

    def _make_session(self) -> requests.Session:
        # The library's own kind of session needs an argument that urllib3 is about to drop.
        session = requests.Session()
        session.auth = self._session_props.get("auth")
        # Neither the environment's proxies nor .netrc: the node is the one that the user named.
        session.trust_env = False
        session.hooks["response"].append(_judge_status)
        return session

    def _request(self, *arguments: Any, **options: Any) -> tuple[list[Any], Generator[bytes, None, None]]:
        closables, _ = super()._request(*arguments, **options)
        return closables, _arriving(closables[0])


def _arriving(response: requests.Response) -> Generator[bytes, None, None]:
    """The body in the pieces in which it arrives: whoever reads can stop at a limit of size or time."""
    while piece := response.raw.read1(MAX_LINE_BYTES, decode_content=True):
        yield piece


def _judge_status(response: requests.Response, **_: object) -> None:
    """Refuses whatever is not an answer of the RPC, before anything follows or reads it."""
    status = response.status_code
    if status == requests.codes.ok and "html" not in response.headers.get("Content-Type", ""):
        return
    text = b"".join(islice(_arriving(response), 1))
    response.close()
    message = parse_object(text).get("Message")
    if status == requests.codes.ok:
        raise Refused("a web page, no answer of the RPC", is_final=False)
    if 300 <= status < 400:
        raise Refused(f"status {status}, a redirect, which is not followed", is_final=True)
    raise Refused(f"status {status}: {message}" if message else f"status {status}", is_final=status < 500)
