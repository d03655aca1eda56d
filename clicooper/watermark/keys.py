"""Mark keys and the seeds derived from them.

A trainer draws two 32-byte secrets per attempt: *progress*, granted to the owner and auditors each round, and
*ownership*, opened only in a claim or to the arbiter. A seed binds one of them to the head just before the commit,
to the seat, to the trainer and to the root over this round's training steps, so a mark cannot predate the work it
stands for and does not verify for anyone else.

Storing, sealing and granting keys, and the commitment to them, are not done here.
"""

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_abi import encode as abi_encode
from eth_abi.exceptions import EncodingError
from eth_utils import keccak

from clicooper.errors import SpecError
from clicooper.types import Address, Digest, Head, JobId

__all__ = ["KEY_BYTES", "MarkKeys", "MarkPurpose", "keys_from_secret", "mark_seed", "new_keys"]

KEY_BYTES = 32

MIN_SECRET_BYTES = 16

KEYS_INFO = b"clicooper.mark.keys"

SEED_TYPES = ("bytes32", "uint256", "uint256", "uint256", "address", "bytes32", "bytes32")


class MarkPurpose(Enum):
    """What a mark is for; its value is the preimage of the tag that separates the seeds."""

    PROGRESS = "clicooper.mark.progress"
    OWNERSHIP = "clicooper.mark.ownership"

    @property
    def tag(self) -> bytes:
        """keccak-256 of the purpose's name, 32 bytes."""
        return bytes(keccak(self.value.encode("ascii")))


@dataclass(frozen=True)
class MarkKeys:
    """The two secrets of one attempt, 32 bytes each and different; never shown by ``repr``.

    Raises:
        SpecError: a key of another length, or one key for both purposes.
    """

    progress: bytes = field(repr=False)
    ownership: bytes = field(repr=False)

    def __post_init__(self) -> None:
        for name, key in (("progress", self.progress), ("ownership", self.ownership)):
            _require_length(key, KEY_BYTES, f"{name} mark key")
        if self.progress == self.ownership:
            hint = "draw the two keys separately: granting one must not open the other"
            raise SpecError("progress and ownership mark keys are equal", hint=hint)

    def of(self, purpose: MarkPurpose) -> bytes:
        """The key that serves ``purpose``."""
        return self.progress if purpose is MarkPurpose.PROGRESS else self.ownership


def new_keys(random_bytes: Callable[[int], bytes] = os.urandom) -> MarkKeys:
    """Fresh keys for one attempt.

    Args:
        random_bytes: source of that many unpredictable bytes.
    """
    return MarkKeys(progress=random_bytes(KEY_BYTES), ownership=random_bytes(KEY_BYTES))


def keys_from_secret(secret: bytes, job: JobId, round: int, seat: int, attempt: int = 0) -> MarkKeys:
    """Keys of one attempt as a function of a trainer's secret, for runs that must be repeatable.

    HKDF-SHA256 (RFC 5869) without salt, info ``"clicooper.mark.keys" || abi.encode(job, round, seat, attempt)``,
    64 bytes: progress, then ownership. As secret as ``secret`` and no more.

    Args:
        secret: at least 16 bytes, known to the trainer alone.
        job: the job's number on its contract.
        round: 0 or more.
        seat: 0 or more.
        attempt: counts restarts of the same seat and round, whose keys must differ.

    Raises:
        SpecError: a secret that is too short, or a number outside uint256.
    """
    if not isinstance(secret, bytes) or len(secret) < MIN_SECRET_BYTES:
        raise SpecError(f"mark secret is shorter than {MIN_SECRET_BYTES} bytes", hint="use 32 random bytes")
    info = KEYS_INFO + _abi(("uint256",) * 4, (job, round, seat, attempt))
    both = HKDF(algorithm=SHA256(), length=2 * KEY_BYTES, salt=None, info=info).derive(secret)
    return MarkKeys(progress=both[:KEY_BYTES], ownership=both[KEY_BYTES:])


def mark_seed(
    key: bytes,
    purpose: MarkPurpose,
    head: Head,
    job: JobId,
    round: int,
    seat: int,
    trainer: Address,
    train_root: Digest,
) -> bytes:
    """Seed of one mark, 32 bytes.

    ``HMAC-SHA256(key, abi.encode(bytes32 head, uint256 job, uint256 round, uint256 seat, address trainer,
    bytes32 trainRoot, bytes32 purposeTag))``.

    Args:
        key: the 32-byte secret of ``purpose``.
        purpose: selects the tag.
        head: the job's head just before this commit, 32 bytes.
        job: the job's number on its contract.
        round: 0 or more.
        seat: 0 or more.
        trainer: the account that holds the seat.
        train_root: root over this seat's training steps of the round, before embedding, 32 bytes.

    Raises:
        SpecError: a key, head or root of another length, a number outside uint256, or a malformed address.
    """
    for name, value in (("mark key", key), ("head", head), ("train root", train_root)):
        _require_length(value, KEY_BYTES, name)
    message = _abi(SEED_TYPES, (head, job, round, seat, trainer, train_root, purpose.tag))
    return hmac.new(key, message, hashlib.sha256).digest()


def _require_length(value: bytes, length: int, name: str) -> None:
    if not isinstance(value, bytes) or len(value) != length:
        raise SpecError(f"{name} is not {length} bytes", hint="pass the raw bytes, not hex text")


def _abi(types: tuple[str, ...], values: tuple[object, ...]) -> bytes:
    try:
        return bytes(abi_encode(types, values))
    except (EncodingError, TypeError, ValueError) as e:
        hint = "job, round, seat and attempt are non-negative integers, trainer is a 20-byte 0x address"
        raise SpecError(f"mark context does not fit its types {', '.join(types)}", hint=hint) from e
