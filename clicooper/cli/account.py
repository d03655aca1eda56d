"""``clicooper account``: encrypted keystores under ``HOME/keystore``, each with an age identity beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clicooper.access.account_identity import (
    discard_identity,
    export_identity,
    identity_file,
    make_identity,
    stored_recipient,
)
from clicooper.chain.keys import (
    MAX_KEYSTORE_BYTES,
    LocalAccount,
    account_from_key,
    load_keystore,
    random_account,
    save_keystore,
)
from clicooper.cli import session
from clicooper.cli.output import finish
from clicooper.config import ClientConfig
from clicooper.errors import UsageError
from clicooper.files import read_bounded
from clicooper.reports.tables import print_lines, table
from clicooper.user_text import decode_text

__all__ = ["app"]

DEFAULT_NAME = "default"

app = typer.Typer(help="Make, import and list encrypted accounts.", rich_markup_mode=None)


@app.command("new")
def new(context: typer.Context) -> int:
    """Makes an account and an age identity from the operating system's randomness, encrypted with a password.

    Name it with --account; the password comes from --password-file or from a prompt.
    """
    config = session.settings(context)
    name = _free_name(config)
    password = session.read_password(config, f"New password of {name}: ", again=True)
    return _save(context, config, name, random_account(), password)


@app.command("import")
def import_(
    context: typer.Context,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="A keystore, or a private key in hex in the first line.  [default: a prompt]"),
    ] = None,
) -> int:
    """Takes over an existing key: a Web3 Secret Storage keystore, or a private key in hex.

    A keystore keeps its password, which --password-file or a prompt gives. A key never stands on the command line.
    The account gets a new age identity, locked with the same password.
    """
    config = session.settings(context)
    name = _free_name(config)
    if key_file is not None and _is_keystore(key_file):
        password = session.read_password(config, f"Password of {key_file.name}: ")
        account = load_keystore(key_file, password)
    else:
        account = _account_of_key(key_file)
        password = session.read_password(config, f"New password of {name}: ", again=True)
    return _save(context, config, name, account, password)


@app.command("list")
def list_(context: typer.Context) -> int:
    """Lists the accounts; needs no password."""
    config = session.settings(context)
    rows = [_row(config, name) for name in session.stored_names(config)]
    result = {"keystore": str(session.keystore_folder(config)), "accounts": rows}
    return finish(context, result, lambda console: _print_accounts(console, config, rows))


@app.command("identity")
def identity(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The account.")],
    output_file: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write.  [default: NAME-identity.txt]")
    ] = None,
) -> int:
    """Writes an account's age identity, unlocked, to a file that only you can read.

    It opens every grant to the account's recipient: for `audit --identity` and for `age`. It is never printed.
    """
    config = session.settings(context)
    keystore = session.keystore_file(config, name)
    if not identity_file(keystore).exists():
        raise UsageError(f"there is no identity {name}", hint="list the accounts with: clicooper account list")
    target = output_file or Path(f"{name}-identity.txt")
    password = session.read_password(config, f"Password of {name}: ")
    recipient = export_identity(keystore, password, target)
    result = {"account": name, "recipient": recipient, "file": str(target)}
    words = f"{target}: the identity of {recipient}; delete it when you are done"
    return finish(context, result, words)


def _free_name(config: ClientConfig) -> str:
    name = DEFAULT_NAME if config.account is None else config.account
    keystore = session.keystore_file(config, name)
    if keystore.exists():
        raise UsageError(f"there is an account {name} already", hint="choose another name with --account")
    if identity_file(keystore).exists():
        hint = "its keystore is gone: move the identity away, or choose another name with --account"
        raise UsageError(f"there is an identity {name} already", hint=hint)
    return name


def _is_keystore(path: Path) -> bool:
    hint = "name a keystore or a text file with --key-file"
    data = read_bounded(path, MAX_KEYSTORE_BYTES, what="key file", error=UsageError, hint=hint)
    try:
        return decode_text(data).lstrip().startswith("{")
    except ValueError as e:
        raise UsageError(f"cannot read the key file {path}: {e}", hint=hint) from e


def _account_of_key(key_file: Path | None) -> LocalAccount:
    if key_file is None:
        return account_from_key(session.hidden_prompt("Private key: ").strip())
    return account_from_key(session.first_line(key_file, "private key").strip())


def _save(context: typer.Context, config: ClientConfig, name: str, account: LocalAccount, password: str) -> int:
    path = session.keystore_file(config, name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise UsageError(f"cannot write to {path.parent}: {e.strerror}", hint="name a folder with --home") from e
    recipient = make_identity(path, password)
    try:
        save_keystore(path, account, password)
    except BaseException:
        discard_identity(path)
        raise
    result = {"account": name, "address": account.address, "file": str(path), "recipient": recipient}
    lines = (
        f"{name}  {account.address}",
        f"grants to it: {recipient}",
        f"{path}: keep it and its password; nobody can restore either",
    )
    return finish(context, result, lines)


def _row(config: ClientConfig, name: str) -> dict[str, str | None]:
    path = session.keystore_file(config, name)
    try:
        address = session.stored_address(path)
    except UsageError:
        # One damaged file must not hide the others.
        address = None
    return {"name": name, "address": address, "file": str(path), "recipient": stored_recipient(path)}


def _print_accounts(console: Console, config: ClientConfig, rows: list[dict[str, str | None]]) -> None:
    if not rows:
        print_lines(console, f"No account in {session.keystore_folder(config)}")
        return
    addresses = [(row["name"], row["address"] or "not a keystore") for row in rows]
    console.print(table("Accounts", "name", "address", rows=addresses))
    recipients = [(row["name"], row["recipient"]) for row in rows if row["recipient"]]
    if recipients:
        console.print(table("Recipients of grants", "name", "recipient", rows=recipients))
