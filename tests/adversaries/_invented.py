"""Values that no honest party ever made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from clicooper.commitments.canonical import sha256
from clicooper.storage.ipld.cid import block_cid
from clicooper.types import ZERO_DIGEST, Digest

__all__ = ["NOWHERE", "OTHER_KEY", "invented", "running_digest"]

OTHER_KEY = b"\x5a" * 32
NOWHERE = block_cid(b"a block that nobody committed", "dag-cbor")


def invented(what: bytes, step: int) -> Digest:
    """A digest of nothing."""
    return sha256(what + step.to_bytes(4, "big"))


def running_digest(digests: Iterable[bytes]) -> Digest:
    """What a boundary's running digest over these has to be, told apart from the code that takes it."""
    joined = b"".join(digests)
    return Digest(hashlib.sha256(joined).digest()) if any(joined) else ZERO_DIGEST
