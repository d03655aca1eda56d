"""Accounts: random ones, ones derived from a seed, and encrypted keystore files (Web3 Secret Storage).

Private keys leave this module inside ``LocalAccount`` objects only; signing happens in this process, never on a node.
"""

import json
import re
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from clicooper.chain.rpc.recursion import recursion_limit_kept
from clicooper.errors import UsageError
from clicooper.files import write_whole
from clicooper.json_values import parse_json

with recursion_limit_kept():
    from eth_account import Account
    from eth_account.signers.local import LocalAccount

__all__ = [
    "LocalAccount",
    "account_from_key",
    "account_from_seed",
    "load_keystore",
    "random_account",
    "read_keystore",
    "save_keystore",
]

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
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
    try:
        with path.open("rb") as file:
            keystore = parse_json(file.read(MAX_KEYSTORE_BYTES).decode())
    except OSError as e:
        raise UsageError(
            f"cannot read {path}: {e.strerror}", hint="list the accounts with: clicooper account list"
        ) from e
    except ValueError as e:
        raise UsageError(f"{path} is no keystore", hint="give a Web3 Secret Storage file") from e
    if not isinstance(keystore, dict):
        raise UsageError(f"{path} is no keystore", hint="give a Web3 Secret Storage file")
    return keystore


def load_keystore(path: Path, password: str) -> LocalAccount:
    """The account in a keystore file; takes about a second (scrypt).

    Raises:
        UsageError: there is no such file, it is no keystore, or the password is wrong.
    """
    keystore = read_keystore(path)
    try:
        key = Account.decrypt(keystore, password)
    except (ValueError, KeyError, TypeError, NotImplementedError) as e:
        hint = "check the password; other programs' keystores must be Web3 Secret Storage, version 3"
        raise UsageError(f"{path} cannot be opened: wrong password, or damaged", hint=hint) from e
    return _account(bytes(key))


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
    if not 0 < key < SECP256K1_ORDER:
        raise UsageError("not a private key", hint=hint)
    return _account(key.to_bytes(32, "big"))


def _account(key: bytes) -> LocalAccount:
    account: LocalAccount = Account.from_key(key)
    return account
