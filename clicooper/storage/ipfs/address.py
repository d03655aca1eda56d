"""Addresses of IPFS nodes: as a URL, or as IPFS itself writes them. Pure."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

from clicooper.errors import UsageError
from clicooper.urls import public_url

__all__ = ["NodeAddress", "parse_node_address"]

_MULTIADDR = re.compile(
    r"/(?:ip4|ip6|dns|dns4|dns6)/(?P<host>[^/]+)/tcp/(?P<port>[0-9]{1,5})(?:/(?P<scheme>https?))?/?"
)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class NodeAddress:
    """Where a node's RPC is.

    Attributes:
        multiaddr: as the client library wants it.
        public: scheme, host and port, for messages.
        credentials: user and password, if the RPC is behind a gate that wants them.
    """

    multiaddr: str
    public: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)


def parse_node_address(text: str) -> NodeAddress:
    """Reads ``http(s)://[user:password@]host[:port]`` or ``/ip4/127.0.0.1/tcp/5001`` (ip6, dns, dns4, dns6; /https).

    Raises:
        UsageError: neither; the message holds no credentials.
    """
    if found := _MULTIADDR.fullmatch(text):
        scheme = found["scheme"] or "http"
        host = f"[{found['host']}]" if ":" in found["host"] else found["host"]
        text = f"{scheme}://{host}:{found['port']}"
    try:
        parts = urlsplit(text)
        return _address(parts, _PORTS[parts.scheme] if parts.port is None else parts.port)
    except (ValueError, KeyError) as e:
        hint = "write http://host:5001, or /ip4/127.0.0.1/tcp/5001"
        raise UsageError("the address of the IPFS node is neither a URL nor a multiaddr", hint=hint) from e


def _address(parts: SplitResult, port: int) -> NodeAddress:
    if (
        parts.scheme not in _PORTS
        or not port
        or not parts.hostname
        or parts.path.rstrip("/") not in ("", "/api/v0")
        or parts.query
        or parts.fragment
    ):
        raise ValueError("no host, or more than a host and a port")
    multiaddr = f"/{_kind(parts.hostname)}/{parts.hostname}/tcp/{port}/{parts.scheme}"
    credentials = None
    if parts.username is not None:
        credentials = unquote(parts.username), unquote(parts.password or "")
    return NodeAddress(multiaddr, public_url(parts.geturl()), credentials)


def _kind(host: str) -> str:
    try:
        return f"ip{ip_address(host).version}"
    except ValueError:
        return "dns"
