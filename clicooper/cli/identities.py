"""The age identity beside every keystore: ``NAME.age``, locked with the keystore's password, and ``NAME.recipient``.

The recipient is public; whoever it is shown to can wrap secrets for the account. The identity leaves its file on
demand alone, for programs that cannot ask for a password.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clicooper.cli.session import keystore_file
from clicooper.errors import UsageError
from clicooper.files import write_whole

if TYPE_CHECKING:
    from clicooper.config import ClientConfig

__all__ = ["discard_identity", "export_identity", "identity_exists", "make_identity", "stored_recipient"]


def _identity_file(config: ClientConfig, name: str) -> Path:
    return keystore_file(config, name).with_suffix(".age")


def _recipient_file(config: ClientConfig, name: str) -> Path:
    return keystore_file(config, name).with_suffix(".recipient")


def identity_exists(config: ClientConfig, name: str) -> bool:
    """Whether the account's name is taken by an identity."""
    return _identity_file(config, name).exists()


def make_identity(config: ClientConfig, name: str, password: str) -> str:
    """Makes an identity for an account, locks it with its password, and returns its recipient; takes about a second.

    Raises:
        UsageError: it has one already, or the files cannot be written; nothing is left behind.
    """
    from clicooper.access.identity import lock_identity  # noqa: PLC0415 - slow to import
    from clicooper.access.sealing import new_identity  # noqa: PLC0415

    identity, recipient = new_identity()
    _write_new(_identity_file(config, name), lock_identity(identity, password))
    try:
        _write_new(_recipient_file(config, name), recipient.encode() + b"\n")
    except BaseException:
        _identity_file(config, name).unlink()
        raise
    return recipient


def discard_identity(config: ClientConfig, name: str) -> None:
    """Takes back what ``make_identity`` made, for an account that could not be made after it."""
    _identity_file(config, name).unlink(missing_ok=True)
    _recipient_file(config, name).unlink(missing_ok=True)


def stored_recipient(config: ClientConfig, name: str) -> str | None:
    """The recipient of an account, without its password; None if there is none, or its file is damaged."""
    from clicooper.access.identity import parse_recipient  # noqa: PLC0415

    try:
        return parse_recipient(_recipient_file(config, name).read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError, UsageError):
        return None


def export_identity(config: ClientConfig, name: str, password: str, target: Path) -> str:
    """Writes the account's identity, unlocked, to a new file of mode 0600, and returns its recipient.

    Raises:
        UsageError: there is no such identity, the password is wrong, or the file exists or cannot be written.
    """
    from clicooper.access.identity import recipient_of, unlock_identity  # noqa: PLC0415

    path = _identity_file(config, name)
    try:
        locked = path.read_bytes()
    except OSError as e:
        hint = "accounts get one when they are made or imported: import this one again under another name"
        raise UsageError(f"cannot read {path}: {e.strerror}", hint=hint) from e
    identity = unlock_identity(locked, password)
    recipient = recipient_of(identity)
    if stored_recipient(config, name) not in (None, recipient):
        hint = "do not use what was wrapped for that recipient; restore the file from a copy"
        raise UsageError(f"{_recipient_file(config, name)} is not the recipient of {path.name}", hint=hint)
    _write_new(target, f"# recipient: {recipient}\n{identity}\n".encode())
    return recipient


def _write_new(path: Path, data: bytes) -> None:
    write_whole(path, data, mode=0o600, new=True, parents=False, error=UsageError, hint="choose a folder you can write")
