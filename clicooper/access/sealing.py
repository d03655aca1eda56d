"""Sealing: content is encrypted the same way every time, keys are wrapped for people.

A confidential file is AES-256-CTR under a key of its own, so that the same file has the same CID for ever.
``age`` (X25519) wraps keys only, in grants that no manifest links. Files in a store are sealed and opened by
``sealed_files``; deciding who gets a grant is the business of ``clicooper.protocol``.
"""

import hashlib
import hmac
from collections.abc import Sequence

import pyrage
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from clicooper.errors import SealError
from clicooper.types import Digest, Head

__all__ = [
    "content_key",
    "decrypt",
    "encrypt",
    "labels_file_key",
    "new_identity",
    "open_labels",
    "open_sealed",
    "sealing_secret",
    "secret_digest",
    "stream_cipher",
    "unwrap",
    "wrap",
]

KEY_BYTES = 32
SECRET_INFO = b"clicooper.sealing"
DIGEST_TAG = b"clicooper.sealing.digest"


def encrypt(key: bytes, plaintext: bytes) -> bytes:
    """AES-256-CTR with initial counter 0; as long as ``plaintext``.

    Safe only if ``key`` never encrypts another plaintext: the keystream is the same each time, so that two ciphertexts
    under one key give away the difference of their plaintexts. ``content_key`` binds the key to its plaintext;
    ``labels_file_key`` to one round of one job. Nothing here detects changes: authenticity comes from the
    plaintext's digest in a manifest, and ``open_sealed`` checks it.

    Args:
        key: 32 bytes.

    Raises:
        SealError: a key of another length.
    """
    return stream_cipher(key).update(plaintext)


def stream_cipher(key: bytes) -> CipherContext:
    """``encrypt`` and ``decrypt`` piece by piece: the results of its ``update``, joined, are theirs.

    Raises:
        SealError: a key that has not 32 bytes.
    """
    if len(key) != KEY_BYTES:
        raise SealError(f"a sealing key has {KEY_BYTES} bytes, not {len(key)}", hint="pass the key from the grant")
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()


def decrypt(key: bytes, ciphertext: bytes) -> bytes:
    """Inverse of ``encrypt``. Its result is whatever the ciphertext makes it: prefer ``open_sealed``."""
    return encrypt(key, ciphertext)


def sealing_secret(secret: bytes, genesis: Head) -> bytes:
    """A party's sealing secret of one job, 32 bytes: HKDF-SHA256 (RFC 5869), no salt, info = tag || genesis.

    A function of what the party keeps anyway, so that it seals the same way after a restart; of the genesis, so that
    granting the secret of one job opens no other.

    Args:
        secret: at least 16 bytes that the party alone knows and keeps.
        genesis: the job's first head, which binds chain, contract, job number, owner and terms.

    Raises:
        SealError: a secret that is too short.
    """
    if len(secret) < 16:
        raise SealError("a party's secret is shorter than 16 bytes", hint="use 32 random bytes")
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=SECRET_INFO + genesis).derive(secret)


def secret_digest(sealing_secret: bytes) -> Digest:
    """``sha2-256(tag || sealing secret)``: registered at ``join``, it tells the right secret from any other.

    Nothing is encrypted under it, and 32 random bytes cannot be found from it.
    """
    return Digest(hashlib.sha256(DIGEST_TAG + sealing_secret).digest())


def content_key(sealing_secret: bytes, plaintext_digest: Digest) -> bytes:
    """``HMAC-SHA256(sealing secret, sha2-256 of the plaintext)``: one key per plaintext, 32 bytes.

    Args:
        sealing_secret: the author's secret of one job; who holds it can open every file sealed under it.
    """
    return hmac.digest(sealing_secret, plaintext_digest, "sha256")


def labels_file_key(label_secret: bytes, round_key: Digest) -> bytes:
    """``HMAC-SHA256(labelSecret, key_r)``: opens round r's labels to holders of the secret once key_r is public."""
    return hmac.digest(label_secret, round_key, "sha256")


def open_sealed(ciphertext: bytes, key: bytes, expected_plaintext_digest: Digest) -> bytes:
    """The plaintext, if it has the digest that a manifest promised.

    Raises:
        SealError: another digest: the wrong key, or an author who sealed something else; which, cannot be told.
    """
    plaintext = decrypt(key, ciphertext)
    if not hmac.compare_digest(hashlib.sha256(plaintext).digest(), expected_plaintext_digest):
        raise SealError(
            "sealed content does not open to the digest in its manifest",
            hint="check that the grant belongs to this job and author; if it does, the author is answerable",
        )
    return plaintext


def open_labels(ciphertext: bytes, key: bytes, expected_plaintext_digest: Digest) -> bytes:
    """The labels of one round, salt included, under its ``labels_file_key``; see ``open_sealed``.

    Raises:
        SealError: not what the job's specification promised for this round.
    """
    try:
        return open_sealed(ciphertext, key, expected_plaintext_digest)
    except SealError as e:
        hint = "check that the label secret and the round's key are those of this job and round"
        raise SealError("the labels do not open to the digest in the job's specification", hint=hint) from e


def new_identity() -> tuple[str, str]:
    """A fresh X25519 identity: ``AGE-SECRET-KEY-1...``, to be kept secret, and its recipient ``age1...``."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def wrap(payload: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypts ``payload`` so that each of ``recipients`` alone can open it. Random: two results never agree.

    Raises:
        SealError: no recipient, or one that is not ``age1...``.
    """
    try:
        keys = [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
        return bytes(pyrage.encrypt(payload, keys))
    except (pyrage.RecipientError, pyrage.EncryptError) as e:
        raise SealError(
            f"cannot wrap for {len(recipients)} recipients: {e}", hint="recipients look like age1..."
        ) from e


def unwrap(data: bytes, identity: str) -> bytes:
    """The payload that ``wrap`` encrypted to the recipient of ``identity``.

    Raises:
        SealError: the identity is malformed or not among the recipients, or the data are damaged.
    """
    try:
        key = pyrage.x25519.Identity.from_str(identity)
    except pyrage.IdentityError as e:
        raise SealError("not an age identity", hint="identities look like AGE-SECRET-KEY-1...") from e
    try:
        return bytes(pyrage.decrypt(data, [key]))
    except pyrage.DecryptError as e:
        hint = f"ask for a grant to {key.to_public()}, or use the identity that was granted"
        raise SealError(f"the grant does not open with this identity: {e}", hint=hint) from e
