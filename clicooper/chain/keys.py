"""Accounts: random ones, ones derived from a seed, and encrypted keystore files (Web3 Secret Storage).

Private keys leave this module inside ``LocalAccount`` objects only; signing happens in this process, never on a node.
"""

import json
import re
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from clicooper.chain.keystore_format import parse_sealed_key
from clicooper.chain.rpc.recursion import recursion_limit_kept
from clicooper.errors import UsageError
from clicooper.files import read_bounded, write_whole
from clicooper.json_values import parse_json

with recursion_limit_kept():
    from eth_account import Account
    from eth_account.signers.local import LocalAccount

__all__ = [
    "MAX_KEYSTORE_BYTES",
    "LocalAccount",
    "account_from_key",
    "account_from_seed",
    "load_keystore",
    "random_account",
    "read_keystore",
    "save_keystore",
]

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY_BYTES = 32
MAX_KEYSTORE_BYTES = 65_536


def account_from_seed(seed: bytes, name: str) -> LocalAccount:
    """The account that ``seed`` and ``name`` always give: for demonstrations and tests only.

    Whoever knows the seed has the key. The key is HKDF-SHA256 (RFC 5869) of the seed, 48 bytes reduced into
    1 .. n - 1, so that its bias is below 2^-128.

    Args:
        seed: input keying material, at least one byte.
        name: separates the accounts of one seed, such as ``owner``.

    Raises:
        UsageError: the seed is empty.
    """
    if not seed:
        raise UsageError("an account cannot come from an empty seed", hint="give a seed of at least one byte")
    wide = HKDF(algorithm=SHA256(), length=48, salt=None, info=b"clicooper/1/account/" + name.encode()).derive(seed)
    key = int.from_bytes(wide, "big") % (SECP256K1_ORDER - 1) + 1
    return _account(key.to_bytes(32, "big"))


def random_account() -> LocalAccount:
    """A new account from the operating system's randomness."""
    key = secrets.randbelow(SECP256K1_ORDER - 1) + 1
    return _account(key.to_bytes(32, "big"))


def save_keystore(path: Path, account: LocalAccount, password: str) -> None:
    """Encrypts the account's key into a new file of mode 0600; takes about a second (scrypt).

    The file appears complete or not at all, and an existing one is never replaced.

    Raises:
        UsageError: the path exists or cannot be written, or the password is empty.
    """
    if not password:
        raise UsageError("a keystore needs a password", hint="give one with --password-file or at the prompt")
    data = json.dumps(Account.encrypt(account.key, password)).encode()
    write_whole(path, data, mode=0o600, new=True, parents=False, error=UsageError, hint="choose a folder you can write")


def read_keystore(path: Path) -> dict[str, object]:
    """What a keystore file says in the clear; its ``address`` is a claim until the file is opened.

    Raises:
        UsageError: there is no such file, or it is no keystore.
    """
    hint = "list the accounts with: clicooper account list"
    data = read_bounded(path, MAX_KEYSTORE_BYTES, what="keystore", error=UsageError, hint=hint)
    try:
        keystore = parse_json(data)
    except ValueError as e:
        reason = "" if isinstance(e, json.JSONDecodeError) else f": {e}"
        raise UsageError(f"{path} is no keystore{reason}", hint="give a Web3 Secret Storage file") from e
    if not isinstance(keystore, dict):
        raise UsageError(f"{path} is no keystore", hint="give a Web3 Secret Storage file")
    return keystore


def load_keystore(path: Path, password: str) -> LocalAccount:
    """The account in a keystore file; takes about a second (scrypt).

    A file's checksum covers neither its address nor the vector that its key is decrypted with. So the account has to
    be the one that the file names; a file that names none is taken at its word.

    Raises:
        UsageError: there is no such file, it is no keystore, opening it would take minutes or gigabytes, the password
            is wrong, or the key in it is none or another account's.
    """
    keystore = read_keystore(path)
    try:
        sealed = parse_sealed_key(keystore)
    except ValueError as e:
        hint = "give a Web3 Secret Storage file, version 3, as geth and most wallets write it"
        raise UsageError(f"{path} cannot be opened: {e}", hint=hint) from e
    try:
        key = bytes(Account.decrypt(sealed.content, password))
    except (ValueError, KeyError, TypeError, NotImplementedError, AssertionError) as e:
        hint = "check the password; other programs' keystores must be Web3 Secret Storage, version 3"
        raise UsageError(f"{path} cannot be opened: wrong password, or damaged", hint=hint) from e
    account = _account_of_bytes(key)
    if account is None or sealed.address not in (None, account.address.lower()):
        hint = "restore the file from a copy; do not use what it opens to"
        raise UsageError(f"{path} is damaged: it does not open to the account that it names", hint=hint)
    if len(key) < KEY_BYTES and sealed.address is None:
        hint = "write the address that it must have into the file, as its address"
        raise UsageError(f"{path} holds a key of {len(key)} bytes and names no address to compare it with", hint=hint)
    return account


def _account_of_bytes(key: bytes) -> LocalAccount | None:
    """The account of a decrypted key, which some wallets stored without its leading zeros; None for no key."""
    number = int.from_bytes(key, "big")
    return _account(number.to_bytes(KEY_BYTES, "big")) if len(key) <= KEY_BYTES and _is_key(number) else None


def _is_key(number: int) -> bool:
    return 0 < number < SECP256K1_ORDER


def account_from_key(text: str) -> LocalAccount:
    """The account of a private key.

    Args:
        text: 64 hex digits, with or without ``0x``.

    Raises:
        UsageError: it is no private key. The text is not repeated.
    """
    hint = "a private key is 64 hex digits, and neither zero nor beyond the curve's order"
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", text):
        raise UsageError("not a private key", hint=hint)
    key = int(text, 16)
    if not _is_key(key):
        raise UsageError("not a private key", hint=hint)
    return _account(key.to_bytes(32, "big"))


def _account(key: bytes) -> LocalAccount:
    account: LocalAccount = Account.from_key(key)
    return account
