"""``clicooper account``: keys are encrypted, never shown, never overwritten, and never on a command line."""

import io
import json
import stat
import sys
from pathlib import Path

import pytest

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
    listed = answered(capsys, "account", "list")["accounts"]
    assert listed == [{"name": "owner", "address": made["address"], "file": ".clicooper/keystore/owner.json"}]
    assert made["address"] in printed(capsys, "account", "list")


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
