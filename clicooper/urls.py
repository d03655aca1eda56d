"""What may be shown of an address: scheme, host and port. The rest may hold a password or a provider's API key."""

import re
from urllib.parse import urlsplit

__all__ = ["hide_paths", "public_url", "shown_address"]

CUT = "..."
"""Stands for all that is not shown."""

_IPFS = "ipfs:"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_AFTER_AUTHORITY = re.compile(r"[/?#\\\s]")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.\[-]*)(:[0-9]{1,5}(?!\w))?")
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]*[^\s\"'<>.,:;)!]")


def public_url(url: str) -> str:
    """Scheme, host and port of an address that is accepted; raises ValueError for one that cannot be read."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def shown_address(text: str) -> str:
    """What a message may repeat of an address that is refused, however it is written: never more than ``public_url``.

    What is left out shows as three dots. A text without any mark of an address is a name, and shown as it is.
    """
    prefix = _IPFS if text.startswith(_IPFS) else ""
    scheme, mark, rest = text.removeprefix(prefix).partition("://")
    if not mark or not _SCHEME.fullmatch(scheme):
        scheme, mark, rest = "", "", text.removeprefix(prefix)
    authority = _AFTER_AUTHORITY.split(rest, maxsplit=1)[0]
    shown = prefix + scheme + mark
    if "@" not in rest[len(authority) :]:  # Otherwise the password held a slash, and what looks like a host is a user.
        shown += _host(authority.rpartition("@")[2])
    return shown if shown == text else shown + CUT


def hide_paths(text: str) -> str:
    """A message with every URL in it as ``shown_address`` shows it."""
    return _IN_TEXT.sub(lambda found: shown_address(found[0]), text)


def _host(text: str) -> str:
    found = _HOST.match(text)
    if found is None:
        return ""
    rest = text[found.end() :]
    return found[0] if not rest or (rest.startswith(":") and "%" not in rest) else ""
