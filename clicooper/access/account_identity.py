"""The age identity beside every keystore: ``NAME.age``, locked with the keystore's password, and ``NAME.recipient``.

The recipient is public; whoever it is shown to can wrap secrets for the account. The identity leaves its file on
demand alone, for programs that cannot ask for a password. Every function takes the keystore's own path, ``NAME.json``.
"""

from __future__ import annotations

from pathlib import Path

from clicooper.access.identity import lock_identity, parse_recipient, recipient_of, unlock_identity
from clicooper.access.sealing import new_identity
from clicooper.errors import UsageError
from clicooper.files import read_bounded, write_whole
from clicooper.user_text import decode_text

__all__ = ["discard_identity", "export_identity", "identity_file", "make_identity", "stored_recipient"]

MAX_IDENTITY_BYTES = 1 << 16


def identity_file(keystore: Path) -> Path:
    """Where the account's locked identity is, if it has one."""
    return keystore.with_suffix(".age")


def _recipient_file(keystore: Path) -> Path:
    return keystore.with_suffix(".recipient")


def make_identity(keystore: Path, password: str) -> str:
    """Makes an identity for an account, locks it with its password, and returns its recipient; takes about a second.

    Raises:
        UsageError: it has one already, or the files cannot be written; nothing is left behind.
    """
    identity, recipient = new_identity()
    _write_new(identity_file(keystore), lock_identity(identity, password))
    try:
        _write_new(_recipient_file(keystore), recipient.encode() + b"\n")
    except BaseException:
        identity_file(keystore).unlink()
        raise
    return recipient


def discard_identity(keystore: Path) -> None:
    """Takes back what ``make_identity`` made, for an account that could not be made after it."""
    identity_file(keystore).unlink(missing_ok=True)
    _recipient_file(keystore).unlink(missing_ok=True)


def stored_recipient(keystore: Path) -> str | None:
    """The recipient of an account, without its password; None if there is none, or its file is damaged."""
    try:
        return parse_recipient(decode_text(_read(_recipient_file(keystore), "the keystore's folder holds it")).strip())
    except (ValueError, UsageError):
        return None


def export_identity(keystore: Path, password: str, target: Path) -> str:
    """Writes the account's identity, unlocked, to a new file of mode 0600, and returns its recipient.

    Raises:
        UsageError: there is no such identity, the password is wrong, or the file exists or cannot be written.
    """
    path = identity_file(keystore)
    hint = "accounts get one when they are made or imported: import this one again under another name"
    locked = _read(path, hint)
    identity = unlock_identity(locked, password)
    recipient = recipient_of(identity)
    if stored_recipient(keystore) not in (None, recipient):
        hint = "do not use what was wrapped for that recipient; restore the file from a copy"
        raise UsageError(f"{_recipient_file(keystore)} is not the recipient of {path.name}", hint=hint)
    _write_new(target, f"# recipient: {recipient}\n{identity}\n".encode())
    return recipient


def _read(path: Path, hint: str) -> bytes:
    return read_bounded(path, MAX_IDENTITY_BYTES, what="identity", error=UsageError, hint=hint)


def _write_new(path: Path, data: bytes) -> None:
    write_whole(path, data, mode=0o600, new=True, parents=False, error=UsageError, hint="choose a folder you can write")
