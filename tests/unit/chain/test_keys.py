"""Accounts from seeds, from randomness, and in keystore files."""

import json
import stat
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from clicooper.chain.keys import account_from_seed, load_keystore, random_account, save_keystore
from clicooper.errors import UsageError


@given(st.binary(min_size=1), st.text(st.characters(codec="utf-8")))
def test_seed_and_name_always_give_the_same_account(seed: bytes, name: str) -> None:
    assert account_from_seed(seed, name).key == account_from_seed(seed, name).key


@given(st.binary(min_size=1), st.sets(st.text(st.characters(codec="utf-8")), min_size=2, max_size=4))
def test_names_separate_accounts(seed: bytes, names: set[str]) -> None:
    assert len({account_from_seed(seed, name).address for name in names}) == len(names)


def test_seed_account_is_fixed_for_ever() -> None:
    assert account_from_seed(b"\x00" * 32, "owner").address == "0xDF50BcB5D2E493D14B548b05c975d3A6a14f1163"


def test_empty_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="empty seed"):
        account_from_seed(b"", "owner")


def test_random_accounts_differ() -> None:
    assert random_account().address != random_account().address


def test_keystore_round_trips_privately(tmp_path: Path) -> None:
    path, account = tmp_path / "owner.json", random_account()
    save_keystore(path, account, "correct horse")
    assert load_keystore(path, "correct horse").key == account.key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["owner.json"]
    keystore = json.loads(path.read_bytes())
    assert keystore["version"] == 3
    assert account.key.hex() not in path.read_text()
    with pytest.raises(UsageError, match="wrong password"):
        load_keystore(path, "battery staple")


def test_keystore_of_another_program_is_read(tmp_path: Path) -> None:
    account = random_account()
    path = tmp_path / "other.json"
    path.write_text(json.dumps(Account.encrypt(account.key, "pw", kdf="pbkdf2", iterations=1000)))
    assert load_keystore(path, "pw").address == account.address


def test_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "owner.json"
    path.write_text("precious")
    with pytest.raises(UsageError, match="not overwritten"):
        save_keystore(path, random_account(), "pw")
    assert path.read_text() == "precious"
    assert [entry.name for entry in tmp_path.iterdir()] == ["owner.json"]


def test_empty_password_and_unwritable_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a password"):
        save_keystore(tmp_path / "owner.json", random_account(), "")
    with pytest.raises(UsageError, match="cannot write"):
        save_keystore(tmp_path / "no" / "owner.json", random_account(), "pw")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "7", "{}", '{"version": 1}', '{"version": 3, "crypto": {}}', "[" * 50_000]
)
def test_file_that_is_no_keystore_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "owner.json"
    path.write_text(content)
    with pytest.raises(UsageError):
        load_keystore(path, "pw")


def test_absent_keystore_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_keystore(tmp_path / "owner.json", "pw")
