"""Values that no honest party ever made."""

from __future__ import annotations

from clicooper.commitments.canonical import sha256
from clicooper.storage.ipld.cid import block_cid
from clicooper.types import Digest

__all__ = ["NOWHERE", "OTHER_KEY", "invented"]

OTHER_KEY = b"\x5a" * 32
NOWHERE = block_cid(b"a block that nobody committed", "dag-cbor")


def invented(what: bytes, step: int) -> Digest:
    """A digest of nothing."""
    return sha256(what + step.to_bytes(4, "big"))
