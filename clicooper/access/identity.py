"""X25519 identities of ``age``: the recipient of one, one from a seed, and one locked with a password.

An identity is text, ``AGE-SECRET-KEY-1...``; whoever has it opens every grant to its recipient, ``age1...``. Fresh
ones come from ``seal.new_identity``; where they are kept is decided by the callers.
"""

import re

import bech32
import pyrage

from clicooper.errors import SealError, UsageError
from clicooper.user_text import decode_text

__all__ = [
    "identity_from_seed",
    "lock_identity",
    "parse_identity",
    "parse_recipient",
    "recipient_of",
    "unlock_identity",
]

SEED_BYTES = 32
SECRET_PREFIX = "age-secret-key-"
MAX_IDENTITY_BYTES = 65_536
_CLAIM = re.compile(r"#.*\b(age1[0-9a-z]+)\s*")
"""A comment that ends in a recipient, as ``age-keygen`` writes it."""


def identity_from_seed(seed: bytes) -> str:
    """The identity whose X25519 scalar is ``seed``, 32 bytes: for repeatable runs, as secret as the seed and no more.

    The text is Bech32 (BIP 173, without its limit on length) of the scalar, as age's format defines it.

    Raises:
        SealError: a seed of another length.
    """
    if len(seed) != SEED_BYTES:
        raise SealError(f"an identity comes from {SEED_BYTES} bytes, not {len(seed)}", hint="derive 32 bytes for it")
    words = bech32.convertbits(seed, 8, 5) or []
    return bech32.bech32_encode(SECRET_PREFIX, words).upper()


def recipient_of(identity: str) -> str:
    """The recipient, ``age1...``, to whom grants for this identity are made.

    Raises:
        SealError: not an identity; the text is not repeated.
    """
    try:
        return str(pyrage.x25519.Identity.from_str(identity).to_public())
    except pyrage.IdentityError as e:
        raise SealError("not an age identity", hint="identities look like AGE-SECRET-KEY-1...") from e


def parse_recipient(text: str) -> str:
    """The recipient that ``text`` is.

    Raises:
        UsageError: it is none; the text is not repeated, since it may be an identity.
    """
    try:
        return str(pyrage.x25519.Recipient.from_str(text))
    except pyrage.RecipientError as e:
        hint = "recipients look like age1..., and a single wrong letter is noticed: copy it again"
        raise UsageError("what was given is no age recipient", hint=hint) from e


def parse_identity(data: bytes, what: str) -> str:
    """The identity in a file as ``age-keygen`` writes it: comments, and one line with the identity.

    Args:
        what: the file, as its user calls it.

    Raises:
        SealError: it is no text, there is none in it, or more than one, or its comment names the recipient of another;
            nothing of it is repeated.
    """
    if len(data) > MAX_IDENTITY_BYTES:
        raise SealError(f"{what} is too large for an identity", hint="give a file with one AGE-SECRET-KEY-1... line")
    try:
        lines = [line.strip() for line in decode_text(data).splitlines()]
    except ValueError as e:
        raise SealError(f"{what} holds no identity: {e}", hint="write the file again as UTF-8 text") from e
    found = [line for line in lines if line and not line.startswith("#")]
    if len(found) != 1:
        raise SealError(f"{what} holds {len(found)} identities", hint="give a file with one AGE-SECRET-KEY-1... line")
    recipient = recipient_of(found[0])
    if any(claimed != recipient for claimed in _claimed(lines)):
        hint = f"take the right file; if this is the one, its comment has to name {recipient}"
        raise SealError(f"{what} names another recipient than its identity has", hint=hint)
    return found[0]


def _claimed(lines: list[str]) -> list[str]:
    """The recipients that comments name; what is none, such as a shortened one, claims nothing."""
    named = [match[1] for line in lines if (match := _CLAIM.fullmatch(line))]
    return [text for text in named if _is_recipient(text)]


def _is_recipient(text: str) -> bool:
    try:
        parse_recipient(text)
    except UsageError:
        return False
    return True


def lock_identity(identity: str, password: str) -> bytes:
    """An age file with the identity, which ``age --decrypt`` opens with the password; takes about a second (scrypt)."""
    return bytes(pyrage.passphrase.encrypt(identity.encode() + b"\n", password))


def unlock_identity(data: bytes, password: str) -> str:
    """Inverse of ``lock_identity``.

    Raises:
        UsageError: the wrong password, or not such a file.
    """
    try:
        return parse_identity(bytes(pyrage.passphrase.decrypt(data, password)), "the locked file")
    except (pyrage.DecryptError, SealError) as e:
        hint = "check the password: it is the one that the account's keystore had when both were made"
        raise UsageError("the identity cannot be opened: wrong password, or damaged", hint=hint) from e
