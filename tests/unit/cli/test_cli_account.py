"""``clicooper account``: keys are encrypted, never shown, never overwritten, and never on a command line."""

import io
import json
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from clicooper.access.account_identity import make_identity
from clicooper.access.grants import read_identity
from clicooper.access.identity import recipient_of
from clicooper.access.sealing import new_identity, unwrap, wrap
from clicooper.chain.keys import account_from_seed, load_keystore, save_keystore
from clicooper.cli.main import main
from clicooper.cli.session import read_password
from clicooper.config import load_config
from clicooper.errors import UsageError
from tests.cli_calls import answered, printed, refused

KEY = account_from_seed(b"seed", "owner")
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    (tmp_path / "password").write_text(f"{PASSWORD}\nsecond line\n")
    return tmp_path


WITH_PASSWORD = ("--password-file", "password")


def test_new_account_is_encrypted_under_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = answered(capsys, "account", "new", "--account", "owner", *WITH_PASSWORD)
    file = folder / ".clicooper" / "keystore" / "owner.json"
    assert (made["account"], made["file"]) == ("owner", ".clicooper/keystore/owner.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert load_keystore(file, PASSWORD).address == made["address"]
    (listed,) = answered(capsys, "account", "list")["accounts"]
    assert listed == {key: made[key] for key in ("address", "file", "recipient")} | {"name": "owner"}
    assert made["address"] in printed(capsys, "account", "list")
    assert made["recipient"] in printed(capsys, "account", "list")


@pytest.mark.parametrize("text", [f"0x{KEY.key.hex().removeprefix('0x')}\n", KEY.key.hex().removeprefix("0x").upper()])
def test_private_key_is_imported_from_a_file(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "key").write_text(text)
    made = answered(capsys, "account", "import", "--key-file", "key", *WITH_PASSWORD)
    assert (made["account"], made["address"]) == ("default", KEY.address)
    assert load_keystore(folder / made["file"], PASSWORD).key == KEY.key


def test_keystore_is_imported_with_its_password(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_keystore(folder / "other.json", KEY, PASSWORD)
    arguments = ("account", "import", "--key-file", "other.json", "--account", "mine")
    assert answered(capsys, *arguments, *WITH_PASSWORD)["address"] == KEY.address
    (folder / "wrong").write_text("battery staple")
    message = refused(capsys, *arguments[:4], "--account", "more", "--password-file", "wrong")
    assert message == "other.json cannot be opened: wrong password, or damaged"


def test_existing_account_is_never_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keystore = folder / ".clicooper" / "keystore"
    keystore.mkdir(parents=True)
    (keystore / "default.json").write_text("precious")
    for command in ("new", "import"):
        assert refused(capsys, "account", command, *WITH_PASSWORD) == "there is an account default already"
    assert (keystore / "default.json").read_text() == "precious"


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "-", "", "a" * 65, "a\n", "/tmp/x"])  # noqa: S108
def test_name_that_leaves_the_keystore_is_refused(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no account name" in refused(capsys, "account", "new", f"--account={name}", *WITH_PASSWORD)
    assert {path.name for path in folder.iterdir()} == {"password"}


@pytest.mark.parametrize("text", ["", "0x1", "0x" + "00" * 32, "0x" + "ff" * 32, "g" * 64, "0x" + "11" * 33])
def test_bad_key_is_refused_and_not_repeated(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "key").write_text(text)
    assert main(["account", "import", "--key-file", "key", *WITH_PASSWORD]) == 2
    shown = capsys.readouterr()
    assert not text or text not in shown.err
    assert not (folder / ".clicooper").exists()


def test_key_or_password_has_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--key", "--password", "--private-key"):
        assert refused(capsys, "account", "import", option, "0x1").startswith(f"No such option: {option}")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read the password from secret"), (b"\nx", "secret has no password"), (b"\xff", "cannot read the")],
)
def test_bad_password_file(
    content: bytes | None, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (folder / "secret").write_bytes(content)
    assert refused(capsys, "account", "new", "--password-file", "secret").startswith(message)
    assert not (folder / ".clicooper").exists()


def test_nobody_to_ask_for_a_password(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "account", "new").startswith("a secret is needed and there is no terminal")
    assert not (folder / ".clicooper").exists()


def test_password_is_asked_for_twice() -> None:
    answers = iter(["one", "one", "one", "two"])
    assert read_password(load_config(), "New: ", again=True, ask=lambda _: next(answers)) == "one"
    with pytest.raises(UsageError, match="the two passwords differ"):
        read_password(load_config(), "New: ", again=True, ask=lambda _: next(answers))


def test_password_file_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLICOOPER_PASSWORD_FILE", "password")
    monkeypatch.setenv("CLICOOPER_ACCOUNT", "owner")
    assert answered(capsys, "account", "new")["account"] == "owner"


def test_listing_survives_a_damaged_keystore(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(capsys, "account", "list")["accounts"] == []
    assert printed(capsys, "account", "list") == "No account in .clicooper/keystore"
    keystore = folder / ".clicooper" / "keystore"
    keystore.mkdir(parents=True)
    (keystore / "broken.json").write_text("{")
    (keystore / "good.json").write_text(json.dumps({"address": KEY.address.lower().removeprefix("0x")}))
    found = {row["name"]: row["address"] for row in answered(capsys, "account", "list")["accounts"]}
    assert found == {"broken": None, "good": KEY.address}


# --- identities ---


def exported(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    return answered(capsys, "account", "identity", "owner", *more, *WITH_PASSWORD)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A keystore folder with an account whose identity is real: locking one takes a second."""
    home = tmp_path_factory.mktemp("locked")
    keystore = home / "keystore"
    keystore.mkdir()
    make_identity(keystore / "owner.json", PASSWORD)
    (keystore / "owner.json").write_text(json.dumps({"address": KEY.address}))
    return keystore


@pytest.fixture
def owner(locked: Path, folder: Path) -> dict[str, Any]:
    keystore = shutil.copytree(locked, folder / ".clicooper" / "keystore")
    return {"address": KEY.address, "recipient": (keystore / "owner.recipient").read_text().strip()}


def test_identity_is_locked_beside_the_keystore_and_exported_on_demand(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = answered(capsys, "account", "new", "--account", "owner", *WITH_PASSWORD)
    keystore = folder / ".clicooper" / "keystore"
    assert {path.name for path in keystore.iterdir()} == {"owner.json", "owner.age", "owner.recipient"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in keystore.iterdir()} == {0o600}
    written = exported(capsys)
    target = folder / written["file"]
    identity = read_identity(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert recipient_of(identity) == written["recipient"] == owner["recipient"]
    assert unwrap(wrap(b"labels", [owner["recipient"]]), identity) == b"labels"
    for path in keystore.iterdir():
        assert identity.encode() not in path.read_bytes()


def test_identity_is_never_printed(owner: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["account", "identity", "owner", "-o", "mine", *WITH_PASSWORD]) == 0
    shown = capsys.readouterr()
    assert "SECRET" not in (shown.out + shown.err).upper()
    assert "AGE-SECRET-KEY-1" in (folder / "mine").read_text()


def test_exported_identity_overwrites_nothing(
    owner: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine").write_text("precious")
    message = refused(capsys, "account", "identity", "owner", "-o", "mine", *WITH_PASSWORD)
    assert message == "mine exists and is not overwritten"
    assert (folder / "mine").read_text() == "precious"


def test_identity_needs_its_password(owner: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "wrong").write_text("battery staple")
    message = refused(capsys, "account", "identity", "owner", "--password-file", "wrong")
    assert message == "the identity cannot be opened: wrong password, or damaged"
    assert not (folder / "owner-identity.txt").exists()


def test_exchanged_recipient_is_found_out(
    owner: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever could exchange it would be granted what is meant for the account."""
    (folder / ".clicooper" / "keystore" / "owner.recipient").write_text(new_identity()[1] + "\n")
    message = refused(capsys, "account", "identity", "owner", *WITH_PASSWORD)
    assert message == ".clicooper/keystore/owner.recipient is not the recipient of owner.age"
    assert not (folder / "owner-identity.txt").exists()


def test_damaged_recipient_is_not_listed(
    owner: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".clicooper" / "keystore" / "owner.recipient").write_text(owner["recipient"][:-1] + "q")
    (listed,) = answered(capsys, "account", "list")["accounts"]
    assert (listed["name"], listed["address"], listed["recipient"]) == ("owner", owner["address"], None)


def test_unknown_account_has_no_identity(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "account", "identity", "nobody", *WITH_PASSWORD) == "there is no identity nobody"


def test_orphaned_identity_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keystore = folder / ".clicooper" / "keystore"
    keystore.mkdir(parents=True)
    (keystore / "default.age").write_text("precious")
    assert refused(capsys, "account", "new", *WITH_PASSWORD) == "there is an identity default already"
    assert (keystore / "default.age").read_text() == "precious"


def test_account_that_cannot_be_made_leaves_no_identity(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".clicooper" / "keystore" / "default.recipient").mkdir(parents=True)
    assert "default.recipient" in refused(capsys, "account", "new", *WITH_PASSWORD)
    assert {path.name for path in (folder / ".clicooper" / "keystore").iterdir()} == {"default.recipient"}


# --- text of other editors ---


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_key_and_password_that_windows_wrote_are_read(
    encoding: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "key").write_bytes(f"0x{KEY.key.hex().removeprefix('0x')}\r\n".encode(encoding))
    (folder / "password").write_bytes(f"{PASSWORD}\r\n".encode(encoding))
    made = answered(capsys, "account", "import", "--key-file", "key", *WITH_PASSWORD)
    assert load_keystore(folder / made["file"], PASSWORD).address == KEY.address


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_keystore_that_windows_wrote_is_imported(
    encoding: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_keystore(folder / "other.json", KEY, PASSWORD)
    (folder / "other.json").write_text("\n" + (folder / "other.json").read_text(), encoding=encoding)
    made = answered(capsys, "account", "import", "--key-file", "other.json", *WITH_PASSWORD)
    assert made["address"] == KEY.address


def test_secrets_in_an_unmarked_encoding_are_told_so_and_not_repeated(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = KEY.key.hex().removeprefix("0x")
    (folder / "key").write_bytes(digits.encode("utf-16-le"))
    message = refused(capsys, "account", "import", "--key-file", "key", *WITH_PASSWORD)
    assert message.startswith("cannot read the key file key: ") and "UTF-8" in message
    (folder / "password").write_bytes("pässword".encode("latin-1"))
    message = refused(capsys, "account", "new", *WITH_PASSWORD)
    assert message.startswith("cannot read the password from password: ") and "UTF-8" in message
