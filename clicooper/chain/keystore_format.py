"""The format of keystores (Web3 Secret Storage, version 3), checked before a password is tried on one.

Job: every field of the right type and length, and costs that a machine can bear: whoever writes the file decides how
long and with how much memory it is opened. Non-job: decrypting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SealedKey", "parse_sealed_key"]

MAX_MEMORY_BYTES = 1 << 29
"""Twice what geth's own files take."""

MAX_SCRYPT_WORK = 1 << 24
"""Of n * r * p, eight times geth's own."""

MAX_ROUNDS = 1 << 24
"""Of PBKDF2: some ten seconds."""

MAX_SALT_BYTES = 1024
_IV_BYTES, _MAC_BYTES, _DERIVED_BYTES, _MAX_CIPHERTEXT_BYTES = 16, 32, 32, 256
_HEX = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2})*)")


@dataclass(frozen=True)
class SealedKey:
    """A keystore whose fields are sound.

    Attributes:
        content: the keystore, its names in small letters, as the library that decrypts it wants them.
        address: the account that it names, 0x and 40 small digits; None where it names none.
    """

    content: dict[str, Any]
    address: str | None


def parse_sealed_key(keystore: Mapping[str, object]) -> SealedKey:
    """The fields that opening needs.

    Raises:
        ValueError: which of them is absent, of a wrong type or length, or asks for too much.
    """
    content = _small_names(keystore)
    if type(content.get("version")) is not int or content["version"] != 3:
        raise ValueError("its version is not 3")
    crypto = _table(content, "crypto")
    _check_cipher(crypto)
    parameters = _table(crypto, "kdfparams")
    _hex(parameters, "salt", most=MAX_SALT_BYTES)
    if _count(parameters, "dklen") != _DERIVED_BYTES:
        raise ValueError(f"its dklen is not {_DERIVED_BYTES}")
    if crypto.get("kdf") == "scrypt":
        _check_scrypt(parameters)
    elif crypto.get("kdf") == "pbkdf2":
        _check_pbkdf2(parameters)
    else:
        raise ValueError("its kdf is neither scrypt nor pbkdf2")
    return SealedKey(content, _address(content))


def _check_cipher(crypto: Mapping[str, Any]) -> None:
    if crypto.get("cipher") != "aes-128-ctr":
        raise ValueError("its cipher is not aes-128-ctr")
    _hex(_table(crypto, "cipherparams"), "iv", size=_IV_BYTES)
    _hex(crypto, "ciphertext", most=_MAX_CIPHERTEXT_BYTES)
    _hex(crypto, "mac", size=_MAC_BYTES)


def _check_scrypt(parameters: Mapping[str, Any]) -> None:
    n, r, p = (_count(parameters, name) for name in ("n", "r", "p"))
    if n < 2 or n & (n - 1):
        raise ValueError("its n is no power of two")
    if 128 * r * (n + p) > MAX_MEMORY_BYTES or n * r * p > MAX_SCRYPT_WORK:
        raise ValueError("its n, r and p ask for more memory or time than is spent on a keystore here")


def _check_pbkdf2(parameters: Mapping[str, Any]) -> None:
    if parameters.get("prf") != "hmac-sha256":
        raise ValueError("its prf is not hmac-sha256")
    if _count(parameters, "c") > MAX_ROUNDS:
        raise ValueError(f"its c asks for more than {MAX_ROUNDS} rounds")


def _address(content: Mapping[str, Any]) -> str | None:
    """The claimed account; writers that hide it leave it out, or empty."""
    if content.get("address") in (None, ""):
        return None
    return "0x" + _hex(content, "address", size=20).lower()


def _small_names(table: Mapping[str, object]) -> dict[str, Any]:
    """Some wallets write ``Crypto``."""
    small = {name.lower(): _small_names(value) if isinstance(value, dict) else value for name, value in table.items()}
    if len(small) != len(table):
        raise ValueError("it has two fields of one name")
    return small


def _table(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = table.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"it has no table {name}")
    return value


def _count(table: Mapping[str, Any], name: str) -> int:
    value = table.get(name)
    if type(value) is not int or value < 1:
        raise ValueError(f"its {name} is no whole number above 0")
    return value


def _hex(table: Mapping[str, Any], name: str, *, size: int | None = None, most: int = 0) -> str:
    value = table.get(name)
    match = _HEX.fullmatch(value) if isinstance(value, str) else None
    if match is None or (len(match[1]) != 2 * size if size is not None else len(match[1]) > 2 * most):
        length = f"{size} bytes" if size is not None else f"at most {most} bytes"
        raise ValueError(f"its {name} is not {length} in hex")
    return match[1]
