"""Keystores of other programs, and damaged ones: what a file opens to is compared with what it says.

MyEtherWallet/etherwallet#259: keys without their leading zeros. xchainjs/xchainjs-lib#1721: no checksum covers the IV.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from eth_utils import keccak

from clicooper.chain.keys import account_from_key, load_keystore
from clicooper.errors import UsageError

KEY = b"\x22" * 32
SHORT = b"\0" + b"\x11" * 31


def address_of(key: bytes) -> str:
    return account_from_key(key.hex()).address


def keystore(key: bytes, address: str | None) -> dict[str, Any]:
    """A file as other programs write it, of any bytes; its password is ``pw``."""
    salt, iv = bytes(range(32)), bytes(range(16))
    derived = hashlib.pbkdf2_hmac("sha256", b"pw", salt, 1, 32)
    encryptor = Cipher(algorithms.AES(derived[:16]), modes.CTR(iv)).encryptor()
    sealed = encryptor.update(key) + encryptor.finalize()
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": iv.hex()},
        "ciphertext": sealed.hex(),
        "kdf": "pbkdf2",
        "kdfparams": {"c": 1, "dklen": 32, "prf": "hmac-sha256", "salt": salt.hex()},
        "mac": keccak(derived[16:] + sealed).hex(),
    }
    named = {} if address is None else {"address": address}
    return {"version": 3, "id": "00000000-0000-4000-8000-000000000000", **named, "crypto": crypto}


def opened(folder: Path, content: dict[str, Any]) -> str:
    (folder / "k.json").write_text(json.dumps(content))
    return load_keystore(folder / "k.json", "pw").address


def refused(folder: Path, content: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as caught:
        opened(folder, content)
    assert str(folder / "k.json") in caught.value.message
    assert caught.value.hint
    return caught.value.message


ADDRESSES = {
    "small digits": address_of(KEY)[2:].lower(),
    "0x": address_of(KEY).lower(),
    "checksum": address_of(KEY),
    "empty": "",
    "absent": None,
}


@pytest.mark.parametrize("kind", ADDRESSES)
def test_whole_key_opens_under_every_form_of_its_address(kind: str, tmp_path: Path) -> None:
    assert opened(tmp_path, keystore(KEY, ADDRESSES[kind])) == address_of(KEY)


def test_names_in_capitals_are_read(tmp_path: Path) -> None:
    content = keystore(KEY, address_of(KEY))
    assert opened(tmp_path, {"Crypto": content.pop("crypto"), **content}) == address_of(KEY)
    assert "two fields" in refused(tmp_path, keystore(KEY, None) | {"Crypto": {}})


def test_key_without_its_leading_zeros_opens_to_the_address_that_the_file_names(tmp_path: Path) -> None:
    assert opened(tmp_path, keystore(SHORT[1:], address_of(SHORT))) == address_of(SHORT)
    assert "does not open to the account" in refused(tmp_path, keystore(SHORT[1:], address_of(KEY)))
    assert "key of 31 bytes" in refused(tmp_path, keystore(SHORT[1:], None))


@pytest.mark.parametrize("key", [b"\0" + KEY, KEY + b"\0", KEY * 2, b"", bytes(32), b"\xff" * 32])
@pytest.mark.parametrize("named", [True, False])
def test_what_is_no_key_is_refused(key: bytes, named: bool, tmp_path: Path) -> None:
    assert "damaged" in refused(tmp_path, keystore(key, address_of(KEY) if named else None))


def test_other_account_than_the_file_names_is_refused(tmp_path: Path) -> None:
    content = keystore(KEY, "11" * 20)
    assert "does not open to the account that it names" in refused(tmp_path, content)
    content["address"] = address_of(KEY)
    content["crypto"]["cipherparams"]["iv"] = "10" + content["crypto"]["cipherparams"]["iv"][2:]
    assert "does not open to the account that it names" in refused(tmp_path, content)


FIELDS = {
    "no version": ({"version": None}, "version"),
    "version in words": ({"version": "3"}, "version"),
    "version of another key": ({"version": 4}, "version"),
    "no crypto": ({"crypto": None}, "crypto"),
    "address of 19 bytes": ({"address": "11" * 19}, "address"),
    "address of words": ({"address": "owner"}, "address"),
    "address as a number": ({"address": 17}, "address"),
    "other cipher": ({"cipher": "aes-256-gcm"}, "cipher"),
    "iv of one byte": ({"iv": "ab"}, "iv"),
    "iv of 17 bytes": ({"iv": "ab" * 17}, "iv"),
    "iv of half a byte": ({"iv": "ab" * 15 + "a"}, "iv"),
    "no iv": ({"iv": None}, "iv"),
    "endless ciphertext": ({"ciphertext": "00" * 300}, "ciphertext"),
    "short mac": ({"mac": "00"}, "mac"),
    "other kdf": ({"kdf": "argon2"}, "kdf"),
    "salt as a number": ({"salt": 5}, "salt"),
    "endless salt": ({"salt": "00" * 2000}, "salt"),
    "other prf": ({"prf": "hmac-md5"}, "prf"),
    "short dklen": ({"dklen": 16}, "dklen"),
    "huge dklen": ({"dklen": 2**40}, "dklen"),
    "c of words": ({"c": "1000"}, "c is no whole number"),
    "c with a point": ({"c": 1000.0}, "c is no whole number"),
    "c as true": ({"c": True}, "c is no whole number"),
    "c below 1": ({"c": 0}, "c is no whole number"),
    "c for hours": ({"c": 2**40}, "rounds"),
}


@pytest.mark.parametrize("kind", FIELDS)
def test_damaged_field_is_named_before_a_password_is_tried(kind: str, tmp_path: Path) -> None:
    changes, message = FIELDS[kind]
    content = keystore(KEY, address_of(KEY))
    crypto = content["crypto"]
    for name, value in changes.items():
        places = (content, crypto, crypto["cipherparams"], crypto["kdfparams"])
        next(place for place in places if name in place)[name] = value
    assert message in refused(tmp_path, content)


SCRYPT = {"n": 2, "r": 1, "p": 1, "dklen": 32, "salt": "00" * 32}
COSTS = {
    "gigabytes": {"n": 2**24, "r": 8},
    "gigabytes by r": {"r": 2**28},
    "gigabytes by p": {"r": 8, "p": 2**27},
    "hours": {"n": 2**12, "r": 8, "p": 2**16},
    "no power of two": {"n": 1000},
    "no n": {"n": 1},
    "n of words": {"n": "262144"},
    "r as true": {"r": True},
    "p below 1": {"p": 0},
}


@pytest.mark.parametrize("kind", COSTS)
def test_scrypt_that_nobody_would_wait_for_is_refused(kind: str, tmp_path: Path) -> None:
    content = keystore(KEY, address_of(KEY))
    content["crypto"] |= {"kdf": "scrypt", "kdfparams": SCRYPT | COSTS[kind]}
    assert "cannot be opened: its" in refused(tmp_path, content)


def test_scrypt_within_bounds_is_tried(tmp_path: Path) -> None:
    content = keystore(KEY, address_of(KEY))
    content["crypto"] |= {"kdf": "scrypt", "kdfparams": SCRYPT}
    assert "wrong password" in refused(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_keystore_in_a_marked_encoding_is_read(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "k.json").write_text(json.dumps(keystore(KEY, address_of(KEY))), encoding=encoding)
    assert load_keystore(tmp_path / "k.json", "pw").address == address_of(KEY)


def test_pipe_is_no_keystore(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "k.json")
    with pytest.raises(UsageError, match="no regular file"):
        load_keystore(tmp_path / "k.json", "pw")
