"""Secret randomness: one master secret, one key per purpose, one keystream per key.

Job: reproduce the same label map, dealing, shuffle and noise for whoever holds the master secret, and
make them unpredictable to everyone else. Non-jobs: public draws such as batches and initial weights,
which come from NumPy generators seeded by the job's specification.

The stream of a 32-byte key is the AES-256-CTR keystream with an all-zero first counter block, read as
little-endian 64-bit words. A key serves one call only: every purpose and every context has its own.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from scipy.special import ndtri

from clicooper.errors import UsageError
from clicooper.types import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["MAX_DEVIATION", "WORDS", "MasterSecret", "bernoulli", "bind", "integers", "normal_noise", "permutation"]

KEY_BYTES = 32
BLOCK_WORDS = 1 << 20
"""Words generated at a time: bounds the working memory at a few times 8 MiB."""

WORDS = 1 << 64
"""Different words of a stream: probabilities are whole multiples of its inverse."""

MAX_DEVIATION = 9.2
"""No draw of ``normal_noise`` lies further than this many sigma from 0: the smallest tail is 2^-65."""


@dataclass(frozen=True)
class MasterSecret:
    """The owner's root of all secret randomness.

    Args:
        material: 32 bytes, never printed.
        secure: True only for bytes from the operating system's generator.
    """

    material: bytes = field(repr=False)
    secure: bool

    def __post_init__(self) -> None:
        if len(self.material) != KEY_BYTES:
            raise UsageError(
                f"a master secret has {KEY_BYTES} bytes, not {len(self.material)}",
                hint="create one with MasterSecret.from_os()",
            )

    @classmethod
    def from_os(cls) -> MasterSecret:
        """256 bits from the operating system."""
        return cls(secrets.token_bytes(KEY_BYTES), secure=True)

    @classmethod
    def from_seed(cls, seed: int) -> MasterSecret:
        """A repeatable master for demonstrations; every statement made with it says INSECURE.

        Args:
            seed: 0 <= seed < 2^64.

        Raises:
            UsageError: a seed out of range.
        """
        if not 0 <= seed < 1 << 64:
            raise UsageError(f"seed {seed} is outside 0..2^64-1", hint="choose a non-negative 64-bit integer")
        return cls(bytes(bind("clicooper.insecure-seed", seed)), secure=False)

    def derive(self, purpose: str, context: Digest) -> bytes:
        """The 32-byte key for one purpose in one context: HKDF-SHA256 (RFC 5869), no salt, info = purpose || context.

        The context has a fixed length, so no two (purpose, context) pairs share an info string.

        Raises:
            UsageError: an empty or non-ASCII purpose, or a context that is not 32 bytes.
        """
        if not purpose or not purpose.isascii() or len(context) != KEY_BYTES:
            raise UsageError("a key needs an ASCII purpose and a 32-byte context", hint="build the context with bind()")
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode() + bytes(context)).derive(self.material)


def bind(tag: str, *parts: bytes | str | int | float) -> Digest:
    """sha2-256 over a tag and typed parts, injective: each part is its type, its length and its bytes.

    Integers are signed big-endian in the fewest whole bytes that leave room for the sign, floats IEEE-754
    big-endian (so every bit of epsilon counts), text UTF-8.
    """
    digest = hashlib.sha256()
    for part in (tag, *parts):
        kind, content = _encoded(part)
        digest.update(kind + struct.pack(">Q", len(content)) + content)
    return Digest(digest.digest())


def _encoded(part: bytes | str | int | float) -> tuple[bytes, bytes]:
    if isinstance(part, bytes):
        return b"b", part
    if isinstance(part, str):
        return b"s", part.encode()
    if isinstance(part, int):
        return b"i", part.to_bytes(part.bit_length() // 8 + 1, "big", signed=True)
    if isinstance(part, float):
        return b"f", struct.pack(">d", part)
    raise UsageError(f"{type(part).__name__} cannot be bound into a context", hint="convert it to int, float or bytes")


def normal_noise(key: bytes, shape: tuple[int, ...], sigma: float) -> NDArray[np.float64]:
    """Independent N(0, sigma^2) draws, row-major, one 64-bit word each.

    A word's top bit is the sign; its other 63 bits t give the tail probability ``p = (t + 1/2) 2^-64`` in
    (0, 1/2], rounded to the 53 significant bits of a double; the magnitude is ``-sigma ndtri(p)``. Inverting
    the *smaller* tail keeps full relative precision out to 9 sigma, where one 53-bit uniform per draw would
    leave a few isolated values that mark their summand.

    Args:
        key: 32 bytes, used for nothing else.
        shape: shape of the result.
        sigma: standard deviation, >= 0, in the unit of the result.

    Returns:
        float64, every entry within ``MAX_DEVIATION`` sigma. Across platforms the last bits follow ``log`` of
        the C library.
    """
    noise = np.empty(prod(shape), dtype=np.float64)
    start = 0
    for words in _words(key, noise.size):
        tail = ((words & np.uint64((1 << 63) - 1)).astype(np.float64) + 0.5) * 2.0**-64
        magnitude = -sigma * ndtri(tail)
        noise[start : start + words.size] = np.where(words >> np.uint64(63), -magnitude, magnitude)
        start += words.size
    return noise.reshape(shape)


def permutation(key: bytes, n: int) -> NDArray[np.int64]:
    """A secret order of 0..n-1: the stable argsort of n words, so within n^2 2^-65 of uniform."""
    words = np.concatenate(list(_words(key, n)) or [np.empty(0, dtype=np.uint64)])
    return np.argsort(words, kind="stable").astype(np.int64)


def integers(key: bytes, count: int, bound: int) -> NDArray[np.int64]:
    """``count`` independent draws, exactly uniform on 0..bound-1.

    Words at or above the largest multiple of ``bound`` are passed over, the others reduced modulo ``bound``.

    Raises:
        UsageError: a bound outside 1..2^32.
    """
    if not 1 <= bound <= 1 << 32:
        raise UsageError(f"bound {bound} is outside 1..2^32", hint="draw several smaller numbers instead")
    drawn = np.empty(0, dtype=np.int64)
    # Below 2^32, all but one word in 2^32 is kept, so twice the count plus a few always suffices.
    for words in _words(key, 2 * count + 64):
        kept = words[words < np.uint64((1 << 64) - 1 - ((1 << 64) - 1) % bound)]
        drawn = np.concatenate([drawn, (kept % np.uint64(bound)).astype(np.int64)])
        if drawn.size >= count:
            break
    return drawn[:count]


def bernoulli(key: bytes, count: int, threshold: int) -> NDArray[np.bool_]:
    """``count`` independent draws, each True with probability ``threshold / 2^64``, exactly.

    Args:
        threshold: 1..2^64.

    Raises:
        UsageError: a threshold out of range.
    """
    if not 1 <= threshold <= WORDS:
        raise UsageError(f"threshold {threshold} is outside 1..2^64", hint="a draw that is certain needs no key")
    drawn = [words <= np.uint64(threshold - 1) for words in _words(key, count)]
    return np.concatenate(drawn or [np.empty(0, dtype=np.bool_)])


def _words(key: bytes, count: int) -> Iterator[NDArray[np.uint64]]:
    """The first ``count`` words of the key's stream, in blocks."""
    if len(key) != KEY_BYTES:
        raise UsageError(f"a stream key has {KEY_BYTES} bytes, not {len(key)}", hint="use MasterSecret.derive()")
    stream = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
    for start in range(0, count, BLOCK_WORDS):
        size = min(BLOCK_WORDS, count - start)
        yield np.frombuffer(stream.update(bytes(8 * size)), dtype="<u8").astype(np.uint64)
